"""Proposals: which combination of options to try next, from the results so far.

- `random`: uniform, choices by their weights.
- `model`: Optuna's Gaussian process with log expected improvement (Ament et al., NeurIPS 2023), after a start of
  scrambled Sobol points. Beyond _MANY results Optuna's tree-structured Parzen estimator takes over, whose cost grows
  more slowly.
- `density`: the same estimator from the start, and every third proposal at random, as in BOHB (Falkner et al., ICML
  2018, Algorithm 2).

A proposal depends on the seed, the number of the trial and the results alone, so a search that was stopped proposes
what it would have proposed.
"""

import math
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kinetag.errors import missing_extra
from kinetag.tune.space import Dimension, Interval, Place, Space, name_of
from kinetag.tune.trials import Trial

if TYPE_CHECKING:
    import optuna

_START = 8  # results before a model is asked
_MANY = 200  # results from which the Gaussian process would be slow
_AT_RANDOM = 3  # `density`: one proposal in so many


@dataclass(frozen=True)
class Result:
    """Places that were tried, and what came of it (higher is better); None: it is being trained."""

    places: Mapping[str, Place]
    score: float | None


def random(space: Space, results: Sequence[Result], seed: int, number: int) -> dict[str, Any]:
    """A combination drawn at random."""
    return space.values(lambda dimension, name: _chosen(dimension, name, _uniform(seed, number, name)))


def model(space: Space, results: Sequence[Result], seed: int, number: int) -> dict[str, Any]:
    """The combination that a Gaussian process expects most of."""
    finished = sum(result.score is not None for result in results)
    if finished < _START:
        return _spread(space, seed, number)
    optuna = import_optuna()
    if finished > _MANY:
        return _asked(space, results, optuna.samplers.TPESampler(seed=_seed(seed, number), n_startup_trials=0))
    with _one_thread():
        return _asked(
            space, _without_cliffs(results), optuna.samplers.GPSampler(seed=_seed(seed, number), n_startup_trials=0)
        )


def _without_cliffs(results: Sequence[Result]) -> list[Result]:
    """Very bad results made less so: how deep a cliff is tells nothing of where it is best, and hides it from a model.

    What lies further below the best than three times the median does is put there.
    """
    scores = np.array([result.score for result in results if result.score is not None])
    floor = scores.max() - 3 * (scores.max() - np.median(scores))
    return [replace(r, score=max(r.score, floor)) if r.score is not None else r for r in results]


def density(space: Space, results: Sequence[Result], seed: int, number: int) -> dict[str, Any]:
    """The combination that lies most clearly among the good ones and least among the others."""
    finished = sum(result.score is not None for result in results)
    if number % _AT_RANDOM == 0 or finished < max(_START, len(space.dimensions) + 2):
        return random(space, results, seed, number)
    sampler = import_optuna().samplers.TPESampler(seed=_seed(seed, number), n_startup_trials=0)
    return _asked(space, results, sampler)


def results_of(trials: Sequence[Trial], space: Space, enough: int = _START) -> list[Result]:
    """What a model learns from: the results at the highest epoch that enough trials have come to.

    A failed trial counts as bad as the worst. Those still on their way there have no result yet. What lies outside of
    the ranges, as the spec's own values may, has no place that it could be learned for.
    """
    trials = [trial for trial in trials if space.contains(trial.values)]
    epochs = sorted({epoch for trial in trials for epoch in trial.kept}, reverse=True)
    able = [trial for trial in trials if not trial.failed]
    level = next((e for e in epochs if sum(trial.reached(e) for trial in able) >= enough), epochs[-1] if epochs else 1)
    worst = min((trial.at(level)[0] for trial in able if trial.reached(level)), default=-1.0)
    found: list[Result] = []
    for trial in trials:
        if trial.failed or trial.reached(level):
            found.append(Result(space.places(trial.values), worst if trial.failed else trial.at(level)[0]))
        elif trial.running:
            found.append(Result(space.places(trial.values), None))
    return found


