"""What local copies are called in front of the user: by the addresses that he gave."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kinetag.urls import hide_secrets


@dataclasses.dataclass(frozen=True)
class Names:
    """Local paths and the addresses that they stand for, each with everything below it."""

    places: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def shown(self, text: str) -> str:
        """Text with local copies called by their addresses, and no address with a password or a signature."""
        for local in sorted(self.places, key=len, reverse=True):  # the nearest place wins
            text = text.replace(local, self.places[local])
        return hide_secrets(text)

    def result(self, value: Any) -> Any:
        """A small dataclass, as actions return them, with its paths and texts as `shown`; a path in a store is text."""
        if isinstance(value, Path):
            shown = self.shown(str(value))
            return shown if shown != str(value) else value
        if isinstance(value, str):
            return self.shown(value)
        if isinstance(value, list | tuple) and all(isinstance(item, str | Path) for item in value):
            return type(value)(self.result(item) for item in value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            changed = {f.name: self.result(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
            return dataclasses.replace(value, **changed)
        return value
