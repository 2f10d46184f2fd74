"""When which key pose is reached: tempo, holds, pauses, flights, fatigue, and the exact times of repetitions."""

from dataclasses import dataclass

import numpy as np

from kinetag.exercises.balance import GRAVITY
from kinetag.exercises.recipes import Recipe, padded

_ALOFT = 0.6  # the most of a repetition's time that jumps are in the air


@dataclass(frozen=True)
class Schedule:
    """Knots of B people, padded: ``times`` (B, N) s, not decreasing; ``pose`` (B, N) index into the cycle;
    ``depth`` (B, N) share of the way from the first pose; ``rise`` (B, N) metres off the floor, at the top of a jump;
    ``tired`` (B,) in [0, 1] at the end of the set; ``repetitions``: (start, peak, end) s of each person."""

    times: np.ndarray
    pose: np.ndarray
    depth: np.ndarray
    rise: np.ndarray
    tired: np.ndarray
    repetitions: list[list[tuple[float, float, float]]]


def make_schedule(
    recipes: list[Recipe], rng: np.random.Generator, duration: float, repetitions: int | None = None,
    rise: np.ndarray | None = None,
) -> Schedule:  # fmt: skip
    """Plan B people's sets so that each fills ``duration`` seconds, or does exactly that many ``repetitions``.

    ``rise`` (B, C) metres is how far each pose of the cycle is off the floor (None: nobody jumps).
    """
    steps = np.array([len(r.cycle) for r in recipes])
    work = np.array([max(int(r.peaks.sum()), 1) for r in recipes])
    low, high = np.array([r.period for r in recipes]).T
    exact = repetitions is not None
    period = np.exp(rng.uniform(np.log(low), np.log(high)))  # seconds a repetition
    rounds = -(-(repetitions or 0) // work) + 1 if exact else _rounds(period * work, duration)
    hold, move = _shares(recipes, rng, steps.max())
    count = int(rounds.max())
    tired = _fatigue(rng, len(recipes))
    pace = _pace(rng, tired, count, exact)  # (B, R)
    lasts = np.stack([hold, move], -1)[:, None] * (period * work)[:, None, None, None] * pace[..., None, None]
    valid = np.arange(steps.max()) < steps[:, None]
    depth = _depths(recipes, rng, tired, count, exact)
    height = np.zeros(lasts.shape[:3], np.float32)
    if rise is not None:
        height += np.where(valid, rise[:, : valid.shape[1]], 0)[:, None] * depth[..., None]
        _fly(lasts, height, np.array([r.still for r in recipes]))
    if not exact:
        lasts[..., 0, 0] += _pauses(rng, len(recipes), count, period)
    return _knots(recipes, rng, lasts, valid, depth, height, tired, duration, repetitions)


def _fly(lasts: np.ndarray, height: np.ndarray, still: np.ndarray) -> None:
    """Give every jump the time in the air that its height takes, or the height that there is time for; in place.

    ``lasts`` (B, R, C, 2) seconds; ``height`` (B, R, C) metres. Who is ``still`` (B,) in the air keeps the pose from
    taking off to landing, and has less time for all else.
    """
    rows = np.flatnonzero((height > 0).any(axis=(1, 2)))
    if not len(rows):
        return
    own, up = lasts[rows], height[rows]
    total, jumps = own.sum(axis=(2, 3)), (up > 0).sum(axis=2)
    longest = _ALOFT * total / np.maximum(jumps, 1) / 2
    climb = np.minimum(np.sqrt(2 * up / GRAVITY), longest[..., None])  # seconds from the floor to the top
    height[rows] = GRAVITY * climb**2 / 2
    held = np.where(up > 0, own[..., 0], 0).sum(axis=2)
    slower = (total - 2 * climb.sum(axis=2)) / np.maximum(total - held, 1e-6)
    changed = own * slower[..., None, None]
    changed[..., 0] = np.where(up > 0, 2 * climb, changed[..., 0])
    lasts[rows] = np.where(still[rows, None, None, None], changed, own)


def _rounds(cycle: np.ndarray, duration: float) -> np.ndarray:
    return np.ceil(duration / (cycle * 0.7)).astype(int) + 2


def _shares(recipes: list[Recipe], rng: np.random.Generator, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Shares of the cycle's time that are spent in each pose, and in getting from it to the next, (B, C) each."""
    length = np.array([len(r.cycle) for r in recipes])
    known = np.arange(steps) < length[:, None]
    ranges = np.stack([np.stack([padded(r.hold, steps), padded(r.move, steps)]) for r in recipes], axis=1)
    drawn = ranges[..., 0] + (ranges[..., 1] - ranges[..., 0]) * rng.random(ranges.shape[:-1])  # (2, B, C)
    hold = drawn[0] * known / np.array([max(int(r.peaks.sum()), 1) for r in recipes])[:, None]
    hold *= np.minimum(1, 0.7 / np.maximum(hold.sum(axis=1, keepdims=True), 1e-9))
    reach = drawn[1] * np.exp(rng.normal(0, 0.2, drawn[1].shape)) * known
    # What is given is the time to reach a pose; it is spent after the pose before it.
    after = (np.arange(steps) + 1) % length[:, None]
    move = np.take_along_axis(reach, np.where(known, after, 0), axis=1) * known
    return hold, move / move.sum(axis=1, keepdims=True) * (1 - hold.sum(axis=1, keepdims=True))


def _fatigue(rng: np.random.Generator, count: int) -> np.ndarray:
    """How tired each is at the end, (B,) in [0, 1]: most not at all."""
    return rng.uniform(0, 1, count) * (rng.random(count) < 0.3)


def _pace(rng: np.random.Generator, tired: np.ndarray, rounds: int, exact: bool) -> np.ndarray:
    """Relative duration of each round, (B, R): repetitions differ, and tired people slow down."""
    vary = rng.uniform(0, 0.06 if exact else 0.16, (len(tired), 1))
    slower = 0.25 * tired[:, None] * np.linspace(0, 1, rounds)
    return np.exp(rng.normal(0, 1, (len(tired), rounds)) * vary + slower)


def _pauses(rng: np.random.Generator, count: int, rounds: int, period: np.ndarray) -> np.ndarray:
    """Seconds of rest before rounds, (B, R): sometimes a breath, sometimes a stop."""
    breath = rng.exponential(0.5, (count, rounds)) * (rng.random((count, rounds)) < 0.15)
    return np.minimum(breath, 1.5) * (rng.random((count, 1)) < 0.4) * (period[:, None] > 0.8)


def _depths(recipes: list[Recipe], rng: np.random.Generator, tired: np.ndarray, rounds: int, exact: bool) -> np.ndarray:
    """How far each round goes, (B, R): partial range of motion, differences, fatigue.

    ``exact`` repetitions stay whole to the last one: benches and tests count them and judge their form, and half a
    repetition has no right answer.
    """
    low, high = np.array([r.depth for r in recipes]).T
    full = rng.random(len(recipes)) < 0.55
    reach = np.where(full | exact, rng.uniform(0.92, 1.03, len(recipes)), rng.uniform(low, high))
    vary = rng.normal(0, 1, (len(recipes), rounds)) * rng.uniform(0, 0.03 if exact else 0.09, (len(recipes), 1))
    less = 0 if exact else 0.2 * tired[:, None] * np.linspace(0, 1, rounds)
    return np.clip(reach[:, None] * (1 + vary) * (1 - less), 0.3, 1.1)


def _knots(
    recipes: list[Recipe], rng: np.random.Generator, lasts: np.ndarray, valid: np.ndarray, depth: np.ndarray,
    height: np.ndarray, tired: np.ndarray, duration: float, repetitions: int | None,
) -> Schedule:  # fmt: skip
    """Lay rounds end to end. ``lasts`` (B, R, C, 2): seconds in a pose, then on the way to the next."""
    count, turns, steps, _ = lasts.shape
    lasts = np.where(valid[:, None, :, None], lasts, 0)
    start = _start(rng, lasts[:, 0].sum(axis=(1, 2)), exact=repetitions is not None)
    use = np.broadcast_to(valid[:, None, :, None], lasts.shape).reshape(count, -1)
    lasts = lasts.reshape(count, -1)  # (B, R * C * 2)
    times = start[:, None] + np.cumsum(lasts, axis=1) - lasts
    pose = np.broadcast_to(np.arange(steps)[:, None], (count, turns, steps, 2)).reshape(count, -1)
    # Steps that a person's cycle does not have go to the end, where nobody gets.
    order = np.argsort(~use, axis=1, kind="stable")
    times = np.take_along_axis(np.where(use, times, np.inf), order, 1)
    pose = np.take_along_axis(pose, order, 1)
    depth = np.take_along_axis(np.repeat(depth, steps * 2, axis=1), order, 1)
    rise = np.take_along_axis(np.repeat(height.reshape(count, -1), 2, axis=1), order, 1)
    wanted = [recipe.counted or repetitions is not None for recipe in recipes]
    done = [_repetitions(r, times[i], repetitions) if wanted[i] else [] for i, r in enumerate(recipes)]
    if repetitions is not None:
        for i, own in enumerate(done):  # then they stay where the last one ended
            times[i, times[i] > own[-1][2] + 1e-6] = np.inf
    done = [[rep for rep in own if 0 <= rep[1] <= duration or repetitions is not None] for own in done]
    return Schedule(times, pose, depth, rise, tired, done)


def _start(rng: np.random.Generator, cycle: np.ndarray, *, exact: bool) -> np.ndarray:
    """When the first round starts, (B,) s: after a moment at rest, or it is under way already."""
    if exact:
        return rng.uniform(0.4, 0.8, len(cycle))
    rests = rng.random(len(cycle)) < 0.2
    return np.where(rests, rng.uniform(0, 1, len(cycle)), -rng.random(len(cycle)) * cycle)


def _repetitions(recipe: Recipe, times: np.ndarray, limit: int | None) -> list[tuple[float, float, float]]:
    """(start, peak, end) s of each turning point: from leaving the rest before it to reaching the rest after it.

    ``times`` (N,): of arriving at and leaving each step in turn, infinite beyond the last.
    """
    arrive, leave = times[0::2], times[1::2]
    known = int(np.isfinite(times).sum()) // 2
    is_rest = recipe.cycle[:, 0] == recipe.cycle[0, 0]
    rests = np.flatnonzero(np.resize(is_rest, known))
    out: list[tuple[float, float, float]] = []
    for step in np.flatnonzero(np.resize(recipe.peaks, known)).tolist():
        before, after = rests[rests < step], rests[rests > step]
        if not len(after) or len(out) == limit:
            break
        begin = leave[before[-1]] if len(before) else arrive[step]
        out.append((float(begin), float((arrive[step] + leave[step]) / 2), float(arrive[after[0]])))
    return out
