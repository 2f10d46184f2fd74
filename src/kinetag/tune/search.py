"""The search itself: decide, record, train, hear, record; until there is nothing left to do."""

import itertools
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kinetag.actions.train import plain
from kinetag.checkpoint import LATEST
from kinetag.errors import KinetagError
from kinetag.spec import Spec, value_at
from kinetag.spec.errors import shown
from kinetag.tune import results, sampling
from kinetag.tune.curves import curve
from kinetag.tune.jobs import inherit
from kinetag.tune.nursery import Event, Nursery
from kinetag.tune.plan import TRIALS, Plan
from kinetag.tune.store import BASELINE, Curve, Store
from kinetag.tune.trials import WORST, New, Rest, Trial

_DEATHS = 5  # of one trial in a row, without an epoch in between
_PATIENCE = 0.5  # s to wait for an event
_SHOWN = 0.2  # s between two pictures

Watch = Callable[["Picture"], None]


@dataclass
class Hand:
    """A trial that this process trains now."""

    trial: Trial
    slot: int
    began: float
    epoch: int = 0  # that it is in
    share: float = 0.0  # of that epoch
    deaths: int = 0
    outcome: Event = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """How a search stands, for somebody who watches."""

    plan: Plan
    trials: list[Trial]
    hands: dict[int, Hand]


