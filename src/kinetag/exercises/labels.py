"""Labels of a classifier's classes: those that a library makes, and the exercise that each means."""

from collections.abc import Iterable, Sequence

from kinetag.exercises.library import Exercise
from kinetag.timeline import OTHER


def class_names(library: Iterable[str]) -> tuple[str, ...]:
    """The classes that a library makes: its exercises and 'other', which comes last."""
    return (*sorted(name for name in library if name != OTHER), OTHER)


def exercises_by_label(labels: Sequence[str], library: dict[str, Exercise]) -> dict[str, Exercise]:
    """The exercise of each class label that means one: by name, title or synonym, however spelled.

    So a classifier of one's own whose classes are called 'Squats' or 'jumping-jack' has its repetitions counted. A
    label that the library does not know is left out.
    """
    words = {_plain(word): e for e in library.values() for word in (*e.synonyms, e.title, e.name)}
    found = {label: library.get(label) or words.get(_plain(label)) for label in labels}
    return {label: exercise for label, exercise in found.items() if exercise is not None}


def _plain(word: str) -> str:
    """'Push-ups' and 'pushup' are the same word."""
    return "".join(c for c in word.lower() if c.isalnum()).removesuffix("s")
