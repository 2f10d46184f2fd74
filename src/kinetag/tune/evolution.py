"""Algorithms that breed new trials from good ones.

- dehb: Awad, Mallik, Hutter, "DEHB: Evolutionary Hyperband for Scalable, Robust and Efficient Hyperparameter
  Optimization", IJCAI 2021: Hyperband's brackets, a population of differential evolution at each rung.
- pbt: Jaderberg et al., "Population Based Training of Neural Networks", 2017: the weakest members take over the weights
  of the strongest, and their options, changed a little.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kinetag.tune.halving import Bracket, brackets_of, halve, planned
from kinetag.tune.sampling import all_names, random
from kinetag.tune.space import Interval, Place, Space
from kinetag.tune.trials import Decision, Go, New, Rest, Rules, Trial, ranked

_FACTOR = 0.5  # F and
_CROSSOVER = 0.5  # p of differential evolution, section 4 of the paper

_SHARE = 0.2  # of the population that is replaced, and of that is copied: appendix A.1 of the paper
_PERTURBED = (0.8, 1.2)
_RESAMPLED = 0.25  # chance that an option is drawn anew instead


# --- dehb ------------------------------------------------------------------------------------------------------------


def dehb(trials: Sequence[Trial], rules: Rules) -> Decision:
    """The first bracket is Hyperband's; later ones breed each trial from the populations at its rung and below."""
    waits = False
    for number, bracket in planned(rules):
        members = [trial for trial in trials if trial.bracket == number]
        decision = halve(members, bracket, number) if number == 0 else _bred(trials, members, bracket, number, rules)
        if isinstance(decision, New) and _enough(trials, rules):
            continue  # a later bracket breeds at every rung
        if isinstance(decision, New | Go):
            return decision
        if decision is Rest.WAIT and number == 0:
            return decision  # nothing to breed from yet
        waits |= decision is Rest.WAIT
    return Rest.WAIT if waits else Rest.DONE


def _enough(trials: Sequence[Trial], rules: Rules) -> bool:
    return rules.most is not None and len(trials) >= rules.most


def _bred(trials: Sequence[Trial], members: Sequence[Trial], bracket: Bracket, number: int, rules: Rules) -> Decision:
    for i, epoch in enumerate(bracket.rungs):
        here = [trial for trial in members if trial.target == epoch]
        if len(here) < bracket.sizes[i]:
            below = bracket.rungs[i - 1] if i else None
            slot, values = _child(trials, epoch, below, bracket.sizes[i], rules)
            return New(epoch, values, bracket=number, slot=slot)
        if any(trial.running for trial in here):
            return Rest.WAIT
    return Rest.DONE


def _child(
    trials: Sequence[Trial], epoch: int, below: int | None, size: int, rules: Rules
) -> tuple[int, dict[str, Any]]:
    """The slot whose turn it is at a rung, and mutation rand/1 with binomial crossover against who holds it."""
    number = len(trials)
    rng = np.random.default_rng([rules.seed, number, 1])
    own = population(trials, epoch, rules)
    bred = sum(trial.bracket > 0 and trial.target == epoch for trial in trials)
    slot = bred % _width(epoch, rules)
    holder = own.get(slot)
    pool = ranked(list(population(trials, below, rules).values()), below)[:size] if below else list(own.values())
    if holder is None or len(pool) < 3:
        everyone = {trial.number: trial for rung in _rungs(rules) for trial in population(trials, rung, rules).values()}
        pool = pool + [trial for trial in everyone.values() if trial not in pool]
    others = [trial for trial in pool if holder is None or trial.number != holder.number]
    if holder is None or len(others) < 3:
        return slot, random(rules.space, (), rules.seed, number)
    names = list(all_names(rules.space))
    a, b, c = (_vector(rules.space, others[i]) for i in rng.choice(len(others), 3, replace=False))
    mutant = a + _FACTOR * (b - c)
    outside = (mutant < 0) | (mutant > 1)
    mutant[outside] = rng.random(int(outside.sum()))
    taken = rng.random(len(names)) < _CROSSOVER
    taken[rng.integers(len(names))] = True
    return slot, _values(rules.space, np.where(taken, mutant, _vector(rules.space, holder)))


def population(trials: Sequence[Trial], epoch: int, rules: Rules) -> dict[int, Trial]:
    """Who holds each slot at a rung: those of the first bracket at first, then whoever was at least as good."""
    able = [trial for trial in trials if not trial.failed and trial.reached(epoch)]
    first = [trial for trial in able if trial.bracket == 0]
    holders = dict(enumerate(first[: _width(epoch, rules)]))
    for trial in sorted(able, key=lambda trial: trial.number):
        if trial.bracket > 0 and trial.target == epoch:
            holder = holders.get(trial.slot)
            if holder is None or trial.at(epoch) >= holder.at(epoch):
                holders[trial.slot] = trial
    return holders


