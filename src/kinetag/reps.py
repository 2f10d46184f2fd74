"""Repetitions of an exercise in a stretch of one person's poses: how many, when, how far, and which only half-way.

The library names the signal that counts (a joint angle or a height) with typical values at rest and at the turning
point. That signal exists several times: left and right, from the picture and in depth. Each is turned into progress
(0 at rest, 1 at the turning point), cleaned, and judged by how much of it was seen, how far it goes and how cleanly it
swings; the best one counts. Where the signal cannot be used (joints out of sight, or the movement goes along the line
of sight), the strongest periodic movement of all joints stands in for it. And where the classifier's network sees
repetitions more clearly than all of these, its word counts (`kinetag.network_reps`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from kinetag.angles import SEEN, Space, joint_angles, signal_confidence, signals, world_is_sane
from kinetag.cycles import RATE, Cycle, cleanness, find_cycles, low_pass, phases, resample, usual_swing
from kinetag.network_reps import SLOWEST_QUICK, Progress, placed, progress_cycles
from kinetag.periodic import periodic_cycles
from kinetag.sequence import PoseSequence
from kinetag.timeline import Repetition

if TYPE_CHECKING:
    from kinetag.exercises.library import Counting, Exercise

_MARGIN = 1.0  # seconds looked at before and after the segment, so that repetitions at its edges are whole
Ranges = dict[str, tuple[float, float]]  # smallest and largest value of each angle, degrees

_PIECE = 300.0  # seconds counted at a time, so that memory does not grow with a segment's length
_CONTEXT = 15.0  # seconds looked at before and after such a piece
_HOLE = 1.0  # seconds without a pose, or without the signal, over which nothing is interpolated
_LEAST = 0.18  # of the norm's excursion: less movement than this is no repetition
_STEP, _EVEN = 0.25, 0.65  # of the norm's excursion, cleanness: below both it is feet that stand and seem to wander
_STRIDE, _CLEAN = 0.6, 0.95  # likewise: from both on, depth alone shows real steps; it seldom wanders so far and even
_PARTIAL = 0.25  # of the norm's excursion: less is partial even if the whole set is like that
_NOISE = 4.0  # times the noise that remains after cleaning: less movement than this is none
_TEMPO = 0.45  # of the repetitions' usual duration: quicker changes than this are smoothed away
_COVERAGE = 0.5  # share of the poses in which a signal must be seen
_SURE = 0.3  # mean confidence below which a signal is guessed rather than seen
_IDLE = 0.5  # of the busier side's excursion: a side that moves less is idle
_UNDER_WAY = 0.25  # of a repetition's excursion: beyond it the other side's movement is part of it
_STILL, _POOR = 0.15, 0.3  # clearness to the network and quality of the signal: below both nobody moves
_TRUSTED = 0.6  # quality from which on the signal tells which repetitions are partial
_CLEARER = 0.1  # by so much more the network must be clear to count more than a trusted signal, or less
_ALIKE = 0.8  # of the longer of two cycles, left and right, in which both go on: they begin and end together
_TOGETHER = 0.6  # correlation from which on one side tells what the other does
_MOVES = 15.0  # degrees: joint angles that change less in a repetition are not reported, but for the counting joint

_REPORTED = tuple(f"{s}_{joint}" for joint in ("elbow", "shoulder", "hip", "knee") for s in ("left", "right"))


@dataclass(frozen=True)
class _Track:
    """One cleaned version of the counting signal: ``progress`` (G,) on the grid, 0 at rest and 1 at the peak."""

    progress: np.ndarray
    coverage: float  # share of poses that show it
    confidence: float  # mean, where seen
    threshold: float  # least excursion that is a movement and not noise
    swing: float  # usual excursion
    cleanness: float  # share of its way that goes into real swings
    quality: float
    seen: np.ndarray  # (G,) whether the signal was measured near by
    true_size: bool  # an angle in depth: neither foreshortened nor dependent on the camera
    norm: float = 1.0  # the library's excursion in this signal


def count_repetitions(
    sequence: PoseSequence, exercise: "Exercise", start: float, end: float, progress: Progress | None = None
) -> list[Repetition]:
    """Repetitions of ``exercise`` whose turning point lies in [start, end] seconds, in order of time.

    ``sequence`` should be smoothed. With sides 'both' left and right are one movement; with 'either' or 'alternate'
    each side's repetitions count, and both sides at once count once. A repetition is partial when it reaches less than
    60 % of this set's usual excursion and of the library's, or less than 25 % of the library's (which can be told only
    where depth is known). ``progress`` is what `Classifier.progress` says of the sequence. Nothing is returned for an
    exercise that is not counted, nor where nothing moves.
    """
    counting = exercise.counting
    if counting is None:
        return []
    progress = progress if heeds_network(exercise) else None
    return _repetitions(sequence, start, end, lambda run: _cycles(run, counting, progress), counting.signal)


def count_any(
    sequence: PoseSequence, exercise: "Exercise | None", start: float, end: float, progress: Progress | None = None
) -> list[Repetition]:
    """Repetitions by the exercise's rule; by `count_periodic` where the library does not know one (None: nothing is
    known); none of what is held or of what nobody counts."""
    if exercise is None or (exercise.counting is None and exercise.is_counted):
        return count_periodic(sequence, start, end)
    return count_repetitions(sequence, exercise, start, end, progress)


def count_periodic(sequence: PoseSequence, start: float, end: float) -> list[Repetition]:
    """Repetitions in [start, end] seconds of a movement that the library does not know, in order of time.

    Counted is the strongest periodic movement of all joints; where the sides take turns, each side's is a repetition.
    ``sequence`` should be smoothed. A movement that is done once, or that does not repeat, gives nothing.
    """
    return _repetitions(sequence, start, end, periodic_cycles, None)


def _repetitions(
    sequence: PoseSequence,
    start: float,
    end: float,
    find: Callable[[PoseSequence], list[Cycle]],
    signal: str | None,
) -> list[Repetition]:
    """The cycles that ``find`` sees in each stretch of poses, as repetitions with their ranges of motion."""
    inside: list[Cycle] = []
    ranges: list[Ranges] = []
    guesses: list[set[str]] = []
    marks = [*np.arange(start, end - _PIECE / 2, _PIECE), end] if end - start > 1.5 * _PIECE else [start, end]
    for first, last in pairwise(marks):
        before, after = (_MARGIN if mark in (start, end) else _CONTEXT for mark in (first, last))
        piece = sequence.between(first - before, last + after)
        cycles = [cycle for run in _runs(piece) for cycle in find(run)]
        # One at the seam is found in both pieces.
        earliest = max(first, (inside[-1].turn + inside[-1].end) / 2) if inside else first
        kept = [cycle for cycle in cycles if earliest <= cycle.turn <= last]
        inside += kept
        ranges += _ranges(piece, kept)
        guesses += _guesses(piece, kept)
    names = [name for name in (*_REPORTED, "trunk") if _is_main(name, signal, ranges)]
    whens = phases(inside, start, end)
    return [
        Repetition(
            start=when.start,
            time=cycle.turn,
            end=when.end,
            partial=cycle.partial,
            range_of_motion={name: span[name] for name in names if name in span},
            guessed=tuple(name for name in names if name in span and name in guess),
            tempo=(
                when.arrives - when.start,
                when.leaves - when.arrives,
                when.end - when.leaves,
                following.start - when.end if following else None,
            ),
        )
        for cycle, when, following, span, guess in zip(inside, whens, [*whens[1:], None], ranges, guesses, strict=False)
    ]


def _runs(cut: PoseSequence) -> list[PoseSequence]:
    """The stretches without a hole in the poses, of one shot each: what happened in a hole is not known, and is not
    made up."""
    holes = np.flatnonzero(np.diff(cut.times) > _HOLE) + 1
    edges = sorted({*holes.tolist(), *(shot.start for shot in cut.shots()), len(cut)})
    return [cut.rows(slice(first, last)) for first, last in pairwise(edges)]


def heeds_network(exercise: "Exercise | None") -> bool:
    """Whether the network has a word in counting it: it is counted by a rule, and not too quick."""
    return exercise is not None and exercise.counting is not None and exercise.counting.min_period >= SLOWEST_QUICK


def _cycles(cut: PoseSequence, counting: "Counting", progress: Progress | None) -> list[Cycle]:
    """Cycles in one stretch of poses, by the counting signal, or by the network where it sees them more clearly.

    What trembles in the signal, while the network sees somebody who keeps still, is none.
    """
    if cut.duration < 0.5 * counting.min_period or len(cut) < 4:
        return []
    ruled, quality = _ruled(cut, counting)
    if progress is None:
        return ruled
    told, clear = progress_cycles(progress, cut.times[0], cut.times[-1], counting.min_period, counting.max_period)
    trusted = quality >= _TRUSTED
    if clear > quality + (_CLEARER if trusted else 0.0):
        return placed(told, ruled, trusted=trusted)
    return [] if clear < _STILL and quality < _POOR else ruled


def _ruled(cut: PoseSequence, counting: "Counting") -> tuple[list[Cycle], float]:
    """Cycles by the best version of the counting signal or what stands in for it, and that version's quality."""
    grid = np.arange(cut.times[0], cut.times[-1] + 1e-9, 1 / RATE)
    groups = _groups(cut, counting, grid)
    best = max(groups, key=_group_quality, default=[])
    quality = _group_quality(best)
    usable = [track for track in best if track.coverage >= _COVERAGE and track.swing > 0]
    if usable:
        cycles = _count(usable, grid, counting)
        if all(track.true_size for track in usable):
            cycles = [replace(cycle, partial=cycle.partial or cycle.excursion < _PARTIAL) for cycle in cycles]
        return cycles, quality
    # What is counted does not show, or too little in depth that comes out too flat. But feet that stand take no steps.
    if counting.signal != "step" or _is_hidden(groups) or not world_is_sane(cut):
        return periodic_cycles(cut, counting.min_period, counting.max_period), quality
    return [], quality


