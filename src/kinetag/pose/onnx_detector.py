"""A person detector that the user brings: YOLOX or RTMDet as ONNX.

Known outputs: raw YOLOX (1, A, 5 + classes), decoded here (Ge et al. 2021, "YOLOX", arXiv:2107.08430, section 2.1), and
the boxes (1, N, 5) with labels (1, N) that OpenMMLab's export gives. Both take B, G, R from 0 to 255; RTMDet, known by
its file's name, takes them normalised.
"""

from pathlib import Path

import numpy as np

from kinetag.pose.onnx_model import MEAN, STD, Model, channels_first, letterbox, suppress

_STRIDES = (8, 16, 32)
_OVERLAP = 0.45
_PERSON = 0  # class number in COCO


class OnnxDetector:
    """Boxes of people in a picture. A larger ``threshold`` misses more people and takes fewer things for people."""

    def __init__(self, path: str | Path, *, threshold: float = 0.4) -> None:
        self.threshold = threshold
        self._model = Model(path, default_size=(640, 640))
        self._normalised = "rtmdet" in self._model.path.name.lower()
        outputs = self._model.probe()
        self._boxes = next((i for i, o in enumerate(outputs) if o.ndim == 3 and o.shape[2] >= 5), None)
        if self._boxes is None:
            raise self._model.misfit("not a YOLOX or RTMDet detector, whose output is (1, N, 5) or (1, A, 5 + classes)")
        self._labels = next((i for i, o in enumerate(outputs) if o.ndim == 2), None)
        self._raw = outputs[self._boxes].shape[2] > 5
        if self._raw and outputs[self._boxes].shape[1] != len(self._grid()[0]):
            raise self._model.misfit(f"a YOLOX of this input size has {len(self._grid()[0])} anchors")

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """RGB (H, W, 3) -> people, (N, 5): x1, y1, x2, y2 in pixels and score, best first."""
        placed, scale = letterbox(image, self._model)
        if self._normalised:
            placed = (placed - MEAN) / STD
        outputs = self._model(channels_first(placed, bgr=True)[None])
        assert self._boxes is not None
        found = outputs[self._boxes][0]
        if self._raw:
            found = self._decode(found)
        elif self._labels is not None:
            found = found[outputs[self._labels][0] == _PERSON]
        found = found[np.isfinite(found).all(axis=1) & (found[:, 4] >= self.threshold)]
        found[:, :4] /= scale
        found[:, 0:4:2] = found[:, 0:4:2].clip(0, image.shape[1])
        found[:, 1:4:2] = found[:, 1:4:2].clip(0, image.shape[0])
        return found[suppress(found[:, :4], found[:, 4], _OVERLAP)]

    def _grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Cell (A, 2) and stride (A, 1) of every anchor: level by level, row by row."""
        cells, strides = [], []
        for stride in _STRIDES:
            rows, columns = np.mgrid[: self._model.height // stride, : self._model.width // stride]
            cells.append(np.stack([columns.ravel(), rows.ravel()], axis=1))
            strides.append(np.full((rows.size, 1), stride))
        return np.concatenate(cells), np.concatenate(strides)

    def _decode(self, raw: np.ndarray) -> np.ndarray:
        """Raw (A, 5 + classes): offset in cells, log size in strides, objectness, classes -> (A, 5) boxes, scores."""
        cells, strides = self._grid()
        centre = (raw[:, :2] + cells) * strides
        half = np.exp(raw[:, 2:4].clip(max=20)) * strides / 2
        score = raw[:, 4] * raw[:, 5 + _PERSON]
        return np.concatenate([centre - half, centre + half, score[:, None]], axis=1).astype(np.float32)
