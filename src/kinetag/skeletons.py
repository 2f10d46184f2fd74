"""Joint layouts, their bones, and conversion from one layout to another.

A layout is a name for an ordered list of joints. Joints with the same name in two layouts are the same
place on the body, so conversion is a look-up by name; joints that a layout lacks but that follow from others
(a neck from two shoulders) are interpolated.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kinetag.errors import KinetagError


@dataclass(frozen=True)
class Layout:
    """An ordered list of joints and the bones between them.

    ``bones`` are pairs of joint names, parent first. ``sigmas`` are the per-joint constants of the object keypoint
    similarity (COCO, https://cocodataset.org/#keypoints-eval); a larger one forgives a larger error.
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[tuple[str, str], ...]

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """Position of a joint; an unknown name raises a KinetagError that lists the known ones."""
        try:
            return self.joints.index(joint)
        except ValueError:
            raise KinetagError(
                f"layout '{self.name}' has no joint '{joint}'; it has: {', '.join(self.joints)}"
            ) from None

    def indices(self, joints: tuple[str, ...]) -> list[int]:
        return [self.index(joint) for joint in joints]

    @cached_property
    def edges(self) -> np.ndarray:
        """Bones as joint indices, int (E, 2)."""
        return np.array([(self.index(a), self.index(b)) for a, b in self.bones])

    @cached_property
    def mirror(self) -> np.ndarray:
        """For each joint the index of its left-right twin (itself on the midline), int (V,)."""
        return np.array([self.index(mirror_name(joint)) for joint in self.joints])

    @cached_property
    def sigmas(self) -> np.ndarray:
        """Object keypoint similarity constants, float (V,)."""
        return np.array([_sigma(joint) for joint in self.joints], dtype=np.float32)


def mirror_name(joint: str) -> str:
    """'left_knee' -> 'right_knee' and back; a midline joint is its own twin."""
    if joint.startswith("left_"):
        return "right_" + joint[len("left_") :]
    if joint.startswith("right_"):
        return "left_" + joint[len("right_") :]
    return joint


# COCO's per-keypoint constants; joints that COCO lacks take those of their nearest relative.
_SIGMAS = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062,
    "hip": 0.107, "knee": 0.087, "ankle": 0.089, "head": 0.035, "mouth": 0.026,
}  # fmt: skip


def _sigma(joint: str) -> float:
    return next((value for part, value in _SIGMAS.items() if part in joint), 0.089)


def _sides(*parts: str) -> tuple[str, ...]:
    return tuple(f"{side}_{part}" for part in parts for side in ("left", "right"))


_LIMBS = (("shoulder", "elbow"), ("elbow", "wrist"), ("shoulder", "hip"), ("hip", "knee"), ("knee", "ankle"))
_LIMB_BONES = (
    *((f"{side}_{a}", f"{side}_{b}") for side in ("left", "right") for a, b in _LIMBS),
    ("left_shoulder", "right_shoulder"),
    ("left_hip", "right_hip"),
)

BLAZEPOSE = Layout(
    "blazepose",
    (
        "nose",
        "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
        *_sides("ear"), "left_mouth", "right_mouth",
        *_sides("shoulder", "elbow", "wrist", "pinky", "index", "thumb", "hip", "knee", "ankle", "heel", "foot_index"),
    ),
    (
        ("nose", "left_eye_inner"), ("left_eye_inner", "left_eye"), ("left_eye", "left_eye_outer"),
        ("left_eye_outer", "left_ear"), ("nose", "right_eye_inner"), ("right_eye_inner", "right_eye"),
        ("right_eye", "right_eye_outer"), ("right_eye_outer", "right_ear"), ("left_mouth", "right_mouth"),
        *_LIMB_BONES,
        *((f"{s}_wrist", f"{s}_{f}") for s in ("left", "right") for f in ("pinky", "index", "thumb")),
        *((f"{s}_ankle", f"{s}_heel") for s in ("left", "right")),
        *((f"{s}_heel", f"{s}_foot_index") for s in ("left", "right")),
    ),
)  # fmt: skip

COCO = Layout(
    "coco",
    ("nose", *_sides("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")),
    (
        ("nose", "left_eye"), ("nose", "right_eye"), ("left_eye", "left_ear"), ("right_eye", "right_ear"),
        *_LIMB_BONES,
    ),
)  # fmt: skip

