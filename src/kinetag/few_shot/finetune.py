"""`kinetag teach --finetune`: the last layer trained a little. Needs the extra 'train'; several clips help.

The prototypes, of what was taught and of the library, are a last layer already (a cosine classifier; Qi et al. 2018,
arXiv:1712.07136, start theirs with such weights too). Here they move to tell the windows of all clips, and the
library's own, better apart; a pull back to where they were keeps few clips from being learned by heart.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kinetag.errors import missing_extra
from kinetag.few_shot.profile import Profile
from kinetag.few_shot.prototypes import Seen

_STEPS = 150
_RATE = 0.003
_PULL = 20.0  # on the squared distance from the first prototypes: more stays nearer to them


def finetuned(profile: Profile, seen: Sequence[Sequence[Seen]], *, steps: int = _STEPS, pull: float = _PULL) -> Profile:
    """The profile with its prototypes trained on the windows of what was taught, and on the library's."""
    torch = import_torch()
    space = profile.space
    assert space is not None
    windows, targets, weights = _examples(profile, seen)
    owners = np.concatenate([space.prototype_labels, _own_labels(profile)])
    order = np.argsort(owners, kind="stable")  # prototypes of a class lie together
    classes, counts = np.unique(owners, return_counts=True)
    start = torch.from_numpy(np.concatenate([space.prototypes, profile.prototypes])[order].astype(np.float32))
    bias = torch.from_numpy(np.concatenate([np.zeros(len(space.prototypes)), profile.biases])[order].astype(np.float32))
    points = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([points], lr=_RATE)
    inputs, weight, lengths = (torch.from_numpy(values) for values in (windows, weights, counts))
    at = torch.from_numpy(np.searchsorted(classes, targets))
    for _ in range(steps):
        unit = torch.nn.functional.normalize(points, dim=1)
        alike = (unit @ inputs.T + bias[:, None]) / profile.temperature  # (P, N)
        best = torch.segment_reduce(alike, "max", lengths=lengths, axis=0).T  # (N, K)
        loss = (weight * torch.nn.functional.cross_entropy(best, at, reduction="none")).sum()
        optimizer.zero_grad()
        (loss + pull * ((unit - start) ** 2).sum(dim=1).mean()).backward()
        optimizer.step()
    moved = np.empty(start.shape, np.float32)
    moved[order] = torch.nn.functional.normalize(points.detach(), dim=1).numpy()
    library, taught = moved[: len(space.prototypes)], moved[len(space.prototypes) :]
    return replace(profile, space=replace(space, prototypes=library), prototypes=taught, finetuned=True)


def import_torch() -> Any:
    """PyTorch; KinetagError where it is not installed."""
    try:
        import torch
    except ImportError:
        raise missing_extra("torch", "train", "teach --finetune") from None
    return torch


def _own_labels(profile: Profile) -> np.ndarray:
    """Labels of the taught exercises behind those of the library, (J,)."""
    assert profile.space is not None
    return len(profile.space.labels) + np.arange(len(profile.prototypes))


def _examples(profile: Profile, seen: Sequence[Sequence[Seen]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Windows (N, D), their labels (N,) and weights (N,): half of it the library's, half shared by what was taught."""
    space = profile.space
    assert space is not None
    windows, labels, weights = [space.negatives], [space.negative_labels], [np.full(len(space.negatives), 0.5)]
    weights[0] /= len(space.negatives)
    for label, clips in zip(_own_labels(profile), seen, strict=True):
        own = np.concatenate([part for clip in clips for part in (clip.filmed, clip.mirrored)])
        windows.append(own)
        labels.append(np.full(len(own), label))
        weights.append(np.full(len(own), 0.5 / len(seen) / len(own)))
    return (
        np.concatenate(windows).astype(np.float32),
        np.concatenate(labels).astype(np.int64),
        np.concatenate(weights).astype(np.float32),
    )
