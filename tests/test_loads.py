import numpy as np
import pytest

from kinetag.exercises.balance import centre_of_mass
from kinetag.exercises.contacts import bear
from kinetag.exercises.kinematics import JOINT, Proportions, random_proportions
from kinetag.exercises.library import Support
from kinetag.exercises.loads import draw_loads
from kinetag.exercises.motion import shipped_library
from kinetag.exercises.recipes import INDEX, pick_recipe, pose_row


def loads(name: str, count: int = 200) -> np.ndarray:
    rng = np.random.default_rng(1)
    return draw_loads([pick_recipe(shipped_library()[name], rng) for _ in range(count)], rng)


def test_a_bar_weighs_the_same_in_both_hands():
    drawn = loads("deadlift")
    bars = drawn[(drawn[:, 0] == drawn[:, 1]) & (drawn[:, 0] > 0)].sum(axis=1)
    assert 0.1 < np.median(bars) < 0.6
    assert bars.max() <= 0.8
    assert 0.1 < (drawn.sum(axis=1) == 0).mean() < 0.4, "some practise without weight"


def test_one_weight_is_in_the_working_hand_or_in_both():
    drawn = loads("kettlebell_swing")
    one = drawn[:, 1] == 0
    assert (drawn[~one, 0] == drawn[~one, 1]).all()
    assert (drawn[one, 0] > 0).any()


@pytest.mark.parametrize("name", ["push_up", "running", "jump_rope", "lat_pulldown"])
def test_what_nobody_holds_or_a_cable_weighs_nothing(name):
    assert not loads(name).any()


def test_what_is_held_ahead_is_balanced_by_hips_that_go_back():
    row = pose_row()
    row[[INDEX["left_shoulder"], INDEX["right_shoulder"]]] = 80
    parameters = np.repeat(row[None, None], 6, 0)
    one = random_proportions(1, np.random.default_rng(0))
    body = Proportions(one.height.repeat(6), {name: length.repeat(6) for name, length in one.lengths.items()})
    weights = np.array([[0.0, 0.0], [0.35, 0.35], [0.45, 0.45], [0.6, 0.6], [1.5, 0.0], [0.0, 1.5]], np.float32)
    free, laden = (
        bear(parameters, body, [Support()] * 6, np.random.default_rng(0), loads=held) for held in (None, weights)
    )
    np.testing.assert_allclose(free[0], laden[0], atol=1e-5)
    back = (free - laden)[:, 0, JOINT["pelvis"], 2]
    assert (np.diff(back[:4]) > 0.005).all(), "the more, the further"
    middle = centre_of_mass(laden[:, 0], weights)
    heels, toes = (laden[:, 0, [JOINT[f"{s}_{part}"] for s in ("left", "right")], 2] for part in ("heel", "foot_index"))
    assert (middle[:, 2] < toes.max(axis=1) + 0.03).all()
    assert (middle[:, 2] > heels.min(axis=1)).all()
    aside = (laden - free)[:, 0, JOINT["pelvis"], 0]
    left = np.sign(free[0, 0, JOINT["left_hip"], 0])
    assert left * aside[4] < 0 < left * aside[5], "away from the hand that holds it"
