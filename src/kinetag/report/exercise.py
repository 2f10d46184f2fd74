"""`kinetag exercises`: the library as a table, and one exercise with its picture."""

import difflib
from collections.abc import Collection
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kinetag.alignment import in_degrees
from kinetag.errors import KinetagError
from kinetag.naming import readable
from kinetag.timeline import OTHER
from kinetag.whole_file import whole_file

if TYPE_CHECKING:
    from kinetag.exercises.library import Exercise
    from kinetag.exercises.motion import Motion

_LIMBS = [("pelvis", "chest"), ("chest", "neck"), ("neck", "head"), ("left_shoulder", "right_shoulder")]
_LIMBS += [("left_hip", "right_hip")]
_LIMBS += [
    (f"{side}_{a}", f"{side}_{b}")
    for side in ("left", "right")
    for a, b in (
        ("shoulder", "elbow"), ("elbow", "wrist"), ("wrist", "hand"), ("hip", "knee"), ("knee", "ankle"),
        ("ankle", "heel"), ("ankle", "foot_index"), ("heel", "foot_index"),
    )
]  # fmt: skip
_ROWS, _COLUMNS = 16, 26  # at most, of one figure, in characters of 4 x 2 dots
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # Unicode braille: bit of each dot
_HEAD = 0.1  # m
_NEAR = 0.7  # how alike a word and a name must be, of 1, to ask whether it was meant


def exercise_table(library: "dict[str, Exercise]", recognised: Collection[str] = ()) -> RenderableType:
    """By family, one line an exercise: name, whether it is recognised (``recognised`` are the classifier's labels),
    what is counted, and what it is."""
    rows = []
    for exercise in sorted(library.values(), key=lambda e: (e.family, e.name)):
        counts = _counts(exercise)
        known = "✓" if exercise.name in recognised else ""
        rows.append((exercise.family, exercise.name, known, counts, " ".join(exercise.description.split())))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0), expand=True)
    for i, (heading, indent) in enumerate((("Name", 2), ("", 0), ("Counts", 0)), start=1):
        widest = indent + max([len(heading), *(len(row[i]) for row in rows)])
        table.add_column(heading, no_wrap=True, min_width=widest)
    table.add_column("What it is", no_wrap=True, overflow="ellipsis", ratio=1)
    for family, own in groupby(rows, key=lambda row: row[0]):
        table.add_row(Text(readable(family), "bold"))
        for row in own:
            table.add_row(Text(f"  {row[1]}", "cyan"), *map(Text, row[2:]))
    known = sum(bool(row[2]) for row in rows)
    note = Text(
        f"✓ {known} of {len(rows)} are recognised by the classifier that comes with kinetag; the others\n"
        "can be drawn, and recognised and counted with a model of your own.\n"
        "one of them: kinetag exercises NAME    your own: --exercises FILE.yaml",
        "dim",
    )
    return Group(table, note)


def show_exercise(
    library: "dict[str, Exercise]", name: str, out: Path | None = None, sheet: Path | None = None
) -> RenderableType:
    """What one exercise is, with its figure from rest to turning point; where given, its picture or animation goes to
    ``out``, and stick figures of its variants to ``sheet``."""
    exercise = find_exercise(library, name)
    facts = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("name", exercise.name)
    if exercise.synonyms:
        facts.add_row("also", ", ".join(exercise.synonyms))
    facts.add_row("family", readable(exercise.family))
    facts.add_row("counted by", _counting(exercise))
    facts.add_row("shortest", f"{exercise.min_duration:g} s")
    norms = [
        f"{readable(name)} {low:g}{_unit(name)} to {high:g}{_unit(name)}"
        for name, (low, high) in exercise.norms.items()
    ]
    if norms:
        facts.add_row("usual range", ", ".join(norms))
    if exercise.faults:
        facts.add_row("faults", ", ".join(readable(fault) for fault in exercise.faults))
    if exercise.variants:
        facts.add_row("variants", ", ".join(readable(variant.name) for variant in exercise.variants))
    things = dict.fromkeys(thing for part in (exercise, *exercise.variants) for thing in part.equipment or ())
    if things:
        facts.add_row("equipment", ", ".join(map(readable, things)))
    for i, (other, how) in enumerate(exercise.looks_like.items()):
        facts.add_row("" if i else "looks like", Text.assemble((readable(other), "bold"), f": {how}" if how else ""))
    parts: list[RenderableType] = [Text(exercise.title, "bold"), Text((exercise.description or "").strip()), Text()]
    parts += [facts, Text(), Text(figures(exercise), "cyan")]
    for path, write in ((out, write_picture), (sheet, write_sheet)):
        if path is not None:
            write(exercise, path)
            parts.append(Text.assemble("\nwritten: ", (str(path), "bold")))
    return Group(*parts)


