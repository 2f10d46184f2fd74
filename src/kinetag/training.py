"""Train the exercise classifier on synthesis and write it as ONNX.

    python -m kinetag.training --seconds 600 --out run/

Everything that is random follows from the seed and the step, so a run that was stopped goes on as if it had not been:
start it again with the same --out. Needs the extra 'train'.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kinetag.cores import core_count
from kinetag.errors import KinetagError, missing_extra
from kinetag.exercises.bank import BANK_RATE, BANK_SECONDS, Bank, Batch, build_bank, sample
from kinetag.exercises.labels import class_names
from kinetag.exercises.library import load_library
from kinetag.features import LAYOUT, MIRROR_SIGN
from kinetag.finishing import finish
from kinetag.models import build_window_model
from kinetag.skeletons import get_layout
from kinetag.whole_file import whole_file

try:
    import torch
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import save_file
    from torch import Tensor
    from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax
    from torch.utils.data import DataLoader, Dataset
except ImportError as error:
    raise missing_extra(error.name or "torch", "train", "training the classifier") from None

Report = Callable[[str], None]
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
        metadata = {"kinetag": json.dumps(header)}
        with whole_file(path) as draft:
            save_file({k: v.contiguous() for k, v in tensors.items()}, str(draft), metadata)

    def begin_from(self, path: Path, classes: Sequence[str]) -> None:
        """Take over the averaged network of another run, which must know the same classes; one from before there was a
        progress to be told learns it anew."""
        with safe_open(str(path), framework="pt") as file:
            header = _header(file)
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
            header = _header(file)
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
        self.done = header["done"]


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


def train(
    bank: Bank,
    options: TrainingOptions,
    folder: Path,
    report: Report,
    *,
    begin_from: Path | None = None,
    save_every: float = 30,
    device: str = "cpu",
    workers: int = 1,
) -> Trainer:
    """Train to the end, or from the checkpoint in ``folder`` to the end, writing one every ``save_every`` seconds.

    ``begin_from``: checkpoint of another run on the same classes, whose averaged network is the start of this one.
    """
    checkpoint = folder / "checkpoint.safetensors"
    trainer = Trainer(
        options, bank, device, _variants(checkpoint if checkpoint.exists() else begin_from, options, bank)
    )
    if begin_from is not None:
        trainer.begin_from(begin_from, bank.classes)
    if checkpoint.exists():
        trainer.load(checkpoint)
        report(f"going on from step {trainer.done} of {options.steps}")
    began = saved = time.monotonic()
    start, running = trainer.done, float("nan")
    for batch in batches(bank, options, trainer.done, options.steps, device=device, workers=workers):
        loss = trainer.step(batch)
        running = loss if math.isnan(running) else 0.98 * running + 0.02 * loss
        now = time.monotonic()
        if now - saved > save_every or trainer.done == options.steps:
            trainer.save(checkpoint, {"classes": list(bank.classes)})
            saved = now
        if trainer.done % 100 == 0 or trainer.done == options.steps:
            left = (now - began) / (trainer.done - start) * (options.steps - trainer.done)
            report(f"step {trainer.done}/{options.steps}  loss {running:.3f}  {left:.0f} s left")
    return trainer


def _variants(path: Path | None, options: TrainingOptions, bank: Bank) -> Variants:
    """The ways of doing exercises that a network is to tell apart: those of a run at ``path`` that goes on."""
    if path is None:
        return bank.variants
    with safe_open(str(path), framework="pt") as file:
        header = _header(file)
    if "variants" not in header or header.get("classes") != list(bank.classes):  # told of later
        return bank.variants
    variants = tuple((name, way) for name, way in header["variants"])
    if variants != bank.variants and not options.only_progress:
        raise KinetagError(
            f"{path} tells other ways of doing exercises apart than these motions and recordings show; "
            "give the options of that run, or --only-progress"
        )
    return variants


def steps_in(seconds: float, bank: Bank, options: TrainingOptions, device: str, workers: int) -> int:
    """How many steps fit into ``seconds`` here, measured on a few."""
    trainer = Trainer(options, bank, device)
    run = batches(bank, options, 0, 40, device=device, workers=workers)
    for _, batch in zip(range(8), run, strict=False):
        trainer.step(batch)
    began = time.monotonic()
    count = sum(1 for batch in run if trainer.step(batch) is not None)
    return max(20, int(seconds * count / (time.monotonic() - began)))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m kinetag.training", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint and the ONNX file")
    parser.add_argument("--seconds", type=float, help="train about this long (the steps that fit are then fixed)")
    parser.add_argument("--steps", type=int, help="train this many steps instead")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=TrainingOptions.batch)
    parser.add_argument("--learning-rate", type=float, default=TrainingOptions.learning_rate)
    parser.add_argument("--per-class", type=int, default=TrainingOptions.per_class, help="motions made a class")
    parser.add_argument(
        "--from", dest="begin_from", type=Path, help="checkpoint of a run on the same classes to start at"
    )
    parser.add_argument(
        "--only-progress", action="store_true",
        help="with --from: learn how far into a repetition each frame is, and leave all else as it is",
    )  # fmt: skip
    parser.add_argument(
        "--exercises", type=Path, nargs="+", action="extend", default=[], metavar="FILE",
        help="YAML files, or folders of them, with exercises of your own that it shall learn too",
    )  # fmt: skip
    parser.add_argument("--without", default="", help="exercises, separated by commas, that it shall not learn")
    parser.add_argument(
        "--recordings", type=Path, nargs="+", help="files that `python -m kinetag.exercises.recording` wrote"
    )
    parser.add_argument("--captured", type=Path, help="motion capture: a .npz file of UI-PRMD")
    parser.add_argument(
        "--threads", type=int, help="of the network; as many as there are cores beside those of --workers"
    )
    parser.add_argument(
        "--precision",
        choices=("fp32", "bf16"),
        help="of the network's products; bf16 where the processor computes in it",
    )
    parser.add_argument("--workers", type=int, default=1, help="processes that make batches")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads or max(1, core_count() - options.workers))
    try:
        _run(options, report=lambda line: print(line, flush=True))
    except KinetagError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _run(options: argparse.Namespace, report: Report) -> None:
    if options.only_progress and options.begin_from is None:
        raise KinetagError("--only-progress goes with --from, the checkpoint of a run that learned all else")
    if options.begin_from is not None:
        _check_checkpoint(options.begin_from)
    options.out.mkdir(parents=True, exist_ok=True)
    library = load_library(options.exercises)
    left_out = {name for name in options.without.split(",") if name}
    if unknown := left_out - set(class_names(library)):
        raise KinetagError(f"--without names unknown exercises: {', '.join(sorted(unknown))}")
    classes = tuple(name for name in class_names(library) if name not in left_out)
    captured = None
    if options.captured:
        from kinetag.exercises.captured import cuts, read_captured

        captured = cuts(read_captured(options.captured), seconds=BANK_SECONDS, rate=BANK_RATE)
    report(f"making motions of {len(classes)} classes: {', '.join(classes)}")
    bank = build_bank(classes, options.seed, options.per_class, library=library, workers=options.workers)
    if captured is not None:
        bank = bank.with_captured(*captured)
        report(f"and {bank.captured} of motion capture")
    if options.recordings:
        from kinetag.exercises.recordings import read_recordings

        bank = bank.with_recordings([clip for path in options.recordings for clip in read_recordings(path)])
        report(f"and {len(bank.recorded or ())} recordings")
    wanted = TrainingOptions(
        batch=options.batch,
        per_class=options.per_class,
        seed=options.seed,
        learning_rate=options.learning_rate,
        only_progress=options.only_progress,
        precision=options.precision or _saved(options.out, "precision") or _fast_precision(options.device),
    )
    wanted = replace(wanted, steps=_steps(options, bank, wanted))
    trainer = train(
        bank,
        wanted,
        options.out,
        report,
        begin_from=options.begin_from,
        device=options.device,
        workers=options.workers,
    )
    finish(trainer, options.out / "exercise_classifier.onnx", report)


def _fast_precision(device: str) -> str:
    """bf16 where ``device`` has units for it, else fp32."""
    if torch.device(device).type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if not hasattr(torch.cpu, "get_capabilities"):  # not every version can tell
        return "fp32"
    capabilities = torch.cpu.get_capabilities()
    return "bf16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "fp32"


def _steps(options: argparse.Namespace, bank: Bank, wanted: TrainingOptions) -> int:
    """The number of steps: given, that of the checkpoint to go on from, or what fits into the time."""
    if steps := options.steps or _saved(options.out, "steps"):
        return steps
    if options.seconds:
        return steps_in(options.seconds, bank, wanted, options.device, options.workers)
    return wanted.steps


def _saved(folder: Path, option: str) -> Any:
    """An option of the checkpoint to go on from; None where there is none."""
    checkpoint = folder / "checkpoint.safetensors"
    if not checkpoint.exists():
        return None
    with safe_open(str(checkpoint), framework="pt") as file:
        return _header(file)["options"].get(option)


def _check_checkpoint(path: Path) -> None:
    """A KinetagError where there is no checkpoint of a run."""
    if not path.is_file():
        raise KinetagError(f"--from: no file {path}; give the checkpoint.safetensors of a run")
    try:
        with safe_open(str(path), framework="pt") as file:
            known = "classes" in _header(file)
    except SafetensorError as error:
        raise KinetagError(f"--from: {path} is no checkpoint of a run ({error})") from None
    if not known:
        raise KinetagError(f"--from: {path} is no checkpoint of a run that `python -m kinetag.training` wrote")


def _header(file: Any) -> dict[str, Any]:
    """What an open checkpoint says of its run; older ones knew no other precision than fp32."""
    header = json.loads((file.metadata() or {}).get("kinetag", "{}"))
    return header | {"options": {"precision": "fp32"} | header.get("options", {})}


if __name__ == "__main__":
    raise SystemExit(main())
