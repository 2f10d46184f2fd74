"""Accuracy of every architecture and recipe on Penn Action and UI-PRMD, whole and with parts of the body hidden.

    python bench/architectures.py --data FOLDER --work FOLDER                    # what is not measured yet
    python bench/architectures.py --data FOLDER --work FOLDER --tasks penn --runs Fold-GCN ST-GCN++
    python bench/architectures.py --table                                        # only the tables, of what there is

FOLDER with the data holds penn_action.npz (15 actions, 13 joints marked by hand; official split) and ui_prmd.npz (10
movements of rehabilitation, Kinect, right and wrong ones; each of ten subjects left out in turn). Each run trains with
`kinetag train` on the same clips, seen as the same number of frames, without validation data (the last epoch counts),
and is evaluated with `kinetag evaluate`. One JSON file a run in bench/results/architectures; those that are there are
not measured again, and training that was interrupted goes on. Several of this command may run at once: each takes what
no other has begun. On a processor the ST-GCNs take hours, so give a graphics card to all runs or to none.

Recipe 'tao' reads arrays as TAO wants them: real time, zeros after the clip's end (a longer clip is thinned until it
fits); its rate falls where TAO's example lets it, after a seventh and six sevenths of the epochs. Recipe 'kinetag'
samples the whole clip uniformly. The ST-GCNs and 'steady' have it as it was before it shook the joints, with fewer
of them hidden; 'bare' is that without hidden parts, joints and frames.
"""

import argparse
import fcntl
import json
import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from architectures_data import FOLDS, prepared, read, split_name, write_arrays
from common import RESULTS, data_folder, save, show
from scipy.stats import binomtest

from kinetag import metrics
from kinetag.actions.evaluate import evaluate
from kinetag.actions.train import train
from kinetag.datasets.augment import PARTS
from kinetag.datasets.clips import Clips
from kinetag.spec import load_spec
from kinetag.whole_file import whole_file

GYM = ("bench_press", "clean_and_jerk", "jump_rope", "jumping_jacks", "pullup", "pushup", "situp", "squat")
FRAMES = {"penn": 64, "prmd": 32}
OWN = RESULTS / "architectures"
LEAD = "Fold-GCN better by, points"
STEADY = ("train.jitter=0", "train.joint_dropout=0.05")
BARE = ("train.part_dropout=0", "train.joint_dropout=0", "train.frame_dropout=0", "train.jitter=0")


@dataclass(frozen=True)
class Run:
    """An architecture, how it is trained, and on what."""

    model: str
    recipe: str
    options: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ("penn", "prmd")


RUNS = {
    "ST-GCN tao": Run("ST-GCN", "tao"),
    "ST-GCN kinetag": Run("ST-GCN", "kinetag", STEADY),
    "ST-GCN++": Run("ST-GCN++", "kinetag", STEADY),
    "Fold-GCN steady": Run("Fold-GCN", "kinetag", STEADY),
    "Fold-GCN": Run("Fold-GCN", "kinetag"),
    "ST-GCN kinetag bare": Run("ST-GCN", "kinetag", BARE, ("penn",)),
    "ST-GCN++ bare": Run("ST-GCN++", "kinetag", BARE, ("penn",)),
    "Fold-GCN bare": Run("Fold-GCN", "kinetag", BARE, ("penn",)),
}
EPOCHS = {"penn": 60, "prmd": 15}  # of every run, so that all have seen as many clips


# --- a run -----------------------------------------------------------------------------------------------------------


def measure(name: str, task: str, fold: str, data: Path, work: Path, epochs: int) -> dict[str, Any]:
    """Train and evaluate one network; a dict of what was found."""
    run = RUNS[name]
    with locked(work / "data.lock"):
        path = prepared(task, data, work)
        (train_data, train_labels), (test_data, test_labels) = sources(run, task, fold, path)
    names = json.loads(path.with_suffix(".json").read_text())
    common = [
        f"results_dir={work / f'{task}_{fold}_{slug(name)}'}",
        f"model.model_type={run.model}",
        "model.graph_layout=kinetag",
        "model.input_channels=3",
        f"dataset.num_classes={len(names)}",
        f"dataset.label_map={json.dumps({label: i for i, label in enumerate(names)})}",
        f"dataset.window_size={FRAMES[task]}",
        "dataset.batch_size=32",
        "wandb.enable=false",
    ]
    learning = [
        f"dataset.train_dataset.data_path={train_data}",
        f"dataset.train_dataset.label_path={train_labels}",
        f"train.recipe={run.recipe}",
        f"train.num_epochs={epochs}",
        f"train.checkpoint_interval={epochs}",
        *([f"train.optim.lr_steps=[{round(epochs / 7)},{round(epochs * 6 / 7)}]"] if run.recipe == "tao" else []),
        *run.options,
    ]
    began, cpu_began = time.perf_counter(), sum(os.times()[:4])
    trained = train(load_spec(None, [*common, *learning], action="train"))
    seconds, cpu_seconds = time.perf_counter() - began, sum(os.times()[:4]) - cpu_began
    judging = [
        f"evaluate.test_dataset.data_path={test_data}",
        f"evaluate.test_dataset.label_path={test_labels}",
        f"evaluate.checkpoint={trained.latest}",
        "evaluate.occlusion=true",
    ]
    found = evaluate(load_spec(None, [*common, *judging], action="evaluate"))
    return {
        "run": name,
        "task": task,
        "fold": fold,
        "epochs": trained.epochs,
        "frames": FRAMES[task],
        "accuracy": found.accuracy,
        "macro_f1": found.macro_f1,
        "clips": found.clips,
        **(_gym(found, read(path, task, fold, "test")) if task == "penn" else {}),
        "occlusion": found.occlusion,
        "trained_on": torch.cuda.get_device_name() if torch.cuda.is_available() else "processor",
        "train_seconds": round(seconds, 1),
        "train_cpu_seconds": round(cpu_seconds, 1),
        "confusion": found.confusion.tolist(),
    }


