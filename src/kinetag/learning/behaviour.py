"""Lightning and torch on good behaviour: quiet, repeatable, and ended by Ctrl-C as any program is."""

import logging
import os
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from kinetag.spec import Spec


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Lightning's hints and advertisements out of the terminal; its errors are raised, not logged."""
    names = ("lightning", "lightning.pytorch", "lightning.fabric", "torch.distributed")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            warnings.filterwarnings("ignore", module=r"torch\..*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def determinism(spec: Spec, accelerator: str) -> Iterator[None]:
    """cuDNN's switches and, on a graphics card, deterministic algorithms; as they were, afterwards.

    On a processor torch repeats itself anyway, and the switch would only cost time.
    """
    cudnn: Any = torch.backends.cudnn
    filling: Any = torch.utils.deterministic
    wanted = spec.train.cudnn
    before = (cudnn.benchmark, cudnn.deterministic, filling.fill_uninitialized_memory)
    strict = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn.benchmark, cudnn.deterministic = wanted.benchmark, wanted.deterministic
    filling.fill_uninitialized_memory = False
    if accelerator == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS does not repeat itself
        torch.use_deterministic_algorithms(wanted.deterministic, warn_only=True)
    try:
        yield
    finally:
        cudnn.benchmark, cudnn.deterministic, filling.fill_uninitialized_memory = before
        torch.use_deterministic_algorithms(strict, warn_only=warn_only)


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C stays a KeyboardInterrupt; Lightning would end the process and ignore Ctrl-C from then on."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):
            signal.signal(signal.SIGINT, handler)
            raise KeyboardInterrupt from None
        raise
