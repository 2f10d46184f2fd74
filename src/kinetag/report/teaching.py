"""What `kinetag teach` prints: a lesson, what a profile holds, and how well it is told apart."""

from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from kinetag.few_shot.evaluation import Evaluation
from kinetag.few_shot.profile import Profile, Taught
from kinetag.few_shot.teach import Lesson, how_counted, repetitions
from kinetag.naming import readable
from kinetag.report.style import clock


def lesson_table(lesson: Lesson, path: Path) -> RenderableType:
    """Which part of whose poses was learned from, clip by clip, and how it is counted."""
    taught = lesson.taught
    table = _table(("Clip", "Person", "Exercise from", "To", "Reps"), right=(2, 3, 4))
    older = len(taught.clips) - len(lesson.people)
    made = [(c, n) for c, n in zip(taught.clips, lesson.repetitions, strict=True) if c.made]
    if made:
        total = sum(n for _, n in made)
        last = max(clip.end for clip, _ in made)
        shown = "" if taught.exercise.static else str(total)
        table.add_row(escape(made[0][0].name), f"{len(made)} made", clock(0), clock(last), shown)
    for number, (clip, count) in enumerate(zip(taught.clips, lesson.repetitions, strict=True)):
        if clip.made:
            continue
        people = lesson.people[number - older] if number >= older else 1
        who = f"{clip.poses.person} of {people}" if people > 1 else str(clip.poses.person)
        shown = _reps(taught, count)
        row = (escape(clip.name), who, clock(clip.start), clock(clip.end), shown)
        table.add_row(*row, style="dim" if number < older else "")
    how = f"  {how_counted(taught)}"
    parts: list[RenderableType] = [Text.assemble((readable(taught.name), "bold"), how), Text(), table]
    others = [c.name for c, n in zip(taught.clips[older:], lesson.people, strict=True) if n > 1]
    if others:
        parts.append(Text(f"Several people in {', '.join(others)}: --person ID takes another one.\n"))
    known = len(lesson.profile.exercises)
    parts.append(Text(f"{path} now knows {known} exercise{'s' if known > 1 else ''} of yours. Next:"))
    parts.append(Text(f"  kinetag analyze VIDEO --profile {path}\n  kinetag teach --evaluate --profile {path}"))
    return Group(*parts)


def _reps(taught: Taught, count: int) -> str:
    """Repetitions of what is counted; of the rest whether it is held."""
    return str(count) if taught.exercise.is_counted else "held" if taught.exercise.static else ""


def _rule(taught: Taught) -> str:
    return "not counted" if taught.exercise.static else how_counted(taught).removeprefix("counted by: ")


def profile_table(profile: Profile, path: Path) -> RenderableType:
    """Everything that a profile holds."""
    if not profile.exercises:
        return Text(f"{path}: nothing is taught yet")
    table = _table(("Taught", "Clips", "Seconds", "Reps", "Counted by"), right=(1, 2, 3))
    for name, taught in profile.exercises.items():
        seconds = sum(clip.end - clip.start for clip in taught.clips)
        count = _reps(taught, sum(repetitions(taught)))
        table.add_row(readable(name), str(len(taught.clips)), f"{seconds:.0f}", count, _rule(taught))
    return table


def scores_table(evaluation: Evaluation) -> RenderableType:
    """How well each taught exercise is told from the others and from the library."""
    scores = evaluation.scores
    table = _table(("Taught", "Clips", "Recognised", "Taken for", "Others taken for it"), right=(1, 2))
    for score in scores:
        wrong = ", ".join(f"{readable(label)} {_percent(share)}" for label, share in list(score.taken_for.items())[:3])
        of = f", most of {readable(score.false_of)}" if score.false and score.false_of else ""
        style = "yellow" if score.weak else ""
        right = "not tested" if score.right is None else f"{score.right:.0%}"
        table.add_row(readable(score.name), str(score.clips), right, wrong, f"{score.false:.1%}{of}", style=style)
    notes = [f"Recognised: windows of clips that were left out, among everything. {_how(evaluation)}".strip()]
    untested = [readable(score.name) for score in scores if score.right is None]
    if untested:
        notes.append(f"Not tested: {', '.join(untested)}, whose one clip is too short for halves: teach another clip.")
    if any(score.clips == 1 and score.right is not None for score in scores):
        notes.append("With one clip, by halves of it, which flatters: teach another clip, of another person or view.")
    weak = [f"{readable(score.name)} ({score.weak})" for score in scores if score.weak]
    if weak:
        notes.append(f"Weak: {', '.join(weak)}. More clips, from other sides and of other people, help most.")
    return Group(table, *(Text(note, "dim") for note in notes))


def _how(evaluation: Evaluation) -> str:
    """How clips were left out; '' where none could be."""
    tested = [score for score in evaluation.scores if score.right is not None]
    if not tested:
        return ""
    halves = all(score.clips == 1 for score in tested)
    if not evaluation.folds:
        if halves:
            return "Each half of a clip was left out by itself, and known by the other half."
        return "Each clip was left out by itself, and known by the mean of the exercise's others."
    times = f"{evaluation.folds} times anew, each" if evaluation.folds > 1 else "once anew,"
    what = "half of each clip" if halves else "part of the clips"
    return f"Cross-validated: the last layer was trained {times} without another {what}."


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.005 else "<1%"


def _table(headings: tuple[str, ...], right: tuple[int, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number in right else "left", no_wrap=number in right)
    return table
