"""Algorithms that train every trial in full, and those that give more epochs to the better ones only.

- full: each trial is trained to the end (random search, Bayesian optimisation).
- hyperband: Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization", JMLR 18 (2018),
  Algorithm 1. BOHB (Falkner et al., ICML 2018) is the same with other proposals.
- asha: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020, Algorithm 2 (promotion).

A promoted trial goes on from its checkpoint; nothing is trained twice.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kinetag.tune.trials import Decision, Go, New, Rest, Rules, Trial, ranked

_MOST = 20  # trials of asha and full where nothing says otherwise


def full(trials: Sequence[Trial], rules: Rules) -> Decision:
    """One trial after another, each to the end."""
    if len(trials) < (_MOST if rules.most is None else rules.most):
        return New(rules.epochs)
    return Rest.WAIT if any(trial.running for trial in trials) else Rest.DONE


# --- hyperband -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bracket:
    """How many trials come to each rung, and the epoch of each."""

    sizes: tuple[int, ...]
    rungs: tuple[int, ...]

    def cut(self, trials: int, eta: int) -> "Bracket":
        """The same for fewer trials."""
        sizes = [min(size, max(1, trials // eta**i)) for i, size in enumerate(self.sizes)]
        return Bracket(tuple(sizes), self.rungs)


def brackets_of(rules: Rules) -> list[Bracket]:
    """Hyperband's brackets, the one with the most trials first.

    >>> [b.sizes for b in brackets_of(Rules(None, 27))]
    [(27, 9, 3, 1), (12, 4, 1), (6, 2), (4,)]
    """
    eta, most = rules.eta, len(ladder(rules)) - 1
    found = []
    for s in range(most, -1, -1):
        trials = -(-(most + 1) * eta**s // (s + 1))
        sizes = tuple(max(1, trials // eta**i) for i in range(s + 1))
        found.append(Bracket(sizes, ladder(rules)[most - s :]))
    return found


def ladder(rules: Rules) -> tuple[int, ...]:
    """The epochs of all rungs, the full length the last: each an eta-th of the next, none below ``first``.

    >>> ladder(Rules(None, 27)), ladder(Rules(None, 20)), ladder(Rules(None, 20, first=3))
    ((1, 3, 9, 27), (2, 7, 20), (7, 20))
    """
    rungs = [rules.epochs]
    while rules.epochs / rules.eta ** len(rungs) >= max(1, min(rules.first, rules.epochs)):
        rungs.append(max(1, round(rules.epochs / rules.eta ** len(rungs))))
    return tuple(reversed(rungs))


def hyperband(trials: Sequence[Trial], rules: Rules) -> Decision:
    """All brackets, one after the other; the next one begins early only where the ones before wait."""
    waits = False
    for number, bracket in planned(rules):
        decision = halve([trial for trial in trials if trial.bracket == number], bracket, number)
        if isinstance(decision, New | Go):
            return decision
        waits |= decision is Rest.WAIT
    return Rest.WAIT if waits else Rest.DONE


def planned(rules: Rules) -> list[tuple[int, Bracket]]:
    """The brackets of a search by number: one round, or as many as the number of trials fills."""
    once = brackets_of(rules)
    left = rules.most if rules.most is not None else sum(bracket.sizes[0] for bracket in once)
    plan: list[tuple[int, Bracket]] = []
    while left > 0:
        bracket = once[len(plan) % len(once)].cut(left, rules.eta)
        plan.append((len(plan), bracket))
        left -= bracket.sizes[0]
    return plan


def halve(members: Sequence[Trial], bracket: Bracket, number: int) -> Decision:
    """Successive halving within a bracket: a rung is judged when all that belong there have come to it."""
    for i, epoch in enumerate(bracket.rungs):
        here = [trial for trial in members if trial.target >= epoch]
        if i == 0 and len(here) < bracket.sizes[0]:
            return New(epoch, bracket=number)
        if any(trial.running and not trial.reached(epoch) for trial in here):
            return Rest.WAIT
        if i + 1 < len(bracket.rungs):
            able = [trial for trial in ranked(here, epoch) if not trial.failed]
            for trial in able[: bracket.sizes[i + 1]]:
                if trial.target < bracket.rungs[i + 1]:
                    return Go(trial.number, bracket.rungs[i + 1])
    return Rest.WAIT if any(trial.running for trial in members) else Rest.DONE


# --- asha ------------------------------------------------------------------------------------------------------------


def asha(trials: Sequence[Trial], rules: Rules) -> Decision:
    """Promote what is in the best eta-th of a rung, from the top rung down; else begin a new trial.

    No more than an eta-th of a rung is ever promoted, also when later trials turn out to be better (the delay of
    D-ASHA: Li et al., "Hyper-Tune", VLDB 2022, Algorithm 1): a search that learns would promote nearly every trial.
    """
    rungs = ladder(rules)
    for i in range(len(rungs) - 2, -1, -1):
        here = [trial for trial in trials if trial.reached(rungs[i])]
        share = len(here) // rules.eta
        if sum(trial.target > rungs[i] for trial in trials) >= share:
            continue
        for trial in ranked(here, rungs[i])[:share]:
            if trial.target < rungs[i + 1] and not trial.running:
                return Go(trial.number, rungs[i + 1])
    if len(trials) < (_MOST if rules.most is None else rules.most):
        return New(rungs[0])
    if any(trial.running for trial in trials):
        return Rest.WAIT
    return _last_promotion(trials, rungs)


def _last_promotion(trials: Sequence[Trial], rungs: tuple[int, ...]) -> Decision:
    """When few trials leave none in full length: the best of the highest rung goes on to the end."""
    able = [trial for trial in trials if not trial.failed]
    if not able or any(trial.reached(rungs[-1]) for trial in able):
        return Rest.DONE
    highest = max(rung for rung in rungs if any(trial.reached(rung) for trial in able))
    best = ranked([trial for trial in able if trial.reached(highest)], highest)[0]
    return Go(best.number, min((rung for rung in rungs if rung > highest), default=math.inf))  # type: ignore[arg-type]
