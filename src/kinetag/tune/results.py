"""What a search leaves behind: the best checkpoint in the place of a plain training's, automl.json, automl.html."""

import json
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kinetag import __version__
from kinetag.checkpoint import BEST, LATEST
from kinetag.errors import KinetagError
from kinetag.spec import Spec, save_spec
from kinetag.tune.plan import TRIALS, Plan
from kinetag.tune.trials import WORST, Trial
from kinetag.urls import split_password
from kinetag.whole_file import whole_file

SUMMARY, REPORT, TOKEN = "automl.json", "automl.html", ".study"


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The trial with the best checkpoint; of equals the earlier one."""
    able = [trial for trial in trials if trial.best != WORST and not trial.failed]
    return min(able, key=lambda trial: (tuple(-part for part in trial.best), trial.number), default=None)


def value_of(plan: Plan, trial: Trial) -> float | None:
    """A trial's metric, as it is measured."""
    if trial.failed or trial.best == WORST:
        return None
    return trial.best[0] if plan.maximize else -trial.best[0]


def text_of(numbers: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())


def sentence(plan: Plan, trial: Trial, note: Mapping[str, Any]) -> str:
    """What became of a trial, in a line."""
    value = value_of(plan, trial)
    options = ", ".join(f"{key.rpartition('.')[2]} {written(item)}" for key, item in trial.values.items())
    what = f"trial {trial.number}{' (the spec as it is)' if trial.baseline else ''}"
    if trial.failed or value is None:
        return f"{what} failed: {note.get('error', 'unknown')} ({options})"
    more = "" if trial.state == "done" else f" of {plan.rules.epochs}"
    return f"{what}: {plan.metric} {value:.4f} at epoch {trial.epoch}{more} ({options})"


def written(value: Any) -> str:
    """An option's value, short."""
    return f"{value:.4g}" if isinstance(value, float) else str(value).removeprefix("torch.optim.")


def numbers(plan: Plan, trial: Trial) -> dict[str, float]:
    """A trial's record for status.json."""
    value = value_of(plan, trial)
    kpi: dict[str, float] = {"trial": trial.number, "epoch": trial.epoch} | (
        {} if value is None else {plan.metric: value}
    )
    return kpi | {key: value for key, value in trial.values.items() if isinstance(value, int | float)}


def publish_best(plan: Plan, best: Trial) -> Path:
    """Put the best trial's checkpoints and spec where a plain training's lie; returns the best checkpoint."""
    source = plan.trial_folder(best.number)
    if not (source / BEST).exists():
        raise KinetagError(
            f"trial {best.number} is the best, but its checkpoint {plan.spec.shown(str(source / BEST))} is gone: put "
            "it back, or search anew with another results_dir"
        )
    for name in (BEST, LATEST):
        if (source / name).exists():  # a trial that is under way may have no latest yet
            _same_file(source / name, plan.folder / name)
    save_spec(_as_plain_training(plan, best), plan.folder / "experiment.yaml")
    return plan.folder / BEST


def withdraw(plan: Plan) -> None:
    """Take back what was published of a trial that failed since, where no other has come to anything."""
    for name in (BEST, LATEST, "experiment.yaml"):
        (plan.folder / name).unlink(missing_ok=True)


def _as_plain_training(plan: Plan, best: Trial) -> Spec:
    """The spec with which 'kinetag train' would do what the best trial did."""
    spec = plan.trial_spec(best, 0)
    own = plan.spec.train
    spec.train.results_dir, spec.train.resume_training_checkpoint_path = (
        own.results_dir,
        own.resume_training_checkpoint_path,
    )
    spec.train.gpu_ids, spec.train.num_gpus = own.gpu_ids, own.num_gpus
    return spec


def _same_file(source: Path, target: Path) -> None:
    """Make ``target`` the same file as ``source`` in one stroke; a copy where hard links are not known."""
    if target.exists() and os.path.samefile(source, target):
        return
    with whole_file(target) as draft:
        draft.unlink(missing_ok=True)
        try:
            os.link(source, draft)
        except OSError:
            draft.write_bytes(source.read_bytes())


def token(folder: Path) -> str:
    """A word that tells a results folder from any other, wherever it is moved; made when it is not there."""
    path = folder / TOKEN
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(uuid.uuid4().hex)
    except FileExistsError:
        pass
    return path.read_text("utf-8").strip()


# --- automl.json -----------------------------------------------------------------------------------------------------


def summary(
    plan: Plan,
    trials: Sequence[Trial],
    notes: Mapping[int, Mapping[str, Any]],
    facts: Mapping[str, Any],
    *,
    over: bool,
) -> dict[str, Any]:
    """All that is known of a search, as plain data."""
    best = best_of(trials)
    baseline = next((trial for trial in trials if trial.baseline), None)
    rows = [_row(plan, trial, notes.get(trial.number, {})) for trial in trials]
    settings = plan.settings.model_dump() | {"storage": split_password(plan.settings.storage)[0]}
    return {
        "version": __version__,
        "finished": over,
        "algorithm": plan.settings.algorithm,
        "metric": plan.metric,
        "direction": "maximize" if plan.maximize else "minimize",
        "settings": settings,
        "epochs_of_a_full_trial": plan.rules.epochs,
        "epochs_trained": sum(row["epochs"] for row in rows),
        "seconds": round(sum(row["seconds"] for row in rows), 1),
        "search": plan.space.describe(),
        "notes": list(plan.notes),
        "before": facts.get("before"),
        "baseline": None if baseline is None else _brief(rows[trials.index(baseline)]),
        "best": None
        if best is None
        else _brief(rows[trials.index(best)]) | {"checkpoint": f"{TRIALS}/{best.number}/{BEST}"},
        "final": facts.get("final"),
        "importance": importance(plan, trials),
        "trials": rows,
    }


def _row(plan: Plan, trial: Trial, note: Mapping[str, Any]) -> dict[str, Any]:
    kept = {epoch: score[0] if plan.maximize else -score[0] for epoch, score in trial.kept.items()}
    return {
        "number": trial.number,
        "state": trial.state if trial.state != "paused" else "stopped",
        "how": note.get("born", {}).get("how", ""),
        "value": value_of(plan, trial),
        "epoch": trial.epoch,
        "epochs": trial.epoch - trial.start,
        "target": trial.target,
        **({"parent": trial.parent, "start": trial.start} if trial.parent >= 0 else {}),
        "bracket": trial.bracket,
        "parameters": dict(trial.values),
        "seconds": note.get("seconds", 0.0),
        "curve": [[epoch, value] for epoch, value in kept.items()],
        **({"error": note["error"]} if "error" in note else {}),
    }


def _brief(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("number", "value", "epoch", "parameters")}


def importance(plan: Plan, trials: Sequence[Trial]) -> dict[str, float]:
    """How much each option decides over being among the good trials: PED-ANOVA (Watanabe et al., IJCAI 2023)."""
    from kinetag.tune.sampling import importances

    return importances(plan.space, trials)


def write(plan: Plan, content: Mapping[str, Any]) -> None:
    """automl.json and automl.html, each in one stroke."""
    from kinetag.report.tuning import report_html

    with whole_file(plan.folder / SUMMARY) as draft:
        draft.write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
    with whole_file(plan.folder / REPORT) as draft:
        draft.write_text(report_html(content), "utf-8")