def motion_amplitude(sequence: PoseSequence, exercise: "Exercise", start: float, end: float) -> float:
    """Usual excursion of the counting signal in [start, end], as a share of what the library calls typical.

    About 1 for the exercise done as usual, 0 where nothing moves: then a label of a moving exercise is doubtful. NaN
    for an exercise that is not counted or whose signal was not seen.
    """
    counting = exercise.counting
    cut = sequence.between(start, end)
    if counting is None or len(cut) < 4:
        return float("nan")
    grid = np.arange(cut.times[0], cut.times[-1] + 1e-9, 1 / RATE)
    tracks = max(_groups(cut, counting, grid), key=_group_quality, default=[])
    seen = [track.swing for track in tracks if track.coverage >= _COVERAGE]
    return max(seen, default=float("nan"))


def _groups(cut: PoseSequence, counting: "Counting", grid: np.ndarray) -> list[list[_Track]]:
    """The ways to look at the counting signal. Tracks of one group are counted side by side."""
    spaces: list[Space] = ["3d", "2d"] if world_is_sane(cut) else ["2d"]
    confidences = signal_confidence(cut)
    groups = []
    for space in spaces:
        values = signals(cut, space)
        names = [f"{side}_{counting.signal}" for side in ("left", "right")]
        names = names if names[0] in values else [counting.signal]
        tracks = [
            _track(cut.times, _progress(values[name], counting), confidences[name], grid, counting, space)
            for name in names
        ]
        tracks = [track for track in tracks if track is not None]
        if counting.sides == "both":
            groups += [[track] for track in tracks]
            fused = _fused(cut, values, confidences, names, grid, counting, space) if len(tracks) == 2 else None
            groups += [[fused]] if fused is not None else []
        elif tracks:
            groups.append(tracks)
            # A step is the difference of both sides already.
            if counting.sides == "alternate" and len(names) == 2 and counting.signal != "step":
                groups.append(_opposed(cut, values, confidences, names, grid, counting, space))
    if counting.signal == "step" and groups and not any(track.swing for track in groups[-1]):
        # The depth of feet that stand wanders; real steps show in the picture, too, or are far and even.
        strides = [t for group in groups for t in group if t.swing >= _STRIDE and t.cleanness >= _CLEAN]
        return groups if strides else groups[-1:]
    return groups


