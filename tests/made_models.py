"""Little clips of three made-up movements, and a network trained on them within seconds."""

import pickle
from pathlib import Path

import numpy as np

from kinetag.skeletons import get_layout

CLASSES = ("still", "wave", "bob")
RATE = 15.0


def made_clips(
    count: int, *, layout: str = "coco", channels: int = 3, frames: int = 60, people: int = 1, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Clips (N, C, T, V, M) in body sizes and labels (N,): standing, waving the left hand, bobbing at 1.5 Hz."""
    rng = np.random.default_rng(seed)
    names = get_layout(layout).joints
    joints = len(names)
    body = _body(layout)
    labels = np.arange(count) % len(CLASSES)
    clips = np.zeros((count, channels, frames, joints, people), np.float32)
    wrist = [i for i, name in enumerate(names) if "left_wrist" in name or "left_elbow" in name] or [joints - 1]
    for i, label in enumerate(labels):
        turn = np.sin(2 * np.pi * (1.5 * np.arange(frames) / RATE + rng.random()))[:, None]  # (T, 1)
        points = np.repeat(body[:, None], frames, axis=1) + rng.uniform(0, 0.05) * rng.normal(size=(2, frames, joints))
        if label == 1:
            points[0][:, wrist] += 1.5 * turn
        elif label == 2:
            points[1] += 0.9 * turn
        clips[i, :2, ..., 0] = points
    if channels > 2:
        clips[:, -1, ..., 0] = 1.0
    return clips, labels


def _body(layout: str) -> np.ndarray:
    """Joints (2, V) of a body that looks the same in a mirror."""
    points = np.random.default_rng(7).normal(size=(2, len(get_layout(layout))))
    twin = get_layout(layout).mirror
    mirrored = points[:, twin] * [[-1.0], [1.0]]
    return np.where(np.arange(len(twin)) <= twin, points, mirrored)


def write_arrays(folder: Path, clips: np.ndarray, labels: np.ndarray, role: str = "val") -> Path:
    """Clips as TAO's pair of files; gives the array's path."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{role}_data.npy", clips)
    with open(folder / f"{role}_label.pkl", "wb") as stream:
        pickle.dump(([f"clip_{i}" for i in range(len(clips))], labels.tolist()), stream)
    return folder / f"{role}_data.npy"


def trained(path: Path, *, steps: int = 40, secret: str | None = None, classes=CLASSES, **about) -> Path:
    """A checkpoint of a small network of the given ``model_type`` (default Fold-GCN), trained on `made_clips`."""
    import torch

    from kinetag.checkpoint import CheckpointHeader, save_checkpoint
    from kinetag.models import build_model

    torch.manual_seed(0)
    header = {
        "model_type": "Fold-GCN",
        "layout": "coco",
        "strategy": "spatial",
        "channels": ("x", "y", "confidence"),
        "class_names": tuple(classes),
        "window": 60,
        "rate": RATE,
        "coordinates": "body",
        "recipe": "tao",
        "version": "0.1.0",
    } | about
    names = ("model_type", "layout", "strategy", "channels")
    model = build_model(**{name: header[name] for name in names}, classes=len(classes), dropout=0.0)
    people = header.pop("people", 1)
    clips, labels = made_clips(48, layout=header["layout"], channels=len(header["channels"]), people=people, seed=1)
    optimizer = torch.optim.Adam(model.parameters(), 0.003)
    inputs, targets = torch.from_numpy(clips), torch.from_numpy(labels % len(classes))
    for step in range(steps):
        part = slice(24 * (step % 2), 24 * (step % 2) + 24)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs[part]), targets[part], label_smoothing=0.1).backward()
        optimizer.step()
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d)]
    for norm in norms:  # so few steps leave the running statistics behind
        norm.reset_running_stats()
        norm.momentum = None
    with torch.no_grad():
        model(inputs if steps else inputs[:4])
    save_checkpoint(path, model.state_dict(), CheckpointHeader(**header), secret=secret)
    return path
