"""What the tests of few-shot teaching share: a classifier with an embedding, a quick space, and clips."""

import shutil
from pathlib import Path

import numpy as np
from made_poses import bend_elbow, body, seen, squat

from kinetag.classifier import DEFAULT_MODEL, Classifier
from kinetag.errors import KinetagError
from kinetag.sequence import PoseSequence

RATE = 15.0

# The arms go up to the front, in a way that no exercise of the library does: both knees bend a little on the way.
WRITTEN = """\
name: arm_raise
title: Arm raise
family: arms
support: feet
base: {elbow: [0, 15]}
poses:
  down: {shoulder: [0, 15], plane: [0, 20]}
  up: {shoulder: [75, 100], thigh: [25, 35], knee: [50, 70]}
order: [down, up]
sides: both
tempo: {period: [1.5, 4]}
counting: {signal: shoulder, rest: 12, peak: 88, sides: either, min_period: 0.8, max_period: 6}
norms: {shoulder: [70, 110]}
faults:
  too_high: {description: the arms go above the head, angle: shoulder, above: 150}
"""


def embedding_model(path: Path) -> Path:
    """The shipped classifier; where it gives no embedding, a copy that gives its last layer's input."""
    try:
        assert Classifier.load().embedding_width
        shutil.copy(DEFAULT_MODEL, path)
    except KinetagError:
        import onnx

        proto = onnx.load(str(DEFAULT_MODEL))
        last = next(node for node in proto.graph.node if "logits" in node.output)
        width = next(tensor for tensor in proto.graph.initializer if tensor.name == last.input[1]).dims
        proto.graph.node.append(onnx.helper.make_node("Identity", [last.input[0]], ["embedding"]))
        shape = ["windows", max(width)]
        proto.graph.output.append(onnx.helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, shape))
        onnx.save(proto, str(path))
    return path


def wave(times: np.ndarray, period: float, *, first: float = 0.0, last: float = np.inf) -> np.ndarray:
    """0 at rest, 1 at the turning points; at rest before ``first`` and after ``last`` seconds."""
    moving = (times >= first) & (times <= last)
    return np.where(moving, (1 - np.cos(2 * np.pi * (times - first) / period)) / 2, 0.0)


def squats(*, count: int = 4, period: float = 2.0, wait: float = 0.0, **view) -> PoseSequence:
    """Squats after standing for ``wait`` seconds, which comes again at the end."""
    times = np.arange(0, count * period + 2 * wait, 1 / RATE)
    joints = body(len(times))
    squat(joints, 100 * wave(times, period, first=wait, last=wait + count * period))
    return seen(joints, times, noise=0.01, **view)


def salutes(*, count: int = 5, period: float = 1.6, both: bool = True, **view) -> PoseSequence:
    """Somebody squats a little and bends the elbows at the same time: in no library."""
    times = np.arange(0, count * period, 1 / RATE)
    joints = body(len(times))
    squat(joints, 40 * wave(times, period))
    for side in ("left", "right") if both else ("left",):
        bend_elbow(joints, side, 130 * wave(times, period))
    return seen(joints, times, noise=0.01, **view)


def still(seconds: float = 5.0, **view) -> PoseSequence:
    """Somebody who holds the forearms up."""
    times = np.arange(0, seconds, 1 / RATE)
    joints = body(len(times))
    for side in ("left", "right"):
        bend_elbow(joints, side, np.full(len(times), 90.0))
    return seen(joints, times, noise=0.01, **view)
