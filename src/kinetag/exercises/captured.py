"""Real movement for training: motion capture of people who do exercises of the library.

What is read is UI-PRMD (Vakanski et al., "A Data Set of Human Body Movements for Physical Rehabilitation Exercises",
Data 2018, 3(1), 2; PDDL 1.0, public domain): ten movements of rehabilitation by ten people, done right and done wrong,
from a Kinect. The file is a NumPy archive with `joints_cm` (F, 22, 3) in centimetres, Y up, 30 frames a second;
`joints` (22,), their names; `offsets` (R + 1,), where each repetition begins; `movement`, `subject`, `correct` (R,);
and `movement_names`. Ears, nose and heels are not in it: they are put where a head and a foot have them.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kinetag.errors import KinetagError
from kinetag.features import LAYOUT
from kinetag.skeletons import get_layout

CAPTURE_RATE = 30.0  # frames a second
# Movements of UI-PRMD and the classes of the library that they are.
CLASSES = {
    "deep squat": "squat",
    "hurdle step": "hurdle_step",
    "inline lunge": "split_squat",
    "side lunge": "side_lunge",
    "sit to stand": "sit_to_stand",
    "standing active straight leg raise": "standing_leg_raise",
    "standing shoulder abduction": "shoulder_abduction",
    "standing shoulder extension": "shoulder_extension",
    "standing shoulder internal-external rotation": "shoulder_rotation",
    "standing shoulder scaption": "shoulder_scaption",
}
# Training never sees these people, so that accuracy can be measured on them.
HELD_OUT = (8, 9, 10)
_BETWEEN = 2.0  # s between the beginnings of two cuts from a set
_FACE, _EAR = 0.10, 0.075  # m from the middle of the head
_HEEL = 0.3  # of the way from ankle to toes, backwards
_PARTS = {"shoulder": "upper_arm", "elbow": "forearm", "wrist": "hand", "hip": "upper_leg", "knee": "lower_leg",
          "ankle": "foot", "foot_index": "toes"}  # fmt: skip
_KEYS = ("joints_cm", "joints", "offsets", "movement", "subject", "correct", "movement_names")


@dataclass(frozen=True)
class CapturedSet:
    """The repetitions of one person, one after the other: ``joints`` (T, 19, 3) metres, Y up, in the classifier's
    layout, at CAPTURE_RATE; ``label``: a class of the library; ``correct``: whether they meant to do it right."""

    joints: np.ndarray
    label: str
    subject: int
    correct: bool


def read_captured(path: Path) -> list[CapturedSet]:
    """Every set of a file of UI-PRMD. Raises KinetagError for a file that is none."""
    try:
        with np.load(path, allow_pickle=False) as file:
            data = {key: file[key] for key in _KEYS}
    except FileNotFoundError:
        raise KinetagError(f"no motion capture at {path}; give the path of a .npz file of UI-PRMD") from None
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise KinetagError(f"{path} is no .npz file of UI-PRMD with {', '.join(_KEYS)}: {error}") from None
    names, movements = ([str(name) for name in data[key]] for key in ("joints", "movement_names"))
    if reason := _what_is_wrong(data, names, movements):
        raise KinetagError(f"{path} is no motion capture of UI-PRMD: {reason}")
    groups: dict[tuple[int, int, bool], list[np.ndarray]] = {}
    for i in range(len(data["movement"])):
        key = (int(data["movement"][i]), int(data["subject"][i]), bool(data["correct"][i]))
        groups.setdefault(key, []).append(data["joints_cm"][data["offsets"][i] : data["offsets"][i + 1]])
    return [
        CapturedSet(
            in_layout(np.concatenate(parts).astype(np.float32) / 100, names),
            CLASSES[movements[movement - 1]],
            subject,
            correct,
        )
        for (movement, subject, correct), parts in sorted(groups.items(), key=lambda item: item[0])
    ]


def _what_is_wrong(data: dict[str, np.ndarray], names: list[str], movements: list[str]) -> str | None:
    """Why the arrays do not fit together; None where they do."""
    joints, offsets, repetitions = data["joints_cm"], data["offsets"], len(data["movement"])
    if unknown := [name for name in movements if name not in CLASSES]:
        return f"unknown movement '{unknown[0]}'; known: {', '.join(CLASSES)}"
    needed = {"head", "head_tip", *(f"{side}_{part}" for part in _PARTS.values() for side in ("left", "right"))}
    if missing := sorted(needed - set(names)):
        return f"no joint '{missing[0]}'"
    if joints.shape != (len(joints), len(names), 3) or not np.isfinite(joints).all():
        return f"joints_cm must be finite and of shape (frames, {len(names)}, 3), but is {joints.shape}"
    if not (len(data["subject"]) == len(data["correct"]) == len(offsets) - 1 == repetitions):
        return f"offsets, movement, subject and correct are of {len(offsets) - 1}, {repetitions}, ... repetitions"
    if not repetitions or offsets[0] < 0 or (np.diff(offsets) < 1).any() or offsets[-1] > len(joints):
        return "offsets must rise from 0 to the number of frames"
    if not ((data["movement"] >= 1) & (data["movement"] <= len(movements))).all():
        return f"movements must be numbered from 1 to {len(movements)}"
    return None


def in_layout(frames: np.ndarray, names: list[str]) -> np.ndarray:
    """Joints (T, 22, 3) of UI-PRMD, in metres, as those of the classifier's layout, (T, 19, 3)."""
    at = {name: frames[:, i] for i, name in enumerate(names)}
    across = _unit(at["left_upper_arm"] - at["right_upper_arm"])
    up = _unit(at["head_tip"] - at["head"])
    ahead = _unit(np.cross(across, up))
    head = (at["head"] + at["head_tip"]) / 2
    made = {"nose": head + _FACE * ahead, "left_ear": head + _EAR * across, "right_ear": head - _EAR * across}
    for side in ("left", "right"):
        for joint, part in _PARTS.items():
            made[f"{side}_{joint}"] = at[f"{side}_{part}"]
        ankle, toes = made[f"{side}_ankle"], made[f"{side}_foot_index"]
        heel = ankle - _HEEL * (toes - ankle)
        heel[:, 1] = toes[:, 1]
        made[f"{side}_heel"] = heel
    return np.stack([made[joint] for joint in get_layout(LAYOUT).joints], axis=1)


def cuts(
    sets: Collection[CapturedSet], *, seconds: float, rate: float, without: Collection[int] = HELD_OUT
) -> tuple[np.ndarray, list[str]]:
    """Pieces (N, seconds * rate, 19, 3) of the sets, and the class of each; none of the people in ``without``."""
    frames = round(seconds * rate)
    joints: list[np.ndarray] = []
    labels: list[str] = []
    for done in sets:
        if done.subject in without:
            continue
        whole = done.joints[:: max(1, round(CAPTURE_RATE / rate))]
        starts = range(0, len(whole) - frames + 1, round(_BETWEEN * rate))
        joints += [whole[start : start + frames] for start in starts]
        labels += [done.label] * len(starts)
    if not joints:
        raise KinetagError(f"the motion capture holds no set of {seconds:g} s by anybody who is not held out")
    return np.stack(joints), labels


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6)
