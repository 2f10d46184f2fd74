"""Two hands on one bar or weight stay as far apart as they are."""

import numpy as np
import pytest
from made_motions import included

from kinetag.exercises.grip import hold_together
from kinetag.exercises.kinematics import JOINT, forward, random_proportions
from kinetag.exercises.motion import generate_batch, shipped_library
from kinetag.exercises.recipes import PARAMETERS, pick_recipe, pose_row

HELD = ["clean_and_jerk", "lat_pulldown", "thruster", "upright_row", "bench_press", "deadlift"]


def apart(joints: np.ndarray) -> np.ndarray:
    return np.linalg.norm(joints[..., JOINT["left_wrist"], :] - joints[..., JOINT["right_wrist"], :], axis=-1)


@pytest.mark.parametrize("name", HELD)
def test_the_grip_on_a_bar_stays_as_wide_as_it_is(name):
    change, elbows = [], []
    for motion in generate_batch(name, np.random.default_rng(3), 60, duration=5):
        width = apart(motion.joints)
        change.append(np.ptp(width) / np.median(width))
        elbows.append([included(motion.joints, f"{s}_shoulder", f"{s}_elbow", f"{s}_wrist") for s in ("left", "right")])
    # Who lifts with one arm, or has a weight in each hand, may do as they like.
    both = [value for value in change if value < 0.02]
    assert len(both) > 0.7 * len(change)
    assert np.median(change) < 0.02
    assert np.min(elbows) > 20, "elbows bend no further than they can"


def test_grips_differ_from_person_to_person_and_by_variant():
    def widths(variant: str) -> np.ndarray:
        made = generate_batch("lat_pulldown", np.random.default_rng(1), 40, duration=2, variant=variant)
        return np.array([np.median(apart(motion.joints)) for motion in made])

    close, wide = widths("close_grip"), widths("wide")
    assert np.median(wide) > 1.5 * np.median(close)
    assert np.std(wide) > 0.02


def test_only_what_both_hands_hold_joins_them():
    library, rng = shipped_library(), np.random.default_rng(0)

    def grips(name: str, variant: str) -> set[str]:
        return {pick_recipe(library[name], rng, variant).grip for _ in range(60)}

    assert grips("thruster", "plain") == {"bar"}
    assert grips("thruster", "one_arm") == {""}
    assert grips("bench_press", "plain") == {"bar", ""}  # one arm after the other presses dumbbells
    assert grips("kettlebell_swing", "plain") == {"weight"}
    assert grips("lateral_raise", "plain") == {""}


def test_a_bar_does_not_stretch_arms():
    rng, body = np.random.default_rng(0), random_proportions(50, np.random.default_rng(1))
    rows = pose_row() + rng.normal(0, 30, (50, 3, len(PARAMETERS))).astype(np.float32)
    joints = forward(rows, body)
    hold_together(joints, body, ["bar", "", *["bar"] * 48])
    assert np.ptp(apart(joints[2:]), axis=1).max() < 0.02 * apart(joints[2:]).min()
    assert (joints[1] == forward(rows, body)[1]).all()
    upper = np.linalg.norm(joints[..., JOINT["left_elbow"], :] - joints[..., JOINT["left_shoulder"], :], axis=-1)
    np.testing.assert_allclose(upper, np.broadcast_to(body.lengths["upper_arm"][:, None], upper.shape), atol=1e-4)
