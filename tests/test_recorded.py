"""Recordings as training windows, and their errors lent to other motions."""

from dataclasses import replace

import numpy as np
import pytest

from kinetag.errors import KinetagError
from kinetag.exercises.kinematics import BODY, forward, random_proportions
from kinetag.exercises.recipes import INDEX, pose_row
from kinetag.exercises.recorded import Recorded
from kinetag.exercises.recordings import Recording
from kinetag.exercises.synthesis import Stances, observe
from kinetag.features import LAYOUT, RATE, WINDOW
from kinetag.skeletons import BLAZEPOSE, get_layout

SEEN = get_layout(LAYOUT)
ROWS = [BODY.index(name) for name in SEEN.joints]
TURNS = (0, 90, 180, -90)
FRAMES = 72
SHIFT = 9.0  # pixels that the left wrist is off


def recording(*, rate: float = RATE, frames: int = FRAMES, lost: slice = slice(0, 0)) -> Recording:
    """Somebody before a camera 4 m away who sways, seen without error but for the left wrist, and half as deep."""
    rng = np.random.default_rng(0)
    home = rng.normal(0, 0.4, (len(BODY), 3)) + np.array([0, 0, 4])
    sway = 0.05 * np.sin(np.arange(frames) / 6)[:, None, None]
    joints = (home + sway).astype(np.float32)
    flat = joints[..., :2] / joints[..., 2:] * 500 + 200
    keypoints, world = np.zeros((frames, 33, 2)), np.zeros((frames, 33, 3))
    for i, name in enumerate(BLAZEPOSE.joints):
        if name in BODY:
            keypoints[:, i], world[:, i] = flat[:, BODY.index(name)], joints[:, BODY.index(name)] - (0, 0, 4)
    world[..., 2] *= 0.5
    keypoints[:, BLAZEPOSE.index("left_wrist"), 0] += SHIFT
    found = np.ones(frames, bool)
    found[lost] = False
    ones = np.ones((frames, 33), np.float32)
    return Recording(
        label="squat", variant="plain", seed=0, number=0, azimuth=0.0, elevation=0.0, focal=500.0, size=(400, 400),
        rate=rate, up=(0.0, -1.0, 0.0), eye=1.0, found=found, score=ones[:, 0], keypoints=keypoints, visibility=ones,
        inside=ones, world=world, joints=joints, shown=np.ones((frames, 13), bool), behind=np.zeros((frames, 13), bool),
    )  # fmt: skip


def seen(count: int, posture: int = 0, view: int = 0, *, left: bool = False) -> Stances:
    """People who are seen like that."""
    return Stances(np.full(count, posture), np.full(count, view), np.full(count, left))


def body(turn: float, lean: float) -> np.ndarray:
    """Joints (FRAMES, 25, 3), Y up, of somebody turned to the left about the vertical after leaning ahead, degrees."""
    row = pose_row()
    row[[INDEX["trunk"], INDEX["turn"]]] = lean, turn
    joints = forward(row[None, None], random_proportions(1, np.random.default_rng(0)))[0]
    return np.repeat(joints, FRAMES, axis=0).astype(np.float32)


@pytest.mark.parametrize(("lean", "posture"), [(0, 0), (20, 0), (50, 1), (90, 2), (-90, 2)])
def test_posture_and_view_are_told_in_any_axes(lean, posture):
    upright = body(0, lean)[None][:, :, ROWS]
    stance = Stances.of(upright * (1, -1, -1), np.array([[0, -1, 0]]))  # before a camera: y down, z away
    assert stance.posture[0] == posture
    assert Stances.of(upright, np.array([[0, 1, 0]])).posture[0] == posture
    views = [Stances.of(body(turn, 10)[None][:, :, ROWS] * (1, -1, -1), np.array([[0, -1, 0]])) for turn in TURNS]
    assert [int(stance.view[0]) for stance in views] == [0, 1, 2, 1]
    assert [bool(views[i].left[0]) for i in (1, 3)] == [False, True]


