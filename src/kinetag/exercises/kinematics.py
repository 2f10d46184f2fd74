"""Forward kinematics: pose parameters -> joints of a body, vectorised over people and time.

Metres, right-handed, Y up; a person at rest faces +Z with the left side at +X, the floor is y = 0. Lengths of segments
follow Drillis and Contini (1966) as shares of the body height, with the spread that people have.
"""

from dataclasses import dataclass

import numpy as np

from kinetag.exercises.recipes import INDEX
from kinetag.skeletons import mirror_name

_SIDED = ("shoulder", "elbow", "wrist", "hand", "hip", "knee", "ankle", "heel", "foot_index")
BODY = (
    *("pelvis", "chest", "neck", "head", "nose", "left_ear", "right_ear"),
    *(f"{side}_{joint}" for joint in _SIDED for side in ("left", "right")),
)
JOINT = {name: i for i, name in enumerate(BODY)}
BODY_MIRROR = np.array([JOINT[mirror_name(name)] for name in BODY])

# Segment: mean share of the height, standard deviation of the share (larger than in people: estimators differ too).
_SHARES = {
    "lower_trunk": (0.125, 0.008), "upper_trunk": (0.172, 0.010), "head": (0.080, 0.008), "nose": (0.055, 0.008),
    "clavicle": (0.108, 0.009), "pelvis": (0.056, 0.007), "upper_arm": (0.164, 0.009), "forearm": (0.147, 0.008),
    "hand": (0.052, 0.004), "thigh": (0.245, 0.012), "shin": (0.242, 0.012),
    "ankle": (0.036, 0.003), "heel": (0.030, 0.004), "foot": (0.095, 0.006),
}  # fmt: skip
# How far a joint's centre is above what it rests on, as a share of the height.
CLEARANCE = np.array([
    0.055 if n in ("pelvis", "chest", "neck", "head") else
    {"shoulder": 0.045, "elbow": 0.024, "wrist": 0.018, "hand": 0.012, "hip": 0.05, "knee": 0.03, "ankle": 0.022,
     "heel": 0.012, "index": 0.012, "nose": 0.02, "ear": 0.03}[n.rsplit("_", 1)[-1]]
    for n in BODY
], np.float32)  # fmt: skip

REACH = 0.9995  # of a limb's length: how straight it may get


@dataclass(frozen=True)
class Proportions:
    """Body height and segment lengths in metres, each (B,)."""

    height: np.ndarray
    lengths: dict[str, np.ndarray]

    def __getitem__(self, segment: str) -> np.ndarray:
        """A segment's length, (B, 1, 1): ready to multiply directions (B, T, 3)."""
        return self.lengths[segment][:, None, None]

    @property
    def arm(self) -> np.ndarray:
        """Upper arm and forearm, (B,)."""
        return self.lengths["upper_arm"] + self.lengths["forearm"]

    @property
    def leg(self) -> np.ndarray:
        """Thigh and shin, (B,)."""
        return self.lengths["thigh"] + self.lengths["shin"]


def random_proportions(count: int, rng: np.random.Generator) -> Proportions:
    """Bodies from children to tall adults, slim to heavy."""
    adult = rng.normal(1.71, 0.10, count).clip(1.45, 2.05)
    child = rng.random(count) < 0.1
    height = np.where(child, rng.uniform(1.1, 1.5, count), adult)
    lengths = {}
    for name, (mean, deviation) in _SHARES.items():
        lengths[name] = height * rng.normal(mean, deviation, count).clip(mean - 2.5 * deviation, mean + 2.5 * deviation)
    heavy = rng.random(count) < 0.15
    lengths["clavicle"] = lengths["clavicle"] * np.where(heavy, rng.uniform(1, 1.15, count), 1)
    lengths["pelvis"] = lengths["pelvis"] * np.where(heavy, rng.uniform(1, 1.3, count), 1)
    return Proportions(height.astype(np.float32), {k: v.astype(np.float32) for k, v in lengths.items()})


