"""How long work tells how far it is."""

from collections.abc import Callable

# Called with what is being done ("Epoch 3"), how much of it is done, and how much there is (None: not known).
Progress = Callable[[str, float, float | None], None]


def silent(stage: str, done: float, total: float | None = None) -> None:
    """The Progress that shows nothing."""
