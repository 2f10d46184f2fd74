"""Training windows from the exercise library: a bank of motions, and windows cut from it and looked at."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, fields, replace
from itertools import repeat

import numpy as np

from kinetag.exercises.library import Exercise
from kinetag.exercises.motion import Motion, generate_batch, shipped_library
from kinetag.exercises.recorded import Recorded
from kinetag.exercises.recordings import Recording
from kinetag.exercises.synthesis import observe
from kinetag.features import LAYOUT, RATE, WINDOW, window_features
from kinetag.skeletons import get_layout
from kinetag.timeline import OTHER

BANK_RATE = 15.0  # frames a second of the motions in the bank
BANK_SECONDS = 9.0  # two windows long, so that windows start anywhere in a repetition

# Shares of a batch; the rest is spread evenly over the exercises.
_OTHER_SHARE = 0.25
_TRANSITION_SHARE = 0.2  # windows in which one motion gives way to another
# Where there are recordings: windows of theirs, and synthetic ones that their errors are lent to. More of the former
# teaches the clips by heart.
_RECORDED_SHARE, _LENT_SHARE = 0.08, 0.6


@dataclass
class Bank:
    """``joints`` (M, F, V, 3) float16 metres, Y up, at BANK_RATE, and ``recorded``, R clips that come after them;
    ``labels`` (M + R,) index into ``classes``, ``ways`` (M + R,) into ``variants``: a class and a way of doing it;
    ``progress`` (M, F) is how far each frame is from rest, 0, to a repetition's turning point, 1, NaN where nobody
    knows. The last ``captured`` of the motions are real people's. ``library`` says what the classes are."""

    joints: np.ndarray
    progress: np.ndarray
    labels: np.ndarray
    ways: np.ndarray
    classes: tuple[str, ...]
    variants: tuple[tuple[str, str], ...]
    recorded: Recorded | None = None
    captured: int = 0
    library: Mapping[str, Exercise] = field(default_factory=shipped_library)

    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Chance of each motion (M,) and of each recording (R,) to be picked: classes by their frequency, whatever
        their number of motions, with more 'other'."""
        made = len(self.joints)
        return self._weights(self.labels[:made]), self._weights(self.labels[made:])

    def _weights(self, labels: np.ndarray) -> np.ndarray:
        library = self.library
        share = np.array([library[name].frequency if name in library else 1.0 for name in self.classes])
        other = self.classes.index(OTHER)
        share *= (1 - _OTHER_SHARE) / (share.sum() - share[other])
        share[other] = _OTHER_SHARE
        counts = np.bincount(labels, minlength=len(self.classes))
        weights = (share / np.maximum(counts, 1))[labels]
        return weights / weights.sum() if len(weights) else weights

    def with_captured(self, joints: np.ndarray, labels: Sequence[str]) -> "Bank":
        """This bank and real movements (N, F, V, 3) of its classes beside the made ones; to be called before recordings
        are added."""
        if self.recorded is not None:
            raise ValueError("captured movements come before recordings")
        known = np.array([label in self.classes for label in labels])
        return replace(
            self._with_rows([(label, "plain") for label in labels if label in self.classes]),
            joints=np.concatenate([self.joints, joints[known].astype(np.float16)]),
            progress=np.concatenate([self.progress, np.full((int(known.sum()), joints.shape[1]), np.nan, np.float16)]),
            captured=int(known.sum()),
        )

    def with_recordings(self, clips: Sequence[Recording]) -> "Bank":
        """This bank and recordings of its classes; those of others are left out."""
        clips = [clip for clip in clips if clip.label in self.classes]
        rows = self._with_rows([(clip.label, clip.variant) for clip in clips])
        return replace(rows, recorded=Recorded.of(clips))

    def _with_rows(self, pairs: Sequence[tuple[str, str]]) -> "Bank":
        """This bank with the labels and ways of more rows: a class of it and a way of doing it each."""
        variants = {pair: way for way, pair in enumerate(self.variants)}
        ways = [variants.setdefault(pair, len(variants)) for pair in pairs]
        labels = [self.classes.index(label) for label, _ in pairs]
        return replace(
            self,
            labels=np.concatenate([self.labels, np.array(labels, int)]),
            ways=np.concatenate([self.ways, np.array(ways, int)]),
            variants=tuple(variants),
        )


@dataclass
class Batch:
    """``features`` (N, T, V, C), ``mask`` (N, T); ``first``, ``second`` (N,): the motions, as rows of the bank, and
    ``fade`` (N, T): how far each frame is from the first to the second; ``progress`` (N, T) of the repetition, NaN
    where it is not known."""

    features: np.ndarray
    mask: np.ndarray
    first: np.ndarray
    second: np.ndarray
    fade: np.ndarray
    progress: np.ndarray

    def share(self) -> np.ndarray:
        """How much of the window is the second motion, (N,): its middle decides, and only frames that were seen."""
        weight = self.mask * (0.2 + np.hanning(WINDOW))
        return (weight * self.fade).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-6)


def build_bank(
    classes: Sequence[str],
    seed: int,
    per_class: int,
    *,
    library: Mapping[str, Exercise] | None = None,
    workers: int = 1,
) -> Bank:
    """Make ``per_class`` motions of every class (six times as many of 'other', which is many things).

    ``library`` has the exercises in place of the shipped one. What a class gets depends on the seed, its name and its
    exercise alone, whatever the number of ``workers``.
    """
    library = shipped_library() if library is None else library
    counts = [per_class * (6 if name == OTHER else 1) for name in classes]
    exercises = [name if name == OTHER else library.get(name, name) for name in classes]
    if workers > 1:
        with ProcessPoolExecutor(workers) as pool:
            made = list(pool.map(_motions, classes, exercises, repeat(seed), counts))
    else:
        made = [_motions(*each) for each in zip(classes, exercises, repeat(seed), counts, strict=False)]
    variants: dict[tuple[str, str], int] = {}
    ways = [variants.setdefault((name, way), len(variants)) for name, (*_, own) in zip(classes, made, strict=True)
            for way in own]  # fmt: skip
    return Bank(
        np.concatenate([joints for joints, _, _ in made]),
        np.concatenate([progress for _, progress, _ in made]),
        np.repeat(np.arange(len(classes)), counts),
        np.array(ways),
        tuple(classes),
        tuple(variants),
        library=library,
    )


def _motions(
    name: str, exercise: Exercise | str, seed: int, count: int
) -> tuple[np.ndarray, np.ndarray, list[str]]:  # fmt: skip
    """Joints (count, F, V, 3) of one class, the progress in each frame (count, F), and the way each is done."""
    names = get_layout(LAYOUT).joints
    rng = np.random.default_rng([seed, 0, *name.encode()])
    made = generate_batch(exercise, rng, count, duration=BANK_SECONDS, rate=BANK_RATE)
    joints = np.stack([select_joints(motion.joints, names) for motion in made]).astype(np.float16)
    held = isinstance(exercise, Exercise) and not exercise.is_counted
    progress = np.stack([np.zeros(len(motion.times)) if held else progress_of(motion) for motion in made])
    return joints, progress.astype(np.float16), [motion.variant for motion in made]


def progress_of(motion: Motion) -> np.ndarray:
    """How far each frame (T,) is from rest, 0, to the turning point of a repetition, 1, along half a cosine either way.

    NaN before the first repetition and after the last: there may be one that is cut off.
    """
    progress = np.full(len(motion.times), np.nan)
    if motion.repetitions:
        inside = (motion.times >= motion.repetitions[0][0]) & (motion.times <= motion.repetitions[-1][2])
        progress[inside] = 0
    for start, peak, end in motion.repetitions:
        rows = (motion.times >= start) & (motion.times <= end)
        way = np.interp(motion.times[rows], [start, peak, end], [0.0, 1.0, 0.0])
        progress[rows] = np.fmax(progress[rows], (1 - np.cos(np.pi * way)) / 2)
    return progress


def select_joints(joints: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """The named joints of a motion (..., 25, 3)."""
    from kinetag.exercises.kinematics import BODY

    return joints[..., [BODY.index(name) for name in names], :]


def sample(
    bank: Bank, rng: np.random.Generator, size: int, *, weights: tuple[np.ndarray, np.ndarray], clean: bool = False
) -> Batch:
    """Cut ``size`` windows at random and look at them with random cameras and estimators; ``weights`` as the bank's.

    Where there are recordings, a share of the windows is cut from those. ``clean`` looks without errors, at motions
    only.
    """
    recorded = 0 if bank.recorded is None or not len(bank.recorded) or clean else round(_RECORDED_SHARE * size)
    made = _synthetic(bank, rng, size - recorded, weights[0], clean=clean)
    if not recorded or bank.recorded is None:
        return made
    rows = rng.choice(len(bank.recorded), recorded, p=weights[1])
    seen = bank.recorded.windows(rows, rng)
    features, mask = window_features(seen.keypoints, seen.confidence, world=seen.world)
    rows = rows + len(bank.joints)
    unknown = np.full((recorded, WINDOW), np.nan, np.float32)
    other = Batch(features, mask, rows, rows, np.zeros_like(unknown), unknown)
    return Batch(*(np.concatenate([a, b]) for a, b in zip(_arrays(made), _arrays(other), strict=True)))


def _arrays(batch: Batch) -> tuple[np.ndarray, ...]:
    """The arrays of a batch, in the order of its fields."""
    return tuple(getattr(batch, field.name) for field in fields(batch))


def _synthetic(bank: Bank, rng: np.random.Generator, size: int, weights: np.ndarray, *, clean: bool) -> Batch:
    pick = rng.choice(len(bank.joints), (size, 2), p=weights)
    (first, begun), (second, begun_second) = (_cut(bank, pick[:, side], rng) for side in (0, 1))
    fade = _fades(size, rng)  # (N, T), 0 while the first motion lasts, 1 in the second
    joints = _join(first, second, fade)
    both = (1 - fade) * begun + fade * begun_second  # NaN where one of the two is not known, but is under way
    progress = np.where(fade <= 0, begun, np.where(fade >= 1, begun_second, both))
    clips = None if clean else bank.recorded
    lender = clips.lent if clips is not None and len(clips) else None
    seen = observe(joints, rng, clean=clean, lender=lender, lent=round(_LENT_SHARE * size))
    features, mask = window_features(seen.keypoints, seen.confidence, world=seen.world)
    return Batch(features, mask, pick[:, 0], pick[:, 1], fade, progress.astype(np.float32))


def _cut(bank: Bank, pick: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A window (N, T, V, 3) on the classifier's time grid from a random moment of each picked motion, and the progress
    (N, T) in it."""
    last = bank.joints.shape[1] - 1
    # Tempo varies once more, mostly towards slower: people with weights take their time.
    step = BANK_RATE / RATE * np.exp(rng.uniform(np.log(0.6), np.log(1.15), (len(pick), 1)))
    start = rng.uniform(0, 1, (len(pick), 1)) * (last - (WINDOW - 1) * step)
    at = start + np.arange(WINDOW) * step  # (N, T)
    left = np.minimum(at.astype(int), last - 1)
    part = (at - left).astype(np.float32)
    rows = pick[:, None]

    def between(values: np.ndarray, part: np.ndarray) -> np.ndarray:
        return values[rows, left].astype(np.float32) * (1 - part) + values[rows, left + 1].astype(np.float32) * part

    return between(bank.joints, part[..., None, None]), between(bank.progress, part)


def _fades(size: int, rng: np.random.Generator) -> np.ndarray:
    """How far each frame is from the first motion to the second, (N, T); all 0 in most windows."""
    middle = rng.uniform(2, WINDOW - 2, (size, 1))
    width = rng.uniform(3, 12, (size, 1))
    ramp = np.clip((np.arange(WINDOW) - middle) / width + 0.5, 0, 1)
    changes = rng.random((size, 1)) < _TRANSITION_SHARE
    return np.where(changes, ramp * ramp * (3 - 2 * ramp), 0).astype(np.float32)


def _join(first: np.ndarray, second: np.ndarray, fade: np.ndarray) -> np.ndarray:
    """One motion fading into the other, which begins where the first one stands."""
    changing = fade.argmax(axis=1) - 1
    rows = np.arange(len(first))
    shift = (first[rows, changing] - second[rows, changing]).mean(axis=1)  # (N, 3)
    shift[:, 1] = 0  # both stand on the same floor
    second = second + shift[:, None, None]
    return first + fade[..., None, None] * (second - first)
