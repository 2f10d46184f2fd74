"""A person made of rounded solids, drawn from 3D joints: synthetic footage whose ground truth is exact.

The mannequin needs no footage, no mesh and no graphics card, and it looks enough like a person that pose estimators
find it and put their landmarks on its joints (see bench/mannequin_pose.py).
"""

from dataclasses import dataclass

import numpy as np

from kinetag.exercises.kinematics import BODY
from kinetag.exercises.raster import Camera, Layer, Solids, Surface, draw, stretched, surface

SKIN, FACE, CLOTH, SHOE, HAIR, METAL = range(6)

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """What a person wears and how stout they are. Colours are RGB in [0, 1]; ``thickness`` 1 is an average build."""

    skin: Color = (0.83, 0.62, 0.50)
    hair: Color = (0.20, 0.13, 0.09)
    shirt: Color = (0.16, 0.38, 0.70)
    trousers: Color = (0.16, 0.17, 0.21)
    shoes: Color = (0.90, 0.90, 0.92)
    thickness: float = 1.0
    hair_style: str = "short"  # short, bun or long
    sleeves: str = "short"  # short, long or none
    shorts: bool = False
    stripe: Color | None = None  # a band across the chest


_SKINS = ((0.93, 0.76, 0.66), (0.87, 0.67, 0.54), (0.74, 0.53, 0.40), (0.55, 0.37, 0.27), (0.40, 0.27, 0.20))
_HAIRS = ((0.10, 0.08, 0.07), (0.22, 0.14, 0.09), (0.38, 0.24, 0.13), (0.68, 0.52, 0.30), (0.45, 0.18, 0.10))
_SHIRTS = (
    (0.16, 0.38, 0.70), (0.78, 0.20, 0.18), (0.17, 0.53, 0.33), (0.90, 0.72, 0.18), (0.48, 0.24, 0.58),
    (0.86, 0.87, 0.88), (0.90, 0.45, 0.14), (0.14, 0.58, 0.62),
)  # fmt: skip
_TROUSERS = ((0.13, 0.14, 0.17), (0.17, 0.21, 0.33), (0.34, 0.35, 0.37), (0.28, 0.16, 0.22), (0.17, 0.27, 0.24))
_SHOES = ((0.90, 0.90, 0.92), (0.85, 0.25, 0.20), (0.22, 0.23, 0.26), (0.75, 0.85, 0.25))


def random_look(rng: np.random.Generator, shirt: int | None = None) -> Look:
    """A random person; ``shirt`` picks the shirt's colour by number, to make people easy to tell apart."""

    def pick(colors: tuple[Color, ...]) -> Color:
        return colors[rng.integers(len(colors))]

    top = _SHIRTS[shirt % len(_SHIRTS)] if shirt is not None else pick(_SHIRTS)
    skin = pick(_SKINS)
    return Look(
        skin=skin,
        hair=pick(_HAIRS if sum(skin) > 1.6 else _HAIRS[:2]),
        shirt=top,
        trousers=pick(_TROUSERS),
        shoes=pick(_SHOES),
        thickness=float(rng.uniform(0.9, 1.15)),
        hair_style=str(rng.choice(["short", "short", "bun", "long"])),
        sleeves=str(rng.choice(["short", "short", "long", "none"])),
        shorts=bool(rng.random() < 0.35),
        stripe=(0.95, 0.95, 0.95) if rng.random() < 0.3 and max(top) < 0.85 else None,
    )


def _unit(v: np.ndarray) -> np.ndarray:
    return v / (np.sqrt(v @ v) + 1e-9)


