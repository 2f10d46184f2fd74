"""What a classifier file says of itself: everything needed to use it rightly, as JSON in the ONNX file's metadata."""

import json
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from kinetag.errors import KinetagError
from kinetag.features import CHANNELS, LAYOUT, RATE, WINDOW

if TYPE_CHECKING:
    from kinetag.checkpoint import CheckpointHeader

METADATA_KEY = "kinetag"  # the metadata entry, one JSON object
_SLOWEST = 60.0  # seconds of a repetition
_LIKELIEST = 20.0  # nats: more is certainty


@dataclass(frozen=True)
class ModelCard:
    """What a network takes and what its answers mean.

    ``kind`` is what goes in. 'windows': features (N, T, V, C) and mask (N, T) of `kinetag.features`, the shipped
    classifier. 'clips': input (N, C, T, V, M), a network that was trained from a spec; then ``coordinates`` says how
    its numbers were made (see `kinetag.datasets.clips.Clips`), ``length`` how many frames at ``rate`` a usual clip
    has (None: unknown), ``recipe`` how these become the ``window`` frames of the network (None: the clip's own
    length; see `kinetag.datasets.augment.sample_clip`), and ``people`` how many persons a clip holds.

    ``window`` and ``length`` are frames, ``rate`` frames a second (None: unknown). Probabilities are
    softmax((logits + prior + other_bias for 'other') / temperature); ``prior``: nats by which labels are likelier, or
    less likely, than the network learned. ``frame_weight``: how much the answer for the middle
    frames counts beside that for the window, in a network that gives both; more follows changes faster. ``variants``
    are the (label, way of doing it) that the output of that name tells apart, and ``families`` the kind of exercise
    that labels belong to, where known. ``slow``: labels of which one repetition can take much longer than a window, and
    how many seconds it may take; see `Classifier.predict`.
    """

    labels: tuple[str, ...]
    layout: str = LAYOUT
    window: int | None = WINDOW
    rate: float | None = RATE
    channels: tuple[str, ...] = CHANNELS
    temperature: float = 1.0
    other_bias: float = 0.0
    version: str = "1"
    data: str = ""
    licence: str = ""
    training: dict[str, Any] = field(default_factory=dict)
    kind: str = "windows"
    coordinates: str = ""
    length: int | None = None
    people: int = 1
    any_length: bool = True
    precision: str = "fp32"
    model_type: str = ""
    strategy: str = ""
    recipe: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    frame_weight: float = 0.0
    variants: tuple[tuple[str, str], ...] = ()
    families: dict[str, str] = field(default_factory=dict)
    slow: dict[str, float] = field(default_factory=dict)
    prior: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "variants", tuple((str(label), str(way)) for label, way in self.variants))
        object.__setattr__(self, "labels", tuple(str(label) for label in self.labels))
        object.__setattr__(self, "channels", tuple(self.channels))

    @property
    def seconds(self) -> float:
        """How much time a usual clip covers; 0 where that is not known."""
        frames = self.length or self.window
        return frames / self.rate if frames and self.rate else 0.0

    def why_not_live(self) -> str:
        """Why poses that kinetag makes cannot be shown to this network; '' when they can."""
        if self.kind == "windows":
            return ""
        if self.coordinates in ("", "array"):
            return (
                "it was trained on arrays that do not say how their coordinates were made: set dataset.coordinates "
                "(pixels, frame, body, metres) in the spec and export it again"
            )
        if self.coordinates == "pelvis3d":
            return (
                "it was trained on DeepStream's 3D poses (coordinates 'pelvis3d'), which kinetag's pose estimation "
                "does not give: use `kinetag inference` on DeepStream's files, or train on metres or body"
            )
        if self.rate is None:
            return (
                "it does not say how many frames a second it was trained on: set dataset.rate in the spec and export "
                "it again"
            )
        if self.window is None and self.length is None:
            return (
                "it does not say how long its clips were: set dataset.val_dataset or dataset.window_size in the spec "
                "and export it again"
            )
        axes = ("x", "y", "z") if self.coordinates == "metres" else ("x", "y")
        if self.channels not in (axes, (*axes, "confidence")):
            return (
                f"it takes the channels {', '.join(self.channels)}, and poses in coordinates '{self.coordinates}' have "
                f"{', '.join(axes)} and perhaps confidence: train it again"
            )
        return ""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_metadata(cls, metadata: dict[str, str], name: Any) -> "ModelCard":
        """Read the card from an ONNX file's metadata; a file without one raises a KinetagError."""
        if METADATA_KEY not in metadata:
            raise KinetagError(
                f"{name} is an ONNX file without kinetag's metadata (labels, layout, window, rate); "
                "write it with `kinetag export`, or give the classifier that came with kinetag"
            )
        try:
            values = json.loads(metadata[METADATA_KEY])
            known: dict[str, Any] = {f.name: values[f.name] for f in fields(cls) if f.name in values}
            card = cls(**known)
            card._check()
            return card
        except (ValueError, KeyError, TypeError) as error:
            raise KinetagError(f"the kinetag metadata of {name} cannot be read ({error!r}); export it again") from None

    def _check(self) -> None:
        if self.kind not in ("windows", "clips"):
            raise ValueError(f"unknown kind {self.kind!r}: a newer kinetag wrote it")
        needed = (self.window, self.rate) if self.kind == "windows" else ()
        given = [value for value in (self.window, self.rate, self.length) if value is not None]
        if None in needed or not all(value > 0 for value in (self.temperature, self.people, *given)):
            raise ValueError("temperature, rate, window, length and people must be positive")
        if not self.labels:
            raise ValueError("no labels")
        if not isinstance(self.prior, dict) or not all(abs(nats) <= _LIKELIEST for nats in self.prior.values()):
            raise ValueError(f"prior must map labels to nats, {_LIKELIEST:g} at most")
        if not isinstance(self.slow, dict):
            raise ValueError("slow must map labels to seconds")
        if not all(self.seconds < seconds <= _SLOWEST for seconds in self.slow.values()):
            raise ValueError(f"slow must be more than a window of {self.seconds:g} s and at most {_SLOWEST:g} s")


def card_of(header: "CheckpointHeader", **known: Any) -> ModelCard:
    """The card of a checkpoint; ``known`` adds or replaces fields, such as ``length`` or ``precision``."""
    values: dict[str, Any] = {
        "kind": "clips",
        "labels": header.class_names,
        "layout": header.layout,
        "window": header.window,
        "rate": header.rate,
        "length": header.length,
        "channels": header.channels,
        "coordinates": header.coordinates,
        "model_type": header.model_type,
        "strategy": header.strategy,
        "recipe": header.recipe,
        "metrics": dict(header.metrics),
        "version": header.version or "1",
    }
    return ModelCard(**(values | known))
