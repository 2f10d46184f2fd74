"""From window probabilities to segments: the exact best segmentation under minimum durations.

A semi-Markov model (Ostendorf, Digalakis and Kimball 1996; Sarawagi and Cohen 2004): a segmentation is scored by the
log-probabilities of its labels, in nats per second of video, less a cost for each change of label. No segment may be
shorter than its label's minimum duration. A dynamic programme finds the best segmentation; since every lower bound on
a duration admits a growing set of starts, a running maximum over starts makes it O(windows x labels).
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from kinetag.errors import KinetagError
from kinetag.timeline import OTHER, Segment

SWITCH_COST = 2.5  # nats; chosen on made-up sequences (bench/segments.py)
REJECT = 0.15  # chosen there too
MIN_DURATION = 1.5  # seconds, for labels that have none of their own
MAX_GAP = 1.5  # seconds without a pose that end a segment

_OUTLIER = 0.02  # probability that a window says nothing at all: bounds what a single one can veto


def decode(
    times: np.ndarray,
    probabilities: np.ndarray,
    labels: Sequence[str],
    *,
    start: float | None = None,
    end: float | None = None,
    minimum_durations: Mapping[str, float] | None = None,
    pose_times: np.ndarray | None = None,
    switch_cost: float = SWITCH_COST,
    reject: float = REJECT,
    max_gap: float = MAX_GAP,
) -> list[Segment]:
    """Segments in order, which cover [start, end] but for stretches without poses.

    ``times`` (W,) are window centres in seconds, increasing; ``probabilities`` (W, K) calibrated, over ``labels``. A
    window stands for the time half-way to its neighbours; the first and the last of a run of poses stand for its ends
    too. ``pose_times`` (T,) tells where the person was seen: a hole of more than ``max_gap`` seconds ends a segment
    (without it, a hole in ``times``). ``start`` and ``end`` default to the first and last of what is known.

    No segment is shorter than its label's entry in ``minimum_durations`` (s; default 1.5), unless the whole run of
    poses is. A larger ``switch_cost`` (nats; a change must earn that much log-probability-seconds) gives fewer, longer
    segments. Where no label is more probable than ``reject`` over time, 'other' wins if it is among the labels.

    A segment's confidence is the mean probability of its label over its time. A run of poses without any window is
    'other' with confidence 0.
    """
    times, probabilities = _checked(times, probabilities, labels)
    minimum = np.array([(minimum_durations or {}).get(label, MIN_DURATION) for label in labels], float)
    scores = _scores(probabilities, labels, reject)
    segments = []
    for first, last in _runs(times, pose_times, start, end, max_gap):
        inside = slice(np.searchsorted(times, first - 1e-6), np.searchsorted(times, last + 1e-6, side="right"))
        if last - first <= 0:
            continue
        if inside.start == inside.stop:
            segments.append(Segment(OTHER, first, last, 0.0))
            continue
        edges = window_edges(times[inside], first, last)
        least = np.minimum(minimum, last - first)
        spans = best_segmentation(scores[inside], edges, least, switch_cost)
        bounds = _refined(spans, times[inside], scores[inside], edges, least)
        weight = np.diff(edges)
        for (label, low, high), (begin, finish) in zip(spans, bounds, strict=True):
            share = probabilities[inside][low:high, label]
            confidence = float(np.average(share, weights=weight[low:high]))
            segments.append(Segment(labels[label], begin, finish, min(max(confidence, 0.0), 1.0)))
    return segments


def best_segmentation(
    scores: np.ndarray, edges: np.ndarray, minimum: np.ndarray, switch_cost: float
) -> list[tuple[int, int, int]]:
    """The segmentation with the greatest score: (label, first window, last window + 1) in order.

    ``scores`` (W, K) nats per second, ``edges`` (W + 1,) times between the windows, ``minimum`` (K,) seconds.
    Neighbours never have the same label. If the whole is shorter than every label's minimum, it is one segment.

    Best(w, k), the best score of windows 0..w-1 whose last segment has label k and ends there, is
    C(w, k) + max over s with edges[w] - edges[s] >= minimum[k] of (max_j Best(s, j) - cost - C(s, k)), with the
    cumulative score C. The admissible s are a prefix that grows with w, so their maximum is carried along.
    """
    count, classes = scores.shape
    cumulative = np.zeros((count + 1, classes))
    np.multiply(scores, np.diff(edges)[:, None], out=cumulative[1:])
    np.cumsum(cumulative, axis=0, out=cumulative)
    # Starts s < admitted[w, k] are far enough before edge w (with room for rounding).
    admitted = np.empty((count + 1, classes), np.int32)
    for k, least in enumerate(minimum):
        admitted[:, k] = np.searchsorted(edges, edges - least + 1e-9, side="right")
    best = np.full(count + 1, -np.inf)  # over the last label
    best[0] = switch_cost  # the first segment costs no change
    best_label = np.zeros(count + 1, int)
    start_of = np.zeros((count + 1, classes), np.int32)
    carried = np.full(classes, -np.inf)
    carried_start = np.zeros(classes, int)
    done = np.zeros(classes, int)
    for w in range(1, count + 1):
        limit = np.minimum(admitted[w], w)
        while (k := np.flatnonzero(done < limit)).size:  # mostly one start for each label, or none
            value = best[done[k]] - switch_cost - cumulative[done[k], k]
            better = k[value > carried[k]]
            carried_start[better] = done[better]
            carried[k] = np.maximum(carried[k], value)
            done[k] += 1
        total = cumulative[w] + carried
        best_label[w] = total.argmax()
        best[w] = total[best_label[w]]
        start_of[w] = carried_start
    if not np.isfinite(best[count]):
        return [(int(cumulative[count].argmax()), 0, count)]
    return _trace(best_label, start_of, count)


def _trace(best_label: np.ndarray, start_of: np.ndarray, count: int) -> list[tuple[int, int, int]]:
    """Follow the best starts back from the end."""
    spans: list[tuple[int, int, int]] = []
    w = count
    while w > 0:
        label = int(best_label[w])
        start = int(start_of[w, label])
        if spans and spans[-1][0] == label:  # only without a switch cost: a tie
            spans[-1] = (label, start, spans[-1][2])
        else:
            spans.append((label, start, w))
        w = start
    return spans[::-1]


def window_edges(times: np.ndarray, first: float, last: float) -> np.ndarray:
    """The times (W + 1,) between which each window (W,) speaks: half-way to its neighbours, and the ends of the run."""
    return np.concatenate([[first], (times[1:] + times[:-1]) / 2, [last]])


def _refined(
    spans: list[tuple[int, int, int]], times: np.ndarray, scores: np.ndarray, edges: np.ndarray, minimum: np.ndarray
) -> list[tuple[float, float]]:
    """Start and end of each span, with inner boundaries moved to where the two labels' scores cross between windows.

    A boundary stays between its two windows, and no segment becomes shorter than its minimum.
    """
    bounds = [float(edges[0])]
    for i, ((a, _, at), (b, _, stop)) in enumerate(pairwise(spans)):
        before, after = scores[at - 1, a] - scores[at - 1, b], scores[at, b] - scores[at, a]
        share = before / (before + after) if before > 0 and after > 0 else 0.5
        crossing = times[at - 1] + share * (times[at] - times[at - 1])
        earliest = max(bounds[i] + minimum[a], times[at - 1])
        latest = min(edges[stop] - minimum[b], times[at])
        # The next boundary may still move, but never before its own left window; stay on the safe side of both.
        bounds.append(float(np.clip(crossing, earliest, latest)) if earliest <= latest else float(edges[at]))
    bounds.append(float(edges[-1]))
    return list(pairwise(bounds))


def _scores(probabilities: np.ndarray, labels: Sequence[str], reject: float) -> np.ndarray:
    """Log-probabilities (W, K), robust against a window that is sure and wrong, with 'other' at least ``reject``."""
    robust = (1 - _OUTLIER) * probabilities
    robust += _OUTLIER / max(len(labels), 1)
    if OTHER in labels:
        other = list(labels).index(OTHER)
        robust[:, other] = np.maximum(robust[:, other], reject)
    return np.log(robust, out=robust)


def _runs(
    times: np.ndarray, pose_times: np.ndarray | None, start: float | None, end: float | None, max_gap: float
) -> list[tuple[float, float]]:
    """Stretches (first, last) in which the person was in view, within [start, end]."""
    known = times if pose_times is None else np.asarray(pose_times, float)
    low = (float(known[0]) if len(known) else 0.0) if start is None else float(start)
    high = (float(known[-1]) if len(known) else low) if end is None else float(end)
    if high < low:
        raise KinetagError(f"the end of the timeline ({high} s) lies before its start ({low} s)")
    known = known[(known >= low) & (known <= high)]
    if not len(known):
        return [(low, high)]
    breaks = np.flatnonzero(np.diff(known) > max_gap)
    if pose_times is None:  # windows lie at least half a hop inside what they speak of
        known = np.concatenate([[low], known[1:-1], [high]]) if len(known) > 1 else np.array([low, high])
    firsts = known[np.concatenate([[0], breaks + 1])]
    lasts = known[np.concatenate([breaks, [len(known) - 1]])]
    return [(float(a), float(b)) for a, b in zip(firsts, lasts, strict=True)]


def _checked(times: np.ndarray, probabilities: np.ndarray, labels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    times, probabilities = np.asarray(times, float), np.array(probabilities, float)
    if probabilities.shape != (len(times), len(labels)):
        raise KinetagError(
            f"probabilities have shape {probabilities.shape}, but {len(times)} windows and {len(labels)} labels "
            f"need ({len(times)}, {len(labels)})"
        )
    if len(times) > 1 and not (np.diff(times) > 0).all():
        raise KinetagError("window times do not increase")
    np.nan_to_num(probabilities, copy=False)
    return times, np.clip(probabilities, 0.0, 1.0, out=probabilities)
