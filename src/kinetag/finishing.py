"""What training ends with: the averaged network as an ONNX file that says what it is, in fp32 and in int8."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinetag.exercises.library import Exercise
from kinetag.features import RATE, WINDOW
from kinetag.models.onnx_file import ModelCard, export_onnx, halve_weights, write_int8

if TYPE_CHECKING:
    from kinetag.trainer import Trainer

# How much the answer for a window's middle frames counts beside that for the window: more finds boundaries better
# (bench/segments.py), less is surer of what goes on for long (bench/classifier.py, development halves).
_FRAME_WEIGHT = 0.3
# How much the frequency of exercises counts once more, beside that they come as often in training: real windows are
# less clear than synthetic ones, so what is common is more probable than training says (development halves again).
_PRIOR = 1.0
# How sure the answers are: fitted on synthesis they would be surer (0.8), but real poses are less clear, and more of
# real life is none of the exercises (the development halves' likelihood, and what is recognised there).
_TEMPERATURE, _OTHER_BIAS = 1.0, 0.25


def finish(trainer: "Trainer", path: Path, report: Callable[[str], None]) -> ModelCard:
    """Write the averaged network as ONNX, check it against torch, and write it in int8 beside."""
    from kinetag import __version__

    options, bank = trainer.options, trainer.bank
    model: Any = copy.deepcopy(trainer.average).cpu()
    card = ModelCard(
        labels=bank.classes,
        variants=trainer.variants,
        families=families(bank.classes, bank.library),
        slow=slow(bank.classes, bank.library),
        # Who trains with movements of a clinic meets there what is rare elsewhere.
        prior=prior(bank.classes, bank.library, 0.0 if bank.captured else _PRIOR),
        temperature=_TEMPERATURE,
        other_bias=_OTHER_BIAS,
        frame_weight=_FRAME_WEIGHT,
        version=__version__,
        data="synthesised from kinetag's exercise library" + (", and UI-PRMD (PDDL 1.0)" if bank.captured else ""),
        licence="Apache-2.0",
        training=asdict(options) | ({"from": trainer.origin} if trainer.origin else {}),
    )
    export_onnx(model, path, card)
    small = path.with_stem(f"{path.stem}_int8")
    write_int8(path, small)
    halve_weights(path)
    report(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB), same as torch")
    report(f"wrote {small} ({small.stat().st_size / 1e6:.1f} MB)")
    return card


def families(classes: Sequence[str], library: Mapping[str, Exercise]) -> dict[str, str]:
    """The family that each exercise belongs to."""
    return {name: exercise.family for name, exercise in library.items() if name in classes}


def prior(classes: Sequence[str], library: Mapping[str, Exercise], weight: float = _PRIOR) -> dict[str, float]:
    """Nats by which exercises are likelier than training says: ``weight`` times the logarithm of their frequency."""
    known = [name for name in classes if name in library and library[name].frequency != 1]
    return {name: round(weight * math.log(library[name].frequency), 4) for name in known if weight}


def slow(classes: Sequence[str], library: Mapping[str, Exercise]) -> dict[str, float]:
    """Exercises of which a slow repetition takes two windows or more, and how long it may take (s)."""
    longest = {name: exercise.tempo.period[1] for name, exercise in library.items() if exercise.tempo}
    return {name: seconds for name, seconds in longest.items() if name in classes and seconds >= 2 * WINDOW / RATE}