def sources(run: Run, task: str, fold: str, path: Path) -> list[tuple[Path, str]]:
    """Data and label paths of the training and the test part, in the form that the recipe reads."""
    if run.recipe != "tao":
        return [(path, split_name(task, fold, part)) for part in ("train", "test")]
    folder, found = path.parent / f"{task}_{fold}_arrays", []
    for part, role in (("train", "train"), ("test", "val")):
        if not (folder / f"{role}_label.pkl").exists():
            write_arrays(folder, read(path, task, fold, part), role, FRAMES[task])
        found.append((folder / f"{role}_data.npy", str(folder / f"{role}_label.pkl")))
    return found


def _gym(found: Any, clips: Clips) -> dict[str, float]:
    """The clips of gym classes, told from all 15 classes and from each other."""
    assert clips.labels is not None
    gym = [clips.class_names.index(name) for name in GYM]
    chosen = np.isin(clips.labels, gym)
    truth, probabilities = clips.labels[chosen], found.probabilities[chosen]
    among = np.array(gym)[probabilities[:, gym].argmax(axis=1)]
    return {
        "gym_accuracy_of_15": metrics.accuracy(truth, probabilities.argmax(axis=1)),
        "gym_accuracy": metrics.accuracy(truth, among),
        "gym_macro_f1": metrics.macro_f1(
            metrics.confusion(np.searchsorted(gym, truth), np.searchsorted(gym, among), 8)
        ),
        "gym_clips": int(chosen.sum()),
    }


def slug(name: str) -> str:
    return name.lower().replace("++", "pp").replace(" ", "_")