class Search:
    """One process's part of a search. ``tell`` hears each step of it in a line, with numbers."""

    def __init__(
        self, plan: Plan, store: Store, tell: Callable[[str, Mapping[str, float]], None], watch: Watch
    ) -> None:
        self.plan, self.store, self._tell, self._watch = plan, store, tell, watch
        self.begun = 0  # trainings
        self._nursery: Nursery | None = None
        self.hands: dict[str, Hand] = {}
        self.trials = store.trials()
        self._names = itertools.count()
        self._pictured = 0.0

    def run(self) -> dict[str, Any]:
        """Everything from the first trial to the evaluation of the best; returns what automl.json holds."""
        try:
            self._before()
            while self._fill() or self.hands:
                self._hear()
            return self._after()
        finally:
            if self._nursery is not None:
                self._nursery.close()

    @property
    def nursery(self) -> Nursery:
        """Where trials run; it begins when the first one does."""
        if self._nursery is None:
            self._nursery = Nursery(self.plan.threads)
        return self._nursery

    # --- what to do next ---------------------------------------------------------------------------------------------

    def _fill(self) -> bool:
        """Begin trials until all slots are taken or none is to begin. False when there is nothing left to do at all."""
        while len(self.hands) < self.plan.slots:
            with self.store.lock():
                trial = self._next()
            if isinstance(trial, Rest):
                return trial is not Rest.DONE
            self._begin(trial, self._free_slot())
        return True

    def _next(self) -> Trial | Rest:
        """The next trial, recorded as this process's. To be called under the store's lock."""
        store, plan = self.store, self.plan
        self.trials = trials = store.trials()
        mine = {hand.trial.number for hand in self.hands.values()}
        if abandoned := store.abandoned(mine):
            trial = store.take_over(abandoned[0].number)
            self._say(f"trial {trial.number} goes on from epoch {trial.epoch}")
            return trial
        if plan.settings.baseline and not trials:
            return store.create(New(plan.rules.epochs), plan.space.start(), plan.space, BASELINE)
        decision = plan.algorithm.decide([trial for trial in trials if not trial.baseline], plan.rules)
        if isinstance(decision, Rest):
            return Rest.WAIT if any(trial.running for trial in trials) else Rest.DONE
        if not isinstance(decision, New):
            return store.go_on(decision)
        values = decision.values
        if values is None:
            known = sampling.results_of(trials, plan.space)
            values = plan.algorithm.propose(plan.space, known, plan.rules.seed, len(trials))
        if decision.parent >= 0:
            inherit(plan.trial_folder(decision.parent), plan.trial_folder(len(trials)))
        return store.create(decision, values, plan.space, plan.settings.algorithm)

    def _free_slot(self) -> int:
        return min(set(range(self.plan.slots)) - {hand.slot for hand in self.hands.values()})

    def _begin(self, trial: Trial, slot: int, deaths: int = 0) -> None:
        plan, name = self.plan, f"{trial.number}.{next(self._names)}"
        for draft in plan.trial_folder(trial.number).glob(".*.draft"):  # of a process that was killed while it wrote
            draft.unlink(missing_ok=True)
        spec = plan.trial_spec(trial, slot)
        work = plain(spec) | {"kind": "train", "stop_after": trial.target, "tidy": plan.tidies}
        self.hands[name] = Hand(trial, slot, time.monotonic(), trial.epoch, deaths=deaths)
        self.nursery.start(name, work)
        self.begun += 1
        self._picture(force=True)

    # --- what happens ------------------------------------------------------------------------------------------------

    def _hear(self) -> None:
        event = self.nursery.hear(_PATIENCE)
        self.store.beat()
        hand = self.hands.get(event["name"]) if event else None
        if event is None or hand is None:
            self._picture()
            return
        if event["event"] == "progress":
            if event["message"].startswith("Epoch "):
                hand.epoch = int(event["message"].split()[1])
                hand.share = event["done"] / (event["total"] or 1)
        elif event["event"] == "epoch":
            hand.deaths, hand.epoch, hand.share = 0, int(event["kpi"]["epoch"]), 1.0
            self.store.report(hand.trial.number, self._curve(hand.trial))
        elif event["event"] == "ended":
            del self.hands[event["name"]]
            self._ended(hand, event["code"])
        else:
            hand.outcome = event
        self._picture(force=event["event"] in ("epoch", "ended"))

    def _ended(self, hand: Hand, code: int) -> None:
        number, outcome = hand.trial.number, hand.outcome
        if outcome.get("event") == "result":
            points = self._curve(hand.trial)
            if points:
                self.store.finish(number, points, time.monotonic() - hand.began)
            else:
                self.store.fail(number, "it was never judged on validation data")
            self._finished(number)
        elif outcome.get("event") == "error":
            self._failed(number, outcome["kind"], outcome["message"])
        elif hand.deaths + 1 < _DEATHS:
            self._say(f"trial {number} was killed (code {code}); it goes on from its last checkpoint")
            trial = next(trial for trial in self.store.trials() if trial.number == number)
            self._begin(trial, hand.slot, hand.deaths + 1)
        else:
            self._failed(number, "Killed", f"killed {_DEATHS} times in a row (code {code}); is there enough memory?")

    def _failed(self, number: int, kind: str, reason: str) -> None:
        """A trial's options may be no good; but when nothing has ever worked, something else is wrong."""
        self.trials = self.store.trials()
        if kind != "DivergedError" and not any(trial.kept for trial in self.trials):
            if not self.store.shared:
                self.store.discard()
            raise KinetagError(reason)
        self.store.fail(number, reason)
        self._finished(number)

    def _finished(self, number: int) -> None:
        """A trial has come to its target, or to nothing: say so, and bring what can be seen up to date."""
        self.trials, notes = self.store.trials(), self.store.notes()
        trial = next(trial for trial in self.trials if trial.number == number)
        self._tell(results.sentence(self.plan, trial, notes[number]), results.numbers(self.plan, trial))
        self._publish(notes)
        if self.plan.settings.automl_delete_intermediate_ckpt:
            self._delete(over=False)

    def _publish(self, notes: Mapping[int, Mapping[str, Any]], over: bool = False) -> dict[str, Any]:
        best = results.best_of(self.trials)
        facts = self.store.facts()
        summary = results.summary(self.plan, self.trials, notes, facts, over=over)
        if best is not None:
            results.publish_best(self.plan, best)
        else:
            results.withdraw(self.plan)
        results.write(self.plan, summary)
        return summary

    def _delete(self, *, over: bool) -> None:
        """Remove the checkpoints of trials that no longer matter; never the best's, nor what others may begin with.

        The best of those that are through stays too while another one leads: that one may still fail.
        """
        through = [trial for trial in self.trials if trial.state == "done" or (over and not trial.running)]
        kept = {best.number for best in map(results.best_of, (self.trials, through)) if best is not None}
        for trial in self.trials:
            if (trial.failed or trial in through) and kept and trial.number not in kept:
                for path in self.plan.trial_folder(trial.number).glob("*.pth"):
                    path.unlink(missing_ok=True)

    def _curve(self, trial: Trial) -> Curve:
        before = None
        if trial.parent >= 0:
            before = next(t for t in self.trials if t.number == trial.parent).at(trial.start)
        folder = self.plan.trial_folder(trial.number)
        return curve(folder, self.plan.metric, maximize=self.plan.maximize, before=before if before != WORST else None)

    # --- before and after --------------------------------------------------------------------------------------------

    def _before(self) -> None:
        """What the weights are worth that training starts from."""
        path = self.plan.spec.model.pretrained_model_path
        if path and "before" not in self.store.facts():
            judged = self._judge(self.plan.spec, path)
            self.store.set_fact("before", {"checkpoint": self.plan.spec.shown(path), **judged})
            if numbers := judged.get("metrics"):
                self._tell(f"{path} before training: {results.text_of(numbers)}", numbers)
            else:
                self._say(f"{path} cannot be judged before training: {judged['error']}")

    def _after(self) -> dict[str, Any]:
        """Judge the best checkpoint once more, as it lies there for use."""
        self.trials = self.store.trials()
        best = results.best_of(self.trials)
        if best is None:
            reasons = [note["error"] for note in self.store.notes().values() if "error" in note]
            raise KinetagError(f"no trial came to anything; the last one: {reasons[-1] if reasons else 'no reason'}")
        facts = self.store.facts()
        if facts.get("final", {}).get("trial") != best.number:
            checkpoint = results.publish_best(self.plan, best)
            judged = self._judge(self.plan.trial_spec(best, 0), str(checkpoint))
            self.store.set_fact("final", {"trial": best.number, **judged})
            if numbers := judged.get("metrics"):
                self._tell(f"the best, trial {best.number}, evaluated: {results.text_of(numbers)}", numbers)
        if self.plan.settings.automl_delete_intermediate_ckpt:
            self._delete(over=True)
        return self._publish(self.store.notes(), over=True)

    def _judge(self, spec: Spec, checkpoint: str) -> dict[str, Any]:
        name, outcome = f"judge.{next(self._names)}", {}
        self.nursery.start(name, plain(spec) | {"kind": "judge", "checkpoint": checkpoint})
        while True:
            event = self.nursery.hear(_PATIENCE)
            self.store.beat()
            if event is None or event["name"] != name:
                continue
            if event["event"] == "ended":
                break
            outcome = event
        if outcome.get("event") == "result":
            return {"metrics": outcome["metrics"], "clips": outcome["clips"]}
        return {"error": outcome.get("message", "the process was killed")}

    def _say(self, message: str) -> None:
        self._tell(message, {})

    def _picture(self, *, force: bool = False) -> None:
        if force or time.monotonic() - self._pictured > _SHOWN:
            self._pictured = time.monotonic()
            hands = {hand.trial.number: hand for hand in self.hands.values()}
            if force:
                self.trials = self.store.trials()
            self._watch(Picture(self.plan, self.trials, hands))


