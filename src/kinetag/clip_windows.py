"""From one person's poses to windows that a network trained on clips takes, made as its training clips were."""

from collections.abc import Iterator

import numpy as np

from kinetag.clip_batches import network_clip
from kinetag.errors import KinetagError
from kinetag.models.card import ModelCard
from kinetag.sequence import PoseSequence
from kinetag.skeletons import convert, get_layout

MAX_GAP = 1.5  # seconds without a pose that end a stretch; the decoder ends segments there too
_LEAST = 0.5  # seconds of poses that a window needs
_KNOWN = 0.5  # share of the network's joints that the poses must be able to give


def clip_windows(
    sequence: PoseSequence, card: ModelCard, *, hop: float, size: int = 32
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Window centres (W,) in seconds and clips (W, C, T, V, M), up to ``size`` at a time.

    A window is as long as the network's usual clips, one every ``hop`` seconds. At the ends of a stretch of poses
    windows stay inside it, because the network has seen no clips that begin with nothing; a shorter stretch is one
    clip.

    Raises KinetagError when these poses cannot give what the network takes.
    """
    _check_joints(sequence.layout, card)
    if card.coordinates == "metres" and sequence.world is None:
        raise KinetagError(
            "the classifier takes points in space (coordinates 'metres'), which these poses do not have: "
            "use --pose blazepose, or a classifier that was trained on coordinates 'body'"
        )
    times, clips = [], []
    for stretch in _stretches(sequence):
        for time, clip in _windows(stretch, card, hop):
            if clips and (len(clips) == size or clip.shape != clips[0].shape):
                yield np.array(times), np.stack(clips)
                times, clips = [], []
            times.append(time)
            clips.append(clip)
    if clips:
        yield np.array(times), np.stack(clips)


def _windows(stretch: PoseSequence, card: ModelCard, hop: float) -> Iterator[tuple[float, np.ndarray]]:
    from kinetag.datasets.coordinates import normalise, stack
    from kinetag.datasets.poses import uniform

    length = card.length or card.window
    assert length is not None
    assert card.rate is not None
    grid, points, confidence = uniform(stretch.to_layout(card.layout), card.coordinates, card.rate, "the poses")
    present = np.any(confidence > 0, axis=1)  # (T,)
    step = max(1, round(hop * card.rate))
    made: dict[int, np.ndarray] = {}  # at the ends neighbouring windows hold the same frames
    for centre in range(0, len(grid), step):
        first = min(max(centre - length // 2, 0), max(len(grid) - length, 0))
        if present[first : first + length].sum() < _LEAST * card.rate:
            continue
        if first not in made:
            rows = slice(first, first + length)
            numbers = normalise(points[rows], confidence[rows], card.coordinates, stretch.frame_size)
            clip = stack(numbers, confidence[rows], card.channels)  # (C, T, V, 1)
            clip = np.pad(clip, ((0, 0), (0, 0), (0, 0), (0, card.people - 1)))
            made = {first: network_clip(clip, card)}
        yield float(grid[centre]), made[first]


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
