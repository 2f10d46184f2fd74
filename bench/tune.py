"""Does a search that learns find better options than one that does not, and does stopping early save epochs?

    python bench/tune.py --data FOLDER --work FOLDER     # what is not done yet; an interrupted search goes on
    python bench/tune.py --table                         # only the tables, of what there is

A Fold-GCN is trained on 300 of the official training clips of Penn Action (15 actions, 13 joints marked by hand, 16
frames) and judged on 400 others of them; the test clips are never read. Ten options are searched (SEARCHED), some of
which matter only with a certain optimiser, from TAO's own defaults on. Each algorithm runs with each of SEEDS, one
trial after another, with the same number of trials in full length; asha gets less than half of their epochs. Fixed
before the first run: (1) final val_acc of bayesian minus random, by seed; (2) the epochs that asha needed until its
best val_acc was at least that of the other algorithm's end, as a share of the other's epochs.

Before, the same was begun with the default parameters alone, and given up after the first seed (random 0.9275, bayesian
0.9200, asha 0.9150): every second combination drawn at random came to the plateau of 0.90 to 0.92 there, and what was
left between searches was the luck of single trainings. So little is to be gained by any search of a space that small.
The larger space was chosen then, with one search each by bayesian and random with seed 77 (0.9525 and 0.9425), which
are not counted here.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from architectures_data import prepared, read, write_arrays
from common import RESULTS, data_folder, save, show
from scipy.stats import ttest_1samp

from kinetag.spec import load_spec
from kinetag.tune import tune

SEEDS = (1, 2, 3, 4, 5)
SEARCHED = (
    "train.optim.optimizer_type",
    "train.optim.lr",
    "train.optim.momentum",
    "train.optim.weight_decay",
    "model.dropout",
    "dataset.batch_size",
    "train.grad_clip",
    "train.warmup_epochs",
    "train.label_smoothing",
    "train.ema",
)
EPOCHS = 9
BUDGET = {"random": 20, "bayesian": 20, "asha": 32}  # trials, the first of them TAO's defaults in full length
FRAMES = 16
PARTS = {"train": 300, "val": 400}
PARTED = 2026  # seed that parts the clips


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder with penn_action.npz")
    parser.add_argument("--work", type=Path, default=Path("out/tune"), help="where arrays and searches are kept")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--algorithms", nargs="+", default=list(BUDGET))
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    if args.table:
        report(json.loads((RESULTS / "tune.json").read_text())["runs"])
        return
    arrays = prepare(args.data, args.work)
    runs = []
    for seed in args.seeds:
        for algorithm in args.algorithms:
            runs.append(run(arrays, args.work, algorithm, seed))
            print(f"seed {seed} {algorithm}: {runs[-1]['val_acc']:.4f} after {runs[-1]['epochs']} epochs", flush=True)
    save(
        "tune",
        about=__doc__,
        epochs_of_a_trial=EPOCHS,
        searched=SEARCHED,
        budget=BUDGET,
        comparison=compare(runs),
        runs=runs,
    )
    report(runs)


def prepare(data: str | None, work: Path) -> Path:
    """The clips to train on and those to judge by, as arrays."""
    folder = work / "arrays"
    if not (folder / "val_label.pkl").exists():
        clips = read(prepared("penn", data_folder(data), work), "penn", "official", "train")
        order = np.random.default_rng(PARTED).permutation(len(clips))
        for role, part in zip(PARTS, np.split(order, np.cumsum(list(PARTS.values())))[:2], strict=True):
            write_arrays(folder, clips.subset(np.sort(part)), role, FRAMES)
    return folder


def run(arrays: Path, work: Path, algorithm: str, seed: int) -> dict[str, Any]:
    """One search, done or gone on with."""
    overrides = {
        "results_dir": work / f"{algorithm}-{seed}",
        "dataset.train_dataset.data_path": arrays,
        "dataset.val_dataset.data_path": arrays,
        "dataset.num_classes": 15,
        "model.model_type": "Fold-GCN",
        "model.graph_layout": "kinetag",
        "train.num_epochs": EPOCHS,
        "train.optim.lr_steps": "[5,8]",
        "automl_settings.algorithm": algorithm,
        "automl_settings.automl_hyperparameters": f"[{','.join(SEARCHED)}]",
        "automl_settings.automl_max_recommendations": BUDGET[algorithm],
        "automl_settings.automl_max_concurrent": 1,
        "automl_settings.automl_delete_intermediate_ckpt": True,
        "automl_settings.seed": seed,
    }
    result = tune(load_spec(None, [f"{key}={value}" for key, value in overrides.items()], action="train"))
    return {
        "algorithm": algorithm,
        "seed": seed,
        "val_acc": result.value,
        "baseline": result.baseline,
        "epochs": result.epochs,
        "seconds": result.summary["seconds"],
        "parameters": result.parameters,
        "by_epochs": progress(Path(result.latest).parent / "status.json"),
    }


def progress(status: Path) -> list[list[float]]:
    """(epochs trained so far, best val_acc so far), whenever the latter rose, as the search's status.json tells it.

    A trial tells when it has come to its target, so its score counts only then.
    """
    come: dict[int, int] = {}
    best, steps = 0.0, []
    for line in status.read_text().splitlines():
        kpi = json.loads(line).get("kpi", {})
        if "trial" in kpi:
            come[kpi["trial"]] = max(kpi["epoch"], come.get(kpi["trial"], 0))
            if kpi.get("val_acc", 0.0) > best:
                best = kpi["val_acc"]
                steps.append([sum(come.values()), best])
    return steps


def epochs_to(run: dict[str, Any], value: float) -> int | None:
    return next((int(spent) for spent, best in run["by_epochs"] if best >= value - 1e-5), None)


def compare(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The two comparisons that were fixed beforehand, each paired by seed."""
    by = {(run["algorithm"], run["seed"]): run for run in runs}
    seeds = sorted({seed for _, seed in by if all((name, seed) in by for name in BUDGET)})
    if len(seeds) < 2:
        return {}
    better = [by["bayesian", seed]["val_acc"] - by["random", seed]["val_acc"] for seed in seeds]
    found: dict[str, Any] = {
        "seeds": seeds,
        "bayesian_minus_random": {
            "by_seed": better,
            "mean": float(np.mean(better)),
            "better": sum(gain > 0 for gain in better),
            "equal": sum(gain == 0 for gain in better),
            "p_paired_t": float(np.asarray(ttest_1samp(better, 0.0))[1]),
        },
    }
    for other in ("random", "bayesian"):
        shares = []
        for seed in seeds:
            needed = epochs_to(by["asha", seed], by[other, seed]["val_acc"])
            shares.append(None if needed is None else needed / by[other, seed]["epochs"])
        gaps = [by["asha", seed]["val_acc"] - by[other, seed]["val_acc"] for seed in seeds]
        found[f"asha_against_{other}"] = {
            "share_of_epochs_to_the_same_score": shares,
            "reached_within_half": sum(share is not None and share <= 0.5 for share in shares),
            "final_minus_final": gaps,
            "mean_gap": float(np.mean(gaps)),
            "share_of_epochs_in_all": float(np.mean([by["asha", s]["epochs"] / by[other, s]["epochs"] for s in seeds])),
        }
    return found


