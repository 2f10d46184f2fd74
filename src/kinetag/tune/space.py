"""What a search varies: for each option its range, when it matters, and what drawn values must keep.

A point of the space is a place in [0, 1] for each number and a choice for each enum. Samplers see nothing else, so that
logarithms, ranges that follow from other options, and options without effect are settled here alone.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kinetag.tune.conditions import Bound, holds, keys_of

Value = Any  # int, float, bool, str, or a list of them
Place = float | int  # in [0, 1], or the number of a choice
Draw = Callable[["Dimension", str], Place]  # (dimension, its name for the sampler) -> where to be

_TRIES = 64  # places beside a forbidden one that are looked at


@dataclass(frozen=True)
class Interval:
    """``low`` to ``high``, or one of ``options`` (``weights``: how often each is drawn at random)."""

    low: float = 0.0
    high: float = 1.0
    log: bool = False
    options: tuple[Value, ...] = ()
    weights: tuple[float, ...] = ()
    when: str = ""


@dataclass(frozen=True)
class Dimension:
    """One option of the search. ``intervals``: the first whose ``when`` holds is its range."""

    key: str
    kind: str  # "float", "int" or "choice"
    intervals: tuple[Interval, ...]
    start: Value  # the spec's own value
    conditions: tuple[str, ...] = ()
    bound: Bound | None = None
    depends_on: str = ""

    @property
    def looks_at(self) -> set[str]:
        """The options that must be known before this one can be drawn."""
        texts = (*self.conditions, *(interval.when for interval in self.intervals if interval.when))
        return {key for text in texts for key in keys_of(text)} | ({self.depends_on} if self.depends_on else set())

    def interval(self, look: Callable[[str], Value]) -> tuple[int, Interval] | None:
        """The range that applies and its number, or None where the option has no effect."""
        if not all(holds(condition, look) for condition in self.conditions):
            return None
        for number, interval in enumerate(self.intervals):
            if not interval.when or holds(interval.when, look):
                return number, interval
        return None


@dataclass(frozen=True)
class Space:
    """``dimensions`` in an order in which each comes after those that it looks at; ``fixed``: every other option."""

    dimensions: tuple[Dimension, ...]
    fixed: Mapping[str, Value] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()

    def values(self, draw: Draw) -> dict[str, Value]:
        """The options of a trial whose places ``draw`` chooses; those without effect are left out."""
        values: dict[str, Value] = {}

        def look(key: str) -> Value:
            return values[key] if key in values else self.fixed.get(key)

        for dimension in self.dimensions:
            found = dimension.interval(look)
            if found is not None:
                number, interval = found
                place = draw(dimension, name_of(dimension, number))
                values[dimension.key] = _value(dimension, interval, place, look)
        return values

    def places(self, values: Mapping[str, Value]) -> dict[str, Place]:
        """Where values lie, by the samplers' names: the inverse of `values`; what is out of range lies at its edge."""

        def look(key: str) -> Value:
            return values[key] if key in values else self.fixed.get(key)

        places: dict[str, Place] = {}
        for dimension in self.dimensions:
            found = dimension.interval(look)
            if found is not None and dimension.key in values:
                number, interval = found
                places[name_of(dimension, number)] = _place(dimension, interval, values[dimension.key], look)
        return places

    def contains(self, values: Mapping[str, Value]) -> bool:
        """Whether values lie in the ranges, as those of a spec need not where the user gave the ranges."""

        def look(key: str) -> Value:
            return values[key] if key in values else self.fixed.get(key)

        for dimension in self.dimensions:
            found = dimension.interval(look)
            if found is None or dimension.key not in values:
                continue
            interval, value = found[1], values[dimension.key]
            if dimension.kind == "choice":
                inside = _choice(interval, value) is not None
            else:
                inside = interval.low <= value <= interval.high
            if not inside:
                return False
        return True

    def start(self) -> dict[str, Value]:
        """The spec's own values."""
        own = {dimension.key: dimension.start for dimension in self.dimensions}
        look = {**self.fixed, **own}.get
        return {dimension.key: dimension.start for dimension in self.dimensions if dimension.interval(look)}

    def describe(self) -> dict[str, Any]:
        """The ranges as plain data, for files and for telling one study from another."""
        return {
            dimension.key: {
                "kind": dimension.kind,
                "start": dimension.start,
                "ranges": [_described(dimension, interval) for interval in dimension.intervals],
                **({"conditions": list(dimension.conditions)} if dimension.conditions else {}),
            }
            for dimension in self.dimensions
        }


