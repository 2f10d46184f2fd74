import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_motions import cycles, lengths, progress

from kinetag.errors import KinetagError
from kinetag.exercises.kinematics import JOINT
from kinetag.exercises.library import load_library
from kinetag.exercises.motion import generate, generate_batch, mirrored

LIBRARY = load_library()
NAMES = [*LIBRARY, "other"]
# A step is counted where the feet are furthest apart, at which a made one begins and ends.
COUNTED = [name for name, e in LIBRARY.items() if e.counting and e.counting.signal != "step"]


def path(motion, joint: str) -> np.ndarray:
    return motion.joints[:, JOINT[joint]]


def spread(points: np.ndarray) -> float:
    """Largest distance from the median place, metres."""
    return float(np.linalg.norm(points - np.median(points, axis=0), axis=-1).max())


@pytest.mark.parametrize("name", NAMES)
def test_every_motion_is_a_body_above_the_floor(name):
    for motion in generate_batch(name, np.random.default_rng(0), 60, duration=5):
        assert motion.label == name
        assert motion.joints.shape == (75, 25, 3)
        assert np.isfinite(motion.joints).all()
        assert motion.joints[..., 1].min() > 0
        assert np.ptp(lengths(motion.joints[None]), axis=1).max() < 2e-3
        speed = np.linalg.norm(np.diff(motion.joints, axis=0), axis=-1).max() * 15
        assert speed < 25, "metres a second"


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_motion(name):
    first, second = (generate(name, np.random.default_rng(5)) for _ in range(2))
    assert (first.joints == second.joints).all()
    assert first.repetitions == second.repetitions
    assert (generate(name, np.random.default_rng(6)).joints != first.joints).any()


@pytest.mark.parametrize("name", COUNTED)
def test_counted_repetitions_show_in_the_signal(name):
    counting = LIBRARY[name].counting
    odd = []
    for motion in generate_batch(name, np.random.default_rng(0), 20, repetitions=4, rate=30):
        assert len(motion.repetitions) == 4
        values = progress(motion.joints, counting)
        starts, peaks, ends = np.array(motion.repetitions).T
        assert (starts < peaks).all()
        assert (peaks < ends).all()
        assert (ends[:-1] <= starts[1:] + 1e-6).all()
        at = np.interp(np.array([starts, peaks, ends]), motion.times, values)
        shows = (at[1] - np.maximum(at[0], at[2])).min() > 0.3 * np.ptp(values)
        odd += [motion.variant] if cycles(values) != 4 or not shows else []
        assert motion.times[-1] >= ends[-1]
    assert len(odd) <= 1, odd


@pytest.mark.parametrize("name", COUNTED)
def test_signal_goes_from_about_rest_to_about_peak(name):
    counting = LIBRARY[name].counting
    motions = generate_batch(name, np.random.default_rng(1), 24, repetitions=3, rate=30)
    values = [progress(m.joints, counting) for m in motions]
    rests = [np.interp(m.repetitions[0][0], m.times, v) for m, v in zip(motions, values, strict=True)]
    peaks = [np.interp(m.repetitions[0][1], m.times, v) for m, v in zip(motions, values, strict=True)]
    assert abs(np.median(rests)) < 0.35
    assert 0.6 < np.median(peaks) < 1.7


@pytest.mark.parametrize("name", COUNTED)
def test_periods_are_those_that_the_counter_looks_for(name):
    counting = LIBRARY[name].counting
    for motion in generate_batch(name, np.random.default_rng(1), 40, duration=12):
        peaks = [peak for _, peak, _ in motion.repetitions]
        assert len(peaks) < 3 or np.median(np.diff(peaks)) > 0.9 * counting.min_period


@pytest.mark.parametrize("name", ["squat", "deadlift", "bent_over_row", "biceps_curl", "overhead_press", "standing"])
def test_both_feet_stay(name):
    for motion in generate_batch(name, np.random.default_rng(2), 80, duration=6):
        if motion.variant in ("single_leg", "knee_on_bench", "kneeling", "half_kneeling", "on_the_floor", "seal"):
            continue
        for side in ("left", "right"):
            assert spread(path(motion, f"{side}_foot_index")) < 0.03, motion.variant


@pytest.mark.parametrize("name", ["push_up", "plank", "pull_up", "dip"])
def test_hands_stay(name):
    for motion in generate_batch(name, np.random.default_rng(3), 80, duration=6):
        hands = [spread(path(motion, f"{side}_wrist")) for side in ("left", "right")]
        assert (min if motion.variant == "one_arm" else max)(hands) < 0.05, motion.variant


@pytest.mark.parametrize("name", ["push_up", "plank"])
def test_feet_stay_while_the_hands_bear(name):
    for motion in generate_batch(name, np.random.default_rng(3), 80, duration=6):
        # Of two knees the middle stays where it is; each gives way a little as its hip sways.
        joint, most = ("knee", 0.05) if motion.variant == "on_knees" else ("ankle", 0.04)
        feet = [spread(path(motion, f"{side}_{joint}")) for side in ("left", "right")]
        if motion.variant != "knee_to_elbow":  # one foot after the other
            assert (min if motion.variant in ("one_foot_up", "one_leg_up") else max)(feet) < most, motion.variant


