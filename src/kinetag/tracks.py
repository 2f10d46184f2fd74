"""What is known about one tracked person: how the body moves, how it is built, what it wears, where it has been."""

import math
from dataclasses import dataclass, field

import numpy as np

from kinetag.appearance import ColorMemory
from kinetag.sequence import Pose
from kinetag.skeletons import KINETAG13, convert, get_layout

_TRUNK = KINETAG13.indices(("left_shoulder", "right_shoulder", "left_hip", "right_hip"))
_CORE = KINETAG13.indices(("left_shoulder", "right_shoulder", "left_hip", "right_hip", "left_knee", "right_knee"))

# Bones as shares of the stature (Winter, Biomechanics and Motor Control of Human Movement, 2009, fig. 4.1).
_BONES = (("shoulder", "hip", 0.288), ("hip", "knee", 0.245), ("knee", "ankle", 0.246), ("shoulder", "elbow", 0.186))
_PAIRS = np.array([KINETAG13.indices((f"{s}_{a}", f"{s}_{b}")) for a, b, _ in _BONES for s in ("left", "right")])
_SHARES = np.array([share for *_, share in _BONES for _ in range(2)])
_USABLE = 0.3  # confidence from which a joint is used to measure a body


@dataclass
class Sighting:
    """One pose, measured once for all comparisons. ``points`` (13, 2) and ``confidence`` (13,) in layout 'kinetag'."""

    pose: Pose
    points: np.ndarray
    confidence: np.ndarray
    center: np.ndarray
    size: float

    @property
    def core(self) -> np.ndarray:
        """The box of trunk and thighs: left, top, right, bottom; arms do not count, as they reach into neighbours."""
        return core_box(self.points, self.confidence, self.size)


def measure(pose: Pose) -> Sighting | None:
    """Centre and size of a pose in pixels; None when too little of it is known to follow it.

    The size is the stature that the bones suggest. Foreshortening only makes a bone look shorter, so the second
    longest estimate is taken: it holds in any posture, and one wild joint does not move it.
    """
    points, confidence = convert(pose.keypoints, pose.confidence, pose.layout, KINETAG13.name)
    confidence = np.where(np.isfinite(points).all(axis=1), confidence, 0.0)
    usable = confidence >= _USABLE
    if usable.sum() < 3:
        return None
    bones = np.hypot(*(points[_PAIRS[:, 0]] - points[_PAIRS[:, 1]]).T)[usable[_PAIRS].all(axis=1)]
    statures = np.sort(bones / _SHARES[usable[_PAIRS].all(axis=1)])
    size = statures[-2] if len(statures) > 1 else np.ptp(points[usable], axis=0).max()
    trunk = [joint for joint in _TRUNK if usable[joint]] or np.flatnonzero(usable)
    center = np.average(points[trunk], axis=0, weights=confidence[trunk])
    return Sighting(pose, points, confidence, center, max(float(size), 1.0))


def core_box(points: np.ndarray, confidence: np.ndarray, size: float) -> np.ndarray:
    """Left, top, right, bottom of trunk and thighs, widened by a little flesh."""
    core = [joint for joint in _CORE if confidence[joint] >= _USABLE] or np.flatnonzero(confidence > 0)
    flesh = 0.05 * size
    return np.concatenate([points[core].min(axis=0) - flesh, points[core].max(axis=0) + flesh])


