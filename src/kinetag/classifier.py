"""From one person's poses to class probabilities over time; needs onnxruntime only."""

from pathlib import Path

import numpy as np

from kinetag.errors import KinetagError
from kinetag.features import CHANNELS, HOP, LAYOUT, mirror, window_batches
from kinetag.models.onnx_file import ModelCard
from kinetag.sequence import PoseSequence
from kinetag.timeline import OTHER

DEFAULT_MODEL = Path(__file__).parent / "weights" / "exercise_classifier.onnx"


class Classifier:
    """Says for each moment of a PoseSequence how probable each exercise is, with 'other' for none of them.

    >>> classifier = Classifier.load()
    >>> times, probabilities = classifier.predict(sequence)  # (W,), (W, K)
    >>> classifier.labels[probabilities[0].argmax()]
    """

    def __init__(self, session, card: ModelCard) -> None:  # session: onnxruntime.InferenceSession
        self.session = session
        self.card = card

    @classmethod
    def load(cls, path: str | Path | None = None) -> "Classifier":
        """Open a classifier's ONNX file, the shipped one by default.

        Raises KinetagError for a file that is not there, is no ONNX, lacks kinetag's metadata, or wants another input.
        """
        path = DEFAULT_MODEL if path is None else Path(path)
        if not path.is_file():
            raise KinetagError(f"no classifier at {path}; give the path of an ONNX file that kinetag.training wrote")
        session = _open(path)
        card = ModelCard.from_metadata(session.get_modelmeta().custom_metadata_map, path)
        if card.layout != LAYOUT or card.channels != CHANNELS:
            raise KinetagError(
                f"{path} wants layout '{card.layout}' with channels {', '.join(card.channels)}, but this version of "
                f"kinetag gives '{LAYOUT}' with {', '.join(CHANNELS)}; train it again"
            )
        return cls(session, card)

    @property
    def labels(self) -> tuple[str, ...]:
        return self.card.labels

    def predict(
        self, sequence: PoseSequence, *, hop: float = HOP, average_mirror: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Window centres (W,) in seconds and calibrated class probabilities (W, K), each row summing to 1.

        A window every ``hop`` seconds. Stretches without any pose have no windows, so the times may have holes; a
        sequence shorter than half a second may have none at all. ``average_mirror`` averages with the mirrored window:
        twice the work for slightly steadier answers.
        """
        times, rows = [], []
        for cut in window_batches(sequence, hop=hop, rate=self.card.rate, length=self.card.window):
            logits = self.logits(cut.features, cut.mask)
            if average_mirror:
                logits = (logits + self.logits(mirror(cut.features), cut.mask)) / 2
            times.append(cut.times)
            rows.append(self.calibrated(logits))
        if not times:
            return np.zeros(0), np.zeros((0, len(self.labels)), np.float32)
        return np.concatenate(times), np.concatenate(rows)

    def logits(self, features: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The network's raw answer (W, K) to windows (W, T, V, C) and mask (W, T)."""
        return self.session.run(None, {"features": features, "mask": mask})[0]

    def calibrated(self, logits: np.ndarray) -> np.ndarray:
        """Probabilities by temperature scaling (Guo et al., ICML 2017) with a bias for 'other'."""
        logits = logits.astype(np.float64)
        if OTHER in self.labels:
            logits[:, self.labels.index(OTHER)] += self.card.other_bias
        logits = logits / self.card.temperature
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)


def _open(path: Path):
    """An onnxruntime session on one thread: windows are cheap, and the pose networks need the other cores."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises many types of its own
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise KinetagError(f"{path} cannot be read as an ONNX file ({first})") from None
