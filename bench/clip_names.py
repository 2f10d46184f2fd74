"""Which English clip names mean one class without doubt. Written by looking at the development half only."""

import re

# class: (the name must match, the name must not match)
RULES: dict[str, tuple[str, str]] = {
    "squat": (
        r"squats?$|squats? with (bands|chains)$",
        r"jump|side|split|thrust|hack|wall|jerk|pulse|frankenstein|complex|swiss|single-leg|pistol|cossack|sissy|lateral",
    ),
    "push_up": (
        r"push-?ups?$",
        r"superman|clap|froggy|judo|sphinx|sit back|plank|thrust|drag|pike|wall|handstand|dive|hindu|archer|band tri",
    ),
    "pull_up": (r"(pull|chin)-?ups?$", r"around|scap|kip|muscle|face|machine|knee"),
    "dip": (r"\bdips?$", r"hip|plank|side|jerk"),
    "sit_up": (
        r"sit-?ups?$|crunch(es)?$|crunch - hands overhead$",
        r"reverse|cable|oblique|ball|spider|swivel|tip-toe|frog|press|side|bicycle|standing|7-up|band|machine|skull|twist|knee",
    ),
    "lunge": (r"\blunges?$|split squats?$", r"side|curtsy|jump|low|hop|lateral|clock|cross|180|plyo|to-lunge|knee-up"),
    "plank": (r"\bplank( hold)?$", r"side|reverse|jack|up-down|single|one-|ball"),
    "jumping_jack": (r"jumping[ -]jacks?$", r"plank|seated|lying"),
    "biceps_curl": (
        r"(biceps|hammer|barbell|dumbbell|ez-bar|cable|bar|plate|zottman|grip|drag|alternating|standing) curls?$",
        r"leg|hamstring|wrist|finger|spider|preacher|concentration|lying|incline|squat|lunge|plank|machine|prone|nordic",
    ),
    "overhead_press": (
        r"(shoulder|military|overhead|arnold|push-?|seated dumbbell|standing barbell|barbell shoulder)[ -]?press"
        r"( behind neck)?$|behind-the-neck press$",
        r"bench|incline|floor|boat|squat|lunge|clean|triceps|landmine|gravity|kneeling|cable|complex",
    ),
    "deadlift": (r"deadlifts?( with chains)?$|rack pull$", r"single-leg|kickstand|squat|cable|jump|clean"),
    "bench_press": (r"bench press$|spoto press$|dumbbell floor press$", r"bridge|smith|hollow|seated|close-grip push"),
    "mountain_climber": (r"(mountain|hill) climbers?$", r"wall|ball|suspend"),
    "jump_rope": (r"jump(ing)? rope$|double-unders?$", r"$^"),
    "bent_over_row": (r"bent-over .*row$|t-bar row$|pendlay row$|barbell row$", r"single|one-arm|seal|machine"),
    "lateral_raise": (r"(lateral|side) raise$", r"single|one-arm|leg|lying|front|bent|incline|hip"),
    "other": (
        r"stretch|smr$|foam roll|child's pose|garland|downward-facing|rag doll|wrist|finger|calf (raise|press)"
        r"|calf raises|shrug|leg press|fl(y|ye|yes)$|butterfly|triceps extension|skullcrusher|kettlebell swing|v-up"
        r"|leg raise|leg lift|russian twist|elliptical|jogging|running|stair climber|side plank|pull-down|push-down"
        r"|cable .*rotation"
        r"|external rotation|internal rotation|adduction|pull apart|ankle circles|hip thrust|glute bridge|bear crawl"
        r"|hollow hold|hang from bar|ball slam|windmill|arm circle|neck stretch|toes-to-bar|knee raise|back extension",
        r" to |squat|lunge|press$|push-up|sit-up|curl|deadlift|row$|kick|with v-up|walk",
    ),
}


def class_of(name: str) -> str | None:
    """The class that a clip's name means, or None when it is doubtful or several match."""
    text = name.lower().strip(" -")
    matches = [label for label, (yes, no) in RULES.items() if re.search(yes, text) and not re.search(no, text)]
    return matches[0] if len(matches) == 1 else None