def _progress(values: np.ndarray, counting: "Counting") -> np.ndarray:
    """0 at the library's rest, 1 at its peak; beyond both it goes on, but wild outliers are cut."""
    return np.clip((values - counting.rest) / (counting.peak - counting.rest), -3, 4)


def _track(
    times: np.ndarray,
    progress: np.ndarray,
    confidence: np.ndarray,
    grid: np.ndarray,
    counting: "Counting",
    space: Space,
) -> _Track | None:
    """Clean one version of the signal and judge it; None if it was hardly ever seen.

    Cleaned twice: gently first, then as thoroughly as the tempo that this shows allows.
    """
    known = np.isfinite(progress)
    if known.sum() < 4:
        return None
    shortest, longest = _side_limits(counting)
    clean, threshold = _cleaned(times[known], progress[known], grid, shortest)
    cycles = find_cycles(grid, clean, threshold=threshold, min_period=shortest, max_period=longest)
    lasts = [cycle.end - cycle.start for cycle in cycles if not cycle.partial]
    if lasts and _TEMPO * np.median(lasts) > shortest:
        clean, threshold = _cleaned(times[known], progress[known], grid, _TEMPO * float(np.median(lasts)))
    swing, smooth = usual_swing(clean, threshold), cleanness(clean, threshold)
    if counting.signal == "step" and swing < _STEP and smooth < _EVEN:
        swing = 0.0
    coverage, sure = float(known.mean()), float(confidence[known].mean())
    quality = coverage * (0.3 + 0.7 * sure) * min(swing, 1.0) * smooth
    true_size = space == "3d" and not counting.signal.endswith("_height")
    seen = _distance(grid, times[known]) <= _HOLE / 2
    return _Track(clean, coverage, sure, threshold, swing, smooth, quality, seen, true_size)


