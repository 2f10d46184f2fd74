import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinetag import features
from kinetag.features import CHANNELS, RATE, WINDOW, mirror, resample, window_features, windows
from kinetag.graph import adjacency
from kinetag.sequence import PoseSequence
from kinetag.skeletons import LAYOUTS, get_layout

LAYOUT, SEEN = get_layout("kinetag"), get_layout(features.LAYOUT)  # what is given here, and what windows have


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
    assert cut.features.shape == (len(cut), WINDOW, len(SEEN), len(CHANNELS))
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
    assert (first.features[:, :, SEEN.index("left_wrist")] == 0).all()
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
    found = windows(sequence).features
    assert np.allclose(mirror(found), windows(flipped).features, atol=1e-4)
    assert np.array_equal(mirror(mirror(found)), found)


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
    shape = (1, WINDOW, len(SEEN))
    found, mask = window_features(np.full((*shape, 2), np.nan), np.zeros(shape), world=np.full((*shape, 3), np.nan))
    assert not mask.any()
    assert (found == 0).all()


# --- world points ----------------------------------------------------------------------------------------------------

DEPTH = [CHANNELS.index(f"world_{axis}") for axis in ("x", "y", "z", "confidence")]


def in_depth(azimuth: float = 0.0, size: float = 1.0) -> PoseSequence:
    """A body of all joints that faces the camera and moves a little, with world points, turned about the vertical."""
    rng = np.random.default_rng(2)
    home = rng.normal(0, 0.3, (len(SEEN), 3))
    for joint, x in (("shoulder", 0.2), ("hip", 0.1)):  # facing the camera, the left is to the right of the picture
        home[SEEN.index(f"left_{joint}"), 0], home[SEEN.index(f"right_{joint}"), 0] = x, -x
    times = np.arange(90) / 15
    body = home + 0.1 * np.sin(times[:, None, None] * rng.uniform(1, 4, (len(SEEN), 3)))
    cos, sin = np.cos(azimuth), np.sin(azimuth)
    world = size * body @ np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]).T
    return PoseSequence(times, body[..., :2] * 100 + 300, np.ones(body.shape[:2]), SEEN.name, (640, 480), world=world)


@settings(max_examples=20, deadline=None)
@given(azimuth=st.floats(-3.1, 3.1), size=st.floats(0.5, 2))
def test_world_points_look_the_same_from_every_side(azimuth, size):
    assert np.allclose(windows(in_depth()).features, windows(in_depth(azimuth, size)).features, atol=1e-3)


def test_in_world_points_the_left_is_at_positive_x():
    found = windows(in_depth(2.0)).features[10, :, :, DEPTH[0]]
    assert (found[:, SEEN.index("left_hip")] > found[:, SEEN.index("right_hip")]).all()


def test_world_points_in_a_mirror():
    sequence = in_depth(0.7)
    assert sequence.world is not None
    flipped = PoseSequence(
        sequence.times,
        (sequence.keypoints * [-1, 1] + [640, 0])[:, SEEN.mirror],
        sequence.confidence[:, SEEN.mirror],
        SEEN.name,
        (640, 480),
        world=(sequence.world * [-1, 1, 1])[:, SEEN.mirror],
    )
    assert np.allclose(mirror(windows(sequence).features), windows(flipped).features, atol=1e-3)


def test_without_world_points_the_rest_is_the_same():
    sequence = in_depth()
    found = windows(sequence).features
    sequence.world = None
    flat = windows(sequence).features
    assert (flat[..., DEPTH] == 0).all()
    assert (found[..., DEPTH[-1]] > 0).any()
    others = [i for i in range(len(CHANNELS)) if i not in DEPTH]
    assert np.array_equal(flat[..., others], found[..., others])


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_adjacency_partitions(name):
    graph = adjacency(name)
    layout = get_layout(name)
    assert np.array_equal(graph[0], np.eye(len(layout)))
    assert ((graph[1] > 0) == (graph[1].T > 0)).all()
    assert (graph[1] > 0).sum() == 2 * len({frozenset(edge) for edge in layout.bones})
    assert np.allclose(graph.sum(axis=1)[1:].round(5) % 1, 0)
    assert np.array_equal(graph[2] @ graph[2] @ graph[2], graph[2])  # a twin's twin is the joint itself