# --- one folder, one study -------------------------------------------------------------------------------------------


def check_folder(folder: Path) -> None:
    """A folder with a plain training in it is not written over."""
    if (folder / LATEST).exists() and not (folder / TRIALS).is_dir():
        raise KinetagError(f"{folder} holds a training that is no search: use another results_dir")


def check_identity(plan: Plan, store: Store) -> None:
    """Record what makes this search this search, or compare with the record. To be called under the store's lock."""
    mine, facts = json.loads(json.dumps(plan.identity())), store.facts()
    theirs = facts.get("identity")
    if theirs is None:
        store.set_fact("identity", mine)
        store.set_fact("train_seed", plan.spec.train.seed)
        store.set_fact("folder", results.token(plan.folder))
        return
    defaults = Spec().model_dump()  # what holds of a search that was begun before an option existed
    for key in mine:
        before = theirs.get(key, value_at(defaults, key))
        if before != mine[key]:
            what = _searched_apart(before, mine[key]) if key == "search" else (key, shown(before), shown(mine[key]))
            raise KinetagError(
                f"{store.shown or plan.folder} holds a search with {what[0]} {what[1]}, but now it is "
                f"{what[2]}: use another results_dir{' or study_name' if store.shared else ''}"
            )
    if facts.get("folder") != results.token(plan.folder):
        raise KinetagError(
            f"the study in {store.shown} keeps its trials in another folder than {plan.folder}: machines that share a "
            "study share its results folder too; or use another automl_settings.study_name"
        )


def _searched_apart(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, str, str]:
    """The first option that is searched otherwise than before: its key, and both ranges or what else is different."""
    from kinetag.report.tuning import ranges_text

    key = next(key for key in (*now, *before) if before.get(key) != now.get(key))
    if key not in before:
        return key, "not searched", "searched"
    if key not in now:
        return key, "searched", "not searched"
    if ranges_text(before[key]) != ranges_text(now[key]):
        return f"{key} in", ranges_text(before[key]), ranges_text(now[key])
    part = next(part for part in (*now[key], *before[key]) if before[key].get(part) != now[key].get(part))
    return f"{part} of {key}", shown(before[key].get(part)), shown(now[key].get(part))


__all__ = ["Picture", "Search", "check_folder", "check_identity"]
