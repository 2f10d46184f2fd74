"""Train the exercise classifier on synthesis and write it as ONNX.

    python -m kinetag.training --seconds 600 --out run/

Everything that is random follows from the seed and the step, so a run that was stopped goes on as if it had not been:
start it again with the same --out. Needs the extra 'train'.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kinetag.cores import core_count
from kinetag.errors import KinetagError, missing_extra
from kinetag.exercises.bank import BANK_RATE, BANK_SECONDS, Bank, build_bank
from kinetag.exercises.labels import class_names
from kinetag.exercises.travel import moving_library
from kinetag.finishing import finish
from kinetag.trainer import Trainer, TrainingOptions, Variants, batches, run_header

try:
    import torch
    from safetensors import SafetensorError, safe_open
except ImportError as error:
    raise missing_extra(error.name or "torch", "train", "training the classifier") from None

Report = Callable[[str], None]


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
        header = run_header(file)
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
    library = moving_library(options.exercises)
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
        return run_header(file)["options"].get(option)


def _check_checkpoint(path: Path) -> None:
    """A KinetagError where there is no checkpoint of a run."""
    if not path.is_file():
        raise KinetagError(f"--from: no file {path}; give the checkpoint.safetensors of a run")
    try:
        with safe_open(str(path), framework="pt") as file:
            known = "classes" in run_header(file)
    except SafetensorError as error:
        raise KinetagError(f"--from: {path} is no checkpoint of a run ({error})") from None
    if not known:
        raise KinetagError(f"--from: {path} is no checkpoint of a run that `python -m kinetag.training` wrote")


if __name__ == "__main__":
    raise SystemExit(main())
