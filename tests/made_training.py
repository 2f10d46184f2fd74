"""Tiny arrays to train on: in class k one joint waves."""

import pickle
from pathlib import Path

import numpy as np
import yaml

from kinetag.spec import Spec, load_spec


def write_arrays(folder: Path, *, clips=24, frames=12, joints=17, classes=3, prefix="train", seed=0) -> Path:
    """`<prefix>_data.npy` (N, 3, T, V, 1) and `<prefix>_label.pkl` in a folder."""
    rng = np.random.default_rng(seed)
    labels = np.arange(clips) % classes
    data = rng.normal(0, 0.05, (clips, 3, frames, joints, 1)).astype(np.float32)
    data += np.linspace(0.1, 1, joints, dtype=np.float32)[:, None]
    waves = np.sin(np.arange(frames) * 0.7 + rng.uniform(0, 6, (clips, 1)))
    for clip, label, wave in zip(data, labels, waves, strict=True):
        clip[1, :, label * 3 + 4, 0] += wave
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{prefix}_data.npy", data)
    names = [f"clip_{i}" for i in range(clips)]
    (folder / f"{prefix}_label.pkl").write_bytes(pickle.dumps((names, labels.tolist())))
    return folder


def training_spec(folder: Path, *overrides: str, name: str = "out") -> Spec:
    """The spec of a short training on `write_arrays`' data; results in ``folder/name``."""
    return load_spec(write_spec(folder, name), list(overrides), action="train")


def write_spec(folder: Path, name: str = "out") -> Path:
    data = folder / "data"
    if not data.exists():
        write_arrays(data)
        write_arrays(data, clips=9, prefix="val", seed=1)
    values = {
        "results_dir": str(folder / name),
        "model": {"model_type": "Fold-GCN", "graph_layout": "coco", "input_channels": 3},
        "dataset": {
            "train_dataset": {"data_path": str(data)},
            "val_dataset": {"data_path": str(data)},
            "num_classes": 3,
            "batch_size": 5,
        },
        "train": {"num_epochs": 3, "optim": {"optimizer_type": "torch.optim.AdamW", "lr": 0.003}},
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(values))
    return path
