"""A step of training the exercise classifier: its options, the network with its moving average, and its batches.

Everything that is random follows from the seed and the step; `kinetag.training` is the command.
"""

import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kinetag.errors import KinetagError, missing_extra
from kinetag.exercises.bank import Bank, Batch, sample
from kinetag.features import LAYOUT, MIRROR_SIGN
from kinetag.models import build_window_model
from kinetag.skeletons import get_layout
from kinetag.whole_file import whole_file

try:
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file
    from torch import Tensor
    from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax
    from torch.utils.data import DataLoader, Dataset
except ImportError as error:
    raise missing_extra(error.name or "torch", "train", "training the classifier") from None

Variants = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TrainingOptions:
    """How to train. The shipped network took 26,000 ``steps`` of 128; half as many are a little worse."""

    steps: int = 4000
    batch: int = 128
    per_class: int = 600  # motions of each class in the bank
    learning_rate: float = 3e-3  # for batches of 128; a larger one learns faster until it learns nothing
    weight_decay: float = 0.02
    label_smoothing: float = 0.05
    ema: float = 0.998
    variant_loss: float = 0.3  # how much it counts to tell the ways of doing an exercise apart
    frame_loss: float = 0.3  # and to label each frame
    progress_loss: float = 0.5  # and to tell how far into a repetition each frame is
    only_progress: bool = False  # whether all but that stays as the run to begin from left it
    seed: int = 0
    model: str = "multi_branch"
    precision: str = "fp32"  # of the network's products: fp32, or bf16, which takes less than half of the time


