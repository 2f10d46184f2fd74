"""Which English clip names mean one class of the exercise library without doubt; nothing but the names is looked at.

    python bench/clip_names.py --data FOLDER    # how many development clips each class gets, and which names

Written by looking at the names of the development half only; the test half's are read by the same rules, unseen.
A name is stripped of programme names and of words that leave any exercise what it is: equipment, grip, side, tempo.
What is left must be, as a whole, a class's core after any of its own ways. So a name with an unknown word, or of two
exercises in a row, means nothing. 'other' is what surely none of the classes is: machines, stretches, throws, ...
"""

import argparse
import re
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from common import data_folder, show

from kinetag.timeline import OTHER

PROGRAMMES = (
    r"^(30 (arm|back|chest|leg|shoulder) |30 (?!degree)|acft |am |dumbbell fix |fyr ?2? |hm |holman |metaburn |"
    r"paul carter |tb |un |up (?!down))"
)
# What leaves any exercise what it is: how it is loaded, gripped, propped, or done, and on which side.
ANYWAY = (
    r"\b(with (a |heavy |mini )?(resistance )?(band|chain|dumbbell|barbell|kettlebell|plate|weight)"
    r"|(single|two) (dumbbell|kettlebell)|dumbbell|barbell|kettlebell|(ez|hex|trap|straight|safety) bar|plate"
    r"|medicine ball|(heavy |monster |resistance |reverse )?band(ed)?|cable|weighted|bodyweight|smith machine"
    r"|(?<!jump )(?<!jumping )(?<!skipping )rope(?! jump| climb)|towel|suspended|trx"
    r"|(single|one|two|double|both|left|right) arm|alternat(e|ing)|seesaw|double|left|right"
    r"|(wide|close|narrow|neutral|reverse|mixed|pronated|supinated) grip|(under|over)hand( grip)?"
    r"|palm (in|up|down|out)|[0-9]+ degree (?=incline)|slight|incline|decline|flat|slow|speed|tempo|paused?|explosive"
    r"|heavy|deficit|gethin variation)\b"
)


@dataclass(frozen=True)
class Meaning:
    """``core``: what must be left of a name; ``ways``: what may stand before it, by commas; ``never``: what the whole
    name must not contain. Regular expressions, of lower case and without hyphens."""

    core: str
    ways: str = ""
    never: str = ""


