"""BlazePose's two networks behind plain functions: a picture and a region in, people's points out.

Bazarevsky et al. 2020, "BlazePose: On-device Real-time Body Pose Tracking", https://arxiv.org/abs/2006.10204.
The weights are Google's (Apache-2.0), converted by tools/convert_blazepose.py; docs/blazepose.md is their model card.
"""

import math
from dataclasses import dataclass
from importlib import resources

import cv2
import numpy as np
import onnxruntime as ort

from kinetag.pose.regions import Region

JOINTS = 33
_ALIGNMENT = [33, 34]  # auxiliary points: mid-hip and the end of the full body, for the next region


@dataclass(frozen=True)
class Body:
    """What the landmark network says about one region.

    ``points`` (33, 2) pixels of the picture; ``visibility`` and ``inside`` (33,) in [0, 1]: not hidden, and within the
    picture; ``score`` in [0, 1]: is there a person at all; ``world`` (33, 3) metres; ``region``: where to look next.
    """

    points: np.ndarray
    visibility: np.ndarray
    inside: np.ndarray
    score: float
    world: np.ndarray
    region: Region


class LandmarkNetwork:
    """33 points of the person in a region. Safe to call from several threads at once; each call uses one."""

    side = 256

    def __init__(self) -> None:
        self._session = open_network("blazepose_landmark.onnx")

    def __call__(self, image: np.ndarray, region: Region) -> Body:
        crop = region.crop(image, self.side)
        outputs = ["points", "presence", "world", "heatmaps"]
        points, presence, world, heatmaps = (output[0] for output in _run(self._session, outputs, crop))
        picture = region.to_picture(refine(points[:, :2], heatmaps, self.side), self.side)  # (39, 2)
        return Body(
            points=picture[:JOINTS],
            visibility=_sigmoid(points[:JOINTS, 3]),
            inside=_sigmoid(points[:JOINTS, 4]),
            score=float(presence[0]),
            world=_turn(world[:JOINTS], region.angle),
            region=Region.around(picture[_ALIGNMENT]),
        )


class DetectorNetwork:
    """The people in a square region of a picture, each as the region that the landmark network wants."""

    side = 224

    def __init__(self) -> None:
        self._session = open_network("blazepose_detector.onnx")
        self._anchors = _anchors(self.side)

    def __call__(self, image: np.ndarray, square: Region, threshold: float) -> list[tuple[float, Region]]:
        """(score, region) for each person, best first. A lower threshold finds more, and more that is nobody."""
        crop = square.crop(image, self.side, border=cv2.BORDER_CONSTANT)
        boxes, logits = _run(self._session, ["boxes", "scores"], crop)
        logits = logits[0, :, 0]
        keep = logits > math.log(threshold / (1 - threshold))
        scores, boxes, anchors = _sigmoid(logits[keep]), boxes[0, keep], self._anchors[keep]
        centres = boxes[:, :2] + anchors  # (n, 2)
        points = boxes[:, 4:8].reshape(-1, 2, 2) + anchors[:, None]  # the first two of four: the alignment points
        corners = np.concatenate([centres - boxes[:, 2:4] / 2, centres + boxes[:, 2:4] / 2], axis=1)
        return [
            (score, region)
            for score, mean in _blend_overlapping(corners, scores, points)
            if (region := Region.around(square.to_picture(mean, self.side))).sane
        ]


def refine(points: np.ndarray, heatmaps: np.ndarray, side: int, *, reach: int = 3, least: float = 0.5) -> np.ndarray:
    """Move each point (V, 2) of a ``side`` x ``side`` crop to the mean of its heatmap around it; (H, W, V) logits.

    A heatmap that is nowhere in the window above ``least`` says nothing, and its point stays. This is what MediaPipe's
    RefineLandmarksFromHeatmapCalculator does with a window of 7; it halves the distance to hidden and small joints.
    """
    cells, count = heatmaps.shape[0], len(points)
    scale = side / cells
    window = np.arange(-reach, reach + 1)
    centre = np.floor(points / scale).astype(int)  # (V, 2): column, row
    columns, rows = centre[:, :1] + window, centre[:, 1:] + window  # (V, 7) each
    last = cells - 1
    logits = heatmaps[
        np.clip(rows, 0, last)[:, :, None], np.clip(columns, 0, last)[:, None, :], np.arange(count)[:, None, None]
    ]  # (V, 7, 7)
    within = ((rows >= 0) & (rows <= last))[:, :, None] & ((columns >= 0) & (columns <= last))[:, None, :]
    weights = _sigmoid(logits) * within
    sure = (weights.max(axis=(1, 2)) >= least) & (centre >= 0).all(axis=1) & (centre <= last).all(axis=1)
    total = np.maximum(weights.sum(axis=(1, 2)), 1e-9)
    mean = np.stack([(weights.sum(axis=1) * columns).sum(axis=1), (weights.sum(axis=2) * rows).sum(axis=1)], axis=1)
    return np.where(sure[:, None], mean / total[:, None] * scale, points)


def open_network(name: str) -> ort.InferenceSession:
    """A shipped network, single-threaded: with several crops to do, one a core beats all cores on one."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    weights = resources.files("kinetag").joinpath("weights", name).read_bytes()
    return ort.InferenceSession(weights, options, providers=["CPUExecutionProvider"])


def _run(session: ort.InferenceSession, outputs: list[str], crop: np.ndarray) -> list[np.ndarray]:
    return [np.asarray(output) for output in session.run(outputs, {"images": crop[None]})]


def _blend_overlapping(
    corners: np.ndarray, scores: np.ndarray, points: np.ndarray, overlap: float = 0.3
) -> list[tuple[float, np.ndarray]]:
    """Non-maximum suppression that averages, by score, what it suppresses (Bazarevsky et al. 2019, "BlazeFace")."""
    found = []
    rest = np.argsort(-scores)
    while len(rest):
        close = _intersection_over_union(corners[rest[0]], corners[rest]) >= overlap
        close[0] = True
        group = rest[close]
        found.append((float(scores[rest[0]]), np.average(points[group], axis=0, weights=scores[group])))
        rest = rest[~close]
    return found


def _intersection_over_union(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(4,) and (n, 4) corners -> (n,)."""
    size = np.clip(np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2]), 0, None)
    common = size.prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return common / np.maximum((box[2:] - box[:2]).prod() + areas - common, 1e-9)


def _anchors(side: int) -> np.ndarray:
    """Centres of the detector's cells in crop pixels, (2254, 2): two anchors a cell, six in the coarsest grid."""
    grids = []
    for stride, count in ((8, 2), (16, 2), (32, 6)):
        line = (np.arange(side // stride, dtype=np.float32) + 0.5) * stride
        y, x = np.meshgrid(line, line, indexing="ij")
        grids.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), count, axis=0))
    return np.concatenate(grids)


def _turn(world: np.ndarray, angle: float) -> np.ndarray:
    """World points come as the region shows them: turn them by its angle, so that y is down in the picture."""
    cos, sin = math.cos(angle), math.sin(angle)
    x, y = world[:, 0], world[:, 1]
    return np.stack([cos * x - sin * y, sin * x + cos * y, world[:, 2]], axis=1)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -50, 50)))