class Motion:
    """Kalman filter of a body's centre on true time gaps; the velocity is an Ornstein-Uhlenbeck process.

    Its velocity fades with time constant ``fade`` towards rest and has the stationary spread ``speed``, so that over
    a short gap a walker is expected further on, while over a long gap the expectation stops and the doubt grows
    with the root of time (integrated Ornstein-Uhlenbeck process; Li and Jilkov, Survey of maneuvering target
    tracking, Part I, 2003). Lengths are statures of the person, so one setting serves any camera.
    """

    fade = 2.0  # s
    speed = 0.7  # statures a second: brisk walking
    noise = 0.03  # statures: jitter of the measured centre

    def __init__(self, center: np.ndarray, size: float, time: float) -> None:
        self.center, self.velocity = np.array(center, np.float64), np.zeros(2)
        self.size, self.time = size, time
        self.spread = np.diag([self.noise**2, self.speed**2])  # covariance of (place, velocity), equal for x and y

    def copy(self) -> "Motion":
        other = Motion(self.center, self.size, self.time)
        other.velocity, other.spread = self.velocity.copy(), self.spread.copy()
        return other

    def at(self, time: float) -> tuple[np.ndarray, float]:
        """Expected centre (2,) in pixels at a time not before the last one, and its standard deviation in pixels."""
        transition, spread = self._step(time - self.time)
        return self.center + transition[0, 1] * self.velocity, math.sqrt(spread[0, 0]) * self.size

    def update(self, center: np.ndarray, size: float, time: float) -> None:
        """Take in a measured centre and size."""
        gap = time - self.time
        transition, spread = self._step(gap)
        gain = spread[:, 0] / (spread[0, 0] + self.noise**2)  # (2,)
        surprise = center - (self.center + transition[0, 1] * self.velocity)
        self.center = self.center + transition[0, 1] * self.velocity + gain[0] * surprise
        self.velocity = transition[1, 1] * self.velocity + gain[1] * surprise
        self.spread = spread - np.outer(gain, spread[0])
        self.size *= (size / self.size) ** (1 - math.exp(-gap / 0.5))  # follows within half a second
        self.time = time

    def _step(self, gap: float) -> tuple[np.ndarray, np.ndarray]:
        """Transition matrix and predicted covariance over a gap of seconds, (2, 2) each."""
        left = math.exp(-gap / self.fade)
        transition = np.array([[1.0, self.fade * (1 - left)], [0.0, left]])
        both = self.fade * (1 - left) ** 2
        place = self.fade**2 * (2 * gap / self.fade - 3 + 4 * left - left**2)
        process = self.speed**2 * np.array([[place, both], [both, 1 - left**2]])
        return transition, transition @ self.spread @ transition.T + process


