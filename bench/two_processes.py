"""One process against two that share each step: does training end the same?

    python bench/two_processes.py

Fold-GCN, recipe kinetag, made-up clips, the same ones in every step: batches of 16 on one process, of 8 on each of two
(gloo). Several seeds each, so that the difference can be held against the noise between seeds. Batch norm sees half a
batch on each of two processes, as everywhere without SyncBatchNorm, so the weights differ a little; the accuracy should
not.
"""

import argparse
import pickle
import tempfile
import time
from pathlib import Path

import numpy as np
from common import save, show

from kinetag.actions.train import train
from kinetag.spec import load_spec

WAVES, FRAMES = 8, 40  # classes and length of the made-up clips


def write_clips(folder: Path, prefix: str, clips: int, seed: int) -> None:
    """Noisy bodies in each of which one joint waves, more or less: easy for most clips, not for all."""
    rng = np.random.default_rng(seed)
    labels = np.arange(clips) % WAVES
    data = rng.normal(0, 0.05, (clips, 3, FRAMES, 17, 1)).astype(np.float32)
    data += np.linspace(0.1, 1, 17, dtype=np.float32)[:, None]
    size = rng.uniform(0.3, 0.8, (clips, 1))
    wave = size * np.sin(np.arange(FRAMES) * rng.uniform(0.2, 0.6, (clips, 1)) + rng.uniform(0, 6, (clips, 1)))
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
        "train.num_epochs": epochs,
        "train.checkpoint_interval": epochs,
        "train.seed": seed,
        "train.accelerator": "cpu",
        "train.num_gpus": processes,
    }
    spec = load_spec(None, [f"{key}={value}" for key, value in settings.items()], action="train")
    began = time.perf_counter()
    result = train(spec)
    return {"accuracy": 100 * result.metrics["val_acc"], "seconds": time.perf_counter() - began}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=480)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_clips(folder, "train", options.clips, seed=0)
        write_clips(folder, "val", 400, seed=1)
        for processes in (1, 2):
            runs = [run(folder, processes, seed, options.epochs) for seed in range(options.seeds)]
            accuracy = np.array([r["accuracy"] for r in runs])
            rows.append(
                {
                    "processes": processes,
                    "val_acc, mean": round(float(accuracy.mean()), 2),
                    "spread over seeds": round(float(accuracy.std(ddof=1)) if len(runs) > 1 else 0.0, 2),
                    "each": ", ".join(f"{a:.2f}" for a in accuracy),
                    "seconds": round(float(np.mean([r["seconds"] for r in runs])), 1),
                }
            )
    show("One and two processes", rows)
    save("two_processes", clips=options.clips, epochs=options.epochs, rows=rows)


if __name__ == "__main__":
    main()
