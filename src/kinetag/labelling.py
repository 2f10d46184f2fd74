"""From one person's poses to labelled segments: class probabilities over time, decoded, of what the library knows."""

import numpy as np

from kinetag.classifier import Classifier
from kinetag.exercises.library import Exercise
from kinetag.naming import SURE
from kinetag.segments import MAX_GAP, decode
from kinetag.sequence import PoseSequence
from kinetag.timeline import OTHER, Segment

_WAY = 0.6  # probability, among all ways of an exercise, from which on it is told which one it is
_SHOWN = 2.0  # seconds, half a window: a shorter piece shows what is done, but not in which way


def label_poses(
    poses: PoseSequence, classifier: Classifier, known: dict[str, Exercise]
) -> tuple[list[Segment], np.ndarray, np.ndarray]:
    """Segments, and what they were decoded from: times (W,) and class probabilities (W, K).

    ``poses`` are smoothed, and each shot of a film that is cut is judged by itself. ``known`` maps the classifier's
    labels to exercises, whose shortest durations count.
    """
    minimum = {label: exercise.min_duration for label, exercise in known.items()}
    segments: list[Segment] = []
    parts = []
    for shot in poses.shots():
        part = poses.rows(shot)
        times, probabilities = classifier.predict(part)
        parts.append((times, probabilities))
        found = decode(
            times,
            probabilities,
            classifier.labels,
            start=float(part.times[0]),
            end=float(part.times[-1]),
            minimum_durations=minimum,
            pose_times=part.times,
        )
        segments = _joined(segments, found)
    times, probabilities = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return segments, times, probabilities


def _joined(segments: list[Segment], following: list[Segment]) -> list[Segment]:
    """Segments of two shots: what goes on across the cut is one segment."""
    if not segments or not following:
        return segments + following
    last, first = segments[-1], following[0]
    if last.label != first.label or first.start - last.end > MAX_GAP:
        return segments + following
    lasts = np.array([last.end - last.start, first.end - first.start])
    sure = float(np.average([last.confidence, first.confidence], weights=np.maximum(lasts, 1e-6)))
    return [*segments[:-1], Segment(last.label, last.start, first.end, sure), *following[1:]]


def describe(
    segments: list[Segment], times: np.ndarray, probabilities: np.ndarray, poses: PoseSequence, classifier: Classifier
) -> None:
    """Say more of each segment: its family, how sure that is, and the way in which the exercise is done, unless it is
    doubtful which one it is.

    ``times`` (W,) and ``probabilities`` (W, K) are what the segments were decoded from.
    """
    for segment in segments:
        describe_kind(segment, times, probabilities, classifier)
        seen = ((times >= segment.start) & (times <= segment.end)).any()
        if seen and segment.duration >= _SHOWN and segment.label != OTHER and not segment.doubtful:
            way, share = classifier.way(poses.between(segment.start, segment.end), segment.label)
            segment.variant = way if share >= _WAY and way != "plain" else ""


def describe_kind(segment: Segment, times: np.ndarray, probabilities: np.ndarray, classifier: Classifier) -> None:
    """Say of what family the segment is, and how sure that is; `describe` without the way, which takes longer."""
    inside = (times >= segment.start) & (times <= segment.end)
    if not inside.any():
        return
    families = [classifier.card.families.get(label, "") for label in classifier.labels]
    kinds: dict[str, float] = dict.fromkeys(families, 0.0)
    for family, share in zip(families, probabilities[inside].mean(axis=0), strict=True):
        kinds[family] += float(share)
    kinds.pop("", None)
    if segment.label == OTHER:
        family = max(kinds, key=lambda kind: kinds[kind], default="")
        if not family or kinds[family] < SURE:
            return
    else:
        family = families[classifier.labels.index(segment.label)]
    if family:
        segment.family, segment.family_confidence = family, min(kinds[family], 1.0)
