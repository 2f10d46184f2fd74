"""Contact sheets: stick figures of an exercise at several moments from two views, to see at a glance what a file means.

python -m kinetag.exercises.sheet squat push_up --out sheet.png --people 4
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kinetag.exercises.kinematics import JOINT
from kinetag.exercises.library import load_library
from kinetag.exercises.motion import Motion, generate_batch

_SIDES = ("left", "right")
_BONES = [("pelvis", "chest"), ("chest", "neck"), ("neck", "head"), ("head", "nose")]
_BONES += [(f"{s}_{a}", f"{s}_{b}") for s in _SIDES for a, b in (
    ("shoulder", "elbow"), ("elbow", "wrist"), ("wrist", "hand"), ("hip", "knee"), ("knee", "ankle"),
    ("ankle", "heel"), ("heel", "foot_index"), ("ankle", "foot_index"))]  # fmt: skip
_BONES += [("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")]
_COLORS = {"left": (40, 90, 220), "right": (210, 60, 40)}
_VIEWS = (75.0, 20.0)  # degrees: nearly from the side, nearly from the front
_CELL, _CAPTION = 150, 18  # pixels: of a panel's sides, of the strip with the name above a row


def draw_sheet(motions: Sequence[Motion], moments: int = 6, cell: int = _CELL) -> np.ndarray:
    """One row a motion, RGB uint8: its name, and ``moments`` evenly spread over one repetition (or all of it), from two
    views."""
    rows = [_row(motion, moments, cell) for motion in motions]
    return np.concatenate(rows, axis=0)


def _row(motion: Motion, moments: int, cell: int) -> np.ndarray:
    import cv2

    start, end = (motion.repetitions[0][0], motion.repetitions[0][2]) if motion.repetitions else (0, motion.times[-1])
    at = np.searchsorted(motion.times, np.linspace(max(start, 0), end, moments)).clip(0, len(motion.times) - 1)
    views = [_view(motion.joints[at], azimuth, cell) for azimuth in _VIEWS]
    row = np.concatenate([panel for view in views for panel in view], axis=1)
    strip = np.full((_CAPTION, row.shape[1], 3), 235, np.uint8)
    words = f"{motion.label} {motion.variant}"
    cv2.putText(strip, words, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([strip, row])


def _view(joints: np.ndarray, azimuth: float, cell: int) -> list[np.ndarray]:
    """Panels (cell, cell, 3) of each moment of joints (M, 25, 3), all at the same scale."""
    turn = np.deg2rad(azimuth)
    across = joints[..., 0] * np.cos(turn) - joints[..., 2] * np.sin(turn)
    if np.ptp(across) > 2.5:  # who travels is followed
        across = across - across[:, JOINT["pelvis"], None]
    points = np.stack([across, joints[..., 1]], -1)
    low, high = points.min(axis=(0, 1)), points.max(axis=(0, 1))
    low[1] = min(low[1], 0)
    scale = 0.86 * cell / max(*(high - low), 0.5)
    middle = (low + high) / 2
    floor = round((middle[1]) * scale + cell / 2)
    return [_panel((p - middle) * scale * (1, -1) + cell / 2, floor, cell) for p in points]


def _panel(points: np.ndarray, floor: int, cell: int) -> np.ndarray:
    import cv2

    image = np.full((cell, cell, 3), 255, np.uint8)
    cv2.line(image, (0, floor), (cell, floor), (190, 190, 190), 1)
    for a, b in _BONES:
        color = next((c for side, c in _COLORS.items() if b.startswith(side) and a.startswith(side)), (60, 60, 60))
        cv2.line(image, _pixel(points, a), _pixel(points, b), color, 2, cv2.LINE_AA, 4)
    size = float(np.linalg.norm(points[JOINT["neck"]] - points[JOINT["chest"]]))
    cv2.circle(image, _pixel(points, "head"), round(size * 0.32 * 16), (60, 60, 60), 2, cv2.LINE_AA, 4)
    return image


def _pixel(points: np.ndarray, joint: str) -> tuple[int, int]:
    """In sixteenths of a pixel."""
    x, y = points[JOINT[joint]]
    return round(float(x) * 16), round(float(y) * 16)


def main(arguments: Sequence[str] | None = None) -> None:
    import cv2

    parser = argparse.ArgumentParser(prog="python -m kinetag.exercises.sheet", description=__doc__)
    parser.add_argument("exercises", nargs="+", help="names of exercises, or 'other'")
    parser.add_argument("--out", type=Path, default=Path("sheet.png"))
    parser.add_argument("--people", type=int, default=4, help="rows an exercise")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--variant", help="only this one")
    parser.add_argument("--library", type=Path, action="append", default=[], help="exercise files or folders of yours")
    args = parser.parse_args(arguments)
    library, motions = load_library(args.library), []
    for name in args.exercises:
        rng = np.random.default_rng(args.seed)
        exercise = library.get(name) or name
        motions += generate_batch(exercise, rng, args.people, duration=8, variant=args.variant)
    cv2.imwrite(str(args.out), draw_sheet(motions)[..., ::-1])


if __name__ == "__main__":
    main()
