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
    owners = torch.from_numpy(np.concatenate([space.prototype_labels, _own_labels(profile)]).astype(np.int64))
    start = torch.from_numpy(np.concatenate([space.prototypes, profile.prototypes]).astype(np.float32))
    bias = torch.zeros(len(start))
    bias[len(space.prototypes) :] = torch.from_numpy(profile.biases)
    points = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([points], lr=_RATE)
    inputs, labels, weight = (torch.from_numpy(values) for values in (windows, targets, weights))
    classes, place = torch.unique(owners, return_inverse=True)  # place (P,)
    at, place = torch.searchsorted(classes, labels), place.expand(len(inputs), -1)
    lowest = torch.full((len(inputs), len(classes)), -torch.inf)
    for _ in range(steps):
        unit = torch.nn.functional.normalize(points, dim=1)
        alike = (inputs @ unit.T + bias) / profile.temperature  # (N, P)
        best = lowest.scatter_reduce(1, place, alike, "amax")  # (N, K)
        loss = (weight * torch.nn.functional.cross_entropy(best, at, reduction="none")).sum()
        optimizer.zero_grad()
        (loss + pull * ((unit - start) ** 2).sum(dim=1).mean()).backward()
        optimizer.step()
    moved = torch.nn.functional.normalize(points.detach(), dim=1).numpy()
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
