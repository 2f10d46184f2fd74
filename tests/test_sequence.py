import numpy as np
import pytest

from kinetag.errors import KinetagError
from kinetag.sequence import PoseSequence


def make(times=(0.0, 0.5, 1.5), layout="coco", joints=17, world=None) -> PoseSequence:
    count = len(times)
    points = np.arange(count * joints * 2, dtype=float).reshape(count, joints, 2)
    return PoseSequence(np.array(times), points, np.ones((count, joints)), layout, (640, 480), world=world)


def test_between_is_inclusive_and_keeps_times() -> None:
    cut = make().between(0.5, 1.5)
    assert cut.times.tolist() == [0.5, 1.5]
    np.testing.assert_array_equal(cut.keypoints, make().keypoints[1:])
    assert make().duration == 1.5


def test_to_layout_carries_world_points() -> None:
    world = np.random.default_rng(0).normal(size=(3, 17, 3))
    sequence = make(world=world).to_layout("kinetag")
    assert sequence.keypoints.shape == (3, 13, 2)
    assert sequence.world is not None
    np.testing.assert_allclose(sequence.world[:, 0], world[:, 0], rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times": (0.0, 0.0, 1.0)}, "do not increase"),
        ({"times": (0.0, 2.0, 1.0)}, "do not increase"),
        ({"joints": 16}, r"shape \(3, 16, 2\).*\(3, 17, 2\)"),
        ({"world": np.zeros((3, 17, 2))}, r"world has shape"),
        ({"layout": "cocoa"}, "unknown skeleton layout 'cocoa'"),
    ],
)
def test_wrong_shapes_are_named(change: dict, message: str) -> None:
    with pytest.raises(KinetagError, match=message):
        make(**change)
