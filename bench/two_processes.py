"""One process against two that share each step: does training end the same?

    python bench/two_processes.py

Fold-GCN, recipe kinetag without hidden parts and mirror, made-up clips, the same ones in every step: batches of 16 on
one process, of 8 on each of two (gloo). Part of the clips is too faint to be told, so neither comes near 100 %. Several
seeds, each once on one process and once on two; the difference is given with its 95 % interval (Student's t over the
seeds). Batch norm sees half a batch on each of two processes, as everywhere without SyncBatchNorm, so the weights
differ a little; the accuracy should not.
"""

import argparse
import pickle
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import save, show
from scipy import stats

from kinetag.actions.train import train
from kinetag.spec import load_spec

WAVES, FRAMES = 8, 16  # classes and length of the made-up clips
NOISE, CLEAREST = 0.05, 0.4  # of a joint, and of the wave that tells a clip, in body heights


def write_clips(folder: Path, prefix: str, clips: int, seed: int) -> None:
    """Noisy bodies in each of which one joint waves, from not at all to clearly."""
    rng = np.random.default_rng(seed)
    labels = np.arange(clips) % WAVES
    data = rng.normal(0, NOISE, (clips, 3, FRAMES, 17, 1)).astype(np.float32)
    data += np.linspace(0.1, 1, 17, dtype=np.float32)[:, None]
    size = rng.uniform(0, CLEAREST, (clips, 1))
    wave = size * np.sin(np.arange(FRAMES) * rng.uniform(0.4, 1.2, (clips, 1)) + rng.uniform(0, 6, (clips, 1)))
    for clip, label, moves in zip(data, labels, wave, strict=True):
        clip[1, :, 9 + label, 0] += moves
    np.save(folder / f"{prefix}_data.npy", data)
    names = [str(i) for i in range(clips)]
    (folder / f"{prefix}_label.pkl").write_bytes(pickle.dumps((names, labels.tolist())))


def run(folder: Path, processes: int, seed: int, epochs: int) -> dict[str, float]:
    settings = {
        "results_dir": folder / f"{processes}-{seed}",
        "model.model_type": "Fold-GCN",
        "model.graph_layout": "coco",
        "dataset.num_classes": WAVES,
        "dataset.train_dataset.data_path": folder,
        "dataset.val_dataset.data_path": folder,
        "dataset.window_size": FRAMES,
        "dataset.batch_size": 16 // processes,
        "train.recipe": "kinetag",
        **dict.fromkeys(("train.part_dropout", "train.joint_dropout", "train.frame_dropout"), 0),
        "train.mirror": False,
        "train.num_epochs": epochs,
        "train.checkpoint_interval": epochs,
        "train.validation_interval": epochs,
        "train.seed": seed,
        "train.accelerator": "cpu",
        "train.num_gpus": processes,
    }
    spec = load_spec(None, [f"{key}={value}" for key, value in settings.items()], action="train")
    began = time.perf_counter()
    result = train(spec)
    return {"accuracy": 100 * result.metrics["val_acc"], "seconds": time.perf_counter() - began}


def row(processes: str, accuracy: np.ndarray, seconds: float) -> dict[str, Any]:
    """Mean over the seeds with the half width of its 95 % interval."""
    half = stats.t.ppf(0.975, len(accuracy) - 1) * accuracy.std(ddof=1) / len(accuracy) ** 0.5
    return {
        "processes": processes,
        "val_acc, mean": round(float(accuracy.mean()), 2),
        "+-": round(float(half), 2),
        "each": ", ".join(f"{a:.1f}" for a in accuracy),
        "seconds": round(seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=320)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=6, help="at least 2")
    options = parser.parse_args()
    found: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_clips(folder, "train", options.clips, seed=0)
        write_clips(folder, "val", 2000, seed=1)
        for seed in range(options.seeds):
            for processes, runs in found.items():
                runs.append(run(folder, processes, seed, options.epochs))
                print(f"seed {seed}, {processes}: {runs[-1]['accuracy']:.2f} %", flush=True)
    accuracy = {processes: np.array([r["accuracy"] for r in runs]) for processes, runs in found.items()}
    seconds = {processes: float(np.mean([r["seconds"] for r in runs])) for processes, runs in found.items()}
    rows = [row(str(processes), accuracy[processes], seconds[processes]) for processes in found]
    rows.append(row("two less one", accuracy[2] - accuracy[1], seconds[2] - seconds[1]))
    show("One and two processes", rows)
    save("two_processes", clips=options.clips, epochs=options.epochs, rows=rows)


if __name__ == "__main__":
    main()
