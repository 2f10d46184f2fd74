import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinetag.features import CHANNELS, RATE, WINDOW, mirror, resample, window_features, windows
from kinetag.graph import adjacency
from kinetag.sequence import PoseSequence
from kinetag.skeletons import LAYOUTS, get_layout

LAYOUT = get_layout("kinetag")


def walk(duration: float = 6.0, rate: float = 30.0, seed: int = 0) -> PoseSequence:
    """A body whose joints swing at their own speeds while it moves to the right."""
    rng = np.random.default_rng(seed)
    times = np.arange(int(duration * rate) + 1) / rate
    home = rng.normal(0, 60, (13, 2)) + 300
    swing = rng.normal(0, 15, (13, 2)) * np.sin(times[:, None, None] * rng.uniform(1, 5, (13, 1)))
    keypoints = home + swing + times[:, None, None] * [20, 0]
    return PoseSequence(times, keypoints, np.full((len(times), 13), 0.9), "kinetag", (640, 480))


def moved(sequence: PoseSequence, scale: float, shift: tuple[float, float]) -> PoseSequence:
    return PoseSequence(
        sequence.times, sequence.keypoints * scale + shift, sequence.confidence, "kinetag", sequence.frame_size
    )


def test_shapes_and_centres():
    cut = windows(walk(6.0))
    assert cut.features.shape == (len(cut), WINDOW, 13, len(CHANNELS))
    assert cut.features.dtype == np.float32
    assert cut.mask.shape == (len(cut), WINDOW)
    assert cut.times[0] == 0
    assert np.allclose(np.diff(cut.times), 0.25)
    assert cut.times[-1] >= 5.75
    middle = len(cut) // 2
    assert cut.mask[middle].all()
    assert cut.mask[0].sum() == WINDOW // 2  # the first window's first half lies before the video


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(0.2, 5), x=st.floats(-500, 500), y=st.floats(-500, 500))
def test_place_and_size_in_the_picture_do_not_matter(scale, x, y):
    before, after = windows(walk()), windows(moved(walk(), scale, (x, y)))
    assert np.allclose(before.features, after.features, atol=5e-3)


@pytest.mark.parametrize("rate", [12.0, 15.0, 24.0, 60.0])
def test_frame_rate_does_not_matter(rate):
    reference, other = windows(walk(rate=120.0)), windows(walk(rate=rate))
    keep = [CHANNELS.index(c) for c in ("x", "y", "bone_x", "bone_y")]
    assert np.abs(reference.features[..., keep] - other.features[..., keep]).max() < 0.03


def test_travel_is_kept():
    cut = windows(walk())
    middle = cut.features[len(cut) // 2, ..., CHANNELS.index("x")].mean(axis=1)  # (T,)
    assert middle[-1] - middle[0] > 0.3


def test_a_long_gap_is_masked_and_a_short_one_is_bridged():
    sequence = walk(6.0)
    for length, bridged in ((0.3, True), (1.5, False)):
        keep = (sequence.times < 2) | (sequence.times > 2 + length)
        cut = PoseSequence(
            sequence.times[keep], sequence.keypoints[keep], sequence.confidence[keep], "kinetag", (640, 480)
        )
        grid, _, confidence = resample(cut)
        inside = confidence[(grid > 2.1) & (grid < 2 + length - 0.1)]
        assert (inside > 0).all() == bridged
        assert (inside > 0).any() == bridged


def test_no_window_where_nobody_is():
    sequence = walk(20.0)
    keep = (sequence.times < 4) | (sequence.times > 14)
    cut = PoseSequence(sequence.times[keep], sequence.keypoints[keep], sequence.confidence[keep], "kinetag", (640, 480))
    times = windows(cut).times
    assert not ((times > 6) & (times < 12)).any()
    assert (times > 15).any()


def test_an_unseen_joint_has_no_coordinates_and_its_old_ones_are_not_read():
    sequence = walk()
    wrist = LAYOUT.index("left_wrist")
    sequence.confidence[:, wrist] = 0
    first = windows(sequence)
    sequence.keypoints[:, wrist] = 1e6
    second = windows(sequence)
    sequence.keypoints[:, wrist] = np.nan
    third = windows(sequence)
    assert (first.features[:, :, wrist] == 0).all()
    assert np.array_equal(first.features, second.features)
    assert np.array_equal(first.features, third.features)


def test_mirror_is_what_a_mirrored_picture_gives_and_twice_is_nothing():
    sequence = walk()
    flipped = PoseSequence(
        sequence.times,
        (sequence.keypoints * [-1, 1] + [640, 0])[:, LAYOUT.mirror],
        sequence.confidence[:, LAYOUT.mirror],
        "kinetag",
        (640, 480),
    )
    features = windows(sequence).features
    assert np.allclose(mirror(features), windows(flipped).features, atol=1e-4)
    assert np.array_equal(mirror(mirror(features)), features)


def test_other_layouts_give_the_same_windows():
    sequence = walk()
    coco = get_layout("coco")
    keypoints = np.full((len(sequence), 17, 2), np.nan)
    confidence = np.zeros((len(sequence), 17))
    where = [coco.index(joint) for joint in LAYOUT.joints]
    keypoints[:, where], confidence[:, where] = sequence.keypoints, sequence.confidence
    other = PoseSequence(sequence.times, keypoints, confidence, "coco", (640, 480))
    assert np.array_equal(windows(sequence).features, windows(other).features)


def test_hostile_sequences_give_finite_features():
    times = np.array([0.0, 0.1, 0.2, 5.0, 5.05] + [6 + i / 30 for i in range(60)])
    keypoints = np.full((65, 13, 2), 7.0)  # everything in one point
    keypoints[3] = 1e30
    cut = windows(PoseSequence(times, keypoints, np.ones((65, 13)), "kinetag", (640, 480)))
    assert np.isfinite(cut.features).all()
    empty = PoseSequence(np.zeros(0), np.zeros((0, 13, 2)), np.zeros((0, 13)), "kinetag", (640, 480))
    assert len(windows(empty)) == 0
    unseen = PoseSequence(times, np.full((65, 13, 2), np.nan), np.zeros((65, 13)), "kinetag", (640, 480))
    assert len(windows(unseen)) == 0


def test_motion_is_the_change_of_position():
    cut = windows(walk())
    x, motion = (cut.features[10, ..., CHANNELS.index(c)] for c in ("x", "motion_x"))
    assert np.allclose(motion[1:], np.diff(x, axis=0) * RATE * 0.25, atol=1e-5)


def test_features_of_an_unseen_window_are_zero():
    features, mask = window_features(np.full((1, WINDOW, 13, 2), np.nan), np.zeros((1, WINDOW, 13)))
    assert not mask.any()
    assert (features == 0).all()


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_adjacency_partitions(name):
    graph = adjacency(name)
    layout = get_layout(name)
    assert np.array_equal(graph[0], np.eye(len(layout)))
    assert ((graph[1] > 0) == (graph[1].T > 0)).all()
    assert (graph[1] > 0).sum() == 2 * len({frozenset(edge) for edge in layout.bones})
    assert np.allclose(graph.sum(axis=1)[1:].round(5) % 1, 0)
    assert np.array_equal(graph[2] @ graph[2] @ graph[2], graph[2])  # a twin's twin is the joint itself
