"""What to compute on: the graphics cards that a spec asks for, or the processor."""

from dataclasses import dataclass
from typing import Any

from kinetag.errors import KinetagError, missing_extra
from kinetag.spec import Spec


@dataclass(frozen=True)
class DeviceChoice:
    """``ids`` are graphics cards; ``count`` processes on this machine; ``note`` says what is not as asked for."""

    accelerator: str  # cpu, cuda or mps
    count: int
    ids: tuple[int, ...] = ()
    note: str = ""

    @property
    def for_lightning(self) -> Any:
        """Lightning's ``devices``."""
        return list(self.ids) if self.accelerator == "cuda" else self.count


def choose_devices(spec: Spec) -> DeviceChoice:
    """Match train.accelerator, num_gpus and gpu_ids with this machine; KinetagError where they do not fit."""
    try:
        import torch
    except ImportError:
        raise missing_extra("torch", "train", "training") from None
    train = spec.train
    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if train.accelerator == "cpu" or (train.accelerator == "auto" and not cards):
        choice = _processor(train)
    elif not cards and torch.backends.mps.is_available():
        choice = DeviceChoice("mps", 1)
    elif not cards:
        raise KinetagError("train.accelerator is gpu, but this machine has no graphics card that PyTorch can use")
    else:
        choice = _cards(train, cards)
    if train.precision == "16-mixed" and choice.accelerator == "cpu":
        raise KinetagError("train.precision 16-mixed needs a graphics card: set it to bf16-mixed or 32")
    return choice


def _processor(train: Any) -> DeviceChoice:
    if train.accelerator == "cpu":
        return DeviceChoice("cpu", train.num_gpus)
    if train.num_gpus > 1:
        raise KinetagError(
            f"train.num_gpus is {train.num_gpus}, but PyTorch finds no graphics card here: set it to 1 to train on the "
            f"processor, or train.accelerator=cpu for {train.num_gpus} processes on it"
        )
    return DeviceChoice("cpu", 1, note="no graphics card found: training on the processor")


def _cards(train: Any, cards: int) -> DeviceChoice:
    ids = tuple(train.gpu_ids) if len(train.gpu_ids) == train.num_gpus else tuple(range(train.num_gpus))
    missing = [i for i in ids if i >= cards]
    if missing:
        raise KinetagError(
            f"train.gpu_ids names card {missing[0]}, but this machine has {cards} (0 to {cards - 1}): "
            "set num_gpus and gpu_ids to what it has"
        )
    return DeviceChoice("cuda", len(ids), ids)