def result_path(results: Path, name: str, task: str, fold: str) -> Path:
    return results / f"{task}_{fold}_{slug(name)}.json"


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Keep other processes from what ``path`` stands for; gives False when one has it and we do not ``wait``.

    The lock goes with the process, so one that was killed leaves none behind.
    """
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # of itself it would stay for as long as a worker lives


# --- tables ----------------------------------------------------------------------------------------------------------


def found_so_far(results: Path, name: str, task: str) -> list[dict[str, Any]]:
    paths = [result_path(results, name, task, fold) for fold in FOLDS[task]]
    return [json.loads(path.read_text()) for path in paths if path.exists()]


def row(name: str, task: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    def mean(key: str) -> float:
        return float(np.mean([result[key] for result in found]))

    def kept(protocol: str) -> float:
        """The share of the accuracy that is left, mean over the folds."""
        return float(np.mean([r["occlusion"][protocol] / r["accuracy"] for r in found]))

    own: dict[str, Any] = {"lowest subject": min(r["accuracy"] for r in found)}
    if task == "penn":
        own = {
            "95 % interval": list(wilson(found[0])),
            "the 8 of a gym, among themselves": mean("gym_accuracy"),
            "the 8 of a gym, among all 15": mean("gym_accuracy_of_15"),
            "macro F1 of the 8": mean("gym_macro_f1"),
        }
    return {
        "run": name,
        "folds": len(found),
        "epochs": found[0]["epochs"],
        "accuracy": mean("accuracy"),
        "macro F1": mean("macro_f1"),
        **own,
        **{f"kept: {part}": kept(f"part {part}") for part in PARTS},
        "kept: half of the time": kept("time 50"),
        "kept: 30 % of joints": kept("random 30"),
        "kept: 50 % of joints": kept("random 50"),
        "kept: jitter 5 %": kept("jitter 5"),
        "kept: jitter 10 %": kept("jitter 10"),
        "trained on": ", ".join(sorted({str(result.get("trained_on", "processor")) for result in found})),
    }


def lead(ours: list[dict[str, Any]], theirs: list[dict[str, Any]], task: str) -> str:
    """How many points more Fold-GCN, ``ours``, gets right than another network on the folds that both have."""
    pairs = [(a, b) for a in ours for b in theirs if a["fold"] == b["fold"]]
    if not pairs or ours == theirs:
        return "–"
    more = f"{100 * np.mean([a['accuracy'] - b['accuracy'] for a, b in pairs]):+.1f}"
    if task != "penn":
        return f"{more} (folds: {len(pairs)})"
    low, high = newcombe(*pairs[0])
    return f"{more} ({100 * low:+.1f} to {100 * high:+.1f})"


def wilson(found: dict[str, Any]) -> tuple[float, float]:
    """95 % interval of an accuracy that was counted over clips."""
    ends = binomtest(round(found["accuracy"] * found["clips"]), found["clips"]).proportion_ci(0.95, method="wilson")
    return ends.low, ends.high


def newcombe(a: dict[str, Any], b: dict[str, Any]) -> tuple[float, float]:
    """95 % interval of the accuracy of ``a`` less that of ``b``, as if of different clips, so rather too wide.

    Newcombe, Statistics in Medicine 17 (1998), 873-890, method 10.
    """
    (low_a, high_a), (low_b, high_b) = wilson(a), wilson(b)
    of_a, of_b = a["accuracy"], b["accuracy"]
    down, up = np.hypot(of_a - low_a, high_b - of_b), np.hypot(high_a - of_a, of_b - low_b)
    return of_a - of_b - float(down), of_a - of_b + float(up)


def tables(results: Path, *, as_markdown: bool) -> None:
    content = {}
    for task, title in (("penn", "Penn Action, test split"), ("prmd", "UI-PRMD, one subject left out")):
        every = {name: found for name in RUNS if (found := found_so_far(results, name, task))}
        ours = every.get("Fold-GCN", [])
        rows = [row(name, task, found) | {LEAD: lead(ours, found, task)} for name, found in every.items()]
        if rows:
            if as_markdown:
                print(f"{title}; {FRAMES[task]} frames\n\n{markdown(rows)}\n")
            else:
                show(f"{title}; {FRAMES[task]} frames", transposed(rows))
            content[task] = rows
    if content and results == OWN:
        save("architectures", frames=FRAMES, **content)


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table as docs/models.md has it: a run a column, shares in percent."""

    def cell(value: Any) -> str:
        if isinstance(value, list):
            return f"{' to '.join(f'{100 * end:.1f}' for end in value)} %"
        return f"{100 * value:.1f} %" if isinstance(value, float) else str(value)

    lines = [[key, *(cell(each[key]) for each in rows)] for key in rows[0] if key != "run"]
    lines = [["", *(each["run"] for each in rows)], ["---", *["---:"] * len(rows)], *lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def transposed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A run a column, which a terminal has room for."""
    keys = [key for key in rows[0] if key != "run"]
    return [{"": key, **{each["run"]: each[key] for each in rows}} for key in keys]


def jobs(options: argparse.Namespace) -> list[tuple[str, str, str]]:
    """(run, task, fold), those first whose result says most: each run once, then fold by fold."""
    chosen = [(task, fold) for task in options.tasks for fold in FOLDS[task]]
    if options.folds:
        chosen = [(task, fold) for task, fold in chosen if task == "penn" or fold in options.folds]
    return [(name, task, fold) for task, fold in chosen for name in options.runs if task in RUNS[name].tasks]


def measure_all(options: argparse.Namespace) -> None:
    """Every job without a result that no other process is at."""
    torch.set_num_threads(1)
    data = data_folder(options.data)
    for folder in (options.work, options.results):
        folder.mkdir(parents=True, exist_ok=True)
    for name, task, fold in jobs(options):
        path = result_path(options.results, name, task, fold)
        with locked(options.work / f"{path.stem}.lock", wait=False) as mine:
            if not mine or path.exists():
                continue
            try:
                found = measure(name, task, fold, data, options.work, options.epochs or EPOCHS[task])
            except Exception:  # one that diverges, say, must not keep the others from being measured
                print(f"{name}, {task} {fold}:\n{traceback.format_exc()}", flush=True)
                continue
            with whole_file(path) as draft:
                draft.write_text(json.dumps(found, indent=1) + "\n")
        print(f"{name}, {task} {fold}: {found['accuracy']:.4f}, {found['train_seconds']:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder with penn_action.npz and ui_prmd.npz")
    parser.add_argument("--work", type=Path, help="folder for arrays and checkpoints")
    parser.add_argument("--results", type=Path, default=OWN, help="folder for the JSON files")
    parser.add_argument("--tasks", nargs="+", default=list(FOLDS), choices=list(FOLDS))
    parser.add_argument("--runs", nargs="+", default=list(RUNS), choices=list(RUNS))
    parser.add_argument("--folds", nargs="+", help="of UI-PRMD, such as s01 s02; all ten when not given")
    parser.add_argument("--epochs", type=int, help="fewer than the usual, for a trial; give --results too")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    parser.add_argument("--markdown", action="store_true", help="print the tables as docs/models.md has them")
    options = parser.parse_args()
    if options.epochs and options.results == OWN:
        raise SystemExit("results of a trial do not belong in bench/results: give --results FOLDER")
    if not options.table:
        if options.work is None:
            raise SystemExit("give --work FOLDER for arrays and checkpoints")
        measure_all(options)
    tables(options.results, as_markdown=options.markdown)


if __name__ == "__main__":
    main()
