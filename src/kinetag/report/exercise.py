"""`kinetag exercises`: the library as a table, and one exercise with its picture."""

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kinetag.errors import KinetagError
from kinetag.report.style import readable

if TYPE_CHECKING:
    from kinetag.exercises.library import Exercise

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
_ROWS, _COLUMNS = 14, 24  # of one figure, in characters of 4 x 2 dots
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # Unicode braille: bit of each dot
_HEAD = 0.1  # m


def exercise_table(library: "dict[str, Exercise]") -> RenderableType:
    """Name, family and what is counted, one line an exercise."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("Name", no_wrap=True, style="bold")
    table.add_column("Family", no_wrap=True)
    table.add_column("Counts", no_wrap=True)
    table.add_column("What it is", overflow="ellipsis", no_wrap=True)
    for name, exercise in sorted(library.items()):
        counts = readable(exercise.counting.signal) if exercise.counting else "time held" if exercise.static else ""
        first = (exercise.description or "").strip().split("\n")[0]
        table.add_row(name, readable(exercise.family), counts, first)
    note = Text("one of them: kinetag exercises NAME    your own: --exercises FILE.yaml", "dim")
    return Group(table, note)


def show_exercise(library: "dict[str, Exercise]", name: str, out: Path | None = None) -> RenderableType:
    """What one exercise is, with its figure from rest to turning point; its picture goes to ``out`` when given."""
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
    norms = [f"{readable(angle)} {low:g}° to {high:g}°" for angle, (low, high) in exercise.norms.items()]
    if norms:
        facts.add_row("usual range", ", ".join(norms))
    if exercise.faults:
        facts.add_row("faults", ", ".join(readable(fault) for fault in exercise.faults))
    parts: list[RenderableType] = [Text(exercise.title, "bold"), Text((exercise.description or "").strip()), Text()]
    parts += [facts, Text(), Text(figures(exercise), "cyan")]
    if out is not None:
        write_picture(exercise, out)
        parts.append(Text.assemble("\nwritten: ", (str(out), "bold")))
    return Group(*parts)


def find_exercise(library: "dict[str, Exercise]", name: str) -> "Exercise":
    """By name, title or synonym, whatever the spelling; an unknown one raises a KinetagError with the nearest."""
    words = {_plain(word): e for e in library.values() for word in (e.name, e.title, *e.synonyms)}
    if _plain(name) in words:
        return words[_plain(name)]
    close = difflib.get_close_matches(_plain(name), list(words), n=1, cutoff=0.5)
    hint = f"; did you mean '{words[close[0]].name}'?" if close else f"; known: {', '.join(sorted(library))}"
    raise KinetagError(f"unknown exercise '{name}'{hint}")


def _plain(word: str) -> str:
    return "".join(character for character in word.lower() if character.isalnum())


def _counting(exercise: "Exercise") -> str:
    if exercise.counting is None:
        return "not counted: a pose that is held" if exercise.static else "not counted"
    rule = exercise.counting
    unit = "°" if not rule.signal.endswith("height") else " torso lengths"
    sides = {"both": "both sides together", "either": "either side", "alternate": "sides in turn"}[rule.sides]
    return f"{readable(rule.signal)}, {rule.rest:g}{unit} at rest to {rule.peak:g}{unit} at the turning point, {sides}"


def figures(exercise: "Exercise") -> str:
    """Stick figures side by side: at rest, half way, at the turning point (one for a static pose), as braille dots."""
    from kinetag.exercises.motion import generate

    repetitions = None if exercise.static else 1
    motion = generate(exercise, np.random.default_rng(1), repetitions=repetitions)
    moments = [float(motion.times[len(motion.times) // 2])]
    if motion.repetitions:
        start, peak, _ = motion.repetitions[0]
        moments = [start, (start + peak) / 2, peak]
    moving = motion.joints - motion.joints[:, :1]
    # From the side where most happens: along x for what moves in the sagittal plane, along z for the rest.
    spread = np.ptp(moving, axis=0).sum(axis=0)  # (3,) metres of travel in x, y, z
    across = 2 if spread[2] >= spread[0] else 0
    frames = [int(np.argmin(np.abs(motion.times - moment))) for moment in moments]
    shown = motion.joints[frames][..., [across, 1]]  # (F, 23, 2)
    return side_by_side([_figure(joints, shown) for joints in shown])


def side_by_side(blocks: list[list[str]]) -> str:
    return "\n".join("   ".join(row).rstrip() for row in zip(*blocks, strict=True))


def _figure(joints: np.ndarray, everyone: np.ndarray) -> list[str]:
    """One stick figure as rows of braille, in the same scale as ``everyone`` (F, 23, 2)."""
    from kinetag.exercises.kinematics import BODY

    low = everyone.min(axis=(0, 1)) - 0.05
    high = everyone.max(axis=(0, 1)) + _HEAD
    scale = min(2 * (_COLUMNS - 1) / max(high[0] - low[0], 0.5), 4 * (_ROWS - 1) / max(high[1] - low[1], 0.5))
    middle = (low[0] + high[0]) / 2
    index = {name: i for i, name in enumerate(BODY)}
    points = np.stack([(joints[:, 0] - middle) * scale + _COLUMNS, (joints[:, 1] - low[1]) * scale], axis=1)
    dots = np.zeros((4 * _ROWS, 2 * _COLUMNS), bool)
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
    cells = dots.reshape(_ROWS, 4, _COLUMNS, 2).transpose(0, 2, 1, 3)  # (rows, columns, 4, 2)
    codes = (cells * np.array(_DOTS)).sum(axis=(2, 3))
    return ["".join(chr(0x2800 + code) if code else " " for code in row) for row in codes]


def write_picture(exercise: "Exercise", out: Path) -> None:
    """The mannequin doing it: its key moments side by side (.png, .jpg), or one repetition as a loop (.gif, .mp4).

    Only exercises of the built-in library have a mannequin scene.
    """
    from kinetag.exercises.library import load_library
    from kinetag.exercises.picture import exercise_animation, exercise_picture

    kind = out.suffix.lower()
    if kind not in (".png", ".jpg", ".gif", ".mp4"):
        raise KinetagError(f"--out '{out}': a picture's name must end in .png or .jpg, an animation's in .gif or .mp4")
    if exercise.name not in load_library():
        raise KinetagError(f"'{exercise.name}' is an exercise of your own: only built-in ones have a picture to write")
    if not out.parent.is_dir():
        raise KinetagError(f"--out '{out}': there is no folder {out.parent}")
    if kind in (".gif", ".mp4"):
        exercise_animation(exercise.name, out)
        return
    import cv2

    image = exercise_picture(exercise.name)
    temporary = out.with_name(f".{out.stem}.tmp{out.suffix}")
    if not cv2.imwrite(str(temporary), cv2.cvtColor(image, cv2.COLOR_RGB2BGR)):
        raise KinetagError(f"cannot write '{out}'")
    temporary.replace(out)
