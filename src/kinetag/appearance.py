"""What people wear: a small colour descriptor by body part, to know someone again after they were out of sight.

For each part (trunk, upper arms, thighs, shins) a joint histogram of the chroma (a*, b* of CIE Lab) and a histogram of
the lightness L*, sampled inside the part. Chroma is taken relative to lightness, so that it changes little with the
light; lightness tells black from white.
Cells are filled softly (bilinear weights), so that a small shift of colour is a small change of the descriptor.
"""

import numpy as np

from kinetag.sequence import Pose
from kinetag.skeletons import KINETAG13, convert

_CHROMA, _LIGHT = 9, 6  # cells an axis
_STRONG = 0.6  # chroma by lightness where the cells end
_DARK = 40.0  # lightness (of 255) below which chroma is mostly noise
_CELLS = _CHROMA * _CHROMA + _LIGHT
_SEEN = 0.5  # a joint less sure than this may lie behind something, whose colours are not the person's
_MIN_LENGTH = 6.0  # pixels; a shorter trunk or limb has too few pixels to judge

# Part -> how much it says. Arms and shins are often bare, and skin is no clothing.
_PARTS = {"trunk": 1.0, "upper_arm": 0.4, "thigh": 0.7, "shin": 0.4}
_TRUNK = KINETAG13.indices(("left_shoulder", "right_shoulder", "left_hip", "right_hip"))


def _limb(upper: str, lower: str) -> np.ndarray:
    """The joints (start, end) of the left and the right limb, int (2, 2)."""
    return np.array([KINETAG13.indices((f"{side}_{upper}", f"{side}_{lower}")) for side in ("left", "right")])