def find_family(library: "dict[str, Exercise]", name: str) -> "dict[str, Exercise]":
    """The exercises of that family, whatever the spelling; none where it is no family, or an exercise's name too."""
    if any(_plain(name) in _words(exercise) for exercise in library.values()):
        return {}
    return {label: exercise for label, exercise in library.items() if _plain(exercise.family) == _plain(name)}


def find_exercise(library: "dict[str, Exercise]", name: str) -> "Exercise":
    """By name, title or synonym, whatever the spelling; an unknown one raises a KinetagError with the nearest."""
    if name == OTHER and OTHER not in library:
        raise KinetagError(f"'{OTHER}' is no exercise: it is what the classifier calls all that is in no exercise file")
    words = {word: exercise for exercise in library.values() for word in _words(exercise)}
    if _plain(name) in words:
        return words[_plain(name)]
    path = Path(name)
    if path.suffix.lower() in (".yaml", ".yml") or path.is_dir():
        command = f"kinetag exercises {'' if path.is_dir() else f'{path.stem} '}--exercises {name}"
        raise KinetagError(f"'{name}' is a file or folder, not the name of an exercise; say: {command}")
    meant = {_plain(e.family): e.family for e in library.values()} | {word: e.name for word, e in words.items()}
    close = difflib.get_close_matches(_plain(name), list(meant), n=1, cutoff=_NEAR)
    hint = f"; did you mean '{meant[close[0]]}'?" if close else f"; known: {', '.join(sorted(library))}"
    raise KinetagError(f"unknown exercise '{name}'{hint}")


def _words(exercise: "Exercise") -> list[str]:
    """What it is called, as `_plain` writes it."""
    return [_plain(word) for word in (exercise.name, exercise.title, *exercise.synonyms)]


def exercise_facts(exercise: "Exercise", recognised: Collection[str] = ()) -> dict[str, Any]:
    """One exercise for programs, as `kinetag exercises --format json` prints it: what it is called, what is counted,
    norms and faults, and whether it is among the labels ``recognised``. Angles
    are degrees, heights and widths torso lengths."""
    counting = exercise.counting
    return {
        "name": exercise.name,
        "title": exercise.title,
        "family": exercise.family,
        "synonyms": exercise.synonyms,
        "description": " ".join(exercise.description.split()),
        "recognised": exercise.name in recognised,
        "held": exercise.static,
        "counting": None if counting is None else counting.model_dump(include={"signal", "rest", "peak", "sides"}),
        "norms": exercise.norms,
        "faults": {name: fault.model_dump(exclude_none=True) for name, fault in exercise.faults.items()},
    }


def _plain(word: str) -> str:
    return "".join(character for character in word.lower() if character.isalnum())


def _counts(exercise: "Exercise") -> str:
    """What is counted, in a word or two."""
    if exercise.counting is not None:
        return readable(exercise.counting.signal)
    return "time held" if exercise.static else "movement" if exercise.is_counted else ""


def _counting(exercise: "Exercise") -> str:
    if exercise.counting is None:
        moves = "its strongest movement" if exercise.is_counted else "not counted"
        return "not counted: a pose that is held" if exercise.static else moves
    rule = exercise.counting
    unit = _unit(rule.signal)
    sides = {"both": "both sides together", "either": "either side", "alternate": "sides in turn"}[rule.sides]
    return f"{readable(rule.signal)}, {rule.rest:g}{unit} at rest to {rule.peak:g}{unit} at the turning point, {sides}"


def _unit(signal: str) -> str:
    return "°" if in_degrees(signal) else " torso lengths"


