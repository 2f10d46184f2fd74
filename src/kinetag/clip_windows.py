"""From one person's poses to windows that a network trained on clips takes, made as its training clips were."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from kinetag.datasets.batches import network_clip
from kinetag.errors import KinetagError
from kinetag.models.card import ModelCard
from kinetag.sequence import PoseSequence
from kinetag.skeletons import convert, get_layout

MAX_GAP = 1.5  # seconds without a pose that end a stretch; the decoder ends segments there too
_LEAST = 0.5  # seconds of poses that a window needs
_KNOWN = 0.5  # share of the network's joints that the poses must be able to give


@dataclass(frozen=True)
class ClipWindows:
    """Windows at ``times`` (W,) seconds, their centres; window i holds ``clips[which[i]]``, clips (U, C, T, V, M)."""

    times: np.ndarray
    which: np.ndarray
    clips: np.ndarray


def clip_windows(sequence: PoseSequence, card: ModelCard, *, hop: float, size: int = 32) -> Iterator[ClipWindows]:
    """Windows as long as the network's usual clips, one every ``hop`` seconds, up to ``size`` at a time.

    At the ends of a stretch of poses windows stay inside it and so hold the same clip, because the network has seen no
    clips that begin with nothing; a shorter stretch is one clip.

    Raises KinetagError when these poses cannot give what the network takes.
    """
    _check_joints(sequence.layout, card)
    if card.coordinates == "metres" and sequence.world is None:
        raise KinetagError(
            "the classifier takes points in space (coordinates 'metres'), which these poses do not have: "
            "use --pose blazepose, or a classifier that was trained on coordinates 'body'"
        )
    for stretch in _stretches(sequence):
        centres, firsts, clip_at = _plan(stretch, card, hop)
        for at in range(0, len(centres), size):
            unique, which = np.unique(firsts[at : at + size], return_inverse=True)
            clips = np.stack([clip_at(int(first)) for first in unique])
            yield ClipWindows(centres[at : at + size], which, clips)


def _plan(
    stretch: PoseSequence, card: ModelCard, hop: float
) -> tuple[np.ndarray, np.ndarray, Callable[[int], np.ndarray]]:
    """Of the windows with enough poses: centres (W,) in seconds, first frames (W,), and the clip of a first frame."""
    from kinetag.datasets.coordinates import normalise, stack
    from kinetag.datasets.poses import uniform

    length = card.length or card.window
    assert length is not None
    assert card.rate is not None
    grid, points, confidence = uniform(stretch.to_layout(card.layout), card.coordinates, card.rate, "the poses")
    centres = np.arange(0, len(grid), max(1, round(hop * card.rate)))
    firsts = np.clip(centres - length // 2, 0, max(len(grid) - length, 0))
    before = np.concatenate([[0], np.cumsum(np.any(confidence > 0, axis=1))])  # poses before each frame
    enough = before[np.minimum(firsts + length, len(grid))] - before[firsts] >= _LEAST * card.rate

    def clip_at(first: int) -> np.ndarray:
        rows = slice(first, first + length)
        numbers = normalise(points[rows], confidence[rows], card.coordinates, stretch.frame_size)
        clip = stack(numbers, confidence[rows], card.channels)  # (C, T, V, 1)
        return network_clip(np.pad(clip, ((0, 0), (0, 0), (0, 0), (0, card.people - 1))), card)

    return grid[centres[enough]], firsts[enough], clip_at


def _stretches(sequence: PoseSequence) -> Iterator[PoseSequence]:
    """The parts of a sequence between holes."""
    breaks = np.flatnonzero(np.diff(sequence.times) > MAX_GAP) + 1
    for rows in np.split(np.arange(len(sequence)), breaks):
        if len(rows) > 1:
            yield sequence.rows(slice(int(rows[0]), int(rows[-1]) + 1))


def _check_joints(layout: str, card: ModelCard) -> None:
    """The poses must be able to give at least half of the network's joints."""
    joints = get_layout(layout).joints
    _, known = convert(np.zeros((len(joints), 2)), np.ones(len(joints)), layout, card.layout)
    if known.mean() < _KNOWN:
        raise KinetagError(
            f"the classifier was trained on {len(known)} joints of layout '{card.layout}', of which poses in layout "
            f"'{layout}' give only {int(known.sum())}: train it on model.graph_layout={layout}"
        )