def _distance(grid: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Seconds from each point of the grid (G,) to the nearest of ``times`` (T,), (G,)."""
    after = times[np.minimum(np.searchsorted(times, grid), len(times) - 1)]
    before = times[np.maximum(np.searchsorted(times, grid, side="right") - 1, 0)]
    return np.minimum(np.abs(grid - before), np.abs(after - grid))


def _side_limits(counting: "Counting") -> tuple[float, float]:
    """Shortest and longest cycle of one side: where sides alternate, it takes part in every other repetition."""
    share = 2 if counting.sides == "alternate" else 1
    return share * counting.min_period, share * counting.max_period


def _cleaned(times: np.ndarray, progress: np.ndarray, grid: np.ndarray, period: float) -> tuple[np.ndarray, float]:
    """The signal on the grid without what is quicker than ``period``, and the least excursion that is no noise."""
    clean = low_pass(resample(times, progress, grid), period)
    residual = progress - np.interp(times, grid, clean)
    # Robust standard deviation, times what the low-pass lets through of white noise.
    noise = 1.4826 * float(np.median(np.abs(residual)))
    noise *= np.sqrt(float(np.median(np.diff(times))) / (2 * np.sqrt(np.pi) * 0.12 * period))
    return clean, max(_LEAST, _NOISE * noise)


def _fused(
    cut: PoseSequence,
    values: dict[str, np.ndarray],
    confidences: dict[str, np.ndarray],
    names: list[str],
    grid: np.ndarray,
    counting: "Counting",
    space: Space,
) -> _Track | None:
    """The mean of left and right by confidence."""
    left, right = _completed(_progress(values[names[0]], counting), _progress(values[names[1]], counting))
    weight = [float((confidences[name] ** 2).mean()) + 1e-6 for name in names]
    mean = (weight[0] * left + weight[1] * right) / sum(weight)
    return _track(cut.times, mean, np.maximum(*(confidences[n] for n in names)), grid, counting, space)


def _completed(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two signals (T,) that go together: where one is missing, it is what the other lets expect (linear regression)."""
    shared = np.isfinite(a) & np.isfinite(b)
    if shared.sum() < 8 or a[shared].std() < 1e-3 or b[shared].std() < 1e-3:
        return a, b
    if abs(np.corrcoef(a[shared], b[shared])[0, 1]) < _TOGETHER:
        return a, b
    expected_a = np.polyval(np.polyfit(b[shared], a[shared], 1), b)
    expected_b = np.polyval(np.polyfit(a[shared], b[shared], 1), a)
    return np.where(np.isfinite(a), a, expected_a), np.where(np.isfinite(b), b, expected_b)


def _opposed(
    cut: PoseSequence,
    values: dict[str, np.ndarray],
    confidences: dict[str, np.ndarray],
    names: list[str],
    grid: np.ndarray,
    counting: "Counting",
    space: Space,
) -> list[_Track]:
    """For sides that take turns: left less right, and right less left. What both have in common, such as errors of
    the trunk, cancels."""
    left, right = _completed(_progress(values[names[0]], counting), _progress(values[names[1]], counting))
    sure = np.minimum(confidences[names[0]], confidences[names[1]])
    tracks = [_track(cut.times, sign * (left - right), sure, grid, counting, space) for sign in (1, -1)]
    # The difference swings twice as far; rest, which is half-way, is no turning point.
    return [
        replace(track, quality=track.quality * min(track.swing / 2, 1.0), norm=2.0)
        for track in tracks
        if track is not None
    ]


def _group_quality(tracks: list[_Track]) -> float:
    return max((track.quality for track in tracks), default=0.0)


def _is_hidden(groups: list[list[_Track]]) -> bool:
    """Whether the counting signal was never really seen, in any version."""
    return not any(t.coverage >= _COVERAGE and t.confidence >= _SURE for tracks in groups for t in tracks)


def _count(tracks: list[_Track], grid: np.ndarray, counting: "Counting") -> list[Cycle]:
    """Cycles of every busy side; one that happens while the other side is well under way is the same repetition."""
    busiest = max(track.swing for track in tracks)
    busy = [track for track in tracks if track.swing >= _IDLE * busiest]
    shortest, longest = _side_limits(counting)
    found = [
        (cycle, track)
        for track in busy
        for cycle in find_cycles(
            grid,
            track.progress,
            threshold=track.threshold,
            min_period=shortest,
            max_period=longest,
            norm=track.norm,
            hold_counts=counting.sides != "both",
        )
        if track.seen[np.searchsorted(grid, cycle.peak)]
    ]
    kept: list[tuple[Cycle, _Track]] = []
    for cycle, track in sorted(found, key=lambda item: -item[0].excursion):
        if not any(
            _same(cycle, other, np.interp(cycle.peak, grid, t.progress), np.interp(other.peak, grid, t.progress))
            for other, t in kept
            if t is not track
        ):
            kept.append((cycle, track))
    return sorted((cycle for cycle, _ in kept), key=lambda cycle: cycle.turn)


def _same(cycle: Cycle, other: Cycle, level: float, top: float) -> bool:
    """Whether a cycle of one side belongs to a larger one of the other side, whose signal is at ``level`` at the
    former's peak and at ``top`` at its own.

    A peak that is held has no sharp place, and may lie after the end that noise gave to the other side's cycle; so two
    that begin and end about together are one, too.
    """
    together = min(cycle.end, other.end) - max(cycle.start, other.start)
    within = other.start <= cycle.peak <= other.end
    alike = together >= _ALIKE * max(cycle.end - cycle.start, other.end - other.start)
    return (within or alike) and level >= top - (1 - _UNDER_WAY) * other.excursion


def _ranges(piece: PoseSequence, cycles: list[Cycle]) -> list[Ranges]:
    """Smallest and largest value of each joint angle in each cycle; angles not seen there are left out."""
    angles, times = joint_angles(piece) if cycles else {}, piece.times
    ranges = []
    for cycle in cycles:
        inside = (times >= cycle.start) & (times <= cycle.end)
        seen = {name: values[inside & np.isfinite(values)] for name, values in angles.items()}
        ranges.append({name: (float(v.min()), float(v.max())) for name, v in seen.items() if len(v)})
    return ranges


def _guesses(piece: PoseSequence, cycles: list[Cycle]) -> list[set[str]]:
    """The angles of each cycle of which a joint was mostly out of sight: an estimator guesses where it is."""
    sure, times = signal_confidence(piece) if cycles else {}, piece.times
    inside = [(times >= cycle.start) & (times <= cycle.end) for cycle in cycles]
    return [{name for name, values in sure.items() if not np.median(values[rows]) >= SEEN} for rows in inside]


def _is_main(name: str, signal: str | None, ranges: list[Ranges]) -> bool:
    """Whether an angle is worth reporting: the counting joint's, and those that usually move."""
    if name.removeprefix("left_").removeprefix("right_") == signal:
        return True
    spans = [span[name][1] - span[name][0] for span in ranges if name in span]
    return bool(spans) and float(np.median(spans)) >= _MOVES