CLASSES = {
    # Legs
    "squat": Meaning(
        "squat",
        "front, back, full, goblet, overhead, sumo, plie, narrow, wide, narrow stance, wide stance, frankenstein, "
        "zercher, air, deep, power, sit, racked, front rack, prisoner",
        "one leg|chair",
    ),
    "jump_squat": Meaning(
        "jump(ing)? squat|squat jump", "wide, narrow, sumo, 90 degree, goblet, plyo, freehand", "split"
    ),
    "sit_to_stand": Meaning("(box|chair|bench) squat|sit to stand|squat to (a )?(box|bench|chair)"),
    "split_squat": Meaning(
        "split squat|(static|stationary) lunge",
        "bulgarian, rear foot elevated, front foot elevated, foot elevated, exercise ball",
    ),
    "lunge": Meaning("lunge( in place)?", "forward, reverse, backward, rear, front, walking, leg"),
    "side_lunge": Meaning("(side|lateral|side to side) lunge|(side|lateral|cossack) squat", "leg"),
    "step_up": Meaning("step up( with knee (raise|drive))?", "box, bench"),
    "calf_raise": Meaning("(calf|heel) raise( on a step)?", "standing, seated, single leg, one leg, donkey"),
    "wall_sit": Meaning("wall sit( hold)?|wall squat hold"),
    # Hips and back
    "deadlift": Meaning(
        "deadlift|rack pull|rdl",
        "romanian, sumo, stiff leg, stiff legged, straight leg, straight legged, conventional, single leg, one leg, "
        "one legged, kickstand, staggered stance, rack, block, clean, snatch, wide stance, suitcase, axle",
    ),
    "good_morning": Meaning("good morning", "standing, seated, hanging bar, stiff legged, wide stance"),
    "kettlebell_swing": Meaning("swing", "american, russian", "arm swing|leg swing|^(?!.*(kettle|dumb)bell)"),
    "hip_thrust": Meaning("(hip|glute) thrust(er)?", "single leg, one leg, bench"),
    "glute_bridge": Meaning("(glute|hip) bridge|(hip|pelvic|butt) lift", "single leg, one leg, feet elevated, frog"),
    "superman": Meaning("superman( hold)?|back extension on the floor|prone back extension"),
    "donkey_kick": Meaning("donkey kick|quadruped hip extension", "leg, single leg"),
    "fire_hydrant": Meaning("fire hydrant|dirty dog", "leg, single leg"),
    "clamshell": Meaning("clam( ?shell)?"),
    "side_lying_leg_raise": Meaning("(side lying|lying side) (leg (raise|lift)|hip abduction)"),
    "bird_dog": Meaning("bird dog"),
    # Pushing
    "push_up": Meaning(
        "(push|press) ?up",
        "close, wide, narrow, diamond, tricep, hand elevated, feet elevated, foot elevated, (wide|close) hand, ring",
        "knee",
    ),
    "knee_push_up": Meaning("(knee|kneeling|modified) push ?up|push ?up on (the )?knee"),
    "wall_push_up": Meaning("wall push ?up"),
    "bench_press": Meaning("(bench|floor|spoto|chest) press", "", "cable|leverage|machine (?!bench)|standing|seated"),
    "chest_fly": Meaning(
        "fly|fl[yi]e|cross ?over|pec deck|(machine )?butterfly|butterfly machine",
        "chest, pec, bench, standing, shoulder height, low, mid, high, low to high, high to low",
        "^hm ",
    ),
    "dip": Meaning("dip", "tricep, chair, bench, chest, parallel bar, bar, ring, assisted", "machine"),
    "overhead_press": Meaning(
        "press( behind (the )?(neck|head))?",
        "machine, standing, seated, shoulder, military, overhead, arnold, push, strict, behind the (neck|head)",
        r"bench|incline|decline|^(?!.*(shoulder|military|overhead|arnold|push|standing|seated|neck|kettlebell))",
    ),
    # Pulling
    "pull_up": Meaning("(pull|chin) ?up|chin", "assisted, negative, v bar, (gironda )?sternum, commando"),
    "lat_pulldown": Meaning(
        "pull ?down",
        "lat, v bar, straight arm, front, wide, kneeling, seated, behind the (neck|head), full range of motion",
    ),
    "bent_over_row": Meaning(
        "row|bench pull",
        "bent over, t bar, pendlay",
        "^(?!.*(bent over|t bar|pendlay|dumbbell row|barbell row|bench pull))|upright",
    ),
    "upright_row": Meaning("upright row", "standing"),
    "shrug": Meaning("shrug", "standing, seated, shoulder, behind the back, leaning, calf machine"),
    # Arms and shoulders
    "biceps_curl": Meaning(
        "curl( lying against an)?",
        "machine, standing, seated, bicep, hammer, preacher, concentration, zottman, reverse, drag, bar, high, wide, "
        "inner, cross body",
    ),
    "triceps_pushdown": Meaning("(push|press) ?down( attachment)?", "tricep, v bar, standing"),
    "overhead_triceps_extension": Meaning(
        "overhead tricep (extension|press)|tricep overhead (extension|press)|french press|"
        "(standing|seated) tricep extension",
        "standing, seated, kneeling",
        "(cable|machine).* tricep extension(?<!overhead tricep extension)",
    ),
    "lateral_raise": Meaning("(side|lateral|side lateral) raise", "standing, seated, leaning"),
    "front_raise": Meaning("front raise", "standing, seated, face up"),
    "shoulder_abduction": Meaning("shoulder abduction", "standing"),
    "shoulder_extension": Meaning("shoulder extension", "standing"),
    "shoulder_scaption": Meaning("scaption( raise)?|y raise", "standing, seated", "incline"),
    "shoulder_rotation": Meaning("(ex|in)ternal rotation", "standing, seated, side lying, 90 degree, shoulder"),
    "arm_circles": Meaning("arm circle", "small, large, big, forward, backward, reverse"),
    # Core
    "plank": Meaning("plank( hold)?", "elbow, forearm, high, low, straight( arm)?, front, (wide )?push up"),
    "side_plank": Meaning(
        "side (plank|bridge)( hold| (hip )?(dip|drop)| pulse| on ball)?", "elbow, straight arm, forearm"
    ),
    "plank_jack": Meaning("plank (jumping )?jack", "elbow, straight"),
    "mountain_climber": Meaning(
        "(mountain|hill) climber", "bench, (hand|feet|foot) elevated, couch, cross body, wide", "suspended|trx"
    ),
    "sit_up": Meaning("sit ?up", "long, janda, frog, butterfly, straight leg, zombie, full"),
    "crunch": Meaning(
        "crunche?( hand overhead)?",
        "bench, oblique, feet elevated, leg elevated, knee tucked, tip toe, ab, abdominal, reverse",
        "cable (?!reverse)|suspended|standing|kneeling",
    ),
    "bicycle_crunch": Meaning("bicycle( crunche?| kick)?|air bike|(elbow to knee|cross body) crunche?", "", "standing"),
    "leg_raise": Meaning(
        "leg (raise|lift)|(hanging|captain's chair) knee raise",
        "lying, hanging, captain's chair, bench, straight",
        "^leg lift|alternat|side|single|(left|right) leg",
    ),
    "v_up": Meaning("v up|jackknife( sit ?up)?", "x body, tuck"),
    "russian_twist": Meaning("russian twist", "seated"),
    "scissors": Meaning("scissor( kick)?|flutter( kick)?", "lying, leg", "jump|standing"),
    "side_bend": Meaning("side bend", "standing, seated"),
    "torso_twist": Meaning("(torso|trunk) (twist|rotation)", "standing"),
    "toe_touch": Meaning("standing toe touch|(standing )?forward (fold|bend)"),
    # Whole body and on the move
    "burpee": Meaning("burpee( with push ?up)?|squat thrust"),
    "thruster": Meaning("thruster|squat (to|and) (overhead )?press", "front"),
    "clean_and_jerk": Meaning("clean (and|&) (push )?(jerk|press)", "power"),
    "bear_crawl": Meaning("bear (crawl|walk)"),
    "jumping_jack": Meaning("jumping jack|star jump"),
    "jump_rope": Meaning("(jump|jumping|skipping) rope|rope jumping|(double )?under", "air, imaginary"),
    "high_knees": Meaning("high knee( run| running)?"),
    "butt_kick": Meaning("butt kick(er)?", "running"),
    "running": Meaning("running|jogging|(running|jogging)(,? treadmill| in place)", "treadmill"),
    "walking": Meaning("walking(,? treadmill)?", "treadmill"),
    # Poses and balance
    "childs_pose": Meaning("child('s)? pose|prayer stretch"),
    "downward_dog": Meaning("downward (facing )?dog( pose)?"),
    "cobra": Meaning("cobra( pose)?|upward (facing )?dog( pose)?"),
    "bridge": Meaning("bridge pose|wheel pose"),
    "chair_pose": Meaning("chair pose"),
    "goddess": Meaning("goddess( pose)?"),
    "tree": Meaning("tree pose"),
    "triangle": Meaning("triangle pose", "extended"),
    "warrior_1": Meaning("warrior (i|1|one)( pose)?"),
    "warrior_2": Meaning("warrior (ii|2|two)( pose)?"),
    "standing_leg_raise": Meaning(
        "standing (leg (raise|lift)|hip (abduction|extension|flexion))|leg swing", "front, side, lateral, rear"
    ),
    "single_leg_stance": Meaning("(single|one) leg (stance|balance)"),
}