def _rungs(rules: Rules) -> tuple[int, ...]:
    return brackets_of(rules)[0].rungs


def _width(epoch: int, rules: Rules) -> int:
    """The size of a rung's population: the most that any bracket sends there."""
    return max(size for b in brackets_of(rules) for size, rung in zip(b.sizes, b.rungs, strict=True) if rung == epoch)


def _vector(space: Space, trial: Trial) -> np.ndarray:
    """Places as numbers in [0, 1], a choice in the middle of its stretch."""
    places = space.places(trial.values)
    return np.array([_number(places.get(name), interval) for name, (_, interval) in all_names(space).items()])


def _number(place: Place | None, interval: Interval) -> float:
    if place is None:
        return 0.5
    return (place + 0.5) / len(interval.options) if interval.options else float(place)


def _values(space: Space, vector: np.ndarray) -> dict[str, Any]:
    at = dict(zip(all_names(space), vector, strict=True))

    def place(dimension: Any, name: str) -> Place:
        options = all_names(space)[name][1].options
        return min(len(options) - 1, int(at[name] * len(options))) if options else float(at[name])

    return space.values(place)


# --- pbt -------------------------------------------------------------------------------------------------------------


def pbt(trials: Sequence[Trial], rules: Rules) -> Decision:
    """All members come to the end of a generation; then the weakest fifth begin anew from the strongest.

    When there have been enough trials, the members go on as they are.
    """
    ends = [*range(rules.interval, rules.epochs, rules.interval), rules.epochs]
    if len({trial.slot for trial in trials}) < rules.population:
        return New(ends[0], slot=len({trial.slot for trial in trials}))
    for end, following in zip(ends, [*ends[1:], None], strict=True):
        members = _members(trials, end)
        if any(trial.running and not trial.reached(end) for trial in members):
            return Rest.WAIT
        if following is None or all(trial.failed for trial in members):
            break
        begun = {trial.slot for trial in trials if trial.start == end}
        exchanged = {} if any(trial.target > end for trial in members) else _exchanged(members, end, rules)
        for slot, parent in exchanged.items():
            if slot not in begun and not _enough(trials, rules):
                values = _explored(parent, rules, np.random.default_rng([rules.seed, end, slot, 2]))
                return New(following, values, slot=slot, parent=parent.number, start=end)
        for trial in members:
            if trial.slot not in begun and not trial.failed and trial.target < following:
                return Go(trial.number, following)
    return Rest.WAIT if any(trial.running for trial in trials) else Rest.DONE


def _members(trials: Sequence[Trial], end: int) -> list[Trial]:
    """The trial of each slot in the generation that ends at an epoch."""
    return list({trial.slot: trial for trial in sorted(trials, key=lambda t: t.number) if trial.start < end}.values())


def _exchanged(members: Sequence[Trial], end: int, rules: Rules) -> dict[int, Trial]:
    """Which slots are given up at the end of a generation, and whose weights each gets."""
    order = sorted(members, key=lambda trial: (trial.now(end), -trial.number), reverse=True)
    count = max(1, int(_SHARE * len(order)))
    best = [trial for trial in order[:count] if not trial.failed]
    given_up = [trial for trial in order if trial.failed or trial in order[-count:]]
    rng = np.random.default_rng([rules.seed, end, 3])
    chosen = {trial.slot: best[int(rng.integers(len(best)))] for trial in given_up}
    return {t.slot: chosen[t.slot] for t in given_up if chosen[t.slot].now(end) > t.now(end)}


def _explored(parent: Trial, rules: Rules, rng: np.random.Generator) -> dict[str, Any]:
    """The parent's options: each drawn anew, or made a little smaller or larger, or for a choice left as it is."""
    space, values = rules.space, dict(parent.values)
    anew = random(space, (), int(rng.integers(1 << 31)), parent.number)
    for dimension in space.dimensions:
        key = dimension.key
        factor = _PERTURBED[int(rng.integers(2))]
        if key not in values:
            continue
        if rng.random() < _RESAMPLED:
            values[key] = anew.get(key, values[key])
        elif dimension.kind == "float":
            values[key] = values[key] * factor
        elif dimension.kind == "int":
            moved = round(values[key] * factor)
            values[key] = moved if moved != values[key] else values[key] + (1 if factor > 1 else -1)
    places = space.places(values)  # back into the ranges
    return space.values(lambda dimension, name: places[name])
