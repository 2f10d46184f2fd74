"""Searches without training: a known function in the place of a network."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kinetag.tune import sampling
from kinetag.tune.plan import ALGORITHMS
from kinetag.tune.space import Dimension, Interval, Space
from kinetag.tune.trials import Go, New, Rest, Rules, Trial

SPACE = Space(
    (
        *(Dimension(f"x{i}", "float", (Interval(0.0, 1.0),), 0.5) for i in range(4)),
        Dimension("c", "choice", (Interval(options=("a", "b", "c", "d")),), "a"),
    )
)


def bowl(seed: int) -> Callable[[dict, int], float]:
    """Value of a combination after so many epochs; at the best place, after many, near 1."""
    rng = np.random.default_rng(seed)
    centre, bonus = rng.uniform(0.2, 0.8, 4), dict(zip("abcd", (0.0, -0.1, -0.1, -0.1), strict=True))

    def value(values: dict, epoch: int) -> float:
        apart = np.array([values[f"x{i}"] for i in range(4)]) - centre
        full = 1.0 - float(apart**2 @ np.array([1.5, 0.5, 0.2, 0.1])) + bonus[values["c"]]
        return full * (1 - 0.6 * float(np.exp(-epoch / 4)))

    return value


def simulate(
    name: str,
    function: Callable[[dict, int], float],
    rules: Rules,
    *,
    workers: int = 1,
    order: np.random.Generator | None = None,
    fails: Callable[[Trial], bool] = lambda trial: False,
) -> tuple[list[Trial], list[tuple[int, int]]]:
    """All trials of a search at its end, and each epoch that was trained, as (trial, epoch), in order."""
    algorithm, trials, trained = ALGORITHMS[name], [], []
    while True:
        running = [trial for trial in trials if trial.running]
        decision: Any = Rest.WAIT
        if len(running) < workers:
            decision = algorithm.decide(list(trials), rules)
        if isinstance(decision, New):
            values = decision.values
            if values is None:
                known = sampling.results_of(trials, rules.space)
                values = algorithm.propose(rules.space, known, rules.seed, len(trials))
            born = {k: getattr(decision, k) for k in ("target", "bracket", "slot", "parent", "start")}
            trials.append(Trial(len(trials), values, state="running", **born))
        elif isinstance(decision, Go):
            assert not trials[decision.number].running
            trials[decision.number] = replace(trials[decision.number], target=decision.target, state="running")
        elif decision is Rest.DONE:
            assert not running
            return trials, trained
        else:
            assert running, "waits though nothing runs"
            chosen = running[0 if order is None else int(order.integers(len(running)))]
            trials[chosen.number] = _trained(chosen, function, rules.epochs, trained, fails)


def _trained(trial: Trial, function, full: int, trained: list[tuple[int, int]], fails) -> Trial:
    kept, latest = dict(trial.kept), dict(trial.latest)
    if fails(trial):
        return replace(trial, state="failed")
    for epoch in range(trial.epoch + 1, trial.target + 1):
        score = (function(dict(trial.values), epoch), 0.0)
        latest[epoch], kept[epoch] = score, max([*kept.values(), score])
        trained.append((trial.number, epoch))
    return replace(trial, kept=kept, latest=latest, state="done" if trial.target >= full else "paused")


class FakeNursery:
    """Trains nothing: writes what a training would have told, at once. ``value(spec, epoch)`` is its val_acc."""

    value: Callable[[Any, int], float] = staticmethod(lambda spec, epoch: 0.5)
    jobs: ClassVar[list[tuple[str, int]]] = []  # (trial's folder, stop_after) of everything that was asked for

    def __init__(self, threads: int) -> None:
        self.events: list[dict] = []

    def start(self, name: str, work: dict) -> None:
        from kinetag.actions.train import spec_of

        spec = spec_of(work)
        tell = self.events.append
        if work["kind"] == "judge":
            tell({"name": name, "event": "result", "metrics": {"val_acc": 0.5, "val_loss": 0.5}, "clips": 1})
        else:
            folder = spec.results_folder("train")
            type(self).jobs.append((folder.name, work["stop_after"]))
            try:
                _pretend(spec, folder, work["stop_after"], type(self).value)
                tell({"name": name, "event": "result", "epochs": work["stop_after"], "metrics": {}})
            except Exception as error:
                message = str(error)
                tell({"name": name, "event": "error", "kind": type(error).__name__, "message": message})
        tell({"name": name, "event": "ended", "code": 0})

    def hear(self, timeout: float) -> dict | None:
        return self.events.pop(0) if self.events else None

    def close(self) -> None:
        pass


def _pretend(spec: Any, folder: Path, until: int, value: Callable[[Any, int], float]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "status.json"
    done = len(path.read_text().splitlines()) if path.exists() else 0
    with path.open("a") as file:
        for epoch in range(done + 1, until + 1):
            accuracy = value(spec, epoch)
            kpi = {"epoch": epoch, "val_acc": accuracy, "val_loss": 1 - accuracy}
            file.write(json.dumps({"kpi": kpi}) + "\n")
    for name in ("pc_model_best.pth", "pc_model_latest.pth"):
        (folder / name).write_text(f"{folder.name} {until}")


class OverlappingNursery(FakeNursery):
    """Trial 2 is still at it, after its first epoch, while trial 3 comes to its end; there must be two slots."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self.held: tuple[str, dict] | None = None

    def start(self, name: str, work: dict) -> None:
        from kinetag.actions.train import spec_of

        folder = spec_of(work).results_folder("train")
        if folder.name != "2" or work["kind"] == "judge":
            super().start(name, work)
            return
        self.held = name, work
        _pretend(spec_of(work), folder, 1, type(self).value)
        self.events.append({"name": name, "event": "epoch", "kpi": {"epoch": 1}})

    def hear(self, timeout: float) -> dict | None:
        if not self.events and self.held is not None:
            held, self.held = self.held, None
            super().start(*held)
        return super().hear(timeout)