OPENPOSE18 = Layout(
    "openpose",
    (
        "nose", "neck",
        "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
        "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
        "right_eye", "left_eye", "right_ear", "left_ear",
    ),
    (
        ("neck", "nose"), ("nose", "right_eye"), ("nose", "left_eye"), ("right_eye", "right_ear"),
        ("left_eye", "left_ear"), ("neck", "right_shoulder"), ("neck", "left_shoulder"),
        ("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist"), ("left_shoulder", "left_elbow"),
        ("left_elbow", "left_wrist"), ("neck", "right_hip"), ("neck", "left_hip"), ("right_hip", "right_knee"),
        ("right_knee", "right_ankle"), ("left_hip", "left_knee"), ("left_knee", "left_ankle"),
    ),
)  # fmt: skip

OPENPOSE25 = Layout(
    "openpose25",
    (
        "nose", "neck",
        "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist", "pelvis",
        "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
        "right_eye", "left_eye", "right_ear", "left_ear",
        "left_foot_index", "left_small_toe", "left_heel", "right_foot_index", "right_small_toe", "right_heel",
    ),
    (
        *OPENPOSE18.bones[:11], ("neck", "pelvis"), ("pelvis", "right_hip"), ("pelvis", "left_hip"),
        *OPENPOSE18.bones[13:],
        ("left_ankle", "left_heel"), ("left_ankle", "left_foot_index"), ("left_foot_index", "left_small_toe"),
        ("right_ankle", "right_heel"), ("right_ankle", "right_foot_index"), ("right_foot_index", "right_small_toe"),
    ),
)  # fmt: skip

NVIDIA34 = Layout(
    "nvidia",
    (
        "pelvis", "left_hip", "right_hip", "torso", "left_knee", "right_knee", "neck", "left_ankle", "right_ankle",
        "left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe", "left_heel", "right_heel", "nose",
        "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
        "right_elbow", "left_wrist", "right_wrist", "left_pinky_knuckle", "right_pinky_knuckle", "left_middle_tip",
        "right_middle_tip", "left_index_knuckle", "right_index_knuckle", "left_thumb_tip", "right_thumb_tip",
    ),
    (
        ("pelvis", "left_hip"), ("pelvis", "right_hip"), ("pelvis", "torso"), ("torso", "neck"), ("neck", "nose"),
        ("nose", "left_eye"), ("nose", "right_eye"), ("left_eye", "left_ear"), ("right_eye", "right_ear"),
        *((f"{s}_{a}", f"{s}_{b}") for s in ("left", "right") for a, b in (
            ("hip", "knee"), ("knee", "ankle"), ("ankle", "heel"), ("ankle", "big_toe"), ("big_toe", "small_toe"),
            ("shoulder", "elbow"), ("elbow", "wrist"), ("wrist", "pinky_knuckle"), ("wrist", "middle_tip"),
            ("wrist", "index_knuckle"), ("wrist", "thumb_tip"))),
        ("neck", "left_shoulder"), ("neck", "right_shoulder"),
    ),
)  # fmt: skip

# The 17 joints of Human3.6M as 3D pose estimation uses them (Martinez et al. 2017, arXiv:1705.03098); 'neck' is its
# thorax, half-way between the shoulders, 'torso' its spine, and the joint between neck and head_top is at the nose.
HUMAN36M = Layout(
    "human3.6m",
    (
        "pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
        "torso", "neck", "nose", "head_top",
        "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist",
    ),
    (
        ("pelvis", "torso"), ("torso", "neck"), ("neck", "nose"), ("nose", "head_top"),
        *((a, f"{s}_{b}") for a, b in (("pelvis", "hip"), ("neck", "shoulder")) for s in ("left", "right")),
        *((f"{s}_{a}", f"{s}_{b}") for s in ("left", "right") for a, b in _LIMBS if b != "hip"),
    ),
)  # fmt: skip

# The 25 joints of Kinect v2 in NTU RGB+D (Shahroudy et al. 2016, arXiv:1604.02808, figure 1); 'neck' is its joint 21,
# 'spine' between the shoulders, and 'upper_neck' its joint 3.
NTU25 = Layout(
    "ntu-rgb+d",
    (
        "pelvis", "torso", "upper_neck", "head",
        *(f"{s}_{part}" for s in ("left", "right") for part in ("shoulder", "elbow", "wrist", "hand")),
        *(f"{s}_{part}" for s in ("left", "right") for part in ("hip", "knee", "ankle", "foot_index")),
        "neck", "left_middle_tip", "left_thumb_tip", "right_middle_tip", "right_thumb_tip",
    ),
    (
        ("pelvis", "torso"), ("torso", "neck"), ("neck", "upper_neck"), ("upper_neck", "head"),
        *((a, f"{s}_{b}") for a, b in (("pelvis", "hip"), ("neck", "shoulder")) for s in ("left", "right")),
        *((f"{s}_{a}", f"{s}_{b}") for s in ("left", "right") for a, b in _LIMBS if b != "hip"),
        *((f"{s}_{a}", f"{s}_{b}") for s in ("left", "right") for a, b in (
            ("ankle", "foot_index"), ("wrist", "hand"), ("hand", "middle_tip"), ("hand", "thumb_tip"))),
    ),
)  # fmt: skip

