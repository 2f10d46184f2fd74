"""What the shipped classifier costs in float32 and in int8: size, time a window, and how often they agree.

    python bench/classifier_cost.py [--sequences 20]

Windows are those of made-up sequences of several exercises; both networks take turns on one thread, and the quickest of
the rounds counts, since other work on the machine only ever adds to it.
"""

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np
from common import save, show
from segments import make_sequence
from sensor import observe

from kinetag.classifier import DEFAULT_MODEL, SHIPPED, Classifier
from kinetag.exercises.library import load_library
from kinetag.features import HOP, RATE, WINDOW, Windows, window_batches
from kinetag.models.onnx_file import PROGRESS
from kinetag.smoothing import smooth
from kinetag.timeline import OTHER


def made_windows(names: list[str], sequences: int, size: int) -> list[Windows]:
    """Windows in batches of ``size``, the rest of a sequence left out."""
    batches = []
    for seed in range(sequences):
        times, joints, _ = make_sequence(names, np.random.default_rng(seed))
        poses = smooth(observe(times, joints, np.random.default_rng(seed), noise=0.012))
        cut = window_batches(poses, hop=HOP, rate=RATE, length=WINDOW, size=size)
        batches += [windows for windows in cut if len(windows.times) == size]
    return batches


def classify(classifier: Classifier, windows: Windows) -> None:
    classifier.logits(windows.features, windows.mask)


def follow(classifier: Classifier, windows: Windows) -> None:
    """What counting asks of a window, one every half second; `classify` is asked every quarter."""
    classifier.session.run([PROGRESS], {"features": windows.features, "mask": windows.mask})


def milliseconds(
    classifiers: dict[str, Classifier], batches: Sequence[Windows], rounds: int,
    ask: Callable[[Classifier, Windows], None] = classify,
) -> dict[str, float]:  # fmt: skip
    """Time a window of each network: the quickest round over all batches."""
    best = dict.fromkeys(classifiers, np.inf)
    for _ in range(rounds):
        for name, classifier in classifiers.items():
            began = time.perf_counter()
            for windows in batches:
                ask(classifier, windows)
            best[name] = min(best[name], time.perf_counter() - began)
    count = sum(len(windows.times) for windows in batches)
    return {name: 1000 * seconds / count for name, seconds in best.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    files = {"fp32": DEFAULT_MODEL, "int8": SHIPPED["int8"]}
    networks = {name: Classifier.load(path) for name, path in files.items()}
    labels = networks["fp32"].labels
    names = [name for name in (*load_library(), OTHER) if name in labels]
    batches = {size: made_windows(names, args.sequences, size) for size in (1, 16)}
    times = {size: milliseconds(networks, some, args.rounds) for size, some in batches.items()}
    followed = milliseconds(networks, batches[16], args.rounds, follow)
    answers = {
        name: np.concatenate([network.calibrated(network.logits(w.features, w.mask)) for w in batches[16]])
        for name, network in networks.items()
    }
    rows = [
        {
            "network": name,
            "MB": round(path.stat().st_size / 1e6, 2),
            "ms a window, one by one": round(times[1][name], 3),
            "ms a window, 16 at once": round(times[16][name], 3),
            "of counting": round(followed[name], 3),
            "same class as fp32": round(float((answers[name].argmax(1) == answers["fp32"].argmax(1)).mean()), 4),
            "probability off, mean": round(float(np.abs(answers[name] - answers["fp32"]).sum(1).mean() / 2), 4),
        }
        for name, path in files.items()
    ]
    show(f"Shipped classifier, {len(answers['fp32'])} windows, one thread", rows)
    print(f"written: {save('classifier_cost', windows=len(answers['fp32']), rows=rows)}")


if __name__ == "__main__":
    main()