def report(runs: list[dict[str, Any]]) -> None:
    """A row a seed, and the comparisons."""
    by = {(run["algorithm"], run["seed"]): run for run in runs}
    rows = []
    for seed in sorted({seed for _, seed in by}):
        row: dict[str, Any] = {"seed": seed, "baseline": None}
        for name in (name for name in BUDGET if (name, seed) in by):
            run = by[name, seed]
            row |= {"baseline": run["baseline"], name: round(run["val_acc"], 4), f"{name} epochs": run["epochs"]}
        for other in ("random", "bayesian"):
            if {("asha", seed), (other, seed)} <= by.keys():
                row[f"asha={other} at"] = epochs_to(by["asha", seed], by[other, seed]["val_acc"])
        rows.append(row)
    show("val_acc of the best, and epochs trained in all", rows)
    found = compare(runs)
    if found:
        gain = found["bayesian_minus_random"]
        figures = {key: gain[key] for key in ("mean", "better", "equal", "p_paired_t")}
        show(f"bayesian minus random, {len(found['seeds'])} seeds", [figures])
        against = {other: found[f"asha_against_{other}"] for other in ("random", "bayesian")}
        columns = ("reached_within_half", "mean_gap", "share_of_epochs_in_all")
        show("asha", [{"against": other} | {key: one[key] for key in columns} for other, one in against.items()])


if __name__ == "__main__":
    main()
