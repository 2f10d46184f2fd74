"""How wrong is the embedded pose estimator, by joint, view and posture, and how wrong is its imitation?

    python bench/sensor_errors.py RECORDING.npz [...]

The files come from `python -m kinetag.exercises.recording`. Every length is in torso lengths (mid-shoulder to mid-hip,
as long as it would look unforeshortened). Of each clip and joint: `bias` is how far the joint is off on average,
`drift` what its error wanders about that (moving average of three quarters of a second), `jitter` the part that is new
in every frame (from second differences), `outliers` the share of frames more than half a torso from the clip's median
error. `swap`: share of frames in which left and right of a pair, well apart, are mixed up; those count for no other
number. `confidence`: of joints that show, that are behind the own body, and that are out of the picture or behind a
thing. `pull`: how far the far one of a pair is drawn to the near one, 1 being on top of it. World points are scaled to
the true body over each clip; their depth is measured as it is and after the best similarity in each frame (`slope`:
how much of the true depth they show). Tables give medians and 90th percentiles over clips, and the means of rare
things. The same numbers follow for the recording after `kinetag.smoothing`, which is what the classifier sees, and for
`kinetag.exercises.synthesis`, which is to be like that, on the same motions.
"""

import argparse
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from common import save, show

from kinetag.exercises.cameras import camera_space, project
from kinetag.exercises.kinematics import JOINT
from kinetag.exercises.recordings import Recording, read_recordings
from kinetag.exercises.synthesis import observe, world_points
from kinetag.features import LAYOUT, WINDOW
from kinetag.skeletons import BLAZEPOSE, KINETAG13, get_layout
from kinetag.smoothing import smooth

