"""How fast training data is made: motions of the library, and windows of them as estimators see them.

    python bench/synthesis_speed.py [--workers 2] [--seconds 10]

A motion is nine seconds of one person at 15 frames a second; a window is four seconds of one before a random camera
with an estimator's errors, ready for the network. Mirrored windows, of which training uses one beside each, come free.
"""

import argparse
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from common import save, show

from kinetag.exercises.bank import build_bank, sample

_CLASSES = ("squat", "push_up", "lunge", "plank", "biceps_curl", "other")


def motions(seed: int, seconds: float) -> float:
    """Motions a second of one process."""
    began, made = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        made += len(build_bank(_CLASSES, seed + made, 8).labels)
    return made / (time.perf_counter() - began)


def windows(seed: int, seconds: float) -> float:
    """Windows a second of one process."""
    bank = build_bank(_CLASSES, seed, 20)
    rng, weights = np.random.default_rng(seed), bank.weights()
    began, made = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        made += len(sample(bank, rng, 128, weights=weights).features)
    return made / (time.perf_counter() - began)


def together(what: Callable[[int, float], float], workers: int, seconds: float) -> float:
    with ProcessPoolExecutor(workers) as pool:
        return sum(pool.map(what, range(workers), [seconds] * workers))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10.0)
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    rows = [
        {"what": name, "a second": round(together(what, args.workers, args.seconds))}
        for name, what in (("motions", motions), ("windows", windows))
    ]
    rows.append({"what": "windows with their mirror images", "a second": 2 * rows[-1]["a second"]})
    show(f"Synthesis on {args.workers} processes", rows)
    save("synthesis_speed", workers=args.workers, rows=rows)


if __name__ == "__main__":
    main()
