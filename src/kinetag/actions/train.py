"""Train a classifier of skeleton clips from a spec.

What happens where: this file reports and starts processes; `fitting` puts data, network and trainer together;
`learning` is a step, `keeping` what is saved between steps, `loaders` and `schedules` what a step sees and how far it
goes.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinetag.actions.nodes import own_rank
from kinetag.checkpoint import LATEST
from kinetag.datasets.augment import RECIPES
from kinetag.errors import KinetagError, missing_extra
from kinetag.learning.processes import launched_outside, run_processes
from kinetag.progress import Progress, silent
from kinetag.spec import Spec, save_spec
from kinetag.status import Status
from kinetag.storage import Names, stored
from kinetag.tune import policy_line


@dataclass(frozen=True)
class TrainResult:
    """What a training left behind. ``checkpoint`` is the best by val_acc, or the latest without validation data."""

    checkpoint: Path | str  # an address where they are in a store
    latest: Path | str
    epochs: int  # done, over all starts of this run
    steps: int
    metrics: dict[str, float]  # val_acc and val_loss of the best, and its epoch; of the last epoch without validation
    notes: tuple[str, ...] = ()


@stored("train")
def train(
    spec: Spec,
    *,
    progress: Progress | None = None,
    stop_after: int = 0,
    on_epoch: Callable[[Mapping[str, float]], None] | None = None,
) -> TrainResult:
    """Train as ``spec`` says, and write checkpoints, status.json and the resolved spec under its results folder.

    A run whose folder holds a state goes on from it, exactly as if it had never stopped. ``stop_after`` leaves off
    after so many epochs of the run (0: at its end), so that it can go on later; ``on_epoch`` gets each epoch's numbers.
    Raises a KinetagError of one line for data, checkpoints or options that cannot be used.
    """
    progress = progress or silent
    spec = spec.with_defaults(RECIPES[spec.train.recipe])
    notes: list[str] = []
    folder = spec.results_folder("train")
    held = (folder / LATEST).exists()  # it may be of another run, whose record must stay
    with Status(folder, "train", secret=spec.secret(), shown=spec.shown, held=held) as status:
        if not stop_after:  # else it is a part of something larger, such as a trial of a search
            status.running(policy_line(spec, searches=False))
        work = plain(spec) | {"stop_after": stop_after}

        def on_event(event: Mapping[str, Any]) -> None:
            if event["event"] == "progress":
                progress(event["stage"], event["done"], event["total"])
                return
            if event["event"] == "accepted":
                status.release()
                save_spec(spec.with_defaults(event["settled"]), folder / "experiment.yaml")
                return
            if event["event"] == "note":
                notes.append(event["message"])
            verbosity = "WARNING" if event.get("warning") else "INFO"
            status.running(event["message"], verbosity=verbosity, kpi=event.get("kpi", {}))
            if event["event"] == "epoch" and on_epoch is not None:
                on_epoch(event["kpi"])

        processes = _processes(spec, on_event)
        if processes > 1 and not launched_outside():
            result = run_processes(processes, work, on_event)
        else:
            result = train_process(work, on_event)
        if result["nothing_to_do"]:
            status.skipped(notes[-1])
    return TrainResult(
        Path(result["checkpoint"]),
        Path(result["latest"]),
        result["epochs"],
        result["steps"],
        result["metrics"],
        tuple(notes),
    )


def train_process(work: dict[str, Any], emit: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Do one process's part of a training; ``work`` is what `train` made of the spec."""
    fit = _fitting().fit
    return fit(spec_of(work), emit, seed_drawn=work["seed_drawn"], stop_after=work["stop_after"])


def _fitting():
    """The part that needs torch and Lightning."""
    try:
        from kinetag.learning import fitting
    except ImportError as error:
        if (error.name or "").partition(".")[0] == "kinetag":
            raise
        raise missing_extra(error.name or "torch", "train", "training") from None
    return fitting


def _processes(spec: Spec, emit: Callable[[dict[str, Any]], None]) -> int:
    """How many processes this machine runs, as asked for and as it can."""
    from kinetag.learning.devices import choose_devices

    devices = choose_devices(spec)
    if spec.train.num_nodes > 1 and not launched_outside():
        own_rank("train", spec.train.num_nodes)  # without it the run would wait for the others for ever
    if devices.note:
        emit({"event": "note", "message": devices.note})
    return devices.count


def plain(spec: Spec) -> dict[str, Any]:
    """The spec as plain data, which keeps what the user wrote apart from what followed from it."""
    drawn = spec.train.seed == -1
    data = spec.model_dump()
    if drawn:
        data["train"]["seed"] = secrets.randbelow(1 << 31)
    return {"spec": data, "explicit": sorted(spec.explicit), "seed_drawn": drawn, "names": spec.names.places}


def spec_of(work: dict[str, Any]) -> Spec:
    """The spec that `plain` took apart."""
    spec = Spec.model_validate(work["spec"])
    spec.rename(Names(work["names"]))
    explicit = set(work["explicit"])
    stack: list[tuple[Any, str]] = [(spec, "")]
    while stack:
        part, prefix = stack.pop()
        for name in type(part).model_fields:
            value = getattr(part, name)
            if hasattr(type(value), "model_fields"):
                stack.append((value, f"{prefix}{name}."))
            elif prefix + name not in explicit:
                part.model_fields_set.discard(name)
    return spec


__all__ = ["KinetagError", "TrainResult", "train", "train_process"]