TRUE = [JOINT[name] for name in KINETAG13.joints]
WHOLE = [JOINT[name] for name in get_layout(LAYOUT).joints]
OURS = BLAZEPOSE.indices(KINETAG13.joints)
MIRROR = np.array(KINETAG13.mirror)
PARTS = ("nose", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
MEMBERS = {part: [i for i, name in enumerate(KINETAG13.joints) if part in name] for part in PARTS}
LEAST = 0.05  # confidence below which a joint counts as not seen
APART = 0.25  # torso lengths between left and right from which a swap would show
LONG = 12  # frames with a person that a clip must have
FAR = 0.1  # metres that the far one of a pair is farther away


@dataclass
class Clip:
    """What was so and what was seen of one person; lengths in torso lengths, the picture's y down.

    ``true``, ``seen`` (T, 13, 2); ``confidence`` (T, 13); ``depth`` (T, 13) metres; ``state`` (T, 13): 0 shows, 1
    behind the own body, 2 out of the picture or behind something; ``found`` (T,); ``world`` and ``space`` (T, 13, 3),
    seen and true, about mid-hip; None where there are none.
    """

    true: np.ndarray
    seen: np.ndarray
    confidence: np.ndarray
    depth: np.ndarray
    state: np.ndarray
    found: np.ndarray
    view: str
    camera: str
    posture: str
    world: np.ndarray | None = None
    space: np.ndarray | None = None


def middle(points: np.ndarray, part: str) -> np.ndarray:
    return points[:, MEMBERS[part]].mean(1)


def torso(space: np.ndarray) -> float:
    return float(np.linalg.norm(middle(space, "shoulder") - middle(space, "hip"), axis=-1).mean())


def view_of(space: np.ndarray) -> str:
    """Which side of the trunk faces the lens at the origin, on average of (T, 13, 3): front, side or back."""
    hips = middle(space, "hip")
    up = middle(space, "shoulder") - hips
    left, right = (space[:, KINETAG13.index(f"{side}_shoulder")] for side in ("left", "right"))
    front = np.cross(left - right, up)  # x right, y down, z away: a right-handed frame
    up, front = (v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (up, front))
    eye = -hips
    eye = eye - (eye * up).sum(-1, keepdims=True) * up
    toward = float(np.median((eye * front).sum(-1) / np.linalg.norm(eye, axis=-1)))
    return "front" if toward > 0.7 else "back" if toward < -0.7 else "side"


def posture_of(clip: Recording) -> str:
    """Upright, lying, or prone with the hands on the floor."""
    space = clip.joints[:, TRUE]
    height = space @ np.array(clip.up) + clip.eye  # (T, 13)
    trunk = middle(space, "shoulder") - middle(space, "hip")
    rise = np.median(trunk @ np.array(clip.up) / np.linalg.norm(trunk, axis=-1))
    if rise > 0.7:
        return "upright"
    hips, hands = np.median(height[:, MEMBERS["hip"]]), np.median(height[:, MEMBERS["wrist"]])
    if hands < 0.15 and np.median(height[:, MEMBERS["shoulder"]]) > 0.3:
        return "hands and feet"
    return "lying" if hips < 0.45 else "bent"


def camera_of(elevation: float) -> str:
    return "low" if elevation < -3 else "middle" if elevation < 20 else "high"


def recorded(clip: Recording) -> Clip:
    space = clip.joints[:, TRUE]
    size = torso(space)
    unit = clip.focal * size / np.maximum(middle(space, "hip")[:, 2:], 0.3)  # pixels a torso length, (T, 1)
    state = np.where(~clip.shown, 2, np.where(clip.behind, 1, 0))
    return Clip(
        clip.pixels[:, TRUE] / unit[..., None],
        clip.keypoints[:, OURS] / unit[..., None],
        clip.confidence[:, OURS],
        space[..., 2],
        state,
        clip.found,
        view_of(space),
        camera_of(clip.elevation),
        posture_of(clip),
        clip.world[:, OURS] / size,
        (space - middle(space, "hip")[:, None]) / size,
    )


def smoothed(clip: Recording) -> Clip:
    """The same as the classifier gets to see it: smoothed, and small gaps filled."""
    poses = smooth(clip.sequence())
    at = np.round(poses.times * clip.rate).astype(int)
    raw = recorded(clip)
    seen, confidence, found = np.zeros_like(raw.seen), np.zeros_like(raw.confidence), np.zeros_like(raw.found)
    unit = raw.seen[raw.found, 0, 0] / clip.keypoints[raw.found, OURS[0], 0]  # torso lengths a pixel
    seen[at] = np.nan_to_num(poses.keypoints[:, OURS]) * unit[:, None, None]
    confidence[at], found[at] = np.nan_to_num(poses.confidence[:, OURS]), True
    world = np.zeros((*found.shape, 13, 3))
    assert poses.world is not None
    world[at] = poses.world[:, OURS] / torso(clip.joints[:, TRUE])
    return replace(raw, seen=seen, confidence=confidence, found=found, world=world)


def imitated(clips: Sequence[Recording], seed: int = 0, times: int = 8) -> list[Clip]:
    """The same motions through the synthetic camera and estimator, a window's length of each, ``times`` each.

    World points are those of a body as large as it is: their unit, the body's spread, says nothing of its size.
    """
    upright = [(_upright(clip)[:WINDOW], posture_of(clip)) for clip in clips if len(clip) >= WINDOW] * times
    joints = np.array([space for space, _ in upright], np.float32)  # (N, T, 19, 3)
    seen, true = (observe(joints, np.random.default_rng(seed), clean=clean) for clean in (False, True))
    rng = np.random.default_rng(seed)
    space = camera_space(joints, rng)  # as the same camera has it
    flat, depth = (part[:, :, :13] for part in project(space, rng))
    world = world_points(space, seen.keypoints - true.keypoints, rng)
    spread = np.sqrt(((space - space.mean(axis=2, keepdims=True)) ** 2).sum(-1).mean((1, 2)))  # (N,) metres
    world, space = spread[:, None, None, None] * world[:, :, :13], space[:, :, :13]
    out = []
    for i, (own, posture) in enumerate(upright):
        own, size = own[:, :13], torso(own[:, :13])
        scatter = flat[i] - flat[i].mean(1, keepdims=True)
        unit = size / np.sqrt((scatter**2).sum(-1).mean())  # body scales a torso length
        confidence = seen.confidence[i, :, :13]
        before_lens = space[i] + (0, 0, depth[i].mean())
        out.append(
            Clip(
                true.keypoints[i, :, :13] / unit,
                seen.keypoints[i, :, :13] / unit,
                confidence,
                depth[i],
                np.zeros(confidence.shape, int),  # nothing tells what was hidden
                np.asarray((confidence > 0).any(axis=1)),
                view_of(before_lens),
                camera_of(_elevation(own, space[i])),
                posture,
                None if np.isnan(world[i]).all() else world[i] / size,
                (space[i] - middle(space[i], "hip")[:, None]) / size,
            )
        )
    return out


def _upright(clip: Recording) -> np.ndarray:
    """The classifier's joints (T, 19, 3) in metres, Y up; the first 13 are those that are measured."""
    up = np.array(clip.up)
    side = np.cross(up, (0.0, 0.0, 1.0))
    side /= np.linalg.norm(side)
    return clip.joints[:, WHOLE] @ np.array([side, up, np.cross(side, up)]).T


def _elevation(joints: np.ndarray, space: np.ndarray) -> float:
    """The camera's elevation in degrees, from joints (T, V, 3) with Y up and the same in the camera's axes."""
    a, b = joints - joints.mean((0, 1)), space - space.mean((0, 1))
    toward = np.linalg.lstsq(a.reshape(-1, 3), -b.reshape(-1, 3)[:, 2], rcond=None)[0]
    return float(np.rad2deg(np.arcsin(np.clip(toward[1], -1, 1))))


# ---- measures


def swapped(clip: Clip, ok: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which joints are nearer to their twin's place, and where that could be told, bool (T, 13) each."""
    straight = np.linalg.norm(clip.seen - clip.true, axis=-1)
    crossed = np.linalg.norm(clip.seen - clip.true[:, MIRROR], axis=-1)
    straight, crossed = straight + straight[:, MIRROR], crossed + crossed[:, MIRROR]
    apart = np.linalg.norm(clip.true - clip.true[:, MIRROR], axis=-1) > APART
    told = apart & ok & ok[:, MIRROR]
    return told & (crossed < 0.5 * straight), told


def measure(clip: Clip) -> dict[str, np.ndarray]:
    """Numbers of each joint of one clip, (13,) each; NaN where they cannot be told."""
    ok = clip.found[:, None] & (clip.confidence > LEAST) & np.isfinite(clip.true).all(-1)
    swap, told = swapped(clip, ok)
    within = ok & ~swap & (clip.state < 2)
    error = np.where(within[..., None], clip.seen - clip.true, np.nan)
    mean = np.nanmean(error, axis=0)
    far = clip.depth - clip.depth[:, MIRROR] > FAR
    link = clip.true[:, MIRROR] - clip.true
    reach = (link**2).sum(-1)
    pull = np.where(far & within & (reach > APART**2), (error * link).sum(-1) / np.maximum(reach, 1e-6), np.nan)
    second = np.diff(error, 2, axis=0) / np.sqrt(6)
    off = np.linalg.norm(error - np.nanmedian(error, axis=0), axis=-1)
    out = {
        "bias": np.linalg.norm(mean, axis=-1),
        "drift": _rms(_smooth(error) - mean),
        "jitter": _rms(second),
        "outliers": np.nanmean(np.where(np.isfinite(off), off > 0.5, np.nan), axis=0),
        "swap": np.nanmean(np.where(told, swap, np.nan), axis=0),
        "pull": np.nanmedian(pull, axis=0),
        "lost": np.full(13, 1 - clip.found.mean()),
    }
    for number, name in enumerate(("confidence_shown", "confidence_behind", "confidence_hidden")):
        mine = clip.found[:, None] & (clip.state == number)
        out[name] = np.nanmean(np.where(mine, clip.confidence, np.nan), axis=0)
    return out | (_depth(clip, ok) if clip.world is not None else {})


def _depth(clip: Clip, ok: np.ndarray) -> dict[str, np.ndarray]:
    """Errors of world points along z: as they are but for their size, and after the best similarity of each frame."""
    assert clip.world is not None
    assert clip.space is not None
    good = clip.found & np.isfinite(clip.world).all(axis=(1, 2))
    if good.sum() < 3:
        return {}
    world, space = clip.world[good], clip.space[good]
    world = world - middle(world, "hip")[:, None]
    size = np.sqrt((space**2).sum() / (world**2).sum())
    plain = (size * world - space)[..., 2]
    fitted = np.array([_similar(a, b) for a, b in zip(world, space, strict=True)]) - space
    mean = plain.mean(0)
    return {
        "world_size": np.full(13, 1 / size),
        "depth_slope": np.full(13, (size * world * space)[..., 2].sum() / (space[..., 2] ** 2).sum()),
        "depth_bias": np.abs(mean),
        "depth_drift": np.sqrt(((_smooth(plain[..., None])[..., 0] - mean) ** 2).mean(0)),
        "depth_jitter": np.sqrt((np.diff(plain, 2, axis=0) ** 2 / 6).mean(0)),
        "flat_similar": np.sqrt((fitted[..., :2] ** 2).sum(-1).mean(0)),
        "depth_similar": np.sqrt((fitted[..., 2] ** 2).mean(0)),
    }


def _similar(points: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Points (V, 3) turned, scaled and moved to be as near to ``goal`` as they can (Umeyama 1991)."""
    a, b = points - points.mean(0), goal - goal.mean(0)
    u, s, v = np.linalg.svd(a.T @ b)
    sign = np.array([1, 1, np.sign(np.linalg.det(u @ v))])
    return a @ (u * sign) @ v * ((s * sign).sum() / (a**2).sum()) + goal.mean(0)


def _smooth(error: np.ndarray, width: int = 9) -> np.ndarray:
    """Moving average over time of what is known of (T, V, C)."""
    padded = np.pad(error, ((width // 2, width // 2), (0, 0), (0, 0)), constant_values=np.nan)
    return np.nanmean(np.lib.stride_tricks.sliding_window_view(padded, width, axis=0), axis=-1)


def _rms(error: np.ndarray) -> np.ndarray:
    """Root mean square length over time of (T, V, 2), a coordinate's share of it: (V,)."""
    return np.sqrt(np.nanmean((error**2).mean(-1), axis=0))


# ---- tables

RARE = ("outliers", "swap", "lost")  # of these the mean says more than the median
GROUPS: dict[str, Callable[[Clip], str]] = {
    "all": lambda clip: "all",
    "view": lambda clip: clip.view,
    "camera": lambda clip: f"{clip.camera} camera",
    "posture": lambda clip: clip.posture,
}
COLUMNS = (
    ("bias", "drift", "jitter", "pull", *RARE),
    ("confidence_shown", "confidence_behind", "confidence_hidden", "world_size"),
    ("depth_slope", "depth_bias", "depth_drift", "depth_jitter", "depth_similar", "flat_similar"),
)


def grouped(clips: Sequence[Clip]) -> dict[str, Any]:
    """By group of clips, by part of the body, every measure: median and 90th percentile, or mean."""
    measures = [measure(clip) for clip in clips]
    out: dict[str, Any] = {}
    for key in GROUPS.values():
        keys = [key(clip) for clip in clips]
        for value in sorted(set(keys)):
            own = [measures[i] for i, k in enumerate(keys) if k == value]
            out[value] = {"clips": len(own)}
            out[value] |= {part: summary(own, members) for part, members in {"all": range(13), **MEMBERS}.items()}
    return out


def summary(measures: Sequence[dict[str, np.ndarray]], members: Sequence[int]) -> dict[str, list[float]]:
    out = {}
    for name in dict.fromkeys(name for one in measures for name in one):
        values = np.concatenate([one[name][members] for one in measures if name in one])
        values = values[np.isfinite(values)]
        if len(values):
            numbers = [values.mean()] if name in RARE else np.quantile(values, (0.5, 0.9))
            out[name] = [round(float(number), 4) for number in numbers]
    return out


def table(rows: dict[str, dict[str, list[float]]], names: Sequence[str]) -> list[dict[str, Any]]:
    """One row a group or part: median and 90th percentile, or the mean, of the named measures."""
    known = [name for name in names if any(name in row for row in rows.values())]
    return [
        {"": title, **{name: " ".join(f"{v:.3f}" for v in row.get(name, ())) for name in known}}
        for title, row in rows.items()
    ]


def tell(title: str, results: dict[str, Any]) -> None:
    by_group = {f"{group} ({content['clips']})": content["all"] for group, content in results.items()}
    by_part = {part: results["all"][part] for part in PARTS}
    for rows in (by_group, by_part):
        for names in COLUMNS:
            if any(name in row for row in rows.values() for name in names):
                show(title, table(rows, names))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("recordings", type=Path, nargs="+")
    args = parser.parse_args()
    clips = [clip for path in args.recordings for clip in read_recordings(path)]
    warnings.simplefilter("ignore", RuntimeWarning)  # means of nothing are NaN, and left out
    whole = [clip for clip in clips if clip.found.sum() >= LONG]
    results = {
        "recorded": grouped([recorded(clip) for clip in whole]),
        "smoothed": grouped([smoothed(clip) for clip in whole]),
        "imitated": grouped(imitated(clips)),
    }
    for name, content in results.items():
        tell(name, content)
    save("sensor_errors", clips=len(clips), frames=sum(map(len, clips)), **results)


if __name__ == "__main__":
    main()
