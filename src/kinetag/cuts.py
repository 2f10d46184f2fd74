"""Where a film is cut: the frames that show another scene than the one before.

Differences of consecutive frames on a coarse grid: a body that moves changes a few cells, a camera that moves changes
most of them a little, another scene changes most of them a lot.
"""

import cv2
import numpy as np

_CELLS = 72  # of the grid along the picture's shorter side
_STEP = 30  # grey levels
_SHARE = 0.45  # of the cells that change so much at a cut; a quick pan reaches half of it


class CutDetector:
    """Fed every frame; says which ones begin a new shot.

    ``change`` (rows, columns): grey levels by which each cell differs from the frame before, zero at a cut; ``cell``:
    pixels along the side of one.
    """

    def __init__(self) -> None:
        self._last: np.ndarray | None = None
        self.change = np.zeros((1, 1), np.float32)
        self.cell = 1.0

    def see(self, image: np.ndarray) -> bool:
        """Take in the next frame (H, W, 3); True when it shows another scene than the one before."""
        height, width = image.shape[:2]
        self.cell = min(width, height) / _CELLS
        fine = max(1, int(self.cell / 2))  # every other half cell or so is enough, and costs nothing
        grid = (max(1, round(width / self.cell)), max(1, round(height / self.cell)))
        sampled = np.ascontiguousarray(image[::fine, ::fine, 1])
        small = cv2.resize(sampled, grid, interpolation=cv2.INTER_AREA).astype(np.float32)
        last, self._last = self._last, small
        if last is None or last.shape != small.shape:
            self.change = np.zeros_like(small)
            return False
        self.change = np.abs(small - last)
        if (self.change > _STEP).mean() <= _SHARE:
            return False
        self.change = np.zeros_like(small)  # between two scenes: it is no movement
        return True
