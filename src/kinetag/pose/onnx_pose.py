"""Pose networks that the user brings as ONNX: RTMPose (top-down, SimCC) and RTMO (one-stage).

RTMPose: Jiang et al. 2023, arXiv:2303.07399; a person's box grown by 1.25 to the network's proportions, R, G, B
normalised by ImageNet's mean; two outputs, a score for every half pixel across and down (SimCC, Li et al. 2022,
arXiv:2107.03332).
RTMO: Lu et al. 2023, arXiv:2312.07526; the whole picture letterboxed, B, G, R from 0 to 255; boxes (1, N, 5) and
keypoints (1, N, 17, 3). Which of the two a file is, its outputs tell.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from kinetag.errors import KinetagError
from kinetag.pose.onnx_detector import OnnxDetector
from kinetag.pose.onnx_model import MEAN, STD, Model, channels_first, letterbox, place, suppress
from kinetag.sequence import Frame, Pose
from kinetag.skeletons import COCO, OPENPOSE25, convert

# RGB (H, W, 3) -> boxes (N, 4 or more: x1, y1, x2, y2, ...) in pixels
Detector = Callable[[np.ndarray], np.ndarray]

_GROWTH = 1.25  # of a person's box, as in training
_BLAZEPOSE_GROWTH = 0.1  # of a box around joints, which leaves out the crown and the toes, to a box around a person
_OVERLAP = 0.65  # RTMO's own setting
_FEET = ("left_foot_index", "left_small_toe", "left_heel", "right_foot_index", "right_small_toe", "right_heel")
# Where a network with more than COCO's 17 joints has the feet, in the order above.
_FEET_AT = {17: (), 26: (20, 22, 24, 21, 23, 25), 133: (17, 18, 19, 20, 21, 22)}


class OnnxPose:
    """People in consecutive frames by an RTMPose or RTMO file; 17 joints (coco), with feet where the network has them.

    ``detector`` finds the boxes that RTMPose needs: the path of a YOLOX or RTMDet ONNX file, a function, 'frame' (one
    person who fills the picture), or None: the embedded BlazePose. A larger ``threshold`` drops people the network is
    less sure of. Raises KinetagError, with the inputs and outputs found, when a file is of neither kind.
    """

    def __init__(
        self,
        path: str | Path,
        detector: str | Path | Detector | None = None,
        *,
        threshold: float = 0.3,
        max_people: int = 10,
    ) -> None:
        self.threshold, self.max_people = threshold, max_people
        self._model = Model(path, default_size=(640, 640))
        shapes = [output.shape for output in self._model.probe()]
        self._keypoints = next((i for i, s in enumerate(shapes) if len(s) == 4 and s[3] == 3), None)
        self._one_stage = self._keypoints is not None
        if self._one_stage:
            self._boxes = next((i for i, s in enumerate(shapes) if len(s) == 3 and s[2] in (4, 5)), None)
            joints = shapes[self._keypoints or 0][2]
        else:
            self._x, self._y = self._simcc_outputs(shapes)
            joints = shapes[self._x][1]
        if joints not in _FEET_AT:
            known = ", ".join(map(str, _FEET_AT))
            raise self._model.misfit(f"{joints} keypoints, but only networks with {known} are known")
        self.layout = COCO.name if joints == 17 else OPENPOSE25.name
        self._find = None if self._one_stage else _open_detector(detector, max_people)

    def reset(self) -> None:
        """Forget earlier frames: the next one starts a new video."""
        if isinstance(self._find, _BlazePoseBoxes):
            self._find.reset()

    def estimate(self, frames: Sequence[Frame]) -> list[list[Pose]]:
        """The people in each frame, the surest first."""
        if self._one_stage:
            return [self._look_once(frame.image) for frame in frames]
        assert self._find is not None
        return [self._look_into(frame.image, boxes) for frame, boxes in zip(frames, self._find(frames), strict=True)]

    def _simcc_outputs(self, shapes: list[tuple[int, ...]]) -> tuple[int, int]:
        """Which outputs are the scores across and down."""
        flat = [i for i, shape in enumerate(shapes) if len(shape) == 3]
        names = self._model.output_names()
        pairs = [(i, j) for i in flat for j in flat if i != j and shapes[i][1] == shapes[j][1]]
        named = [pair for pair in pairs if "x" in names[pair[0]].lower() and "y" in names[pair[1]].lower()]
        for x, y in named + pairs:
            # so many scores a pixel both ways: 2 in every network published
            ratio = shapes[x][2] / self._model.width
            if ratio >= 1 and abs(shapes[y][2] / self._model.height - ratio) < 1e-6:
                return x, y
        raise self._model.misfit(
            "neither RTMPose (simcc_x (N, K, 2 width) and simcc_y (N, K, 2 height)) nor RTMO (dets (1, N, 5) and "
            "keypoints (1, N, K, 3))"
        )

    def _look_once(self, image: np.ndarray) -> list[Pose]:
        """RTMO: all people of a picture at once."""
        assert self._keypoints is not None
        placed, scale = letterbox(image, self._model)
        outputs = self._model(channels_first(placed, bgr=True)[None])
        points = outputs[self._keypoints][0]  # (N, K, 3): x, y, score
        if not len(points):
            return []
        boxes, scores = self._boxes_of(points, outputs)
        keep = suppress(boxes, scores, _OVERLAP)
        keep = [i for i in keep if scores[i] >= self.threshold][: self.max_people]
        return [self._pose(points[i, :, :2] / scale, points[i, :, 2], float(scores[i])) for i in keep]

    def _boxes_of(self, points: np.ndarray, outputs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (N, 4) and scores (N,) of the people; from the points when the network gives no boxes."""
        if self._boxes is None or outputs[self._boxes].shape[2] < 5:
            boxes = np.concatenate([points[..., :2].min(axis=1), points[..., :2].max(axis=1)], axis=1)
            return boxes, points[..., 2].mean(axis=1)
        found = outputs[self._boxes][0]
        return found[:, :4], found[:, 4]

    def _look_into(self, image: np.ndarray, boxes: np.ndarray) -> list[Pose]:
        """RTMPose: each person in a crop of their own."""
        boxes = boxes[: self.max_people, :4]
        sound = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] - boxes[:, :2] > 1).all(axis=1)
        boxes = boxes[sound]
        if not len(boxes):
            return []
        model = self._model
        crops, places = [], []
        for x1, y1, x2, y2 in boxes:
            scale = min(model.width / (x2 - x1), model.height / (y2 - y1)) / _GROWTH
            offset = (model.width / 2 - scale * (x1 + x2) / 2, model.height / 2 - scale * (y1 + y2) / 2)
            crop = place(image, scale, offset, (model.width, model.height), 0)
            crops.append(channels_first((crop - MEAN) / STD, bgr=False))
            places.append((scale, np.array(offset)))
        outputs = model(np.stack(crops))
        across, down = outputs[self._x], outputs[self._y]  # (N, K, 2 width), (N, K, 2 height)
        ratio = across.shape[2] / model.width
        points = np.stack([across.argmax(axis=2), down.argmax(axis=2)], axis=2) / ratio  # (N, K, 2)
        scores = np.minimum(across.max(axis=2), down.max(axis=2)).clip(0, 1)
        poses = [
            self._pose((own - offset) / scale, score, float(score[:17].mean()))
            for own, score, (scale, offset) in zip(points, scores, places, strict=True)
        ]
        return [pose for pose in poses if pose.score >= self.threshold]

    def _pose(self, points: np.ndarray, scores: np.ndarray, score: float) -> Pose:
        """Points (K, 2) and their scores (K,) of any of the known networks -> a pose in our layout."""
        scores = np.nan_to_num(scores).clip(0, 1)
        keypoints = np.where((scores > 0)[:, None], points, np.nan).astype(np.float32)
        confidence = scores.astype(np.float32)
        body, sure = convert(keypoints[:17], confidence[:17], COCO.name, self.layout)
        for joint, at in zip(_FEET, _FEET_AT[len(points)], strict=False):
            index = OPENPOSE25.index(joint)
            body[index], sure[index] = keypoints[at], confidence[at]
        return Pose(body, sure, min(max(score, 0.0), 1.0), self.layout)