def importances(space: Space, trials: Sequence[Trial]) -> dict[str, float]:
    """How much each option decides over being among the good trials, PED-ANOVA (Watanabe, Bansal, Hutter, IJCAI 2023).

    The shares sum to 1, the most important first; empty while there are too few results.
    """
    results = [result for result in results_of(trials, space) if result.score is not None]
    if len(results) < _START or len({result.score for result in results}) < 2:
        return {}
    optuna = import_optuna()
    distributions = {name: _distribution(optuna, *pair) for name, pair in all_names(space).items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.create_study(direction="maximize")
        for result in results:
            study.add_trial(_trial(optuna, result, distributions))
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    shares: dict[str, float] = {}
    for name, share in found.items():
        key = name.partition("#")[0]
        shares[key] = shares.get(key, 0.0) + float(share)
    if not all(map(math.isfinite, shares.values())) or (len(shares) > 1 and np.ptp(list(shares.values())) < 1e-9):
        return {}  # the same of each is what is said where nothing could be told apart
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def import_optuna() -> Any:
    """Optuna, with its advice kept out of the terminal."""
    try:
        import optuna
    except ImportError:
        raise missing_extra("optuna", "tune", "a search") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


# --- draws -----------------------------------------------------------------------------------------------------------


def _seed(seed: int, number: int) -> int:
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _uniform(seed: int, number: int, name: str) -> float:
    return float(np.random.default_rng([seed, number, zlib.crc32(name.encode())]).random())


def _spread(space: Space, seed: int, number: int) -> dict[str, Any]:
    """Point ``number`` of a scrambled Sobol sequence over all dimensions."""
    from scipy.stats import qmc

    names = all_names(space)
    sequence = qmc.Sobol(len(names), seed=_seed(seed, 0))  # pyright: ignore[reportCallIssue]
    if number:
        sequence.fast_forward(number)
    point = dict(zip(names, sequence.random(1)[0], strict=True))
    return space.values(lambda dimension, name: _chosen(dimension, name, float(point[name])))


def all_names(space: Space) -> dict[str, tuple[Dimension, Interval]]:
    """Every name that a sampler may be asked for."""
    return {name_of(d, i): (d, interval) for d in space.dimensions for i, interval in enumerate(d.intervals)}


def _chosen(dimension: Dimension, name: str, place: float) -> Place:
    """A place from a uniform number; for a choice by the weights."""
    if dimension.kind != "choice":
        return place
    interval = dimension.intervals[int(name.partition("#")[2] or 0)]
    weights = np.array(interval.weights or np.ones(len(interval.options)))
    return int(min(len(weights) - 1, np.searchsorted(np.cumsum(weights) / weights.sum(), place, side="right")))


@contextmanager
def _one_thread() -> Iterator[None]:
    """So little is computed that more threads only take the processor from the trainings."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# --- Optuna ----------------------------------------------------------------------------------------------------------


def _asked(space: Space, results: Sequence[Result], sampler: "optuna.samplers.BaseSampler") -> dict[str, Any]:
    """What a sampler of Optuna's proposes, given the results in a study that lives in memory only."""
    optuna = import_optuna()
    distributions = {name: _distribution(optuna, *pair) for name, pair in all_names(space).items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.create_study(sampler=sampler, direction="maximize")
        for result in results:
            study.add_trial(_trial(optuna, result, distributions))
        asked = study.ask(distributions).params
    return space.values(lambda dimension, name: asked[name])


def _distribution(optuna: Any, dimension: Dimension, interval: Interval) -> Any:
    if dimension.kind == "choice":
        return optuna.distributions.CategoricalDistribution(list(range(len(interval.options))))
    return optuna.distributions.FloatDistribution(0.0, 1.0)


def _trial(optuna: Any, result: Result, distributions: Mapping[str, Any]) -> Any:
    """A result in Optuna's form. What had no effect lies in the middle, so that every model sees all dimensions."""
    middle = {name: 0 if hasattr(d, "choices") else 0.5 for name, d in distributions.items()}
    states = optuna.trial.TrialState
    score = result.score
    return optuna.trial.create_trial(
        state=states.RUNNING if score is None else states.COMPLETE,
        params=middle | {name: place for name, place in result.places.items() if name in middle},
        distributions=dict(distributions),
        value=None if score is None else score if math.isfinite(score) else -1e3,
    )