@pytest.mark.parametrize("name", ["bird_dog", "donkey_kick", "fire_hydrant"])
def test_a_leg_that_swings_does_not_raise_who_kneels(name):
    for motion in generate_batch(name, np.random.default_rng(3), 60, duration=6):
        knees = np.minimum(path(motion, "left_knee")[:, 1], path(motion, "right_knee")[:, 1])
        hands = np.minimum(path(motion, "left_wrist")[:, 1], path(motion, "right_wrist")[:, 1])
        assert knees.max() < 0.12, motion.variant
        assert hands.max() < 0.16, motion.variant


def test_side_plank_rests_on_arm_and_foot():
    for motion in generate_batch("side_plank", np.random.default_rng(3), 60, duration=4):
        arms, legs = (
            np.stack([path(motion, f"{side}_{joint}")[:, 1] for side in ("left", "right") for joint in joints])
            for joints in (("elbow", "wrist", "hand"), ("knee", "ankle", "heel", "foot_index"))
        )
        assert max(arms.min(axis=0).max(), legs.min(axis=0).max()) < 0.1, motion.variant
        assert path(motion, "pelvis")[:, 1].min() > 0.12, motion.variant


def test_walking_travels_over_feet_that_stay():
    far = 0
    for motion in generate_batch("walking", np.random.default_rng(4), 40, duration=6, rate=30):
        feet = [path(motion, f"{side}_{part}") for side in ("left", "right") for part in ("heel", "foot_index")]
        low = np.stack(feet)[..., 1].min(axis=0)
        assert low.max() < 0.08, "one foot is always on the floor"
        travelled = np.linalg.norm(path(motion, "pelvis")[-1, [0, 2]] - path(motion, "pelvis")[0, [0, 2]])
        assert motion.variant in ("in_place", "treadmill") or travelled > 0.6  # the smallest steps
        far += travelled > 2.5
    assert far > 8


def test_jumps_leave_the_floor():
    motion = generate("jump_rope", np.random.default_rng(0), repetitions=5, rate=60, variant="plain")
    low = motion.joints[..., 1].min(axis=1)
    for start, peak, end in motion.repetitions:
        assert np.interp(peak, motion.times, low) > np.interp([start, end], motion.times, low).max() + 0.015


def test_hanging_people_do_not_touch_the_floor():
    for motion in generate_batch("pull_up", np.random.default_rng(0), 50):
        assert motion.joints[..., 1].min() > 0.02
        assert path(motion, "left_wrist")[:, 1].min() > path(motion, "left_hip")[:, 1].max()


def test_variety():
    """Different people: sizes, variants, tempi; and single sides as often left as right."""
    motions = generate_batch("biceps_curl", np.random.default_rng(0), 300)
    assert len({m.variant for m in motions}) >= 6
    heights = [path(m, "nose")[0, 1] for m in motions]
    assert max(heights) - min(heights) > 0.5
    moved = np.array([[np.ptp(path(m, f"{s}_wrist"), axis=0).max() for s in ("left", "right")] for m in motions])
    one = moved.min(axis=1) < 0.3 * moved.max(axis=1)
    assert 0.05 < one.mean() < 0.5
    assert 0.3 < (moved[one, 0] > moved[one, 1]).mean() < 0.7


def test_other_is_many_things():
    motions = generate_batch("other", np.random.default_rng(0), 400, duration=2)
    assert len({m.variant for m in motions}) > 60
    assert not {m.variant for m in motions} & set(LIBRARY)


@settings(max_examples=20, deadline=None)
@given(name=st.sampled_from(NAMES), duration=st.floats(0.2, 12), rate=st.floats(5, 60), seed=st.integers(0, 999))
def test_any_duration_and_rate(name, duration, rate, seed):
    motion = generate(name, np.random.default_rng(seed), duration=duration, rate=rate)
    assert len(motion.times) == len(motion.joints) == max(2, round(duration * rate))
    assert np.isfinite(motion.joints).all()
    assert all(start <= peak <= end for start, peak, end in motion.repetitions)


def test_mirrored_twice_is_the_same():
    joints = generate("lunge", np.random.default_rng(0)).joints
    assert (mirrored(mirrored(joints)) == joints).all()


def test_variants_by_name():
    motion = generate("squat", np.random.default_rng(0), variant="sumo")
    assert motion.variant == "sumo"
    assert generate("squat", np.random.default_rng(0), variant="plain").variant == "plain"
    with pytest.raises(KinetagError, match="no variant 'sumoo'"):
        generate("squat", np.random.default_rng(0), variant="sumoo")


@pytest.mark.parametrize(("options", "words"), [
    ({"duration": 0}, "0 s"), ({"rate": -1}, "-1 frames"), ({"repetitions": 0}, "0 repetitions"),
    ({"duration": float("nan")}, "nan"),
])  # fmt: skip
def test_impossible_wishes(options, words):
    with pytest.raises(KinetagError, match=words):
        generate("squat", np.random.default_rng(0), **options)


def test_unknown_exercise_names_the_nearest():
    with pytest.raises(KinetagError, match="did you mean 'squat'"):
        generate("sqat", np.random.default_rng(0))