# The same without the joint between the shoulders, which then hang from the upper neck.
NTU24 = Layout(
    "ntu_edge",
    tuple(joint for joint in NTU25.joints if joint != "neck"),
    (
        ("torso", "upper_neck"), ("upper_neck", "left_shoulder"), ("upper_neck", "right_shoulder"),
        *(bone for bone in NTU25.bones if "neck" not in bone),
    ),
)  # fmt: skip

# The joints that every pose estimator gives.
KINETAG13 = Layout(
    "kinetag",
    ("nose", *_sides("shoulder", "elbow", "wrist", "hip", "knee", "ankle")),
    (("nose", "left_shoulder"), ("nose", "right_shoulder"), *_LIMB_BONES),
)

# With ears and feet, where an estimator gives them: what the shipped classifier sees.
KINETAG19 = Layout(
    "kinetag19",
    (*KINETAG13.joints, *_sides("ear", "heel", "foot_index")),
    (
        *KINETAG13.bones,
        *(("nose", f"{side}_ear") for side in ("left", "right")),
        *((f"{side}_ankle", f"{side}_{part}") for side in ("left", "right") for part in ("heel", "foot_index")),
    ),
)

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (BLAZEPOSE, COCO, OPENPOSE18, OPENPOSE25, NVIDIA34, HUMAN36M, NTU25, NTU24, KINETAG13, KINETAG19)
}

# Joints that may be interpolated when a layout lacks them: the middle of the first set of joints that it has.
_DERIVED: dict[str, tuple[tuple[str, ...], ...]] = {
    "neck": (("left_shoulder", "right_shoulder"),),
    "pelvis": (("left_hip", "right_hip"),),
    "torso": (("left_shoulder", "right_shoulder", "left_hip", "right_hip"),),
    "nose": (("left_ear", "right_ear"), ("head",)),
    "head": (("left_ear", "right_ear"), ("nose",)),
    "upper_neck": (("left_shoulder", "right_shoulder", "left_ear", "right_ear"), ("neck", "nose")),
    "left_hand": (("left_pinky", "left_index"),),
    "right_hand": (("right_pinky", "right_index"),),
}

# Names that mean the same place in different layouts.
_SAME = {
    f"{side}_{name}": f"{side}_{same}"
    for side in ("left", "right")
    for name, same in (
        ("big_toe", "foot_index"),
        ("pinky_knuckle", "pinky"),
        ("index_knuckle", "index"),
        ("thumb_tip", "thumb"),
    )
}


def get_layout(name: str) -> Layout:
    """The layout of that name; an unknown name raises a KinetagError that lists the known ones."""
    if name not in LAYOUTS:
        raise KinetagError(f"unknown skeleton layout '{name}'; known: {', '.join(LAYOUTS)}")
    return LAYOUTS[name]


def convert(keypoints: np.ndarray, confidence: np.ndarray, source: str, target: str) -> tuple[np.ndarray, np.ndarray]:
    """Rearrange joints from one layout to another.

    ``keypoints`` (..., V, C) and ``confidence`` (..., V) become (..., W, C) and (..., W). A joint that the source
    neither has nor implies becomes NaN with confidence 0, never a zero coordinate.
    """
    if source == target:
        return keypoints, confidence
    have, want = get_layout(source), get_layout(target)
    known = {_SAME.get(joint, joint): i for i, joint in enumerate(have.joints)}
    shape = keypoints.shape[:-2]
    out = np.full((*shape, len(want), keypoints.shape[-1]), np.nan, keypoints.dtype)
    score = np.zeros((*shape, len(want)), confidence.dtype)
    for j, joint in enumerate(want.joints):
        joint = _SAME.get(joint, joint)
        if joint in known:
            out[..., j, :] = keypoints[..., known[joint], :]
            score[..., j] = confidence[..., known[joint]]
        elif parts := _parts(joint, known):
            out[..., j, :] = keypoints[..., parts, :].mean(axis=-2)
            score[..., j] = confidence[..., parts].min(axis=-1)
    return out, score


def _parts(joint: str, known: dict[str, int]) -> list[int]:
    """Which joints a joint is the middle of, none when the layout does not imply it."""
    for parts in _DERIVED.get(joint, ()):
        if all(part in known for part in parts):
            return [known[part] for part in parts]
    return []
