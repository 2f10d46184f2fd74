"""From one person's poses to labelled segments: class probabilities over time, decoded, of what the library knows."""

import numpy as np

from kinetag.classifier import Classifier
from kinetag.exercises.library import Exercise
from kinetag.segments import decode
from kinetag.sequence import PoseSequence
from kinetag.timeline import Segment


def label_poses(
    poses: PoseSequence, classifier: Classifier, known: dict[str, Exercise]
) -> tuple[list[Segment], np.ndarray, np.ndarray]:
    """Segments, and what they were decoded from: times (W,) and class probabilities (W, K).

    ``poses`` are smoothed; ``known`` maps the classifier's labels to exercises, whose shortest durations count.
    """
    times, probabilities = classifier.predict(poses)
    segments = decode(
        times,
        probabilities,
        classifier.labels,
        start=float(poses.times[0]),
        end=float(poses.times[-1]),
        minimum_durations={label: exercise.min_duration for label, exercise in known.items()},
        pose_times=poses.times,
    )
    return segments, times, probabilities
