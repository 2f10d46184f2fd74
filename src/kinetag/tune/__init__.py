"""Search for good options of a training (AutoML).

    from kinetag.spec import load_spec
    from kinetag.tune import tune

    result = tune(load_spec("train.yaml", action="train"))
    print(result.parameters, result.value)

Where what is: `schema` reads what is searched, `space` its values; `halving` and `evolution` are the algorithms,
`sampling` the proposals; `store` is the record, `nursery` and `jobs` the trainings; `plan` puts it together, `search`
carries it out, `results` writes what comes of it. Importing this loads neither Optuna nor torch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinetag.errors import KinetagError
from kinetag.progress import Progress, silent
from kinetag.status import Status
from kinetag.storage import stored

if TYPE_CHECKING:
    from kinetag.spec import Spec
    from kinetag.tune.search import Picture


@dataclass(frozen=True)
class TuneResult:
    """What a search found. ``value`` is the metric of the best checkpoint, ``baseline`` that of the spec as it is."""

    checkpoint: Path | str  # addresses where the results are in a store
    latest: Path | str
    metric: str
    value: float
    baseline: float | None
    trial: int
    parameters: dict[str, Any]
    trials: int
    failed: int
    epochs: int  # trained, over all trials
    evaluated: dict[str, float]  # the best checkpoint, once more
    report: Path | str
    notes: tuple[str, ...] = ()
    summary: dict[str, Any] = field(default_factory=dict, repr=False)  # as automl.json


def policy(spec: "Spec", default: str = "off") -> tuple[str, str]:
    """Whether a training is to be a search ("auto") or not ("off"), and why; ``default`` where nothing is written."""
    if "automl_policy" in spec.explicit:
        return spec.automl_policy, f"automl_policy is {spec.automl_policy}"
    return default, f"automl_policy is not written, and {default} here"


def policy_line(spec: "Spec", *, searches: bool) -> str:
    """Which of the two is done now, and why, in a line."""
    chosen, why = policy(spec, "auto" if searches else "off")
    if searches and chosen == "off":
        return f"searching, though {why}: that is for 'kinetag train'"
    if searches:
        return f"searching instead of one plain training: {why}"
    if chosen == "auto":
        return f"one plain training, though {why}: that is for 'kinetag train' and jobs"
    return f"one plain training, no search: {why}"


@stored("train")
def tune(
    spec: "Spec",
    *,
    progress: Progress | None = None,
    watch: "Callable[[Picture], None] | None" = None,
    tell: Callable[[str], None] | None = None,
) -> TuneResult:
    """Search for the options with which ``spec`` trains best.

    A search whose results folder holds a part of it goes on from there. ``progress`` hears how many epochs are done,
    ``watch`` sees all trials, ``tell`` gets a line for each thing that happens. Raises a KinetagError of one line for
    settings, data or a storage that cannot be used.
    """
    notes: list[str] = []
    folder = spec.results_folder("train")
    with Status(folder, "tune", secret=spec.secret(), shown=spec.shown) as status:

        def say(message: str, kpi: Mapping[str, float]) -> None:
            status.running(message, kpi=kpi)
            if tell is not None:
                tell(spec.shown(message))

        def picture(now: "Picture") -> None:
            if watch is not None:
                watch(now)
            done = sum(trial.epoch - trial.start for trial in now.trials)
            (progress or silent)(f"Trial {len(now.trials)}", float(done), None)

        say(policy_line(spec, searches=True), {})
        summary, begun = _search(spec, notes, say, picture)
        if not begun:
            notes.append("the search is over: raise automl_settings.automl_max_recommendations to go on")
            status.skipped(notes[-1])
    return _result(folder, summary, notes)


def _search(
    spec: "Spec",
    notes: list[str],
    say: Callable[[str, Mapping[str, float]], None],
    picture: "Callable[[Picture], None]",
) -> tuple[dict[str, Any], int]:
    """What automl.json holds in the end, and how many trainings were begun."""
    from kinetag.tune.plan import make_plan
    from kinetag.tune.results import token
    from kinetag.tune.search import Search, check_folder, check_identity
    from kinetag.tune.store import Store

    folder = spec.results_folder("train")
    check_folder(folder)
    plan = make_plan(spec)
    if plan.settings.storage and (place := spec.shown(str(folder))) != str(folder):
        raise KinetagError(
            f"machines that share a study share its results folder, which {place} cannot be: leave "
            "automl_settings.storage empty, or write to a shared disk"
        )
    name = plan.settings.study_name or (token(folder) if plan.settings.storage else "study")
    store = Store(folder, plan.settings.storage, name, maximize=plan.maximize, full=plan.rules.epochs)
    try:
        with store.lock():
            if spec.train.seed == -1 and "train_seed" in (facts := store.facts()):
                plan = make_plan(spec, facts["train_seed"])
            check_identity(plan, store)
        for note in plan.notes:
            notes.append(note)
            say(note, {})
        search = Search(plan, store, say, picture)
        return search.run(), search.begun
    finally:
        store.close()


def _result(folder: Path, summary: dict[str, Any], notes: list[str]) -> TuneResult:
    from kinetag.checkpoint import BEST, LATEST
    from kinetag.tune.results import REPORT

    best, rows = summary["best"], summary["trials"]
    baseline = summary["baseline"] or {}
    return TuneResult(
        checkpoint=folder / (BEST if (folder / BEST).exists() else LATEST),
        latest=folder / LATEST,
        metric=summary["metric"],
        value=best["value"],
        baseline=baseline.get("value"),
        trial=best["number"],
        parameters=best["parameters"],
        trials=len(rows),
        failed=sum(row["state"] == "failed" for row in rows),
        epochs=summary["epochs_trained"],
        evaluated=(summary["final"] or {}).get("metrics", {}),
        report=folder / REPORT,
        notes=tuple(notes),
        summary=summary,
    )


__all__ = ["TuneResult", "policy", "policy_line", "tune"]