# Looked for anywhere in the name; not in one of two exercises in a row, nor beside the name of a class.
OTHERS = Meaning(
    r"stretch|\bsmr$|foam roll|\bseated hamstring$|standing hip flexor|garland|neck (resistance|bridge)|ankle circle"
    r"|wrist|finger|forearm (curl|rotation)|supination|leg press|leg extension|(leg|hamstring) curl$|manual hamstring"
    r"|glute ham raise|(thigh|hip) (ad|ab)ductor|(lying|decline|incline|machine|bent over).* tricep (extension|press)"
    r"|skull ?crusher|(tricep|dumbbell) kick ?back|(rear|reverse|back)( [a-z]+)? fl[yi]e?$|pull apart|face pull"
    r"|pull ?over|back extension|hyperextension|(machine|seated)( [a-z]+)? row|inverted row|cable chest press"
    r"|elliptical|stair climber|step mill|recumbent|stationary|rowing|battl(e|ing) rope|rope climb|box jump|bench jump"
    r"|(ball|chest|overhead) slam|\bthrow$|toss|get up|windshield wiper|roll ?out|ab roller|hollow hold$|hang from bar"
    r"|(exercise|swiss|stability) ball (pike|pull in)$|crab|sit through|kick through|inchworm|duck walk|wood ?chop"
    r"|pallof|(?<!ball )cable( oblique)? crunch",
    never=r"^(?!.*stretch).* (to|with|and|into) |plank|squat|lunge|(push|press|sit) ?up|deadlift|thruster|burpee"
    r"|upright|overhead tricep|glute kick|calf press|incline cable|side stretch|pilate|no hyper",
)


