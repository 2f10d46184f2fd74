"""How long one step of `make train` takes: in fp32 and in bf16, on one thread and on all cores.

    python bench/training_step.py

Batches are made beforehand; in a training one more process makes them. Medians; the losses show whether bf16 learns the
same from the same batches.
"""

import argparse
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from common import save, show

from kinetag.cores import core_count
from kinetag.exercises.bank import build_bank
from kinetag.exercises.labels import class_names
from kinetag.exercises.library import load_library
from kinetag.trainer import Trainer, TrainingOptions, batches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    args = parser.parse_args()
    library = load_library()
    bank = build_bank(class_names(library), 0, 12, library=library)
    options = TrainingOptions()
    made = list(batches(bank, options, 0, args.steps))
    rows: list[dict[str, Any]] = []
    for threads in sorted({1, core_count()}):
        torch.set_num_threads(threads)
        for precision in ("fp32", "bf16"):
            trainer, seconds, losses = Trainer(replace(options, precision=precision), bank), [], []
            for batch in made:
                start = time.perf_counter()
                losses.append(trainer.step(batch))
                seconds.append(time.perf_counter() - start)
            typical = float(np.median(seconds))
            rows.append({
                "threads": threads, "precision": precision, "ms a step": round(1000 * typical, 1),
                "times fp32": round(rows[-1]["ms a step"] / 1000 / typical, 2) if precision != "fp32" else 1.0,
                "loss at the end": round(float(np.mean(losses[-10:])), 3),
            })  # fmt: skip
    show(f"Steps of {options.batch} windows", rows)
    print(f"written: {save('training_step', rows=rows)}")


if __name__ == "__main__":
    main()
