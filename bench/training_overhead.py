"""What `kinetag train` costs over a plain PyTorch loop: clips a second of both, taking turns.

    python bench/training_overhead.py

Both train Fold-GCN on the same made-up clips (T=100, V=17, one person, batches of 16), sampled and augmented by the
recipe kinetag, with one thread for the network. The plain loop samples in the same process and does nothing else; ours
runs Lightning with one worker, averages the weights, reports every epoch and writes a checkpoint after it. Each round
runs both, in turn the one and the other first, and the ratio is taken within a round, so that whatever else the machine
does falls on both: its median counts, and the lowest and highest stand beside it. CPU seconds are those of the process
and its workers; in wall time the worker prepares clips while the network learns, where there is a second core for it.
"""

import argparse
import pickle
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from common import save, show
from torch.nn.functional import cross_entropy

from kinetag.actions.train import plain as taken_apart
from kinetag.actions.train import spec_of
from kinetag.datasets.augment import RECIPES, Sampling, sample_clip
from kinetag.learning.fitting import fit
from kinetag.models import build_model
from kinetag.spec import Spec, load_spec

CLASSES, BATCH = 8, 16
PLAIN, OURS = "plain loop", "kinetag train"


def write_clips(folder: Path, clips: int) -> None:
    rng = np.random.default_rng(0)
    np.save(folder / "train_data.npy", rng.normal(size=(clips, 3, 100, 17, 1)).astype(np.float32))
    names, labels = [str(i) for i in range(clips)], (np.arange(clips) % CLASSES).tolist()
    (folder / "train_label.pkl").write_bytes(pickle.dumps((names, labels)))


def spec_for(folder: Path, epochs: int, name: str) -> Spec:
    settings = {
        "results_dir": folder / name,
        "model.model_type": "Fold-GCN",
        "model.graph_layout": "coco",
        "dataset.num_classes": CLASSES,
        "dataset.batch_size": BATCH,
        "dataset.train_dataset.data_path": folder,
        "train.recipe": "kinetag",
        "train.num_epochs": epochs,
        "train.accelerator": "cpu",
    }
    spec = load_spec(None, [f"{key}={value}" for key, value in settings.items()], action="train")
    return spec.with_defaults(RECIPES["kinetag"])


def cpu_seconds() -> float:
    me = psutil.Process()
    return sum(sum(p.cpu_times()[:2]) for p in (me, *me.children(recursive=True)))


def ours(spec: Spec) -> tuple[float, float]:
    """Wall and CPU seconds from the end of the first epoch to the end of the last."""
    ends: list[tuple[float, float]] = []

    def emit(event: dict) -> None:
        if event["event"] == "epoch":
            ends.append((time.perf_counter(), cpu_seconds()))

    fit(spec_of(taken_apart(spec)), emit)
    return ends[-1][0] - ends[0][0], ends[-1][1] - ends[0][1]


def plain(folder: Path, spec: Spec, epochs: int) -> tuple[float, float]:
    """The same for a loop without anything around it."""
    data = np.load(folder / "train_data.npy", mmap_mode="r")
    labels = torch.arange(len(data)) % CLASSES
    channels = ("x", "y", "z")
    sampling = Sampling.from_spec(spec, channels)
    network = build_model("Fold-GCN", classes=CLASSES, layout="coco", channels=channels)
    kind = getattr(torch.optim, spec.train.optim.optimizer_type.rpartition(".")[2])
    optimizer = kind(
        network.parameters(), lr=spec.train.optim.lr, weight_decay=spec.train.optim.weight_decay, fused=True
    )
    rng, began = np.random.default_rng(0), (0.0, 0.0)
    for epoch in range(epochs):
        order = rng.permutation(len(data))
        for at in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[at : at + BATCH]
            clips = np.stack([sample_clip(data[i], sampling, rng, training=True) for i in chosen])
            loss = cross_entropy(network(torch.from_numpy(clips)), labels[chosen], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if epoch == 0:
            began = time.perf_counter(), cpu_seconds()
    return time.perf_counter() - began[0], cpu_seconds() - began[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=512)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    counted = options.clips // BATCH * BATCH * (options.epochs - 1)
    times: dict[str, list[tuple[float, float]]] = {PLAIN: [], OURS: []}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_clips(folder, options.clips)
        for turn in range(options.rounds):
            spec = spec_for(folder, options.epochs, f"turn{turn}")
            takes = {PLAIN: lambda spec=spec: plain(folder, spec, options.epochs), OURS: lambda spec=spec: ours(spec)}
            for name in (PLAIN, OURS) if turn % 2 == 0 else (OURS, PLAIN):
                times[name].append(takes[name]())
            wall, cpu = (times[OURS][-1][i] / times[PLAIN][-1][i] for i in range(2))
            print(
                f"round {turn}: kinetag takes {wall:.2f} times the wall time, {cpu:.2f} times the CPU time", flush=True
            )
    rates = {name: counted / np.array(each) for name, each in times.items()}  # (rounds, 2)
    rows: list[dict[str, Any]] = [
        {"": name, "clips/s": f"{wall:.1f}", "clips/CPU second": f"{cpu:.1f}"}
        for name, (wall, cpu) in ((name, np.median(each, axis=0)) for name, each in rates.items())
    ]
    ratio = rates[OURS] / rates[PLAIN]
    wall, cpu = (f"{np.median(r):.2f} ({r.min():.2f} to {r.max():.2f})" for r in ratio.T)
    rows.append({"": f"{OURS} / {PLAIN}", "clips/s": wall, "clips/CPU second": cpu})
    show("Training overhead", rows)
    save("training_overhead", clips=options.clips, epochs=options.epochs, rounds=options.rounds, rows=rows)


if __name__ == "__main__":
    main()
