"""How long work tells how far it is."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from kinetag.whole_file import whole_file

_WRITE_EVERY = 0.5  # s

# Called with what is being done ("Epoch 3"), how much of it is done, and how much there is (None: not known).
Progress = Callable[[str, float, float | None], None]


def silent(stage: str, done: float, total: float | None = None) -> None:
    """The Progress that shows nothing."""


def into_file(path: Path) -> Progress:
    """A Progress that keeps what it was told last in a JSON file: stage, done, total (null: not known).

    It writes at most twice a second, and the file is always whole. A disk that is full does not stop the work.
    """
    told = -_WRITE_EVERY

    def update(stage: str, done: float, total: float | None = None) -> None:
        nonlocal told
        if time.monotonic() - told < _WRITE_EVERY:
            return
        told = time.monotonic()
        with suppress(OSError), whole_file(path) as draft:
            draft.write_text(
                json.dumps({"stage": stage, "done": float(done), "total": total and float(total)}), "utf-8"
            )

    return update
