"""What the English names of real clips are taken to mean by the bench of the classifier."""

import pytest
from clip_names import CLASSES, class_of

from kinetag.exercises.library import load_library

MEANT = {
    "squat": ("Barbell Full Squat", "Sumo squat", "30 Legs Dumbbell Goblet Squat", "Reverse Band Power Squat"),
    "jump_squat": ("HM Squat Jump", "Freehand jump squat"),
    "sit_to_stand": ("Box Squat with Bands", "Sit to stand"),
    "split_squat": ("Exercise ball Bulgarian split squat", "Static lunge"),
    "lunge": ("UN Forward Lunge", "Bodyweight walking lunge", "Dumbbell lunges"),
    "side_lunge": ("Kettlebell side squat", "MetaBurn Side-To-Side Lunge"),
    "calf_raise": ("Calf Raises - With Bands", "Barbell Seated Calf Raise"),
    "deadlift": ("Paul Carter Romanian Deadlift", "Deadlift with Chains", "Kettlebell one-legged deadlift"),
    "kettlebell_swing": ("FYR2 American Kettlebell Swing", "One-arm kettlebell swings"),
    "hip_thrust": ("30 Legs Hip Thrust",),
    "glute_bridge": ("Single-leg glute bridge",),
    "push_up": ("Pushups", "Push-Up", "Close push-up to wide push-up", "Wide-grip hands-elevated push-up"),
    "knee_push_up": ("Knee push-up", "Push-ups on knees"),
    "bench_press": ("UP Incline Bench Press", "One-Arm Kettlebell Floor Press"),
    "chest_fly": ("Decline Dumbbell Flyes", "30 Chest 30-Degree Incline Dumbbell Fly", "Cross Over - With Bands"),
    "overhead_press": ("Push-press", "Smith Machine Behind-The-Neck Press - Gethin Variation", "Seated Dumbbell Press"),
    "pull_up": ("TBS Chin-Up", "Pullups"),
    "lat_pulldown": ("Reverse-grip lat pull-down", "Straight-arm rope pull-down"),
    "bent_over_row": ("30 Back Single-Arm Dumbbell Row", "TBS T-Bar Row"),
    "upright_row": ("Upright Row - With Bands",),
    "shrug": ("Smith machine behind-the-back shrug",),
    "biceps_curl": ("Seated wide-grip curl to close-grip curl", "Barbell Curls Lying Against An Incline"),
    "overhead_triceps_extension": ("Rope overhead triceps extension", "Standing dumbbell triceps extension"),
    "side_plank": ("Side plank hip dip",),
    "crunch": ("Reverse crunch", "Crunch - Hands Overhead"),
    "sit_up": ("Decline plate sit-up",),
    "russian_twist": ("Medicine ball Russian twist",),
    "leg_raise": ("Hanging leg raise", "Lying leg raise"),
    "clean_and_jerk": ("Clean and press",),
    "jump_rope": ("Holman Imaginary Jump Rope", "Double-unders"),
    "cobra": ("HM Upward-Facing Dog Pose",),
    "warrior_2": ("Warrior II Pose",),
    "other": ("Seated Leg Press", "Brachialis SMR", "Lying hamstring stretch with band", "Rope climb",
              "Seated finger curl", "Bent-over rear delt fly", "30 Arms Barbell Skullcrusher", "Band seated row"),
}  # fmt: skip
# Two exercises in a row, look-alikes, and words that change what is done.
DOUBTFUL = (
    "Push Up to Side Plank", "MetaBurn Sit-Up To V-Up", "Jump Lunge", "Holman Burpee to Tuck Jump", "Two-way swing",
    "Lunge hold dumbbell curl", "Judo push-up", "Leverage Incline Chest Press", "Kettlebell upright row and press",
    "Calf Press On The Leg Press Machine", "Suspended Reverse Crunch", "Sphinx push-up", "Wall mountain climber",
    "Straight-arm plank with kick-back", "HM Butterfly", "Cable glute kickback", "Arm swing", "",
)  # fmt: skip


@pytest.mark.parametrize(("name", "label"), [(name, label) for label, names in MEANT.items() for name in names])
def test_a_name_means_its_class(name: str, label: str) -> None:
    assert class_of(name) == label


@pytest.mark.parametrize("name", DOUBTFUL)
def test_a_doubtful_name_means_nothing(name: str) -> None:
    assert class_of(name) is None


def test_the_classes_are_those_of_the_library() -> None:
    assert set(CLASSES) <= set(load_library())


def test_a_title_of_the_library_means_its_own_class_or_nothing() -> None:
    for exercise in load_library().values():
        assert class_of(exercise.title) in (exercise.name, None)
        assert not {class_of(word) for word in exercise.synonyms} & {"other"}