class Recording:
    """Poses over time as float32 arrays: about 800 bytes a pose of 33 joints, 45 MB an hour at 15 Hz, held once."""

    _ROOM = 512  # poses that are gathered before they become a block

    def __init__(self, layout: str) -> None:
        self.layout = layout
        self._blocks: list[tuple[np.ndarray, np.ndarray]] = []  # times (n,), joints (n, V, 6): x, y, confidence, world
        self._times = np.empty(self._ROOM)
        self._joints = np.empty((self._ROOM, len(get_layout(layout)), 6), np.float32)
        self._count = 0  # poses in the two arrays above, after those in the blocks

    @property
    def length(self) -> int:
        return sum(len(times) for times, _ in self._blocks) + self._count

    def append(self, time: float, pose: Pose) -> None:
        row = self._joints[self._count]
        row[:, :2], row[:, 2] = pose.keypoints, pose.confidence
        row[:, 3:] = np.nan if pose.world is None else pose.world
        self._times[self._count] = time
        self._count += 1
        if self._count == self._ROOM:
            self._close_block()

    def extend(self, times: np.ndarray, joints: np.ndarray) -> None:
        """Add rows as `cut` gives them; those that are not later than the last one are left out."""
        later = times > self.last_time
        self._close_block()
        if later.any():
            self._blocks.append((times[later], joints[later]))

    def cut(self, start: float) -> tuple[np.ndarray, np.ndarray]:
        """Take the rows from ``start`` on out: times (n,), joints (n, V, 6)."""
        times, joints = self.rows()
        keep = int(np.searchsorted(times, start))
        self._blocks = [(times[:keep], joints[:keep])] if keep else []
        return times[keep:], joints[keep:]

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Everything: times (n,), joints (n, V, 6). Not to be written to."""
        self._close_block()
        if len(self._blocks) != 1:
            nothing = (np.zeros(0), np.zeros((0, *self._joints.shape[1:]), np.float32))
            times, joints = zip(*(self._blocks or [nothing]), strict=True)
            self._blocks = [(np.concatenate(times), np.concatenate(joints))]
        return self._blocks[0]

    @property
    def last_time(self) -> float:
        if self._count:
            return float(self._times[self._count - 1])
        return float(self._blocks[-1][0][-1]) if self._blocks and len(self._blocks[-1][0]) else -math.inf

    def _close_block(self) -> None:
        if self._count:
            self._blocks.append((self._times[: self._count].copy(), self._joints[: self._count].copy()))
            self._count = 0


# Bones whose lengths tell one build from another: two across the trunk, then left and right of five more.
_BUILD = np.array([
    KINETAG13.indices(pair)
    for pair in (
        ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"),
        *((f"{side}_{a}", f"{side}_{b}")
          for a, b in (*((a, b) for a, b, _ in _BONES), ("elbow", "wrist")) for side in ("left", "right")),
    )
])  # fmt: skip


def proportions(pose: Pose) -> np.ndarray | None:
    """Logarithms of seven body lengths less their mean, (7,), from the world points; None without all of them."""
    if pose.world is None:
        return None
    world, confidence = convert(pose.world, pose.confidence, pose.layout, KINETAG13.name)
    if confidence[_BUILD].min() < 0.5:
        return None
    bones = np.linalg.norm(world[_BUILD[:, 0]] - world[_BUILD[:, 1]], axis=1)  # (12,)
    lengths = np.concatenate([bones[:2], (bones[2::2] + bones[3::2]) / 2])
    logarithms = np.log(np.maximum(lengths, 1e-3))
    return logarithms - logarithms.mean() if np.isfinite(logarithms).all() else None


@dataclass(eq=False)
class Track:
    """One person. ``id`` is None while on probation.

    ``colors`` and ``build`` are the lasting memory of clothes and proportions, learnt only while the body is alone;
    ``recent`` holds the colours seen since the body was last mixed up with another one.
    """

    motion: Motion
    points: np.ndarray
    confidence: np.ndarray
    anchor: np.ndarray  # centre of `points`
    recording: Recording
    first_time: float
    last_time: float
    start_center: np.ndarray = field(default_factory=lambda: np.zeros(2))
    id: int | None = None
    colors: ColorMemory = field(default_factory=ColorMemory)
    recent: ColorMemory = field(default_factory=lambda: ColorMemory(memory=15))
    build: np.ndarray | None = None
    build_count: int = 0
    seen_for: float = 0.0  # s, without the frames in which there was no pose
    score: float = 0.0  # mean over all poses

    @classmethod
    def start(cls, sighting: Sighting, time: float) -> "Track":
        motion = Motion(sighting.center, sighting.size, time)
        recording = Recording(sighting.pose.layout)
        recording.append(time, sighting.pose)
        track = cls(motion, sighting.points, sighting.confidence, sighting.center, recording, time, time)
        track.start_center, track.score = sighting.center, sighting.pose.score
        return track

    @property
    def count(self) -> int:
        return self.recording.length

    def see(self, sighting: Sighting, time: float, step: float) -> None:
        """Take in the pose of this moment; ``step``: seconds since the frame before."""
        self.seen_for += step
        self.motion.update(sighting.center, sighting.size, time)
        self.points, self.confidence, self.anchor = sighting.points, sighting.confidence, sighting.center
        self.last_time = time
        self.recording.append(time, sighting.pose)
        self.score += (sighting.pose.score - self.score) / self.count

    def learn(self, pose: Pose) -> None:
        """Remember clothes and proportions; only for a pose that no other body overlaps."""
        self.colors.add(pose.appearance)
        build = proportions(pose)
        if build is not None:
            self.build_count = min(self.build_count + 1, 150)
            old = build if self.build is None else self.build
            self.build = old + (build - old) / self.build_count

    def expected(self, time: float) -> tuple[np.ndarray, float]:
        """Where the joints should be now, (13, 2), and the standard deviation of that in pixels."""
        center, spread = self.motion.at(time)
        return self.points + (center - self.anchor), spread

    def core(self, time: float) -> np.ndarray:
        """The box in which trunk and thighs should be now."""
        return core_box(self.expected(time)[0], self.confidence, self.motion.size)

    def release(self, since: float) -> "Path":
        """Give away everything seen from ``since`` on."""
        rows = self.recording.cut(since)
        state = (self.motion, self.points, self.confidence, self.anchor, self.recent, self.last_time)
        self.last_time = self.recording.last_time
        return Path(rows, state)

    def take_over(self, path: "Path", before: Motion) -> None:
        """Go on along a path that was given to someone else; ``before``: how this person moved until then."""
        self.recording.extend(*path.rows)
        if len(path.rows[0]):
            self.motion, self.points, self.confidence, self.anchor, self.recent, self.last_time = path.state
        else:
            self.points, self.anchor = self.points + (before.center - self.anchor), before.center
            self.motion, self.recent = before, ColorMemory(memory=15)

    def resume(self, newcomer: "Track") -> None:
        """Someone who returned: what was seen of them as a newcomer belongs to this person."""
        self.recording.cut(newcomer.first_time)
        self.take_over(newcomer.release(-math.inf), self.motion)
        self.colors.add(newcomer.colors.mean)


@dataclass
class Path:
    """What was seen of someone from some moment on: rows of a recording, and where the body is at its end."""

    rows: tuple[np.ndarray, np.ndarray]
    state: tuple[Motion, np.ndarray, np.ndarray, np.ndarray, ColorMemory, float]
