"""The data types that cross the boundaries: a frame, one person's pose in it, and one person's poses over time."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from kinetag.errors import KinetagError
from kinetag.skeletons import Layout, convert, get_layout


@dataclass(frozen=True)
class Frame:
    """One picture of a video. ``image`` is RGB uint8 (H, W, 3), upright; ``time`` is seconds from the video's start."""

    image: np.ndarray
    time: float
    index: int


@dataclass
class Pose:
    """One person in one frame.

    ``keypoints`` (V, 2) pixels of the upright frame, NaN where unknown; ``confidence`` (V,) in [0, 1], 0 for a joint
    that was not seen; ``score`` in [0, 1]: how sure it is that this is a person; ``world`` (V, 3) metres, hip-centred,
    x right, y down, or None; ``appearance`` (A,) clothing colours or None.
    """

    keypoints: np.ndarray
    confidence: np.ndarray
    score: float
    layout: str
    world: np.ndarray | None = None
    appearance: np.ndarray | None = None


@dataclass
class PoseSequence:
    """One person's poses over time: what tracking gives and what every later stage takes.

    ``times`` (T,) seconds, strictly increasing, gaps are real; ``keypoints`` (T, V, 2) pixels, NaN where unknown;
    ``confidence`` (T, V) in [0, 1]; ``frame_size`` (width, height) pixels; ``world`` (T, V, 3) metres or None;
    ``cuts`` when the film is cut: times (s) of first frames of other shots, increasing.
    """

    times: np.ndarray
    keypoints: np.ndarray
    confidence: np.ndarray
    layout: str
    frame_size: tuple[int, int]
    person: int = 1
    world: np.ndarray | None = None
    cuts: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        self.times = np.asarray(self.times, np.float64)
        self.keypoints = np.asarray(self.keypoints, np.float32)
        self.confidence = np.asarray(self.confidence, np.float32)
        count, joints = len(self.times), len(self.skeleton)
        if self.keypoints.shape != (count, joints, 2):
            raise KinetagError(
                f"keypoints have shape {self.keypoints.shape}, but {count} times and layout '{self.layout}' "
                f"need ({count}, {joints}, 2)"
            )
        if self.confidence.shape != (count, joints):
            raise KinetagError(f"confidence has shape {self.confidence.shape}, but should have ({count}, {joints})")
        if self.world is not None:
            self.world = np.asarray(self.world, np.float32)
            if self.world.shape != (count, joints, 3):
                raise KinetagError(f"world has shape {self.world.shape}, but should have ({count}, {joints}, 3)")
        if count > 1 and not (np.diff(self.times) > 0).all():
            raise KinetagError(f"times of person {self.person} do not increase")
        if any(a >= b for a, b in pairwise(self.cuts)):
            raise KinetagError(f"the cuts of person {self.person} do not increase")

    def __len__(self) -> int:
        return len(self.times)

    @property
    def skeleton(self) -> Layout:
        return get_layout(self.layout)

    @property
    def duration(self) -> float:
        """Seconds from the first pose to the last."""
        return float(self.times[-1] - self.times[0]) if len(self) else 0.0

    def joint(self, name: str) -> np.ndarray:
        """One joint's path in pixels, (T, 2)."""
        return self.keypoints[:, self.skeleton.index(name)]

    def to_layout(self, layout: str) -> "PoseSequence":
        """The same poses in another joint layout; joints it cannot know become NaN with confidence 0."""
        keypoints, confidence = convert(self.keypoints, self.confidence, self.layout, layout)
        world = None
        if self.world is not None:
            world, _ = convert(self.world, self.confidence, self.layout, layout)
        return replace(self, keypoints=keypoints, confidence=confidence, world=world, layout=layout)

    def between(self, start: float, end: float) -> "PoseSequence":
        """The poses with start <= time <= end."""
        return self.rows((self.times >= start) & (self.times <= end))

    def shots(self) -> list[slice]:
        """The rows of each shot in which this person is: between two shots nothing moves, it is another picture."""
        if not self.cuts:
            return [slice(0, len(self))]
        edges = [0, *np.searchsorted(self.times, np.array(self.cuts)).tolist(), len(self)]
        return [slice(first, last) for first, last in pairwise(edges) if first < last]

    def rows(self, chosen: slice | np.ndarray) -> "PoseSequence":
        """Some of the poses: a slice, or a mask (T,)."""
        return replace(
            self,
            times=self.times[chosen],
            keypoints=self.keypoints[chosen],
            confidence=self.confidence[chosen],
            world=None if self.world is None else self.world[chosen],
        )
