"""From clips to what a trained network takes: the right length, in batches.

Evaluation, inference, calibration and the classifier of `kinetag analyze` all come through `network_clip`, so that a
network is always shown clips the way it was validated with.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kinetag.datasets.clips import Clips, true_length
from kinetag.errors import KinetagError
from kinetag.models.card import ModelCard
from kinetag.progress import Progress, silent

if TYPE_CHECKING:
    from kinetag.datasets.augment import Sampling
    from kinetag.spec import Spec

Change = Callable[[np.ndarray, int], np.ndarray]  # (clip (C, T, V, M), its number) -> the clip, with something hidden


def load_for(
    card: ModelCard,
    spec: "Spec",
    source: Any,
    *,
    section: str,
    role: str,
    need_labels: bool,
    progress: Progress = silent,
) -> tuple[Clips, list[str]]:
    """The clips of a dataset source in the form that a model takes, and what is doubtful about them.

    ``section`` is the source's key in the spec, for messages; ``role`` as in `kinetag.datasets.load_clips`. What the
    spec leaves open about the data (rate, coordinates, length of windows) is read as the model needs it.

    Raises KinetagError where clips and model cannot belong together.
    """
    from kinetag.datasets import load_clips

    if not source.data_path:
        raise KinetagError(f"{section}.data_path is empty: name the array, folder or file that holds the clips")
    model = spec.model.model_copy(update={"graph_layout": card.layout, "input_channels": len(card.channels)})
    clips = load_clips(
        source,
        _as_trained(spec, card),
        model,
        role=role,
        need_labels=need_labels,
        class_names=card.labels,
        progress=progress,
    )
    if "array" not in (clips.coordinates, card.coordinates) and clips.coordinates != card.coordinates:
        raise KinetagError(
            f"{clips.source} is in coordinates '{clips.coordinates}', but the model was trained on "
            f"'{card.coordinates}': set dataset.coordinates={card.coordinates} if the data can give them"
        )
    notes = list(clips.warnings)
    if clips.channels != card.channels:
        notes.append(f"the clips have channels {', '.join(clips.channels)}, the model {', '.join(card.channels)}")
    if clips.rate and card.rate and abs(clips.rate / card.rate - 1) > 0.02:
        notes.append(f"the clips have {clips.rate:g} frames a second, the model was trained on {card.rate:g}")
    return clips, notes


def _as_trained(spec: "Spec", card: ModelCard) -> Any:
    """The dataset section, with what the user did not write as the model was trained."""
    length = card.length or card.window
    wanted = {
        "rate": card.rate,
        "coordinates": None if card.coordinates in ("", "array") else card.coordinates,
        "window_size": length,
    }
    open_keys = {key: value for key, value in wanted.items() if value and f"dataset.{key}" not in spec.explicit}
    return spec.dataset.model_copy(update=open_keys)


def network_clip(clip: np.ndarray, card: ModelCard) -> np.ndarray:
    """One clip (C, T, V, M) at the length that the network was validated with, (C, T', V, M)."""
    from kinetag.datasets.augment import sample_clip

    clip = sample_clip(clip, sampling_of(card), np.random.default_rng(0), training=False)
    return clip if card.any_length or card.window is None else clip[:, : card.window]


def sampling_of(card: ModelCard) -> "Sampling":
    """How clips become what this network sees."""
    from kinetag.datasets.augment import Sampling

    return Sampling(card.layout, card.channels, recipe=card.recipe or "tao", window_size=card.window or -1)


def batches(
    clips: Clips, card: ModelCard, size: int, *, change: Change | None = None, chosen: Sequence[int] | None = None
) -> Iterator[np.ndarray]:
    """Clips as batches (N, C, T, V, M) of up to ``size`` in their order; clips of unequal length never share one."""
    waiting: list[np.ndarray] = []
    for i in range(len(clips)) if chosen is None else chosen:
        clip = clips.arrays[i]
        clip = network_clip(clip if change is None else change(clip, i), card)
        if waiting and (len(waiting) == size or clip.shape != waiting[0].shape):
            yield np.stack(waiting)
            waiting = []
        waiting.append(clip)
    if waiting:
        yield np.stack(waiting)


def usual_length(clips: Clips, at_most: int = 500) -> int:
    """Median number of frames that are not padding."""
    if clips.lengths is not None:
        return max(1, int(np.median(clips.lengths)))
    some = np.linspace(0, len(clips) - 1, min(len(clips), at_most)).astype(int)
    return max(1, int(np.median([true_length(clips.arrays[i]) for i in some])))


def counted(items: Iterable[np.ndarray], report: Callable[[int], None]) -> Iterator[np.ndarray]:
    """The same batches, telling ``report`` how many clips have gone by."""
    done = 0
    for item in items:
        yield item
        done += len(item)
        report(done)
