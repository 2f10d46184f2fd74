"""Exercises that somebody wrote, but that the classifier has no class for: they are drawn and counted, and never
recognised before they are taught."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from kinetag.classifier import Classifier
from kinetag.errors import KinetagError
from kinetag.exercises.labels import exercises_by_label
from kinetag.exercises.library import Exercise, Written

Place = str | Path


def untaught(
    own: Sequence[tuple[str, Written]],
    classifier: Classifier,
    library: dict[str, Exercise],
    *,
    called: str | None = None,
    model: Place | None = None,
    profile: Place | None = None,
) -> list[str]:
    """One line that names those of the user's ``own`` (each with its file as the user wrote it) that ``classifier``
    cannot recognise, and the command that teaches them; none where it recognises all. ``called``: only the one of that
    name counts.

    ``model`` and ``profile`` are what the user chose the classifier by.
    """
    files = _files(own, classifier, library) if own else {}
    if called is not None:
        meant = exercises_by_label([called], library)
        files = {each.name: files[each.name] for each in meant.values() if each.name in files}
    if not files:
        return []
    (name, file), many = next(iter(files.items())), len(files) > 1
    problem = f"{', '.join(files)}: the classifier does not know {'them' if many else 'it'}"
    try:
        _ = classifier.embedding_width
    except KinetagError:
        return [f"{problem} and cannot be taught; the one that came with kinetag can, without --model"]
    options = {"--profile": profile, "--model": model}
    words = [name, file, *(str(word) for option in options.items() if option[1] is not None for word in option)]
    return [f"{problem}; teach {'each' if many else 'it'}: kinetag teach {shlex.join(words)}"]


def _files(
    own: Sequence[tuple[str, Written]], classifier: Classifier, library: Mapping[str, Exercise]
) -> dict[str, str]:
    """The file of each exercise that is not recognised. What was taught under another name is."""
    known = [exercise.poses for exercise in exercises_by_label(classifier.labels, dict(library)).values()]
    return {one.exercise.name: file for file, one in own if one.exercise.poses not in known}
