"""From one person's poses to class probabilities over time; needs onnxruntime only."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from kinetag.errors import KinetagError
from kinetag.features import CHANNELS, HOP, LAYOUT, RATE, WINDOW, mirror, window_batches
from kinetag.metrics import log_softmax, softmax
from kinetag.models.card import ModelCard
from kinetag.moments import at_times
from kinetag.network_reps import Progress
from kinetag.sequence import PoseSequence
from kinetag.timeline import OTHER

_WEIGHTS = Path(__file__).parent / "weights"
DEFAULT_MODEL = _WEIGHTS / "exercise_classifier.onnx"
SHIPPED = {  # others, by name; docs/classifier.md tells what they are better at
    "int8": _WEIGHTS / "exercise_classifier_int8.onnx",
    "therapy": _WEIGHTS / "therapy_classifier.onnx",
}
_MIDDLE = 2  # frames on either side of a window's centre that say what is done there: a third of a second
_STEPS = 10  # windows in the time of one, at most, of networks that were trained on clips
_BESIDE = 0.05  # how much of a window's word on its middle its word on its ends counts
_LONG_STEPS = 12  # long windows in the time of one


class Classifier:
    """Says for each moment of a PoseSequence how probable each exercise is, with 'other' for none of them.

    >>> classifier = Classifier.load()
    >>> times, probabilities = classifier.predict(sequence)  # (W,), (W, K)
    >>> classifier.labels[probabilities[0].argmax()]

    Two kinds of file serve: the shipped one, which takes windows of `kinetag.features`, and what `kinetag export`
    writes, which takes clips of any layout, rate and coordinates. The file's card tells which.
    """

    def __init__(self, session, card: ModelCard, fingerprint: str = "", rows: Sequence[int] | None = None) -> None:
        self.session = session  # onnxruntime.InferenceSession
        self.card = card
        self.fingerprint = fingerprint  # of the file's content: what was learned with it fits no other
        self.rows = list(range(len(card.labels)) if rows is None else rows)  # of the network's answer, by label

    @classmethod
    def load(cls, path: str | Path | None = None) -> "Classifier":
        """Open a classifier's ONNX file, or a shipped one: by its name in SHIPPED, or the default.

        Raises KinetagError for a file that is not there, is no ONNX, lacks kinetag's metadata, or wants another input.
        """
        from kinetag.encryption import read_file
        from kinetag.models.onnx_file import card_in, check_inputs, open_session

        path = DEFAULT_MODEL if path is None else SHIPPED.get(str(path), Path(path))
        if not path.is_file():
            known = ", ".join(f"'{name}'" for name in SHIPPED)
            raise KinetagError(
                f"no classifier at {path}; give the path of an ONNX file that `kinetag export` wrote, or {known}"
            )
        if path.suffix.lower() in (".safetensors", ".pth", ".ckpt"):
            raise KinetagError(f"{path} is a checkpoint: export it first (kinetag export export.checkpoint={path})")
        data = read_file(path, os.environ.get("KINETAG_ENCRYPTION_KEY"))
        # One thread: windows are cheap, and the pose networks need the other cores.
        session = open_session(data, str(path))
        card = card_in(session, str(path))
        if card.kind == "windows" and (card.layout != LAYOUT or card.channels != CHANNELS):
            raise KinetagError(
                f"{path} wants layout '{card.layout}' with channels {', '.join(card.channels)}, but this version of "
                f"kinetag gives '{LAYOUT}' with {', '.join(CHANNELS)}; train it again"
            )
        if reason := card.why_not_live():
            raise KinetagError(f"{path} cannot classify poses: {reason}")
        check_inputs(session, card, str(path))
        return cls(session, card, hashlib.sha256(data).hexdigest()[:32])

    @property
    def labels(self) -> tuple[str, ...]:
        return self.card.labels

    def only(self, labels: Sequence[str]) -> "Classifier":
        """The same, choosing among these labels (and 'other') alone: who knows what can come is told more surely."""
        kept = [i for i, label in enumerate(self.labels) if label in labels or label == OTHER]
        card = replace(self.card, labels=tuple(self.labels[i] for i in kept))
        return Classifier(self.session, card, self.fingerprint, [self.rows[i] for i in kept])

    def predict(
        self, sequence: PoseSequence, *, hop: float = HOP, average_mirror: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Window centres (W,) in seconds and calibrated class probabilities (W, K), each row summing to 1.

        A window every ``hop`` seconds. Stretches without any pose have no windows, so the times may have holes; a
        sequence shorter than half a second may have none at all. ``average_mirror`` averages with the mirrored window:
        twice the work for slightly steadier answers.

        What takes longer than a window is seen in pieces that look like something else: twelve seconds of a clean and
        jerk are a squat, a pause and a lunge. The card's ``slow`` names such exercises. The network learned them from
        quick repetitions, so it also sees the sequence as if it were quicker, in windows as long as a slow repetition,
        and is believed where it recognises one of them there.
        """
        times, probabilities = self._answers(sequence, hop, average_mirror)
        for label, seconds in self.card.slow.items():
            if label in self.labels and sequence.duration > self.card.seconds:
                quicker = seconds / self.card.seconds
                sped = replace(sequence, times=(sequence.times - sequence.times[0]) / quicker, cuts=())
                at, long = self._answers(sped, self.card.seconds / _LONG_STEPS, average_mirror)
                column = self.labels.index(label)
                centres = sequence.times[0] + at * quicker
                probabilities = with_long(
                    times, probabilities, column, centres, long[:, column], reach=seconds / _LONG_STEPS
                )
        return times, probabilities

    def frames(self, sequence: PoseSequence) -> tuple[np.ndarray, np.ndarray]:
        """Times of the sequence's poses (F,) in seconds, and class probabilities (F, K) at each of them.

        They are those of `predict`, shot by shot, between whose windows they change evenly. Where nothing can be said,
        as of a sequence shorter than half a second, rows are NaN.
        """
        answers = [self.predict(sequence.rows(shot)) for shot in sequence.shots()] or [self.predict(sequence)]
        centres, probabilities = (np.concatenate(arrays) for arrays in zip(*answers, strict=True))
        return sequence.times, at_times(sequence.times, centres, probabilities, sequence.cuts)

    def _answers(self, sequence: PoseSequence, hop: float, average_mirror: bool) -> tuple[np.ndarray, np.ndarray]:
        """Centres (W,) and calibrated probabilities (W, K) of windows of the usual length."""
        inputs = self._windows if self.card.kind == "windows" else self._clips
        times, rows = [], []
        for at, logits in inputs(sequence, hop, average_mirror):
            times.append(at)
            rows.append(self.calibrated(logits))
        if not times:
            return np.zeros(0), np.zeros((0, len(self.labels)), np.float32)
        return np.concatenate(times), np.concatenate(rows)

    def progress(self, sequence: PoseSequence, *, hop: float = 0.5) -> Progress | None:
        """How far each moment of a sequence is from rest to the turning point of a repetition, for `count_repetitions`.

        The mean of a window every ``hop`` seconds, of which each is surest in its middle. None from a file whose
        network does not tell.
        """
        from kinetag.models.onnx_file import PROGRESS

        if self.card.kind != "windows" or not self._gives(PROGRESS):
            return None
        rate, length = self.card.rate or RATE, self.card.window or WINDOW
        weight = np.hanning(length + 2)[1:-1] + _BESIDE
        times, values = [np.zeros(0)], [np.zeros(0)]
        for shot in sequence.shots():
            part = sequence.rows(shot)
            count = int(part.duration * rate + 1e-6) + 1
            total, share = np.zeros((2, count + 2 * length))
            for cut in window_batches(part, hop=hop, rate=rate, length=length):
                said = self.session.run([PROGRESS], {"features": cut.features, "mask": cut.mask})[0]  # (W, T)
                firsts = np.round((cut.times - part.times[0]) * rate).astype(int) - length // 2 + length
                for first, row, seen in zip(firsts, said, cut.mask, strict=True):
                    total[first : first + length] += weight * seen * row
                    share[first : first + length] += weight * seen
            inside = slice(length, length + count)
            with np.errstate(invalid="ignore"):
                values.append(total[inside] / share[inside])  # NaN where no window has a pose
            times.append(part.times[0] + np.arange(count) / rate)
        return Progress(np.concatenate(times), np.concatenate(values))

    def embed(self, sequence: PoseSequence, *, hop: float = HOP) -> tuple[np.ndarray, np.ndarray]:
        """Window centres (W,) in seconds, those of `predict`, and what the last layer decides by, (W, D).

        Raises KinetagError for a file without that output.
        """
        width = self.embedding_width
        times, rows = [np.zeros(0)], [np.zeros((0, width), np.float32)]
        for cut in window_batches(sequence, hop=hop, rate=self.card.rate or RATE, length=self.card.window or WINDOW):
            times.append(cut.times)
            rows.append(self.embeddings(cut.features, cut.mask))
        return np.concatenate(times), np.concatenate(rows)

    @property
    def embedding_width(self) -> int:
        """D of the embedding; raises KinetagError for a file that gives none."""
        from kinetag.models.onnx_file import EMBEDDING

        found = [output for output in self.session.get_outputs() if output.name == EMBEDDING]
        if self.card.kind != "windows" or not found or not isinstance(found[0].shape[-1], int):
            raise KinetagError(
                "this classifier has no embedding, which teaching needs (its file has no output 'embedding'): use the "
                "one that came with kinetag, or one that python -m kinetag.training wrote"
            )
        return found[0].shape[-1]

    def embeddings(self, features: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The embedding (W, D) of windows (W, T, V, C) with mask (W, T)."""
        from kinetag.models.onnx_file import EMBEDDING

        return self.session.run([EMBEDDING], {"features": features, "mask": mask})[0]

    def way(self, sequence: PoseSequence, label: str, *, hop: float = 1.0) -> tuple[str, float]:
        """In which way an exercise is done all through ``sequence``, and how probable that is among all its ways.

        ('', 0.0) where the classifier does not tell ways apart, or nothing was seen.
        """
        from kinetag.models.onnx_file import VARIANTS

        rows = [row for row, (name, _) in enumerate(self.card.variants) if name == label]
        if not rows or not self._gives(VARIANTS):
            return "", 0.0
        total, count = np.zeros(len(rows)), 0
        for cut in window_batches(sequence, hop=hop, rate=self.card.rate or RATE, length=self.card.window or WINDOW):
            logits = self.session.run([VARIANTS], {"features": cut.features, "mask": cut.mask})[0][:, rows]
            total, count = total + softmax(logits.astype(np.float64)).sum(axis=0), count + len(logits)
        best = int(total.argmax())
        return (self.card.variants[rows[best]][1], float(total[best] / count)) if count else ("", 0.0)

    def _gives(self, output: str) -> bool:
        """Whether the network has that answer."""
        return output in {found.name for found in self.session.get_outputs()}

    def _windows(self, sequence: PoseSequence, hop: float, both: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Times (W,) and logits (W, K) of windows of kinetag's own features."""
        assert self.card.rate is not None
        assert self.card.window is not None
        for cut in window_batches(sequence, hop=hop, rate=self.card.rate, length=self.card.window):
            logits = self.logits(cut.features, cut.mask)
            if both:
                logits = (logits + self.logits(mirror(cut.features), cut.mask)) / 2
            yield cut.times, logits

    def _clips(self, sequence: PoseSequence, hop: float, both: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Times (W,) and logits (W, K) of clips as the network was trained on."""
        from kinetag.clip_windows import clip_windows
        from kinetag.datasets.augment import mirrored
        from kinetag.datasets.batches import sampling_of
        from kinetag.models.onnx_export import INPUT

        # A long window hardly changes within a quarter of a second, and such networks are slower than the shipped one.
        hop = max(hop, self.card.seconds / _STEPS)
        for cut in clip_windows(sequence, self.card, hop=hop):
            logits = self.session.run(None, {INPUT: cut.clips})[0]
            if both:
                other = np.stack([mirrored(clip, sampling_of(self.card)) for clip in cut.clips])
                logits = (logits + self.session.run(None, {INPUT: other.astype(np.float32)})[0]) / 2
            yield cut.times, logits[cut.which]

    def logits(self, features: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The network's raw answer (W, K) to windows (W, T, V, C) and mask (W, T)."""
        weight = self.card.frame_weight
        if not weight:
            return self.session.run(["logits"], {"features": features, "mask": mask})[0]
        whole, frames = self.session.run(["logits", "frames"], {"features": features, "mask": mask})
        middle = slice(frames.shape[1] // 2 - _MIDDLE, frames.shape[1] // 2 + _MIDDLE)
        return (1 - weight) * log_softmax(whole) + weight * log_softmax(frames[:, middle]).mean(axis=1)

    def calibrated(self, logits: np.ndarray) -> np.ndarray:
        """Probabilities by temperature scaling (Guo et al., ICML 2017), with how likely classes are beforehand, beside
        what the network learned of that (Saerens et al., Neural Computation 2002), and a bias for 'other'."""
        logits = logits[:, self.rows] + np.array([self.card.prior.get(label, 0.0) for label in self.labels])
        if OTHER in self.labels:
            logits[:, self.labels.index(OTHER)] += self.card.other_bias
        return softmax(logits / self.card.temperature).astype(np.float32)


def with_long(
    times: np.ndarray, probabilities: np.ndarray, column: int, centres: np.ndarray, long: np.ndarray, *, reach: float
) -> np.ndarray:
    """Probabilities (W, K) in which class ``column`` is at least as probable as longer windows say.

    ``long`` (L,) is its probability in those, and ``centres`` (L,) are theirs: a long window speaks for its centre
    alone, since it also sees what comes before and after: farther than ``reach`` seconds from any, nothing is said.
    The other classes keep their proportions; rows sum to 1.
    """
    if not len(centres):
        return probabilities
    far = np.abs(centres - times[:, None]).min(axis=1) > reach
    said = np.where(far, 0.0, np.interp(times, centres, long))
    own = probabilities[:, column]
    raised = np.maximum(own, said)
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = np.where(own < 1, (1 - raised) / (1 - own), 1)
    changed = probabilities * kept[:, None]
    changed[:, column] = raised
    return changed.astype(np.float32)
