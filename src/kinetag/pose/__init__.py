"""Pose estimators: pictures in, people's keypoints out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from kinetag.errors import KinetagError
from kinetag.sequence import Frame, Pose


class PoseEstimator(Protocol):
    """What every estimator offers. It may remember earlier frames (where people were), so it serves one video.

    ``estimate`` takes consecutive frames and returns, for each, the people found in it. More frames at a time let an
    estimator use more cores; one at a time gives the lowest delay.
    """

    layout: str

    def estimate(self, frames: Sequence[Frame]) -> list[list[Pose]]: ...

    def reset(self) -> None: ...


def open_estimator(
    name: str | Path, *, max_people: int = 10, detector: str | Path | None = None, every_frame: bool = True
) -> PoseEstimator:
    """'blazepose' (embedded), or the path of an RTMPose- or RTMO-style ONNX file.

    ``detector`` is a YOLOX-style ONNX file that finds the people for an RTMPose-style one; None: BlazePose's.
    ``every_frame`` off lets BlazePose pass over every other frame of people who move slowly.
    """
    if detector is not None and str(name) == "blazepose":
        raise KinetagError(f"a detector ('{detector}') goes with an RTMPose .onnx; BlazePose has its own")
    if str(name) == "blazepose":
        from kinetag.pose.blazepose import BlazePose

        return BlazePose(max_people=max_people, every_frame=every_frame)
    if Path(name).suffix == ".onnx":
        from kinetag.pose.onnx_pose import OnnxPose

        return OnnxPose(Path(name), detector, max_people=max_people)
    raise KinetagError(f"unknown pose estimator '{name}': give 'blazepose' or the path of an .onnx file")
