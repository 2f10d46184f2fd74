"""Pose estimators: pictures in, people's keypoints out."""

from collections.abc import Sequence
from typing import Protocol

from kinetag.sequence import Frame, Pose


class PoseEstimator(Protocol):
    """What every estimator offers. It may remember earlier frames (where people were), so it serves one video.

    ``estimate`` takes consecutive frames and returns, for each, the people found in it. More frames at a time let an
    estimator use more cores; one at a time gives the lowest delay.
    """

    layout: str

    def estimate(self, frames: Sequence[Frame]) -> list[list[Pose]]: ...

    def reset(self) -> None: ...
