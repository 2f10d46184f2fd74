"""What a person is doing right now, from the poses so far: for live use.

The full decoder runs again every half second over the recent past only, so the work a second stays bounded however long
the camera runs; repetitions that lie further back are kept as a sum.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from kinetag.classifier import Classifier
from kinetag.exercises.labels import exercises_by_label
from kinetag.exercises.library import Exercise
from kinetag.labelling import describe_kind, label_poses
from kinetag.naming import called, is_doubtful
from kinetag.reps import count_any, heeds_network
from kinetag.segments import MAX_GAP
from kinetag.sequence import Pose, PoseSequence
from kinetag.smoothing import smooth
from kinetag.timeline import OTHER

_PERIOD = 0.5  # seconds between two runs of the decoder
_MARGIN = 2.0  # seconds before a segment that show how a repetition at its start begins
_HORIZON = 20.0  # seconds of poses that it looks at


@dataclass(frozen=True)
class LivePerson:
    """What is known about one person right now. ``label`` is None until enough has been seen to say.

    ``doubtful``: the label is a guess; ``name`` is how it is called (None without a label), ``sure`` how sure that is.
    """

    id: int
    pose: Pose
    label: str | None
    confidence: float
    repetitions: int
    family: str = ""
    family_confidence: float = 0.0

    @property
    def doubtful(self) -> bool:
        return is_doubtful(self.label, self.confidence)

    @property
    def name(self) -> str | None:
        return self._called()[0]

    @property
    def sure(self) -> float:
        return self._called()[1]

    def _called(self) -> tuple[str | None, float]:
        if self.label is None:
            return None, self.confidence
        return called(self.label, self.confidence, self.family, self.family_confidence)


@dataclass
class RunningLabel:
    """One person's running label: `update` takes each new pose and returns (label or None, confidence, repetitions)."""

    person: int
    classifier: Classifier
    library: dict[str, Exercise]
    frame_size: tuple[int, int]
    _poses: list[tuple[float, Pose]] = field(default_factory=list)
    _label: str | None = None
    _confidence: float = 0.0
    family: str = ""  # kind of exercise, and how sure that is
    family_confidence: float = 0.0
    _since: float = 0.0  # when the current label began
    _kept: list[float] = field(default_factory=list)  # times of its repetitions
    _next_run: float = -np.inf
    _cuts: tuple[float, ...] = ()
    _known: dict[str, Exercise] = field(init=False)  # by label

    def __post_init__(self) -> None:
        self._known = exercises_by_label(self.classifier.labels, self.library)

    def update(self, pose: Pose, time: float, cuts: Sequence[float] = ()) -> tuple[str | None, float, int]:
        """``cuts``: when the film was cut so far (s)."""
        if self.is_over(time):
            self._poses, self._kept, self._label, self._confidence, self._next_run = [], [], None, 0.0, -np.inf
            self.family, self.family_confidence = "", 0.0
        self._cuts = tuple(cut for cut in cuts if cut > time - _HORIZON)
        self._poses.append((time, pose))
        if time >= self._next_run:
            self._next_run = time + _PERIOD
            while self._poses[0][0] < time - _HORIZON:
                self._poses.pop(0)
            self._decide()
        return self._label, self._confidence, len(self._kept)

    def is_over(self, time: float) -> bool:
        """Whether the person was away for so long at ``time`` (s) that what they did has ended."""
        return bool(self._poses) and time - self._poses[-1][0] > MAX_GAP

    def _decide(self) -> None:
        poses = smooth(self._sequence())
        if poses.duration < 1.0:
            return
        segments, times, probabilities = label_poses(poses, self.classifier, self._known)
        if not segments:
            return
        segment = segments[-1]
        # The same label still goes on when its segment reaches back to the edge of what is looked at, or to its start.
        continues = segment.label == self._label and segment.start <= max(self._since, poses.times[0]) + _PERIOD
        if not continues:
            self._since, self._kept = segment.start, []
        describe_kind(segment, times, probabilities, self.classifier)
        self._label, self._confidence = segment.label, segment.confidence
        self.family, self.family_confidence = segment.family, segment.family_confidence
        if segment.label != OTHER:
            exercise, around = self._known.get(segment.label), poses.between(segment.start - _MARGIN, segment.end)
            progress = self.classifier.progress(around) if heeds_network(exercise) else None
            counted = count_any(poses, exercise, segment.start, segment.end, progress)
            # Near the edge of the horizon a repetition is cut short, so what was counted there before stays.
            settled = poses.times[0] + 3.0 if continues and self._since < poses.times[0] else -np.inf
            old = [moment for moment in self._kept if moment < settled]
            self._kept = old + [rep.time for rep in counted if not rep.partial and rep.time >= settled]

    def _sequence(self) -> PoseSequence:
        poses = [pose for _, pose in self._poses]
        has_world = all(pose.world is not None for pose in poses)
        return PoseSequence(
            times=np.array([time for time, _ in self._poses]),
            keypoints=np.stack([pose.keypoints for pose in poses]),
            confidence=np.stack([pose.confidence for pose in poses]),
            layout=poses[0].layout,
            frame_size=self.frame_size,
            person=self.person,
            world=np.stack([pose.world for pose in poses]) if has_world else None,  # type: ignore[misc]
            cuts=self._cuts,
        )
