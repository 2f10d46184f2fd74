"""The kinds of values in an exercise file: a number or a range, weights, names."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field


def as_range(value: Any) -> Any:
    """A number as the range that holds only it; else two values, as they are."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (value, value)
    if not (isinstance(value, list | tuple) and len(value) == 2):
        raise ValueError(f"{str(value)[:60]!r} is neither a number nor [low, high]")
    return value


def rising(value: tuple[float, float]) -> tuple[float, float]:
    """The same, unless its higher value comes first."""
    low, high = value
    if low > high:
        raise ValueError(f"[{low:g}, {high:g}] has the higher value first; write [{high:g}, {low:g}]")
    return value


def as_weights(value: Any) -> Any:
    """A name, a list of names, or names with weights, as names with weights."""
    if isinstance(value, str):
        return {value: 1.0}
    return dict.fromkeys(value, 1.0) if isinstance(value, list) else value


def _as_reasons(value: Any) -> Any:
    """Names, or names with how they differ."""
    names = isinstance(value, list) and all(isinstance(name, str) for name in value)
    return dict.fromkeys(value, "") if names else value


_Bounded = Annotated[float, Field(ge=-400, le=400, allow_inf_nan=False)]
# A number, or [low, high]: drawn anew for every person.
Range = Annotated[tuple[_Bounded, _Bounded], BeforeValidator(as_range), AfterValidator(rising)]
Positive = Annotated[float, Field(gt=0, le=600, allow_inf_nan=False)]
Weights = Annotated[dict[str, Annotated[float, Field(ge=0, le=1000)]], BeforeValidator(as_weights)]
LookAlikes = Annotated[dict[str, str], BeforeValidator(_as_reasons)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
