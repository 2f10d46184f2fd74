"""Whoever stands on the feet alone has the centre of mass over them."""

import cv2
import numpy as np
import pytest
from made_motions import lengths

from kinetag.exercises.balance import MASS, centre_of_mass, stand
from kinetag.exercises.contacts import bear
from kinetag.exercises.kinematics import BODY_MIRROR, JOINT, random_proportions
from kinetag.exercises.library import Support
from kinetag.exercises.motion import generate_batch
from kinetag.exercises.recipes import INDEX, pose_row

SEATED = ("seated", "knee_down", "kneeling", "half_kneeling", "on_the_floor", "single_leg")
SOLE = 0.04  # m to either side of a foot's middle, and before the toes' joint


def outside(joints: np.ndarray, loads: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """How far the centre of mass (T,) is from the area that the feet on the floor span, metres; negative inside."""
    out = np.full(len(joints), np.nan)
    for t, mass in enumerate(centre_of_mass(joints, np.array(loads))):
        corners = []
        for side in ("left", "right"):
            heel, toes = (joints[t, JOINT[f"{side}_{part}"]] for part in ("heel", "foot_index"))
            if min(heel[1], toes[1]) < 0.05:
                ahead = (toes - heel)[[0, 2]] / np.linalg.norm((toes - heel)[[0, 2]])
                aside = SOLE * np.array([ahead[1], -ahead[0]])
                corners += [end + way for end in (heel[[0, 2]], toes[[0, 2]] + SOLE * ahead) for way in (aside, -aside)]
        if corners:
            hull = cv2.convexHull(1000 * np.array(corners, np.float32))
            out[t] = -cv2.pointPolygonTest(hull, (1000 * mass[[0, 2]]).tolist(), True) / 1000
    return out


@pytest.mark.parametrize("name", [
    "goddess", "toe_touch", "tree", "single_leg_stance", "squat", "deadlift", "warrior_2", "chair_pose", "side_bend",
])  # fmt: skip
def test_who_moves_slowly_stands_over_the_feet(name):
    far = []
    for motion in generate_batch(name, np.random.default_rng(3), 25, duration=4):
        if motion.variant not in SEATED:
            mass = centre_of_mass(motion.joints, np.array(motion.loads))
            slow = np.linalg.norm(np.gradient(mass, 1 / 15, axis=0)[:, [0, 2]], axis=-1) < 0.15
            far.append(outside(motion.joints, motion.loads)[slow])
    assert np.nanmean(np.concatenate(far) > 0.01) < 0.02


@pytest.mark.parametrize("name", ["walking", "lunge", "standing_leg_raise"])
def test_who_moves_faster_pushes_at_the_floor_under_the_feet(name):
    rate, far = 30, []
    for motion in generate_batch(name, np.random.default_rng(3), 25, duration=4, rate=rate):
        if motion.variant == "jumping":
            continue
        mass = centre_of_mass(motion.joints)
        push = mass[1:-1] - np.diff(mass, 2, axis=0) * rate**2 * mass[:, 1].mean() / 9.81
        # The feet are where they are: move the body so that its mass is above where it pushes.
        shifted = motion.joints[1:-1].copy()
        others = [i for name, i in JOINT.items() if not name.endswith(("heel", "foot_index"))]
        shifted[:, others] += ((push - mass[1:-1]) / MASS[others].sum() * (1, 0, 1))[:, None]
        far.append(outside(shifted)[4:-4])
    assert np.nanmean(np.concatenate(far) > 0.05) < 0.12


def test_masses_make_up_a_body():
    assert pytest.approx(1) == MASS.sum()
    np.testing.assert_allclose(MASS[BODY_MIRROR], MASS)
    assert MASS[JOINT["pelvis"]] > MASS[JOINT["left_knee"]] > MASS[JOINT["left_hand"]]


def leaning(ahead: float, count: int = 6) -> np.ndarray:
    """People whose straight legs lean ahead (B, 1, P)."""
    row = pose_row()
    row[[INDEX["left_thigh"], INDEX["right_thigh"]]] = -ahead
    return np.repeat(row[None, None], count, 0)


def test_feet_and_legs_stay_as_they_are():
    body = random_proportions(6, np.random.default_rng(0))
    rng = (np.random.default_rng(0) for _ in range(2))
    held, leant = (bear(leaning(20), body, [Support(leans=leans)] * 6, next(rng)) for leans in (False, True))
    feet = [JOINT[f"{side}_{part}"] for side in ("left", "right") for part in ("ankle", "heel", "foot_index")]
    np.testing.assert_allclose(held[:, :, feet], leant[:, :, feet], atol=0.012)
    np.testing.assert_allclose(lengths(held), lengths(leant), atol=1e-3)
    assert (held[..., JOINT["pelvis"], 2] < leant[..., JOINT["pelvis"], 2] - 0.08).all(), "the hips go back"
    assert (outside(held[:, 0]) < 0).all()
    assert (outside(leant[:, 0]) > 0.03).all()


def test_nothing_moves_who_is_in_balance_or_in_the_air():
    body = random_proportions(6, np.random.default_rng(0))
    upright = bear(leaning(0), body, [Support()] * 6, np.random.default_rng(0))
    before = upright.copy()
    stand(upright, body, np.ones((6, 1, 2), np.float32), None)
    np.testing.assert_allclose(upright, before, atol=1e-3)
    stand(upright, body, np.zeros((6, 1, 2), np.float32), None)
    np.testing.assert_allclose(upright, before, atol=1e-3)
