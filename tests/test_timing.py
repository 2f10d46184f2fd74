"""Flights follow gravity."""

import numpy as np
import pytest

from kinetag.exercises.balance import GRAVITY, centre_of_mass
from kinetag.exercises.kinematics import JOINT
from kinetag.exercises.motion import generate_batch, shipped_library
from kinetag.exercises.recipes import pick_recipe
from kinetag.exercises.timing import make_schedule

RATE = 120
FEET = [JOINT[f"{side}_{part}"] for side in ("left", "right") for part in ("heel", "foot_index")]


def flights(name: str, variant: str | None = None) -> np.ndarray:
    """(seconds in the air, metres that the centre of mass rises, its downward acceleration) of each jump."""
    out = []
    for motion in generate_batch(name, np.random.default_rng(3), 25, duration=5, rate=RATE, variant=variant):
        low = motion.joints[:, FEET, 1].min(axis=1)
        air = np.concatenate([[0], (low > low.min() + 0.004).astype(int), [0]])
        mass = centre_of_mass(motion.joints)[:, 1].astype(float)
        for start, end in np.flatnonzero(np.diff(air)).reshape(-1, 2).tolist():
            if start and end < len(low) and end - start > RATE / 10:
                rise = mass[start:end].max() - (mass[start - 1] + mass[end]) / 2
                curve = np.polyfit(np.arange(end - start) / RATE, mass[start:end], 2)[0]
                out.append(((end - start + 1) / RATE, rise, -2 * curve))
    return np.array(out)


@pytest.mark.parametrize("name", ["jump_squat", "jump_rope"])
def test_a_jump_lasts_as_long_as_its_height_takes(name):
    lasts, rise, falls = flights(name).T
    assert len(lasts) > 40
    ratio = lasts / (2 * np.sqrt(2 * rise / GRAVITY))
    assert np.median(ratio) == pytest.approx(1, abs=0.05)
    assert (np.abs(ratio - 1) < 0.1).mean() > 0.8
    assert np.median(falls) == pytest.approx(GRAVITY, rel=0.1)


@pytest.mark.parametrize("name", ["running", "jumping_jack", "high_knees"])
def test_jumps_leave_time_on_the_floor(name):
    rng = np.random.default_rng(0)
    recipes = [pick_recipe(shipped_library()[name], rng, "plain") for _ in range(50)]
    rise = np.zeros((50, max(len(r.cycle) for r in recipes)))
    rise[:, ::2] = 0.5  # half a metre: more than there is time for
    schedule = make_schedule(recipes, rng, 6.0, None, rise)
    flat = make_schedule(recipes, np.random.default_rng(0), 6.0)
    assert (flat.rise == 0).all()
    period = np.median(np.diff(schedule.times[:, ::4], axis=1)[:, :4], axis=1)
    aloft = 2 * np.sqrt(2 * schedule.rise[:, :8].max(axis=1) / GRAVITY)
    assert (aloft < 0.9 * period).all()
    assert (schedule.rise > 0).any(axis=1).all()


def test_who_is_still_in_the_air_lands_as_they_took_off():
    (motion,) = generate_batch(
        "jump_squat", np.random.default_rng(1), 1, repetitions=3, rate=RATE, variant="without_a_stop"
    )
    knees = np.linalg.norm(motion.joints[:, JOINT["left_hip"]] - motion.joints[:, JOINT["left_ankle"]], axis=-1)
    low = motion.joints[:, FEET, 1].min(axis=1)
    assert (knees[low > low.min() + 0.03] > 0.9 * knees.max()).all()


def worn(monkeypatch, name: str, tired: float, **wishes) -> np.ndarray:
    """Joints (B, T, 25, 3) of the same people doing the same, as tired as that at the end."""
    monkeypatch.setattr("kinetag.exercises.timing._fatigue", lambda rng, count: np.full(count, tired))
    made = generate_batch(name, np.random.default_rng(4), 40, duration=9, variant="plain", **wishes)
    return np.stack([motion.joints for motion in made]) if not wishes else made[0].joints


def test_the_form_of_tired_people_gets_worse(monkeypatch):
    fresh, tired = (worn(monkeypatch, "squat", amount) for amount in (0, 1))

    def lean(joints):
        up = joints[..., JOINT["chest"], :] - joints[..., JOINT["pelvis"], :]
        return np.rad2deg(np.arctan2(up[..., 2], up[..., 1]))

    def knees(joints):
        gaps = [joints[..., JOINT[f"left_{j}"], 0] - joints[..., JOINT[f"right_{j}"], 0] for j in ("knee", "ankle")]
        return gaps[0] / gaps[1]

    first, last = slice(0, 15), slice(-45, None)
    deep = [joints[:, last, JOINT["pelvis"], 1].min(axis=1) for joints in (fresh, tired)]
    np.testing.assert_allclose(lean(tired)[:, first].mean(), lean(fresh)[:, first].mean(), atol=1.5)
    assert 2 < lean(tired)[:, last].mean() - lean(fresh)[:, last].mean() < 12
    assert knees(tired)[:, last].mean() < knees(fresh)[:, last].mean() - 0.02
    assert (deep[1] > deep[0]).mean() > 0.7, "they go less deep"


def test_exact_repetitions_are_whole_however_tired(monkeypatch):
    fresh, tired = (worn(monkeypatch, "squat", amount, repetitions=4) for amount in (0, 1))
    lowest = [joints[:, JOINT["pelvis"], 1].min() for joints in (fresh, tired)]
    assert lowest[0] == pytest.approx(lowest[1], abs=0.01)
    assert len(tired) > len(fresh), "but they slow down"