class Trainer:
    """Holds a network, its moving average and its optimizer; `step` makes one update from one batch."""

    def __init__(
        self, options: TrainingOptions, bank: Bank, device: str = "cpu", variants: Variants | None = None
    ) -> None:
        """``variants``: in place of the bank's, of a network whose progress alone is learned."""
        torch.manual_seed(options.seed)
        self.options, self.bank, self.device = options, bank, device
        self.variants = bank.variants if variants is None else variants
        ways = [bank.classes.index(name) for name, _ in self.variants]
        self.model, self.average = (
            build_window_model(options.model, len(bank.classes), variants=ways).to(device) for _ in range(2)
        )
        self.average.load_state_dict(self.model.state_dict())
        model: Any = self.model
        learned = model.progress if options.only_progress else model
        self.optimizer = torch.optim.AdamW(
            learned.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
        )
        self.labels, self.ways = (torch.from_numpy(rows).to(device) for rows in (bank.labels, bank.ways))
        self.done = 0
        self.origin: dict[str, Any] = {}  # options of the run to begin from

    def step(self, batch: "Tensors") -> float:
        """One update; returns the loss."""
        options = self.options
        torch.manual_seed((options.seed << 32) + self.done)  # dropout repeats itself after a resume
        for group in self.optimizer.param_groups:
            group["lr"] = options.learning_rate * schedule(self.done, options.steps)
        model: Any = self.model
        model.train()
        if options.only_progress:
            model.eval().progress.train()
        loss = self.loss(batch)
        self.optimizer.zero_grad()
        loss.backward()
        of_progress = set(model.progress.parameters())
        for part in (of_progress, [p for p in model.parameters() if p not in of_progress]):  # neither dampens the other
            torch.nn.utils.clip_grad_norm_(part, 2.0)
        self.optimizer.step()
        self.done += 1
        self._follow()
        return loss.item()

    def loss(self, batch: "Tensors") -> Tensor:
        """Cross-entropies of the window's class, of the way it is done, of every second frame's class, and of the
        progress in each frame, which teaches the network's answer to that alone: classes are learned as without it."""
        options, seen = self.options, batch.mask[:, 0::2] | batch.mask[:, 1::2]
        model: Any = self.model
        bf16 = options.precision == "bf16"
        with torch.autocast(torch.device(self.device).type, torch.bfloat16) if bf16 else nullcontext():
            with torch.set_grad_enabled(not options.only_progress):
                windows = model.embed(batch.features, batch.mask)
            progress = model.progress(windows.way.detach()).float()  # (N, T)
        known = batch.mask & ~batch.progress.isnan()
        far = binary_cross_entropy_with_logits(progress, batch.progress.nan_to_num(), reduction="none")
        of_progress = options.progress_loss * (far * known).sum() / known.sum().clamp(min=1)
        if options.only_progress:
            return of_progress
        classes, variants, frames = model.answers(windows.embedding.float(), windows.frames.float())
        fade = (batch.fade[:, 0::2] + batch.fade[:, 1::2]) / 2  # (N, T / 2)
        first, second = self.labels[batch.first], self.labels[batch.second]
        one, other = (label[:, None].expand_as(fade) for label in (first, second))
        each = _soft_cross_entropy(frames, one, other, fade, 0.0)  # (N, T / 2)
        return (
            _soft_cross_entropy(classes, first, second, batch.share, options.label_smoothing).mean()
            + options.variant_loss
            * _soft_cross_entropy(variants, self.ways[batch.first], self.ways[batch.second], batch.share, 0.0).mean()
            + options.frame_loss * (each * seen).sum() / seen.sum().clamp(min=1)
            + of_progress
        )

    def _follow(self) -> None:
        """Move the average towards the network, faster while it is young."""
        decay = min(self.options.ema, (1 + self.done) / (10 + self.done))
        with torch.no_grad():
            for kept, new in zip(self.average.state_dict().values(), self.model.state_dict().values(), strict=True):
                if kept.is_floating_point():
                    kept.lerp_(new, 1 - decay)
                else:
                    kept.copy_(new)

    def save(self, path: Path, header: dict) -> None:
        """Write a checkpoint, safetensors with a JSON header; the old one stays until the new one is complete."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{k}": v for k, v in state.items()}
        header = header | {"variants": self.variants, "done": self.done, "options": asdict(self.options)}
        header |= {"from": self.origin} if self.origin else {}
        metadata = {"kinetag": json.dumps(header)}
        with whole_file(path) as draft:
            save_file({k: v.contiguous() for k, v in tensors.items()}, str(draft), metadata)

    def begin_from(self, path: Path, classes: Sequence[str]) -> None:
        """Take over the averaged network of another run, which must know the same classes; one from before there was a
        progress to be told learns it anew."""
        with safe_open(str(path), framework="pt") as file:
            header = run_header(file)
            if header.get("classes") != list(classes):
                raise KinetagError(f"{path} was trained on other classes: {header.get('classes')}")
            self.origin = header["options"]
            names = [name for name in file.keys() if name.startswith("average.")]  # noqa: SIM118 - not a dict
            state = {name.removeprefix("average."): file.get_tensor(name) for name in names}
        for model in (self.model, self.average):
            new = {name: value for name, value in model.state_dict().items() if name.startswith("progress.")}
            model.load_state_dict(new | state)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint, which must come from a run with the same options."""
        with safe_open(str(path), framework="pt") as file:
            header = run_header(file)
            now, then = asdict(self.options), header["options"]
            if odd := [f"{name} {then.get(name)}" for name in now if then.get(name) != now[name]]:
                raise KinetagError(
                    f"{path} comes from a run with other options ({', '.join(odd)}); "
                    "choose another --out, or delete it to start again"
                )
            if header.get("classes") != list(self.bank.classes):
                raise KinetagError(
                    f"{path} comes from a run on other classes; "
                    "give the --exercises and --without of that run, or another --out"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        for prefix, model in (("model.", self.model), ("average.", self.average)):
            model.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, number, key = name.split(".")
                state.setdefault(int(number), {})[key] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.done, self.origin = header["done"], header.get("from", {})


def schedule(step: int, steps: int) -> float:
    """Learning-rate factor: a short warm-up, then half a cosine down to nearly nothing."""
    return min(1.0, (step + 1) / 60) * (0.5 * (1 + math.cos(math.pi * step / steps)) + 0.005)


@dataclass(frozen=True)
class Tensors:
    """A batch where the network is: see `kinetag.exercises.bank.Batch`; ``share`` (N,) of the second motion."""

    features: Tensor
    mask: Tensor
    first: Tensor
    second: Tensor
    fade: Tensor
    progress: Tensor
    share: Tensor

    def mirrored(self) -> "Tensors":
        """The same windows in a mirror (see `kinetag.features.mirror`)."""
        device = self.features.device
        twins = torch.as_tensor(get_layout(LAYOUT).mirror, device=device)
        sign = torch.as_tensor(MIRROR_SIGN, device=device)
        return replace(self, features=self.features[:, :, twins] * sign)


def _soft_cross_entropy(logits: Tensor, first: Tensor, second: Tensor, share: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy (...) of logits (..., K) with a target that is ``second`` by ``share`` (...), else ``first``."""
    logp = log_softmax(logits, -1)
    one, other = (logp.gather(-1, label[..., None])[..., 0] for label in (first, second))
    return -(1 - smoothing) * ((1 - share) * one + share * other) - smoothing * logp.mean(-1)


class _Pairs(Dataset):
    """Batches by number, each made from (seed, number) alone."""

    def __init__(self, bank: Bank, options: TrainingOptions) -> None:
        self.bank, self.options, self.weights = bank, options, bank.weights()

    def __getitem__(self, number: int) -> tuple[Tensor, ...]:
        rng = np.random.default_rng([self.options.seed, 1, number])
        batch: Batch = sample(self.bank, rng, self.options.batch, weights=self.weights)
        share = batch.share().astype(np.float32)
        arrays = (batch.features, batch.mask, batch.first, batch.second, batch.fade, batch.progress, share)
        return tuple(torch.from_numpy(array) for array in arrays)


def batches(
    bank: Bank, options: TrainingOptions, first: int, last: int, *, device: str = "cpu", workers: int = 1
) -> Iterator[Tensors]:
    """Batches number ``first`` to ``last``, made by other processes while the network learns.

    Every second batch is the one before it in a mirror, which halves the work of making them.
    """
    pairs = range(first // 2, (last + 1) // 2)
    # Forked processes share the bank; where there is no fork, batches are made in between.
    workers = workers if sys.platform == "linux" else 0
    loader = DataLoader(
        _Pairs(bank, options),
        batch_size=None,
        sampler=pairs,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        multiprocessing_context="fork" if workers else None,
        pin_memory=device != "cpu",
    )
    for pair, made in zip(pairs, loader, strict=True):
        batch = Tensors(*(tensor.to(device, non_blocking=True) for tensor in made))
        for number in (2 * pair, 2 * pair + 1):
            if first <= number < last:
                yield batch if number % 2 == 0 else batch.mirrored()


def run_header(file: Any) -> dict[str, Any]:
    """What an open checkpoint says of its run; older ones knew no other precision than fp32."""
    header = json.loads((file.metadata() or {}).get("kinetag", "{}"))
    return header | {"options": {"precision": "fp32"} | header.get("options", {})}