@dataclass(frozen=True)
class Frame:
    """Orthonormal directions of a segment, each (B, T, 3)."""

    lateral: np.ndarray  # to the left
    up: np.ndarray
    front: np.ndarray

    def pitch(self, angle: np.ndarray) -> "Frame":
        """Leaned forward by angle (B, T) radians."""
        return Frame(self.lateral, *_turned(self.up, self.front, angle))

    def yaw(self, angle: np.ndarray) -> "Frame":
        """Turned to the left about its own axis."""
        front, lateral = _turned(self.front, self.lateral, angle)
        return Frame(lateral, self.up, front)

    def tip(self, angle: np.ndarray) -> "Frame":
        """Tipped over to the left."""
        up, lateral = _turned(self.up, self.lateral, angle)
        return Frame(lateral, up, self.front)


def _turned(a: np.ndarray, b: np.ndarray, angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn a towards b in their plane."""
    c, s = np.cos(angle)[..., None], np.sin(angle)[..., None]
    return c * a + s * b, c * b - s * a


def _world(shape: tuple[int, int]) -> Frame:
    axes = np.eye(3, dtype=np.float32)
    return Frame(*(np.broadcast_to(axis, (*shape, 3)) for axis in axes))


class Pose:
    """Parameters (B, T, P) in degrees by name, as radians (B, T)."""

    def __init__(self, parameters: np.ndarray) -> None:
        self.degrees = parameters
        self.radians = np.deg2rad(parameters)

    def __call__(self, name: str) -> np.ndarray:
        return self.radians[..., INDEX[name]]

    def raw(self, name: str) -> np.ndarray:
        """Not an angle: switches, contact, and lengths in hundredths of the body height."""
        return self.degrees[..., INDEX[name]]


def forward(parameters: np.ndarray, body: Proportions) -> np.ndarray:
    """Joints (B, T, 25, 3) with the pelvis at the origin, from parameters (B, T, P)."""
    pose = Pose(parameters)
    joints = np.zeros((*parameters.shape[:2], len(BODY), 3), np.float32)
    heading = _world(parameters.shape[:2]).yaw(pose("turn")).tip(pose("roll"))
    pelvis = heading.pitch(pose("trunk"))
    chest_pitch = pose("trunk") + pose("spine")
    chest = heading.pitch(chest_pitch).tip(pose("side_bend")).yaw(pose("twist"))
    joints[..., JOINT["chest"], :] = body["lower_trunk"] * pelvis.up
    neck = joints[..., JOINT["chest"], :] + body["upper_trunk"] * chest.up
    joints[..., JOINT["neck"], :] = neck
    _head(joints, pose, body, chest, neck)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        _arm(joints, pose, body, side, sign, heading, chest, chest_pitch)
        _leg(joints, pose, body, side, sign, heading, pelvis)
    return joints


def _head(joints: np.ndarray, pose: Pose, body: Proportions, chest: Frame, neck: np.ndarray) -> None:
    head = chest.pitch(pose("neck") + np.float32(0.12)).yaw(pose("look"))
    center = neck + body["head"] * head.up
    joints[..., JOINT["head"], :] = center
    joints[..., JOINT["nose"], :] = center + body["nose"] * (head.front * 0.98 - head.up * 0.17)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        joints[..., JOINT[f"{side}_ear"], :] = center + body["nose"] * 0.75 * sign * head.lateral


def _arm(
    joints: np.ndarray, pose: Pose, body: Proportions, side: str, sign: float,
    heading: Frame, chest: Frame, chest_pitch: np.ndarray,
) -> None:  # fmt: skip
    raised, plane, rotation, bend = (pose(f"{side}_{n}") for n in ("shoulder", "plane", "rotation", "elbow"))
    # The shoulder blade goes up with the arm, by about a third of what the arm does overhead.
    blade = pose(f"{side}_shrug") + 0.35 * np.clip(np.abs(raised) - 0.8, 0, 2)
    outward, up = _turned(chest.lateral * sign, chest.up, blade - 0.12)
    shoulder = joints[..., JOINT["neck"], :] + body["clavicle"] * outward
    # In space, the arm hangs from a chest that is upright whatever the trunk does.
    lean = chest_pitch * (1 - pose.raw(f"{side}_arm_in_space"))
    upright = heading.pitch(lean).tip(pose("side_bend")).yaw(pose("twist"))
    up, front, outward = upright.up, upright.front, upright.lateral * sign
    s, c = np.sin(raised)[..., None], np.cos(raised)[..., None]
    ps, pc = np.sin(plane)[..., None], np.cos(plane)[..., None]
    direction = pc * front + ps * outward
    upper = s * direction - c * up
    raising, across = s * up + c * direction, pc * outward - ps * front
    rs, rc = np.sin(rotation - plane)[..., None], np.cos(rotation - plane)[..., None]
    elbow = shoulder + body["upper_arm"] * upper
    bs, bc = np.sin(bend)[..., None], np.cos(bend)[..., None]
    lower = bc * upper + bs * (rc * raising + rs * across)
    wrist = elbow + body["forearm"] * lower
    for joint, place in (("shoulder", shoulder), ("elbow", elbow), ("wrist", wrist)):
        joints[..., JOINT[f"{side}_{joint}"], :] = place
    joints[..., JOINT[f"{side}_hand"], :] = wrist + body["hand"] * lower


def _leg(
    joints: np.ndarray, pose: Pose, body: Proportions, side: str, sign: float, heading: Frame, pelvis: Frame
) -> None:
    thigh = pose(f"{side}_thigh") - pose("trunk") * (1 - pose.raw(f"{side}_thigh_in_space"))
    knee = pose(f"{side}_knee") + thigh * pose.raw(f"{side}_knee_by_shin")
    knee = np.clip(knee, 0, np.float32(2.7))
    outward = heading.lateral * sign
    forward_, up_ = np.sin(thigh)[..., None], np.cos(thigh)[..., None]
    along = forward_ * heading.front - up_ * heading.up
    raising = forward_ * heading.up + up_ * heading.front
    along, outward = _turned(along, outward, pose(f"{side}_abduction"))
    raising, outward = _turned(raising, outward, pose(f"{side}_hip_rotation"))
    hip = body["pelvis"] * pelvis.lateral * sign
    knee_at = hip + body["thigh"] * along
    shin, back = _turned(along, -raising, knee)
    ankle = knee_at + body["shin"] * shin
    for joint, place in (("hip", hip), ("knee", knee_at), ("ankle", ankle)):
        joints[..., JOINT[f"{side}_{joint}"], :] = place
    # In the air the foot stands square to the shin, toes pointed by `heel`.
    toes, down = _turned(-back, shin, pose(f"{side}_heel") + np.float32(0.15))
    place_foot(joints, body, side, ankle, toes, -down)


def place_foot(
    joints: np.ndarray, body: Proportions, side: str, ankle: np.ndarray, forward_: np.ndarray, up_: np.ndarray
) -> None:
    """Heel and toes of a rigid foot whose sole points along ``forward_``, ankle above the sole along ``up_``."""
    down = body["ankle"] * -up_
    joints[..., JOINT[f"{side}_heel"], :] = ankle + down - body["heel"] * forward_
    joints[..., JOINT[f"{side}_foot_index"], :] = ankle + down + body["foot"] * forward_


# ---- two-bone inverse kinematics


def bend_limb(
    joints: np.ndarray, body: Proportions, chain: tuple[str, str, str], goal: np.ndarray, hint: np.ndarray | float = 0.0
) -> None:
    """Move the middle and end joint of a limb so that its end is at ``goal`` (B, T, 3) or near it; in place.

    It bends towards where its middle joint is now, and towards ``hint`` when it is straight.
    """
    first, middle, last = (joints[..., JOINT[name], :] for name in chain)
    segments = ("thigh", "shin") if "hip" in chain[0] else ("upper_arm", "forearm")
    a, b = body[segments[0]], body[segments[1]]
    way = goal - first
    distance = np.clip(np.linalg.norm(way, axis=-1, keepdims=True), np.abs(a - b) + 0.02, REACH * (a + b))
    along = unit(way)
    pole = (middle - (first + last) / 2) / (a + b) + hint
    pole = unit(pole - along * (pole * along).sum(axis=-1, keepdims=True))
    to_foot = (a * a - b * b + distance * distance) / (2 * distance)
    out = np.sqrt(np.maximum(a * a - to_foot * to_foot, 0))
    joints[..., JOINT[chain[1]], :] = first + to_foot * along + out * pole
    joints[..., JOINT[chain[2]], :] = first + distance * along


def unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-6)