def test_errors_come_from_people_of_like_posture_and_view():
    camera = np.array([1, -1, -1], np.float32)
    looks = [(0, 0), (0, 90), (90, 0), (-90, 90)]  # lean and turn
    clips = [replace(recording(), joints=body(turn, lean) * camera + (0, 0, 4)) for lean, turn in looks]
    recorded = Recorded.of(clips)
    recorded.errors[:] = np.arange(1, 5)[:, None, None, None]
    recorded.slope[:] = np.arange(1, 5)
    assert set(recorded.lent(seen(50, 0, 0), np.random.default_rng(0)).slope) == {1}
    assert set(recorded.lent(seen(50, 0, 1), np.random.default_rng(0)).slope) == {2}
    assert set(recorded.lent(seen(50, 2, 2), np.random.default_rng(0)).slope) <= {3, 4}
    assert set(recorded.lent(seen(200, 1, 0), np.random.default_rng(0)).slope) == {1, 2, 3, 4}  # none is like that
    stances = recorded.stances
    lent = recorded.lent(seen(50, 0, 1, left=bool(stances.left[1])), np.random.default_rng(0))
    assert (lent.flat[..., 0] > 0).all(), "not in a mirror: the near side is the same"
    lent = recorded.lent(seen(50, 0, 1, left=not stances.left[1]), np.random.default_rng(0))
    assert (lent.flat[..., 0] < 0).all()


def test_errors_are_those_that_were_made():
    recorded = Recorded.of([recording()])
    size = 1 / np.median(recorded.errors[0, :, SEEN.index("left_wrist"), 0] / SHIFT)  # body scale in pixels
    assert 20 < size < 200
    others = [i for i in range(len(SEEN)) if i != SEEN.index("left_wrist")]
    assert np.abs(recorded.errors[0, 10:-10][:, others, :2]).max() < 0.05
    assert recorded.slope[0] == pytest.approx(0.5, abs=0.15)


def test_a_mirror_moves_the_error_to_the_other_wrist():
    lent = Recorded.of([recording()]).lent(seen(200), np.random.default_rng(0))
    left, right = (lent.flat[:, :, SEEN.index(f"{side}_wrist"), 0].mean(axis=1) for side in ("left", "right"))
    assert ((left > 0.05) ^ (right < -0.05)).all()
    assert 0.3 < (left > 0.05).mean() < 0.7


def test_lent_errors_stand_in_for_the_imitated_ones():
    recorded = Recorded.of([recording(lost=slice(20, 40))])
    joints = np.random.default_rng(1).normal(0, 0.4, (8, 1, len(SEEN), 3)).astype(np.float32) * np.ones(
        (1, WINDOW, 1, 1)
    )
    lent = recorded.lent(seen(8), np.random.default_rng(2))
    made = observe(joints.astype(np.float32), np.random.default_rng(3), lender=lambda *_: lent, lent=8)
    assert (made.confidence[lent.confidence == 0] == 0).all()  # who was lost is not seen
    assert np.isfinite(made.keypoints).all()
    assert np.isfinite(made.world[lent.confidence > 0]).all()


def test_windows_are_those_of_the_clip_in_another_tempo():
    recorded = Recorded.of([recording()])
    seen = recorded.windows(np.zeros(16, int), np.random.default_rng(0))
    assert seen.keypoints.shape == (16, WINDOW, len(SEEN), 2)
    assert seen.confidence.max() <= 1
    assert 0 < np.isnan(seen.world).all(axis=(1, 2, 3)).sum() < 16


def test_a_frame_without_the_person_has_no_confidence():
    recorded = Recorded.of([recording(lost=slice(20, 40))])
    assert (recorded.confidence[0, 22:38] == 0).all()
    assert (recorded.confidence[0, :15] > 0).all()


@pytest.mark.parametrize("clips", [[recording(rate=15.0)], [recording(frames=30)], [recording(), recording(frames=80)]])
def test_recordings_that_do_not_fit_are_refused(clips):
    with pytest.raises(KinetagError, match="training needs"):
        Recorded.of(clips)
