"""The conditions that a schema writes as text, read without evaluating any code.

``train.optim.lr_scheduler in MultiStep, Cosine`` compares another option; ``< depends_on``, ``> 0.0`` and ``/ 8``
bound the option itself (``/``: a multiple of).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kinetag.errors import KinetagError

Look = Callable[[str], Any]  # dotted key -> value

_CONDITION = re.compile(r"^\s*([\w.]+)\s+(==|!=|in|not in)\s+(.+?)\s*$")
_MATH = re.compile(r"^\s*(<=|>=|<|>|/)\s*(depends_on|[-+\d.eE]+)\s*$")


def holds(condition: str, look: Look) -> bool:
    """Whether a condition on other options holds; ``look`` gives their values."""
    found = _CONDITION.match(condition)
    if found is None:
        raise KinetagError(f"condition '{condition}' cannot be read; write KEY == VALUE, != , in A, B or not in A, B")
    key, operator, text = found.groups()
    value = _text(look(key))
    among = value in [part.strip() for part in text.split(",")]
    return among if operator in ("==", "in") else not among


def keys_of(condition: str) -> list[str]:
    """The dotted keys that a condition looks at."""
    found = _CONDITION.match(condition)
    return [found[1]] if found else []


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Bound:
    """A condition on a number: below, above, or a multiple of ``limit``, or of another option's value where None."""

    operator: str
    limit: float | None

    @classmethod
    def read(cls, text: str) -> "Bound":
        found = _MATH.match(text)
        try:
            assert found is not None
            return cls(found[1], None if found[2] == "depends_on" else float(found[2]))
        except (AssertionError, ValueError):
            raise KinetagError(f"math_cond '{text}' cannot be read; write < 1.0, >= 0, / 8 or < depends_on") from None

    def kept(self, value: float, other: float | None) -> bool:
        """Whether a value keeps the condition; ``other`` is the value of the option it depends on."""
        limit = self.limit if self.limit is not None else other
        if limit is None:
            return True
        if self.operator == "/":
            return limit != 0 and value % limit == 0
        return {"<": value < limit, "<=": value <= limit, ">": value > limit, ">=": value >= limit}[self.operator]
