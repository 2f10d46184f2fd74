"""From a clip to what a network sees of it: sampling in time, augmentation for training, and occlusion for testing.

Clips are (C, T, V, M): channels, frames, joints, people. An unseen joint is zero in every channel. Nothing here changes
the array that it is given, and everything random comes from the generator that it is given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from kinetag.errors import KinetagError
from kinetag.skeletons import get_layout, mirror_name

if TYPE_CHECKING:
    from kinetag.spec import Spec

WINDOW = 100  # frames that the recipe kinetag samples when dataset.window_size does not say

# What a recipe sets where the spec does not. 'tao' is the spec's own defaults.
RECIPES: dict[str, dict[str, Any]] = {
    "tao": {},
    "kinetag": {
        "dataset.window_size": WINDOW,
        "dataset.batch_size": 32,
        "dataset.random_move": True,
        "model.dropout": 0.3,
        # AdamW where PYSKL has SGD with Nesterov: on 900 clips of Penn Action, 97.5 against 95.6 % after 30 epochs.
        "train.optim.optimizer_type": "torch.optim.AdamW",
        "train.optim.lr": 1e-3,
        "train.optim.min_lr": 0.0,
        "train.optim.weight_decay": 0.05,
        "train.optim.lr_scheduler": "Cosine",
        "train.warmup_epochs": 3,
        "train.grad_clip": 5.0,
        "train.label_smoothing": 0.1,
        "train.ema": 0.998,
        "train.part_dropout": 0.5,
        "train.joint_dropout": 0.15,
        "train.frame_dropout": 0.5,
        # Where joints shake by 10 %, Fold-GCN keeps 99.6 % of its accuracy on Penn Action, not 73.5 % (docs/models.md).
        "train.jitter": 0.1,
        "train.mirror": True,
    },
}


@dataclass(frozen=True)
class Sampling:
    """How clips of one layout and set of channels become what the network sees; the names are those of the spec."""

    layout: str
    channels: tuple[str, ...]
    recipe: str = "tao"
    window_size: int = -1
    random_choose: bool = False
    random_move: bool = False
    part_dropout: float = 0.0
    joint_dropout: float = 0.0
    frame_dropout: float = 0.0
    jitter: float = 0.0
    mirror: bool = False

    @classmethod
    def from_spec(cls, spec: "Spec", channels: tuple[str, ...], *, layout: str | None = None) -> "Sampling":
        """What a spec asks for; recipe defaults must have been filled in (``spec.with_defaults(RECIPES[...])``)."""
        data, train = spec.dataset, spec.train
        return cls(
            layout=layout or spec.model.graph_layout,
            channels=channels,
            recipe=train.recipe,
            window_size=data.window_size,
            random_choose=data.random_choose,
            random_move=data.random_move,
            part_dropout=train.part_dropout,
            joint_dropout=train.joint_dropout,
            frame_dropout=train.frame_dropout,
            jitter=train.jitter,
            mirror=train.mirror,
        )

    @property
    def length(self) -> int:
        """Frames that the network sees, -1 for as many as a clip has."""
        if self.recipe == "kinetag" and self.window_size <= 0:
            return WINDOW
        return self.window_size

    @cached_property
    def axes(self) -> list[int]:
        """Which channels are coordinates."""
        return [i for i, name in enumerate(self.channels) if name != "confidence"]


def sample_clip(
    clip: np.ndarray,
    options: Sampling,
    rng: np.random.Generator,
    *,
    training: bool,
) -> np.ndarray:
    """A clip (C, T, V, M) as the network sees it, (C, T', V, M) float32, T' frames where the options say how many.

    Recipe 'tao' pads a short clip with zeros, crops and moves in training when asked to, and keeps a longer one whole
    otherwise, as the reference does. Recipe 'kinetag' samples frames uniformly over the clip without its padding. The
    options that hide joints apply to both.
    """
    clip = np.array(clip, np.float32)
    if options.recipe == "kinetag":
        start, end = filled(clip)
        frames = uniform_frames(end - start, options.length, rng if training else None)
        clip = clip[:, start + frames]
    elif training and options.random_choose and options.length > 0:
        clip = random_choose(clip, options.length, rng)
    elif options.length > 0:
        clip = pad(clip, options.length)
    if training:
        clip = augment(clip, options, rng)
    return clip


def augment(clip: np.ndarray, options: Sampling, rng: np.random.Generator) -> np.ndarray:
    """Mirror, move, shake and hide parts of a clip of the right length, as the options say."""
    if options.mirror and rng.random() < 0.5:
        clip = mirrored(clip, options)
    if options.random_move:
        clip = random_view(clip, options, rng) if options.recipe == "kinetag" else random_move(clip, rng)
    if options.jitter:
        clip = _jittered(clip, rng.uniform(0, options.jitter), rng, options)
    hidden = np.zeros(clip.shape[1:3], bool)  # (T, V)
    if options.part_dropout and rng.random() < options.part_dropout:
        hidden[:, random_part(options.layout, rng)] = True
    if options.joint_dropout:
        hidden |= rng.random(hidden.shape) < options.joint_dropout
    if options.frame_dropout:
        hidden |= random_frames(len(hidden), options.frame_dropout, rng)[:, None]
    return hide(clip, hidden) if hidden.any() else clip


# --- sampling in time ------------------------------------------------------------------------------------------------


def filled(clip: np.ndarray) -> tuple[int, int]:
    """First frame with anything in it and the one after the last: a clip without its padding (all of an empty one)."""
    frames = np.flatnonzero((clip != 0).any(axis=(0, 2, 3)))
    return (int(frames[0]), int(frames[-1]) + 1) if len(frames) else (0, clip.shape[1])


def uniform_frames(count: int, length: int, rng: np.random.Generator | None = None) -> np.ndarray:
    """``length`` frame numbers spread over ``count`` frames, int (length,): one from each of ``length`` equal parts.

    Uniform sampling of PYSKL (Duan et al., 2022, arXiv:2205.09443, section 3.1): a random frame of each part with a
    generator, the middle one without. A clip of fewer frames is played over and over, from a random frame on or from
    its first.
    """
    if count < length:
        start = int(rng.integers(count)) if rng is not None else 0
        return (start + np.arange(length)) % count
    edges = np.arange(length + 1) * count // length
    within = rng.random(length) if rng is not None else np.full(length, 0.5)
    return edges[:-1] + (within * np.diff(edges)).astype(int)


def pad(clip: np.ndarray, length: int, at: int = 0) -> np.ndarray:
    """A clip filled up with zeros to ``length`` frames, its own beginning at frame ``at``; a longer one as it is."""
    missing = length - clip.shape[1]
    return np.pad(clip, ((0, 0), (at, missing - at), (0, 0), (0, 0))) if missing > 0 else clip


def random_choose(clip: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """A random stretch of ``length`` frames, or the clip at a random place among zeros, as the reference does."""
    missing = length - clip.shape[1]
    if missing >= 0:
        return pad(clip, length, int(rng.integers(missing + 1)))
    start = int(rng.integers(-missing + 1))
    return clip[:, start : start + length]


# --- another look at the same motion ---------------------------------------------------------------------------------


def random_move(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rotate, scale and shift x and y, changing evenly from the first frame to the last, as the reference does.

    Both ends of the change are drawn from: angles -10, -5, 0, 5, 10 degrees, scales 0.9, 1, 1.1, shifts -0.2, -0.1, 0,
    0.1, 0.2. Everything moves, what is zero too.
    """
    frames = clip.shape[1]

    def drawn(*choices: float) -> np.ndarray:
        first, last = rng.choice(choices, 2)
        return np.linspace(first, last, frames)[:, None, None]  # (T, 1, 1)

    angle = np.radians(drawn(-10, -5, 0, 5, 10))
    scale = drawn(0.9, 1.0, 1.1)
    shift_x, shift_y = (drawn(-0.2, -0.1, 0.0, 0.1, 0.2) for _ in range(2))
    x, y = clip[0], clip[1]  # (T, V, M)
    moved = clip.copy()
    moved[0] = scale * (np.cos(angle) * x - np.sin(angle) * y) + shift_x
    moved[1] = scale * (np.sin(angle) * x + np.cos(angle) * y) + shift_y
    return moved


def random_view(clip: np.ndarray, options: Sampling, rng: np.random.Generator) -> np.ndarray:
    """The clip as another camera might see it, in any unit: turned, stretched and shaken about its own centre.

    In the picture by up to 15 degrees, in depth (where there is a z) by up to 45 about the y axis; stretched by up to
    10 percent along each axis; every joint off by about 1 percent of the body's size. Unseen joints stay unseen.
    """
    axes = options.axes
    roll, yaw = np.radians(rng.uniform(-15, 15)), np.radians(rng.uniform(-45, 45))
    turn = np.eye(3)
    turn[:2, :2] = [[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]]
    if len(axes) > 2:
        turn = turn @ [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
    turn = np.diag(rng.uniform(0.9, 1.1, 3)) @ turn
    points, seen = clip[axes], _seen(clip, options)
    centre = _centre(points, seen)
    size = np.sqrt(((points - centre)[:, seen] ** 2).sum(axis=0).mean()) if seen.any() else 0.0
    turned = np.tensordot(turn[: len(axes), : len(axes)], points - centre, axes=1) + centre
    turned += rng.normal(0, 0.01 * size, points.shape)
    out = clip.copy()
    out[axes] = np.where(seen, turned, 0)
    return out


def mirrored(clip: np.ndarray, options: Sampling) -> np.ndarray:
    """The clip in a mirror: left and right joints change places, x is reflected at its own centre."""
    out = clip[:, :, get_layout(options.layout).mirror]
    seen = _seen(out, options)
    middle = _centre(out[:1], seen)[0]
    out[0] = np.where(seen, 2 * middle - out[0], 0)
    return out


def mirror_is_safe(class_names: Sequence[str]) -> bool:
    """Whether no class is told from another by its side alone, so that a mirrored clip keeps its label."""
    return not any("left" in name.lower() or "right" in name.lower() for name in class_names)


def _seen(clip: np.ndarray, options: Sampling) -> np.ndarray:
    """Which joints are there, bool (T, V, M)."""
    if "confidence" in options.channels:
        return clip[options.channels.index("confidence")] > 0
    return (clip != 0).any(axis=0)


def _centre(points: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Mean place (C, 1, 1, 1) of the joints that are there."""
    return (points * seen).sum(axis=(1, 2, 3), keepdims=True) / max(1, int(seen.sum()))


# --- hiding ----------------------------------------------------------------------------------------------------------

PARTS = ("left arm", "right arm", "hands", "legs", "trunk")


def hide(clip: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """The clip with joints set to zero in every channel; ``hidden`` is bool (T, V), (T, 1) or (1, V)."""
    return np.where(hidden[None, ..., None], 0, clip)


def part_joints(layout: str, part: str) -> list[int]:
    """The joints of one of `PARTS`, by their names.

    An arm goes from the shoulder to the fingers; hands are wrists and what follows them; legs go from the hips down;
    the trunk is shoulders, hips and everything on the midline.
    """
    joints = get_layout(layout).joints

    def limb(name: str) -> str:
        if any(word in name for word in ("hip", "knee", "ankle", "heel", "foot", "toe")):
            return "leg"
        if any(word in name for word in ("wrist", "hand", "pinky", "index", "thumb", "middle", "knuckle", "tip")):
            return "hand"
        return "arm" if "shoulder" in name or "elbow" in name else "trunk"

    belongs = {
        "left arm": lambda name: limb(name) in ("arm", "hand") and name.startswith("left"),
        "right arm": lambda name: limb(name) in ("arm", "hand") and name.startswith("right"),
        "hands": lambda name: limb(name) == "hand",
        "legs": lambda name: limb(name) == "leg",
        "trunk": lambda name: "shoulder" in name or "hip" in name or mirror_name(name) == name,
    }
    if part not in belongs:
        raise KinetagError(f"unknown part of the body '{part}'; known: {', '.join(PARTS)}")
    return [i for i, name in enumerate(joints) if belongs[part](name)]


def random_part(layout: str, rng: np.random.Generator) -> list[int]:
    """The joints of one part, or of one leg, or of the left or right half of the body."""
    choices = _hideable(layout)
    return list(choices[rng.integers(len(choices))])


@cache
def _hideable(layout: str) -> tuple[tuple[int, ...], ...]:
    joints = get_layout(layout).joints
    choices = [part_joints(layout, part) for part in PARTS]
    for side in ("left", "right"):
        half = [i for i, name in enumerate(joints) if name.startswith(side)]
        choices += [half, sorted(set(half) & set(part_joints(layout, "legs")))]
    return tuple(map(tuple, choices))


def random_frames(count: int, most: float, rng: np.random.Generator) -> np.ndarray:
    """Frames to hide, bool (T,): in half of the cases none, else a stretch or single ones, up to a share ``most``."""
    hidden = np.zeros(count, bool)
    share = rng.uniform(0, most)
    kind = rng.integers(4)
    if kind == 0:
        length = round(share * count)
        start = int(rng.integers(count - length + 1))
        hidden[start : start + length] = True
    elif kind == 1:
        hidden = rng.random(count) < share
    return hidden


# The occlusions that models are tested under: name -> (kind, what or how much). After RA-GCN (Song et al., TCSVT 2020,
# arXiv:2008.03791): a part missing throughout; so many percent of the clip's frames missing at its centre; each joint
# missing with a probability; each joint off by a share of the body's size.
OCCLUSIONS: dict[str, tuple[str, Any]] = {
    **{f"part {part}": ("part", part) for part in PARTS},
    **{f"time {percent}": ("time", percent / 100) for percent in (10, 20, 30, 40, 50)},
    **{f"random {percent}": ("random", percent / 100) for percent in (10, 20, 30, 50)},
    **{f"jitter {percent}": ("jitter", percent / 100) for percent in (2, 5, 10)},
}


def occlude(clip: np.ndarray, protocol: str, rng: np.random.Generator, options: Sampling) -> np.ndarray:
    """A clip (C, T, V, M) under one of `OCCLUSIONS`, of the same shape; apply it before the clip is sampled."""
    if protocol not in OCCLUSIONS:
        raise KinetagError(f"unknown occlusion '{protocol}'; known: {', '.join(OCCLUSIONS)}")
    kind, amount = OCCLUSIONS[protocol]
    frames, joints = clip.shape[1:3]
    hidden = np.zeros((frames, joints), bool)
    if kind == "part":
        hidden[:, part_joints(options.layout, amount)] = True
    elif kind == "time":
        start, end = filled(clip)
        length = round(amount * (end - start))
        first = start + (end - start - length) // 2
        hidden[first : first + length] = True
    elif kind == "random":
        hidden = rng.random(hidden.shape) < amount
    else:
        return _jittered(clip, amount, rng, options)
    return hide(clip, hidden).astype(np.float32)


def _jittered(clip: np.ndarray, amount: float, rng: np.random.Generator, options: Sampling) -> np.ndarray:
    """Every joint off in every frame, by ``amount`` of the body's size (root mean square) along each axis."""
    points, seen = clip[options.axes], _seen(clip, options)
    own = (points * seen).sum(axis=2, keepdims=True) / np.maximum(seen.sum(axis=1)[None, :, None], 1)  # (C, T, 1, M)
    distance = ((points - own) ** 2).sum(axis=0)[seen]
    size = np.sqrt(distance.mean()) if len(distance) else 0.0
    out = np.array(clip, np.float32)
    out[options.axes] = np.where(seen, points + rng.normal(0, amount * size, points.shape), 0)
    return out