def _frame(lateral: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Left, up and front as orthonormal rows, (3, 3); ``up`` is kept, ``lateral`` is bent to fit."""
    up = _unit(up)
    lateral = _unit(lateral - (lateral @ up) * up)
    return np.array([lateral, up, np.cross(lateral, up)])


class _Body:
    """Joints by name and the frames of trunk, pelvis and head; ``size`` scales every thickness."""

    def __init__(self, joints: np.ndarray, look: Look) -> None:
        self.joint = dict(zip(BODY, np.asarray(joints, float), strict=True))
        self.look, self.solids = look, Solids()
        leg = np.linalg.norm(self["left_hip"] - self["left_knee"]) + np.linalg.norm(
            self["left_knee"] - self["left_ankle"]
        )
        trunk = np.linalg.norm(self["neck"] - self["chest"]) + np.linalg.norm(self["chest"] - self["pelvis"])
        self.stature = float((leg + trunk) / 1.34)
        self.size = self.stature * look.thickness
        self.chest = _frame(self["left_shoulder"] - self["right_shoulder"], self["neck"] - self["chest"])
        self.pelvis = _frame(self["left_hip"] - self["right_hip"], self["chest"] - self["pelvis"])
        middle = (self["left_ear"] + self["right_ear"]) / 2
        front = self["nose"] - middle
        lateral = _unit(self["left_ear"] - self["right_ear"])
        up = np.cross(front, lateral)
        self.head_origin, self.head = middle, _frame(lateral, up)
        self.head_size = float(np.linalg.norm(front)) / 0.105

    def __getitem__(self, name: str) -> np.ndarray:
        return self.joint[name]

    def on_head(self, left: float, up: float, front: float) -> np.ndarray:
        """A point of an average head, from between the ears."""
        return self.head_origin + (np.array([left, up, front]) * self.head_size) @ self.head

    def cone(self, start, end, first, last, color, material=SKIN, shape=None) -> None:
        self.solids.add(start, end, first * self.size, last * self.size, color, material, shape)


def body(joints: np.ndarray, look: Look, *, gripping: bool = False) -> tuple[Solids, np.ndarray]:
    """The solids of one person, and the head's pose for painting the face.

    ``joints`` (25, 3) metres in the order of kinematics.BODY. ``gripping`` closes the hands. The second value is
    (4, 3): the point between the ears, and the head's left, up and front.
    """
    b = _Body(joints, look)
    _trunk(b)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        _arm(b, side, sign, gripping)
        _leg(b, side)
    _head(b)
    return b.solids, np.vstack([b.head_origin, b.head / b.head_size])


def _trunk(b: _Body) -> None:
    look, up, chest_up = b.look, b.pelvis[1] * b.stature, b.chest[1] * b.stature
    pelvis, chest, neck = b["pelvis"], b["chest"], b["neck"]
    hips = float(np.linalg.norm(b["left_hip"] - b["right_hip"])) / b.size
    shoulders = float(np.linalg.norm(b["left_shoulder"] - b["right_shoulder"])) / b.size
    # Half widths follow the bones, so that a wide-shouldered body has a wide chest.
    wide_hip, wide_chest = (0.5 * hips + 0.068), (0.32 * shoulders + 0.042)
    shape = stretched(b.pelvis, (wide_hip / 0.112, 1.0, 1.0))
    b.cone(pelvis - 0.035 * up, pelvis + 0.06 * up, 0.112, 0.105, look.trousers, CLOTH, shape)
    waist = 0.42 * wide_hip + 0.5 * wide_chest
    shape = stretched(b.pelvis, (waist / 0.106, 1.0, 1.0))
    b.cone(pelvis + 0.045 * up, chest, 0.110, 0.104, look.shirt, CLOTH, shape)
    shape = stretched(b.chest, (wide_chest / 0.118, 1.0, 1.0))
    top = neck - 0.115 * chest_up
    b.cone(chest - 0.02 * chest_up, top, 0.109, 0.114, look.shirt, CLOTH, shape)
    b.cone(top, neck - 0.035 * chest_up, 0.114, 0.066, look.shirt, CLOTH, shape)
    for side in ("left", "right"):
        shoulder = b[f"{side}_shoulder"]
        b.cone(neck + 0.018 * chest_up, shoulder - 0.002 * chest_up, 0.056, 0.055, look.shirt, CLOTH)  # trapezius
        pectoral = top + 0.50 * (shoulder - 0.03 * chest_up - top)
        b.cone(pectoral, shoulder - 0.015 * chest_up, 0.091, 0.059, look.shirt, CLOTH)
    b.cone(neck - 0.02 * chest_up, b.on_head(0.0, -0.05, -0.018), 0.054, 0.048, look.skin)


def _arm(b: _Body, side: str, sign: float, gripping: bool) -> None:
    look = b.look
    shoulder, elbow, wrist, hand = (b[f"{side}_{j}"] for j in ("shoulder", "elbow", "wrist", "hand"))
    sleeve = {"none": 0.06, "short": 0.55, "long": 1.0}[look.sleeves]
    end = shoulder + sleeve * (elbow - shoulder)
    b.cone(shoulder, end, 0.058, 0.059 - 0.014 * sleeve, look.shirt, CLOTH)
    b.cone(shoulder, elbow, 0.052, 0.040, look.skin)
    belly = elbow + 0.28 * (wrist - elbow)
    if look.sleeves == "long":
        b.cone(elbow, wrist, 0.044, 0.036, look.shirt, CLOTH)
    else:
        b.cone(elbow, belly, 0.0405, 0.0425, look.skin)
        b.cone(belly, wrist, 0.0425, 0.0275, look.skin)
    along = _unit(hand - wrist)
    if gripping:
        b.cone(wrist, wrist + 0.075 * b.stature * along, 0.030, 0.043, look.skin)
        return
    # A flat hand: the palm looks at the thigh, or at the floor when the person leans on it.
    palm = np.array([0.0, 1.0, 0.0]) if wrist[1] < 0.16 else b.chest[0]
    if abs(palm @ along) > 0.95:
        palm = b.chest[2]
    frame = _frame(palm, along)
    shape = stretched(frame, (0.5, 1.0, 1.0))
    knuckles = wrist + 0.085 * b.stature * along
    b.cone(wrist + 0.015 * b.stature * along, knuckles, 0.034, 0.041, look.skin, SKIN, shape)
    b.cone(knuckles, knuckles + 0.065 * b.stature * along, 0.038, 0.024, look.skin, SKIN, shape)
    toward = frame[2] if frame[2] @ b.chest[2] >= 0 else -frame[2]
    thumb = wrist + b.stature * (0.03 * along + 0.028 * toward)
    b.cone(thumb, thumb + b.stature * (0.045 * along + 0.02 * toward), 0.016, 0.012, look.skin)


def _raised(point: np.ndarray, radius: float) -> np.ndarray:
    """The point, lifted so that a ball around it does not sink into the floor."""
    return np.array([point[0], max(point[1], radius), point[2]]) if point[1] < radius else point


def _leg(b: _Body, side: str) -> None:
    look = b.look
    hip, knee, ankle, heel, toe = (b[f"{side}_{j}"] for j in ("hip", "knee", "ankle", "heel", "foot_index"))
    forward = toe - heel
    shin = _unit(ankle - knee)
    back = -_unit(forward - (forward @ shin) * shin)
    buttock = hip + b.stature * (-0.038 * b.pelvis[2] - 0.02 * b.pelvis[1])
    b.cone(buttock, buttock, 0.090, 0.090, look.trousers, CLOTH)
    calf = knee + 0.3 * (ankle - knee) + 0.014 * b.stature * back
    lower, kind = (look.skin, SKIN) if look.shorts else (look.trousers, CLOTH)
    loose = 0.0 if look.shorts else 0.004
    b.cone(hip, knee, 0.085, 0.059, look.skin if look.shorts else look.trousers, SKIN if look.shorts else CLOTH)
    if look.shorts:
        b.cone(hip, hip + 0.7 * (knee - hip), 0.091, 0.079, look.trousers, CLOTH)
    b.cone(knee, calf, 0.0575 + loose, 0.056 + loose, lower, kind)
    b.cone(calf, ankle - 0.02 * shin, 0.056 + loose, 0.037 + 2 * loose, lower, kind)
    b.cone(ankle - 0.03 * shin, ankle, 0.035, 0.036, tuple(0.85 for _ in range(3)), CLOTH)  # sock
    _shoe(b, ankle, heel, toe)


def _shoe(b: _Body, ankle: np.ndarray, heel: np.ndarray, toe: np.ndarray) -> None:
    """Sole, heel and upper. It stays above the floor whichever part of the foot touches it."""
    look, along = b.look, _unit(toe - heel)
    size = b.size
    back = _raised(heel + 0.03 * b.stature * along, 0.036 * size)
    tip = _raised(toe, 0.030 * size)
    ball = _raised(back + 0.62 * (tip - back), 0.038 * size)
    b.cone(back, ball, 0.037, 0.040, look.shoes, SHOE)
    b.cone(ball, tip + 0.005 * along, 0.040, 0.029, look.shoes, SHOE)
    b.cone(ankle + 0.01 * along, back + 0.5 * (ball - back), 0.042, 0.038, look.shoes, SHOE)
    down = -_unit(np.cross(np.cross(along, ankle - heel), along))
    sole = stretched(_frame(np.cross(along, down), along), (1.0, 1.0, 0.45))
    white = (0.93, 0.93, 0.93) if sum(look.shoes) < 2.4 else (0.35, 0.37, 0.42)
    drop = 0.024 * size * down
    b.cone(_raised(back + drop, 0.014), _raised(ball + drop, 0.014), 0.036, 0.041, white, SHOE, sole)
    b.cone(_raised(ball + drop, 0.014), _raised(tip + 0.6 * drop, 0.014), 0.041, 0.031, white, SHOE, sole)


def _head(b: _Body) -> None:
    look, f, at = b.look, b.head, b.on_head

    def ball(center: np.ndarray, left: float, up: float, front: float, color: Color, material: int) -> None:
        size = b.head_size  # heads do not grow with the waist
        b.solids.add(center, center, 1.0, 1.0, color, material, stretched(f, (left * size, up * size, front * size)))

    def cone(start: np.ndarray, end: np.ndarray, first: float, last: float, color: Color, material: int) -> None:
        b.solids.add(start, end, first * b.head_size, last * b.head_size, color, material)

    ball(at(0, 0.035, -0.006), 0.080, 0.096, 0.096, look.skin, FACE)
    cone(at(0, -0.012, 0.022), at(0, -0.078, 0.050), 0.068, 0.036, look.skin, FACE)
    cone(at(0, 0.026, 0.082), b["nose"] - 0.010 * b.head_size * f[2], 0.009, 0.0155, look.skin, SKIN)
    for side, sign in (("left", 1), ("right", -1)):
        ball(b[f"{side}_ear"] + 0.006 * sign * b.head_size * f[0], 0.011, 0.031, 0.019, look.skin, SKIN)
    ball(at(0, 0.060, -0.021), 0.084, 0.086, 0.092, look.hair, HAIR)
    if look.hair_style == "bun":
        ball(at(0, 0.105, -0.105), 0.044, 0.044, 0.042, look.hair, HAIR)
    if look.hair_style == "long":
        cone(at(0, 0.02, -0.055), at(0, -0.13, -0.090), 0.078, 0.058, look.hair, HAIR)


def paint(
    camera: Camera, solids: Solids, head: np.ndarray | None, look: Look, *, samples: int = 1
) -> tuple[Layer, np.ndarray] | None:
    """Draw one person: a layer (depth and part) and its RGBA colours float32 (h, w, 4) in [0, 255], or None.

    ``samples`` 2 draws four rays a pixel: smooth outlines at about three times the cost.
    """
    fine = camera.resized(camera.width * samples, camera.height * samples)
    layer = draw(fine, solids)
    if layer is None or not np.isfinite(layer.depth).any():  # at the picture's edge, but not in it
        return None
    points = surface(fine, solids, layer)
    image = np.zeros((*layer.depth.shape, 4), np.float32)
    image[points.rows, points.columns, :3] = _shade(fine, solids, points, head, look)
    image[..., 3] = np.isfinite(layer.depth)
    image[..., :3] *= _crease(layer.depth)[..., None]
    if samples > 1:
        layer, image = _reduce(layer, image, samples)
    return layer, image


_KEY = np.array([-0.45, 0.80, 0.55]) / np.linalg.norm([-0.45, 0.80, 0.55])
_FILL = np.array([0.85, 0.25, 0.45]) / np.linalg.norm([0.85, 0.25, 0.45])


def _shade(camera: Camera, solids: Solids, points: Surface, head: np.ndarray | None, look: Look) -> np.ndarray:
    """Lambert with a warm key, a cool fill and a soft sky; gloss on skin, hair and metal. (P, 3) in [0, 255]."""
    material = np.array(solids.material)[points.part]
    base = np.array(solids.color, np.float32)[points.part]
    if head is not None:
        face = np.flatnonzero(material == FACE)
        base[face] = _face(points.position[face], base[face], head, look, camera)
    base = base * base * _weave(points.local, material)[:, None]  # gamma 2: light adds up in linear colour
    normal = points.normal
    key = np.clip((normal @ _KEY.astype(np.float32) + 0.2) / 1.2, 0, None)
    fill = np.clip(normal @ _FILL.astype(np.float32), 0, None)
    sky = 0.5 + 0.5 * normal[:, 1]
    light = key[:, None] * np.array([0.98, 0.92, 0.84], np.float32)
    light += fill[:, None] * np.array([0.16, 0.19, 0.24], np.float32)
    light += sky[:, None] * np.array([0.25, 0.27, 0.30], np.float32) + np.array([0.15, 0.13, 0.12], np.float32)
    gloss = np.array([0.06, 0.06, 0.0, 0.10, 0.10, 0.5], np.float32)[material]
    half = points.view + _KEY.astype(np.float32)
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    shine = np.clip((normal * half).sum(1), 0, 1) ** 24 * gloss
    rim = (1 - np.clip((normal * points.view).sum(1), 0, 1)) ** 3 * 0.05
    return 255 * np.sqrt(np.clip(base * light + (shine + rim)[:, None], 0, 1))


def _weave(local: np.ndarray, material: np.ndarray) -> np.ndarray:
    """Folds of cloth: a gentle pattern fixed to the garment, (P,)."""
    x, y, z = local.T
    folds = np.sin(38 * y + 3 * np.sin(17 * x + 5 * z)) * np.sin(23 * x - 9 * y + 11 * z)
    return np.where(material == CLOTH, 1 + 0.10 * folds, 1).astype(np.float32)


def _face(position: np.ndarray, base: np.ndarray, head: np.ndarray, look: Look, camera: Camera) -> np.ndarray:
    """Paint hair line, eyes, brows, cheeks and mouth on the head, softened to the size of a pixel."""
    x, y, z = ((position - head[0]) @ head[1:].T).T  # metres of an average head: left, up, front
    depth = float(np.mean((position - camera.position) @ camera.axes[2])) if len(position) else 1.0
    soft = max(0.0022, 0.7 * depth / camera.focal_pixels)
    front = z > 0.02

    def blend(inside: np.ndarray, color: tuple[float, ...], strength: float = 1.0) -> None:
        """``inside`` is a signed distance in metres, positive inside."""
        weight = (np.clip(inside / soft + 0.5, 0, 1) * strength)[:, None].astype(np.float32)
        base[:] = base * (1 - weight) + np.array(color, np.float32) * weight

    skin, hair = np.array(look.skin), np.array(look.hair)
    side = np.abs(x)

    def ellipse(cx: float, cy: float, a: float, b: float) -> np.ndarray:
        distance = (1 - np.sqrt(((side - cx) / a) ** 2 + ((y - cy) / b) ** 2)) * min(a, b)
        return np.where(front, distance, -1)

    blend(ellipse(0.032, 0.022, 0.024, 0.017), tuple(skin * 0.80), 0.7)  # eye sockets
    blend(ellipse(0.046, -0.022, 0.020, 0.018), tuple(np.clip(skin * (1.06, 0.86, 0.84), 0, 1)), 0.5)  # cheeks
    blend(ellipse(0.032, 0.021, 0.0145, 0.0080), (0.95, 0.94, 0.92))
    blend(ellipse(0.032, 0.021, 0.0072, 0.0078), (0.20, 0.13, 0.09))
    lid = np.where(front, 0.0020 - np.abs(y - 0.030 + 18 * (side - 0.032) ** 2), -1)
    blend(np.minimum(lid, 0.017 - np.abs(side - 0.032)), tuple(skin * 0.35))
    brow = np.where(front, 0.0042 - np.abs(y - 0.047 + 9 * (side - 0.028) ** 2), -1)
    blend(np.minimum(brow, 0.019 - np.abs(side - 0.034)), tuple(hair * 0.8))
    blend(ellipse(0.008, -0.031, 0.012, 0.005), tuple(skin * 0.62), 0.6)  # the nose's shadow
    blend(ellipse(0.0, -0.053, 0.026, 0.0085), tuple(np.clip(skin * (0.95, 0.60, 0.58), 0, 1)))
    line = np.where(front, 0.0016 - np.abs(y + 0.053 - 6 * x * x), -1)
    blend(np.minimum(line, 0.024 - side), tuple(skin * (0.45, 0.28, 0.28)))
    blend(y - 0.010 - 0.86 * z - 4.0 * np.where(front, x * x, 0.0), tuple(hair))
    return base


def _crease(depth: np.ndarray) -> np.ndarray:
    """Darken what lies just behind a nearer part (Luft et al. 2006, 'Image enhancement by unsharp masking the depth
    buffer'): limbs stand out from the trunk. (h, w) factors."""
    import cv2

    seen = np.isfinite(depth)
    filled = np.where(seen, depth, depth[seen].max() + 0.2).astype(np.float32)
    reach = max(3, min(depth.shape) // 14) | 1
    behind = filled - cv2.blur(filled, (reach, reach))
    return 1 - 2.2 * np.clip(behind, 0, 0.14) * seen


def _reduce(layer: Layer, image: np.ndarray, samples: int) -> tuple[Layer, np.ndarray]:
    """Average ``samples`` x ``samples`` rays to a pixel; depth and part are those of the nearest ray."""
    left, top = layer.left // samples, layer.top // samples
    height, width = layer.depth.shape
    rows = -(-(layer.top + height) // samples) - top
    columns = -(-(layer.left + width) // samples) - left
    before = layer.top - top * samples, layer.left - left * samples
    pad = [(b, n * samples - b - size) for b, n, size in zip(before, (rows, columns), (height, width), strict=True)]

    def blocks(a: np.ndarray, fill: float) -> np.ndarray:
        a = np.pad(a, pad + [(0, 0)] * (a.ndim - 2), constant_values=fill)
        return a.reshape(rows, samples, columns, samples, *a.shape[2:])

    depth = blocks(layer.depth, np.inf).transpose(0, 2, 1, 3).reshape(rows, columns, -1)
    part = blocks(layer.part, 0).transpose(0, 2, 1, 3).reshape(rows, columns, -1)
    nearest = depth.argmin(-1)[..., None]
    color = blocks(image, 0).mean((1, 3))  # (h, w, 4), colours still multiplied by coverage
    color[..., :3] /= np.maximum(color[..., 3:], 1e-6)
    reduced = Layer(
        left, top, np.take_along_axis(depth, nearest, -1)[..., 0], np.take_along_axis(part, nearest, -1)[..., 0]
    )
    return reduced, color