def _open_detector(
    detector: str | Path | Detector | None, max_people: int
) -> Callable[[Sequence[Frame]], list[np.ndarray]]:
    """Something that gives each frame's boxes."""
    if detector is None:
        return _BlazePoseBoxes(max_people)
    if detector == "frame":
        return lambda frames: [np.array([[0, 0, f.image.shape[1], f.image.shape[0]]], np.float32) for f in frames]
    if callable(detector):
        return lambda frames: [_as_boxes(detector(frame.image)) for frame in frames]
    if Path(detector).suffix != ".onnx":
        raise KinetagError(f"unknown detector '{detector}': give 'frame' or the path of an .onnx file")
    network = OnnxDetector(detector)
    return lambda frames: [network(frame.image) for frame in frames]


def _as_boxes(found: np.ndarray) -> np.ndarray:
    boxes = np.array(found, np.float32)
    if len(boxes) and (boxes.ndim != 2 or boxes.shape[1] < 4):
        raise KinetagError(f"the detector gave an array of shape {boxes.shape}; boxes are (N, 4)")
    return boxes if len(boxes) else np.zeros((0, 4), np.float32)


class _BlazePoseBoxes:
    """Boxes around the people that the embedded estimator follows."""

    def __init__(self, max_people: int) -> None:
        from kinetag.pose.blazepose import BlazePose

        self._estimator = BlazePose(max_people=max_people)

    def reset(self) -> None:
        self._estimator.reset()

    def __call__(self, frames: Sequence[Frame]) -> list[np.ndarray]:
        return [
            np.array([self._box(pose.keypoints) for pose in poses], np.float32).reshape(-1, 4)
            for poses in self._estimator.estimate(frames)
        ]

    @staticmethod
    def _box(keypoints: np.ndarray) -> np.ndarray:
        low, high = np.nanmin(keypoints, axis=0), np.nanmax(keypoints, axis=0)
        margin = (high - low).max() * _BLAZEPOSE_GROWTH
        return np.concatenate([low - margin, high + margin])
