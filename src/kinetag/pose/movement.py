"""Where something moves that nobody known explains: the best place to look for somebody.

Differences of consecutive frames on a coarse grid; while most of the picture changes the camera moves, and they say
nothing.
"""

from collections.abc import Iterable

import cv2
import numpy as np

from kinetag.cuts import CutDetector
from kinetag.pose.regions import Region

_STEP = 10  # grey levels from which a cell has changed
_MEMORY = 0.7  # of a change, from frame to frame
_WARM = 0.3  # of that, from which a cell counts
_SMALLEST = 8  # cells; less is noise
_CAMERA = 0.35  # share of warm cells from which it is the camera that moves


class Movement:
    """Fed every frame of a video; says where people may be who are not known."""

    def __init__(self) -> None:
        self._cuts = CutDetector()
        self._heat = np.zeros((1, 1), np.float32)

    def see(self, image: np.ndarray) -> bool:
        """Take in the next frame (H, W, 3); True when it shows another scene than the one before."""
        cut = self._cuts.see(image)
        change = self._cuts.change
        if cut or change.shape != self._heat.shape:
            self._heat = np.zeros_like(change)
        else:
            self._heat = np.maximum(self._heat * _MEMORY, change > _STEP)
        return cut

    def places(self, known: Iterable[tuple[np.ndarray, np.ndarray]]) -> list[Region]:
        """Squares around movement, the largest first, outside the boxes (low, high corners) of ``known`` people."""
        warm = self._heat > _WARM
        if not warm.any() or warm.mean() > _CAMERA:
            return []
        open_ = warm.astype(np.uint8)
        for low, high in known:
            left, top = np.maximum(np.floor(low / self._cuts.cell), 0).astype(int)
            right, bottom = np.maximum(np.ceil(high / self._cuts.cell), 0).astype(int)
            open_[top:bottom, left:right] = 0
        joined = cv2.dilate(open_, np.ones((5, 5), np.uint8))  # a body's parts belong together
        count, labels, stats, _ = cv2.connectedComponentsWithStats(joined)
        cells = np.bincount(labels[open_ > 0], minlength=count)[1:]  # of each blob, without the background
        found = []
        for blob in np.argsort(-cells):
            if cells[blob] < _SMALLEST:
                break
            x, y, w, h = stats[blob + 1, :4] * self._cuts.cell
            found.append(Region(float(x + w / 2), float(y + h / 2), float(max(w, h))))
        return found