def name_of(dimension: Dimension, number: int) -> str:
    """What a sampler calls a dimension: one name for each of its ranges, which cannot learn from one another."""
    return dimension.key if len(dimension.intervals) == 1 else f"{dimension.key}#{number}"


def _described(dimension: Dimension, interval: Interval) -> dict[str, Any]:
    if dimension.kind == "choice":
        shown: dict[str, Any] = {"options": list(interval.options)}
        shown |= {"weights": list(interval.weights)} if interval.weights else {}
    else:
        shown = {"minimum": interval.low, "maximum": interval.high} | ({"log": True} if interval.log else {})
    return shown | ({"when": interval.when} if interval.when else {})


# --- places and values -----------------------------------------------------------------------------------------------


def _value(dimension: Dimension, interval: Interval, place: Place, look: Callable[[str], Value]) -> Value:
    if dimension.kind == "choice":
        return interval.options[int(place)]
    low, high = _limits(dimension, interval, look)
    value = _at(dimension, interval, low, high, float(place))
    if dimension.bound is None or dimension.bound.kept(value, _other(dimension, look)):
        return value
    return _nearest_kept(dimension, interval, low, high, float(place), look)


def _at(dimension: Dimension, interval: Interval, low: float, high: float, place: float) -> Value:
    """The value at a place. A whole number has a stretch of the line for itself, of the same length as the others."""
    if dimension.kind == "int":
        span = (math.log(low - 0.5), math.log(high + 0.5)) if interval.log else (low - 0.5, high + 0.5)
        inner = span[0] + place * (span[1] - span[0])
        return int(min(high, max(low, round(math.exp(inner) if interval.log else inner))))
    if interval.log:
        return _tidy(math.exp(math.log(low) + place * (math.log(high) - math.log(low))), low, high)
    return _tidy(low + place * (high - low), low, high)


def _tidy(value: float, low: float, high: float) -> float:
    """Four digits are enough for any option, and can be read and typed."""
    return min(high, max(low, float(f"{value:.4g}")))


def _place(dimension: Dimension, interval: Interval, value: Value, look: Callable[[str], Value]) -> Place:
    if dimension.kind == "choice":
        return _choice(interval, value) or 0
    low, high = _limits(dimension, interval, look)
    value = min(high, max(low, float(value)))
    if dimension.kind == "int":
        low, high = low - 0.5, high + 0.5
    if interval.log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return 0.5 if high <= low else min(1.0, max(0.0, (value - low) / (high - low)))


def _choice(interval: Interval, value: Value) -> int | None:
    """Which option a value is: 1.0 is 1, but True, which equals both, is neither."""
    same = (o == value and isinstance(o, bool) == isinstance(value, bool) for o in interval.options)
    return next((i for i, found in enumerate(same) if found), None)


def _limits(dimension: Dimension, interval: Interval, look: Callable[[str], Value]) -> tuple[float, float]:
    """The range, narrowed by the option that it depends on where there is something left of it then."""
    low, high = interval.low, interval.high
    bound, other = dimension.bound, _other(dimension, look)
    if bound is None or other is None:
        return low, high
    if bound.operator in ("<", "<="):
        high = max(low, min(high, other))
    elif bound.operator in (">", ">="):
        low = min(high, max(low, other))
    return low, high


def _other(dimension: Dimension, look: Callable[[str], Value]) -> float | None:
    other = look(dimension.depends_on) if dimension.depends_on else None
    return float(other) if isinstance(other, int | float) else None


def _nearest_kept(
    dimension: Dimension, interval: Interval, low: float, high: float, place: float, look: Callable[[str], Value]
) -> Value:
    """The value nearest to a place that keeps the option's condition; the one at the place where none does."""
    assert dimension.bound is not None
    other = _other(dimension, look)
    if dimension.bound.operator == "/" and (step := dimension.bound.limit or other):
        value = _at(dimension, interval, low, high, place)
        nearest = min(
            (math.floor(low / step + i) * step for i in range(1, int((high - low) / step) + 2)),
            key=lambda multiple: abs(multiple - value),
            default=value,
        )
        return type(value)(nearest) if low <= nearest <= high else value
    for i in range(1, _TRIES + 1):
        for beside in (place - i / _TRIES, place + i / _TRIES):
            if 0 <= beside <= 1:
                value = _at(dimension, interval, low, high, beside)
                if dimension.bound.kept(value, other):
                    return value
    return _at(dimension, interval, low, high, place)
