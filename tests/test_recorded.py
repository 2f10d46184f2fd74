"""Recordings as training windows, and their errors lent to other motions."""

import numpy as np
import pytest

from kinetag.errors import KinetagError
from kinetag.exercises.kinematics import BODY
from kinetag.exercises.recorded import Recorded
from kinetag.exercises.recordings import Recording
from kinetag.exercises.synthesis import observe
from kinetag.features import LAYOUT, RATE, WINDOW
from kinetag.skeletons import BLAZEPOSE, get_layout

SEEN = get_layout(LAYOUT)
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


def test_errors_are_those_that_were_made():
    recorded = Recorded.of([recording()])
    size = 1 / np.median(recorded.errors[0, :, SEEN.index("left_wrist"), 0] / SHIFT)  # body scale in pixels
    assert 20 < size < 200
    others = [i for i in range(len(SEEN)) if i != SEEN.index("left_wrist")]
    assert np.abs(recorded.errors[0, 10:-10][:, others, :2]).max() < 0.05
    assert recorded.slope[0] == pytest.approx(0.5, abs=0.15)


def test_a_mirror_moves_the_error_to_the_other_wrist():
    lent = Recorded.of([recording()]).lent(200, np.random.default_rng(0))
    left, right = (lent.flat[:, :, SEEN.index(f"{side}_wrist"), 0].mean(axis=1) for side in ("left", "right"))
    assert ((left > 0.05) ^ (right < -0.05)).all()
    assert 0.3 < (left > 0.05).mean() < 0.7


def test_lent_errors_stand_in_for_the_imitated_ones():
    recorded = Recorded.of([recording(lost=slice(20, 40))])
    joints = np.random.default_rng(1).normal(0, 0.4, (8, 1, len(SEEN), 3)).astype(np.float32) * np.ones(
        (1, WINDOW, 1, 1)
    )
    lent = recorded.lent(8, np.random.default_rng(2))
    seen = observe(joints.astype(np.float32), np.random.default_rng(3), errors=lent)
    assert (seen.confidence[lent.confidence == 0] == 0).all()  # who was lost is not seen
    assert np.isfinite(seen.keypoints).all()
    assert np.isfinite(seen.world[lent.confidence > 0]).all()


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