def _grid(across: np.ndarray, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of two lists of fractions, float32 (n, 1) each."""
    first, second = np.meshgrid(across, along)
    return first.reshape(-1, 1).astype(np.float32), second.reshape(-1, 1).astype(np.float32)


# Limbs in the order of _PARTS, with half the width that is sampled, in lengths of the limb.
_LIMBS = ((_limb("shoulder", "elbow"), 0.10), (_limb("hip", "knee"), 0.15), (_limb("knee", "ankle"), 0.10))
_TRUNK_GRID = _grid(np.linspace(0.2, 0.8, 8), np.linspace(0.1, 0.9, 8))
_LIMB_GRID = _grid(np.linspace(0.2, 0.8, 8), np.array([-1.0, 0.0, 1.0]))

COLOR_SIZE = len(_PARTS) * _CELLS  # A: length of a descriptor


def clothing_colors(image: np.ndarray, pose: Pose) -> np.ndarray | None:
    """Clothing colours of one person: float32 (A,), NaN for parts that are not seen, or None when no part is.

    ``image`` is RGB uint8 (H, W, 3). Each part's chroma cells sum to 1, and so do its lightness cells. About 0.3 ms.
    """
    points, confidence = convert(pose.keypoints, pose.confidence, pose.layout, KINETAG13.name)
    points = np.where((confidence >= _SEEN)[:, None], points, np.nan)
    samples = [_trunk_points(points[_TRUNK])]
    samples += [_limb_points(points[limbs[:, 0]], points[limbs[:, 1]], width) for limbs, width in _LIMBS]
    weights = _cell_weights(image, np.concatenate(samples))
    ends = np.cumsum([len(part) for part in samples])[:-1]
    parts = zip(*(np.split(weight, ends) for weight in weights), strict=True)
    descriptor = np.stack([_histogram(*part) for part in parts])  # (parts, cells)
    return None if np.isnan(descriptor).all() else descriptor.ravel()


def color_distance(a: np.ndarray | None, b: np.ndarray | None) -> float:
    """How different two descriptors look, 0 (same) to 1 (nothing in common); NaN when they share no seen part.

    Chroma is compared by the Hellinger distance, sqrt(1 - Bhattacharyya coefficient); lightness by the earth mover's
    distance, which grows evenly with a change of light. A part differs if either does; over parts the root mean
    square is taken, so that other trousers are not drowned by a like shirt.
    """
    if a is None or b is None:
        return float("nan")
    a, b = a.reshape(len(_PARTS), _CELLS), b.reshape(len(_PARTS), _CELLS)
    chroma = np.sqrt(np.maximum(1 - np.sqrt(a * b)[:, :-_LIGHT].sum(axis=1), 0))  # (parts,)
    moved = np.abs(np.cumsum((a - b)[:, -_LIGHT:], axis=1)).sum(axis=1) / (_LIGHT - 1)
    different = 1 - (1 - np.minimum(chroma, 1)) * (1 - np.minimum(moved, 1))
    weight = np.array(list(_PARTS.values())) * ~np.isnan(different)
    return float(np.sqrt(np.nansum(weight * different**2) / weight.sum())) if weight.any() else float("nan")


class ColorMemory:
    """The mean of a person's descriptors: each part is averaged over the frames in which it was seen.

    After ``memory`` frames older ones fade, so that slow changes of light are followed.
    """

    def __init__(self, memory: int = 150) -> None:
        self.memory = memory
        self.clear()

    def clear(self) -> None:
        self.frames = 0  # looked at, whatever was seen in them
        self._count = np.zeros(len(_PARTS))
        self._mean = np.full((len(_PARTS), _CELLS), np.nan, np.float32)

    @property
    def mean(self) -> np.ndarray | None:
        """(A,), or None before anything was seen."""
        return self._mean.ravel() if self._count.any() else None

    def add(self, descriptor: np.ndarray | None) -> None:
        self.frames += 1
        if descriptor is None:
            return
        new = descriptor.reshape(len(_PARTS), _CELLS)
        seen = ~np.isnan(new[:, 0])
        self._count[seen] = np.minimum(self._count[seen] + 1, self.memory)
        old = np.where(np.isnan(self._mean[seen]), new[seen], self._mean[seen])
        self._mean[seen] = old + (new[seen] - old) / self._count[seen, None]


def _trunk_points(corners: np.ndarray) -> np.ndarray:
    """A grid between shoulders and hips (4, 2), away from their rim, (64, 2); NaN when a corner is unseen."""
    left_shoulder, right_shoulder, left_hip, right_hip = corners
    top = left_shoulder + _TRUNK_GRID[0] * (right_shoulder - left_shoulder)
    bottom = left_hip + _TRUNK_GRID[0] * (right_hip - left_hip)
    long_enough = np.hypot(*(bottom - top).mean(axis=0)) >= _MIN_LENGTH  # not when NaN
    return top + _TRUNK_GRID[1] * (bottom - top) if long_enough else np.full_like(top, np.nan)


def _limb_points(start: np.ndarray, end: np.ndarray, width: float) -> np.ndarray:
    """Points along limbs (2, 2) -> (2, 2), within ``width`` lengths of their axes, (48, 2); NaN for an unseen limb."""
    axis = (end - start)[:, None]  # (2, 1, 2)
    aside = np.stack([-axis[..., 1], axis[..., 0]], axis=-1) * width
    points = start[:, None] + _LIMB_GRID[0] * axis + _LIMB_GRID[1] * aside
    points[np.hypot(*(end - start).T) < _MIN_LENGTH] = np.nan
    return points.reshape(-1, 2)


def _cell_weights(image: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each point's weights in the cells of a*, b* and L*, (n, cells) each; zero where it is not in the image."""
    import cv2

    height, width = image.shape[:2]
    inside = np.all((points >= 0) & (points < (width, height)), axis=1)  # not when NaN
    x, y = np.where(inside[:, None], points, 0).astype(np.int32).T
    lab = cv2.cvtColor(image[y, x][None], cv2.COLOR_RGB2LAB)[0].astype(np.float32)  # (n, 3); 8 bit: a, b around 128
    # A surface in less light has less of everything; dividing by the lightness leaves its own colour.
    chroma = 0.5 + (lab[:, 1:] - 128) / (lab[:, :1] + _DARK) / (2 * _STRONG)
    a, b, light = _soft(chroma[:, 0], _CHROMA), _soft(chroma[:, 1], _CHROMA), _soft(lab[:, 0] / 255, _LIGHT)
    return a * inside[:, None], b * inside[:, None], light * inside[:, None]


def _histogram(a: np.ndarray, b: np.ndarray, light: np.ndarray) -> np.ndarray:
    """One part's points -> its chroma and lightness cells, (cells,); NaN when fewer than a third were seen."""
    count = light.sum()
    if count < len(light) / 3:
        return np.full(_CELLS, np.nan, np.float32)
    return np.concatenate([(a.T @ b).ravel(), light.sum(axis=0)]) / count


def _soft(values: np.ndarray, cells: int) -> np.ndarray:
    """Values in [0, 1] (n,) -> weights of the two nearest cells, (n, cells), each row summing to 1."""
    place = np.clip(values, 0, 1) * (cells - 1)
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(cells, dtype=np.float32)))