def figures(exercise: "Exercise") -> str:
    """Stick figures of the plain form side by side: at rest, half way, at the turning point (one for a static pose), as
    braille dots."""
    from kinetag.exercises.usual import followed

    motion = _one(exercise, "plain")
    moments = [float(motion.times[len(motion.times) // 2])]
    if motion.repetitions:
        start, peak, _ = motion.repetitions[0]
        moments = [start, (start + peak) / 2, peak]
    frames = [int(np.argmin(np.abs(motion.times - moment))) for moment in moments]
    joints = followed(motion.joints, 0, -1)
    shown = joints[frames][..., [_seen_across(joints), 1]]  # (F, 25, 2)
    return side_by_side([_figure(joints, shown) for joints in shown])


def _one(exercise: "Exercise", variant: str) -> "Motion":
    """One full repetition of a variant the usual way, or a while of a static pose."""
    from kinetag.exercises.motion import generate
    from kinetag.exercises.usual import usual

    repetitions = None if exercise.static else 1
    return generate(usual(exercise), np.random.default_rng(1), variant=variant, repetitions=repetitions)


def _seen_across(joints: np.ndarray) -> int:
    """The axis that runs across the picture of ``joints`` (T, 25, 3): 0 seen from the front, 2 from the side.

    A body that lies is seen along its length, one that stands from where most of the movement is seen.
    """
    extent = np.ptp(joints[0], axis=0)  # (3,)
    if max(extent[0], extent[2]) < extent[1] and len(joints) > 1:
        extent = np.ptp(joints - joints[:, :1], axis=0).sum(axis=0)
    return 2 if extent[2] >= extent[0] else 0


def side_by_side(blocks: list[list[str]]) -> str:
    return "\n".join("      ".join(row).rstrip() for row in zip(*blocks, strict=True))


def _figure(joints: np.ndarray, everyone: np.ndarray) -> list[str]:
    """One stick figure as rows of braille, in the same scale as ``everyone`` (F, 25, 2)."""
    from kinetag.exercises.kinematics import BODY

    low = everyone.min(axis=(0, 1)) - (_HEAD, 0.02)
    high = everyone.max(axis=(0, 1)) + _HEAD
    width, height = high - low
    scale = min(2 * (_COLUMNS - 1) / width, 4 * (_ROWS - 1) / height)  # dots a metre
    shape = (int(np.ceil((height * scale + 1) / 4)), int(np.ceil((width * scale + 1) / 2)))
    points = (joints - low) * scale  # (25, 2) dots, up positive
    index = {name: i for i, name in enumerate(BODY)}
    dots = np.zeros((4 * shape[0], 2 * shape[1]), bool)
    for a, b in _LIMBS:
        first, last = points[index[a]], points[index[b]]
        steps = np.linspace(0, 1, 2 + int(2 * np.abs(last - first).max()))[:, None]
        _mark(dots, first + steps * (last - first))
    turn = np.linspace(0, 2 * np.pi, 40)[:, None]
    _mark(dots, points[index["head"]] + _HEAD * scale * np.concatenate([np.cos(turn), np.sin(turn)], axis=1))
    return _braille(dots)


def _mark(dots: np.ndarray, points: np.ndarray) -> None:
    columns, rows = np.round(points).astype(int).T
    inside = (columns >= 0) & (columns < dots.shape[1]) & (rows >= 0) & (rows < dots.shape[0])
    dots[dots.shape[0] - 1 - rows[inside], columns[inside]] = True


def _braille(dots: np.ndarray) -> list[str]:
    """Rows of characters, each of 4 x 2 dots."""
    rows, columns = dots.shape[0] // 4, dots.shape[1] // 2
    cells = dots.reshape(rows, 4, columns, 2).transpose(0, 2, 1, 3)  # (rows, columns, 4, 2)
    codes = (cells * np.array(_DOTS)).sum(axis=(2, 3))
    return ["".join(chr(0x2800 + code) if code else " " for code in row) for row in codes]


def write_picture(exercise: "Exercise", out: Path) -> None:
    """The mannequin doing it: its key moments side by side (.png, .jpg), or one repetition as a loop (.gif, .mp4)."""
    from kinetag.exercises.picture import exercise_animation, exercise_picture

    kind = out.suffix.lower()
    if kind not in (".png", ".jpg", ".gif", ".mp4"):
        raise KinetagError(f"'{out}': a picture's name must end in .png or .jpg, an animation's in .gif or .mp4")
    if not out.parent.is_dir():
        raise KinetagError(f"'{out}': there is no folder {out.parent}")
    if kind in (".gif", ".mp4"):
        exercise_animation(exercise, out)
        return
    _write_image(out, exercise_picture(exercise))


def write_sheet(exercise: "Exercise", out: Path) -> None:
    """Stick figures of the plain form and every variant, one row each: six moments of a repetition from two views."""
    from kinetag.exercises.sheet import draw_sheet

    if out.suffix.lower() not in (".png", ".jpg"):
        raise KinetagError(f"--sheet '{out}': a sheet's name must end in .png or .jpg")
    if not out.parent.is_dir():
        raise KinetagError(f"--sheet '{out}': there is no folder {out.parent}")
    names = ("plain", *(variant.name for variant in exercise.variants))
    _write_image(out, draw_sheet([_one(exercise, name) for name in names]))


def _write_image(out: Path, image: np.ndarray) -> None:
    """``image`` RGB uint8 (H, W, 3) as .png or .jpg."""
    import cv2

    good, data = cv2.imencode(out.suffix.lower(), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not good:
        raise KinetagError(f"cannot write '{out}'")
    with whole_file(out) as draft:
        draft.write_bytes(data.tobytes())