def class_of(name: str) -> str | None:
    """The class that a clip's name means, or None when it is doubtful or several match."""
    whole = _plain(name)
    # 'Close push-up to wide push-up' is one exercise all along.
    parts = [_classes(whole, part) for part in whole.split(" to ")]
    labels = parts[0] if all(part == parts[0] != [] for part in parts) else _classes(whole, whole)
    if not labels and re.search(OTHERS.core, whole) and not re.search(OTHERS.never, whole):
        return OTHER
    return labels[0] if len(labels) == 1 else None


def _plain(name: str) -> str:
    """Lower case and singular, without hyphens, brackets and doubled blanks."""
    return re.sub(r"(?<=[^s'])s\b", "", re.sub(r"[^a-z0-9&',]+", " ", name.lower()).strip())


def _classes(whole: str, part: str) -> list[str]:
    """The classes whose core ``part`` of a ``whole`` name is, after the words that change nothing."""
    core = " ".join(re.sub(ANYWAY, " ", re.sub(PROGRAMMES, "", part)).split())
    return [label for label, meaning in CLASSES.items() if _means(meaning, core, whole)]


def _means(meaning: Meaning, core: str, whole: str) -> bool:
    ways = "|".join(meaning.ways.split(", "))
    fits = re.fullmatch(rf"(?:(?:{ways}) )*(?:{meaning.core})", core)
    return bool(fits) and not (meaning.never and re.search(meaning.never, whole))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of real data (default: KINETAG_DATA)")
    data = np.load(data_folder(parser.parse_args().data) / "gym_keypoints.npz")
    names = defaultdict(list)
    for name in sorted(str(name) for name in data["name"][~data["test"]]):
        names[class_of(name) or "-"].append(name)
    show(
        "Development clips",
        [{"class": label, "clips": len(names[label]), "names": "; ".join(names[label])} for label in sorted(names)],
    )


if __name__ == "__main__":
    main()
