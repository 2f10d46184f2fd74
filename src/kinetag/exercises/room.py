"""The place where mannequins train: floorboards, walls and windows, things that stand about, shadows on the floor.

Everything here stands still, so it is drawn once a scene (with four rays a pixel) and copied for every frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kinetag.exercises.mannequin import METAL, SKIN, Look, paint
from kinetag.exercises.raster import Camera, Layer, Solids

Color = tuple[float, float, float]

WIDTH, BACK, FRONT, HEIGHT = 11.0, -4.2, 12.0, 3.5  # metres: the room spans x in +-WIDTH/2, z from BACK to FRONT
_LIGHT = np.array([-0.28, 1.0, 0.30])  # towards the lamps
_MAP, _SPAN = 320, 10.0  # the shadow map's side in pixels and in metres


@dataclass(frozen=True)
class Block:
    """A box on the floor (or at ``bottom``): ``size`` is width, height, depth in metres, ``turn`` degrees."""

    x: float
    z: float
    size: Color
    color: Color = (0.62, 0.45, 0.29)
    turn: float = 0.0
    bottom: float = 0.0


@dataclass(frozen=True)
class Pillar:
    """A round column from the floor to the ceiling."""

    x: float
    z: float
    radius: float = 0.2
    color: Color = (0.70, 0.69, 0.66)


@dataclass(frozen=True)
class Mat:
    """An exercise mat: paint on the floor that hides nothing."""

    x: float
    z: float
    width: float = 0.75
    length: float = 1.9
    turn: float = 0.0
    color: Color = (0.33, 0.42, 0.62)


@dataclass(frozen=True)
class Pipe:
    """A round bar between two points, such as a pull-up bar or its posts."""

    start: Color
    end: Color
    radius: float = 0.018
    color: Color = (0.32, 0.33, 0.36)


Prop = Block | Pillar | Mat | Pipe


@dataclass
class Backdrop:
    """The empty scene. ``image`` RGB uint8 (H, W, 3), ``depth`` (H, W) metres, ``prop`` (H, W) the index of the thing
    seen + 1, 0 for the room itself; ``floor`` (H, W, 2) where each pixel lies on the shadow map, -1 off the floor."""

    image: np.ndarray
    depth: np.ndarray
    prop: np.ndarray
    floor: np.ndarray


def build(camera: Camera, props: Sequence[Prop], seed: int = 0) -> Backdrop:
    """Draw the empty scene."""
    import cv2

    fine = camera.resized(camera.width * 2, camera.height * 2)
    image, depth, floor = _room(fine, [p for p in props if isinstance(p, Mat)], seed)
    owner = np.zeros(depth.shape, np.uint8)
    solid = [(i, p) for i, p in enumerate(props) if not isinstance(p, Mat)]
    floor_only = floor[..., 0] >= 0
    image[floor_only] *= (1 - _sample(_contact_map([p for _, p in solid]), floor)[floor_only])[:, None]
    for i, prop in solid:
        _draw_prop(fine, prop, i + 1, image, depth, owner)
    size = (camera.width, camera.height)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    floor = floor[::2, ::2].copy()
    floor[owner[::2, ::2] > 0] = -1
    # Odd rows and columns are dropped: depth and owner must stay values of one ray.
    return Backdrop(small.clip(0, 255).astype(np.uint8), depth[::2, ::2].copy(), owner[::2, ::2].copy(), floor)


def _rays(camera: Camera) -> np.ndarray:
    """The ray of every pixel, length 1 along the view axis, (H, W, 3) float32."""
    center, dx, dy = camera.ray_basis.astype(np.float32)
    x = np.arange(camera.width, dtype=np.float32)[None, :, None] + 0.5
    y = np.arange(camera.height, dtype=np.float32)[:, None, None] + 0.5
    return center + x * dx + y * dy


def _room(camera: Camera, mats: list[Mat], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Floor, walls and ceiling: image float32 (H, W, 3), depth (H, W), place on the shadow map (H, W, 2)."""
    rays, eye = _rays(camera), np.array(camera.position, np.float32)
    depth = _enclosure(eye, rays)
    point = eye + depth[..., None] * rays
    floor = point[..., 1] < 1e-3
    image = np.empty_like(point)
    image[~floor] = _walls(point[~floor], seed)
    ground = point[floor]
    color = _boards(ground, depth[floor] / camera.focal_pixels, mats, seed)
    # A polished floor mirrors the far wall a little, more at a flat angle (Schlick 1994).
    mirror = rays[floor] * np.array([1, -1, 1], np.float32)
    reach = _enclosure(ground + np.array([0, 1e-3, 0], np.float32), mirror)
    slope = np.abs(mirror[:, 1]) / np.linalg.norm(mirror, axis=1)
    share = (0.03 + 0.45 * (1 - slope) ** 5)[:, None]
    seen = ground + reach[:, None] * mirror
    share = share * np.clip((HEIGHT - 0.2 - seen[:, 1:2]) / 1.5, 0, 1)  # the ceiling's edge would draw a line
    image[floor] = color * (1 - share) + _walls(seen, seed) * share
    place = np.full((*depth.shape, 2), -1, np.float32)
    place[floor] = _on_map(ground)
    return image * 255, depth, place


def _enclosure(origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Distance along each ray to the room's inside."""
    low = np.array([-WIDTH / 2, 0.0, BACK], np.float32)
    high = np.array([WIDTH / 2, HEIGHT, FRONT], np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        hits = np.maximum((low - origin) / rays, (high - origin) / rays)
    return np.nan_to_num(hits, nan=np.inf, posinf=np.inf).min(-1)


def _noise(*numbers: np.ndarray) -> np.ndarray:
    """A repeatable random number in [0, 1) for whole-number coordinates."""
    mixed = sum(n * k for n, k in zip(numbers, (12.9898, 78.233, 37.719), strict=False))
    return np.modf(np.abs(np.sin(mixed) * 43758.5453))[0]


def _boards(point: np.ndarray, footprint: np.ndarray, mats: list[Mat], seed: int) -> np.ndarray:
    """Wooden floorboards along z, with mats on top; ``footprint`` is a pixel's size in metres. (P, 3) in [0, 1]."""
    x, z = point[:, 0], point[:, 2]
    lane = np.floor(x / 0.17)
    board = np.floor(z / 2.1 + _noise(lane, lane * 0 + seed))
    tone = 0.90 + 0.17 * _noise(lane, board)
    grain = 0.5 * np.sin(55 * x + 9 * np.sin(1.3 * z + lane) + 7 * tone) + 0.5 * np.sin(141 * x + 3 * z)
    tone = tone + 0.022 * grain / (1 + (footprint / 0.006) ** 2)
    across = np.abs(x / 0.17 - np.floor(x / 0.17) - 0.5) * 0.17
    along = np.abs(np.modf(np.abs(z / 2.1 + _noise(lane, lane * 0 + seed)))[0] - 0.5) * 2.1
    gap = np.maximum(across - 0.085, along - 1.05) + 0.0025
    line = np.clip(gap / np.maximum(footprint, 0.002) + 0.5, 0, 1) * np.clip(0.004 / footprint, 0, 1)
    tone = tone * (1 - 0.35 * line)
    color = tone[:, None] * np.array([0.69, 0.54, 0.39], np.float32)
    for mat in mats:
        angle = np.deg2rad(mat.turn)
        u = (x - mat.x) * np.cos(angle) - (z - mat.z) * np.sin(angle)
        v = (x - mat.x) * np.sin(angle) + (z - mat.z) * np.cos(angle)
        corner = np.maximum(np.abs([u, v]).T - (mat.width / 2 - 0.05, mat.length / 2 - 0.05), 0)
        inside = np.clip((0.05 - np.linalg.norm(corner, axis=1)) / np.maximum(footprint, 0.004) + 0.5, 0, 1)[:, None]
        color = (
            color * (1 - inside) + np.array(mat.color, np.float32) * inside * (0.97 + 0.03 * np.sin(90 * v))[:, None]
        )
    pool = np.exp(-((x / 5.5) ** 2) - ((z - 0.8) / 6.0) ** 2)  # lamps over the middle
    edge = np.clip(np.minimum(z - BACK, WIDTH / 2 - np.abs(x)) / 0.7, 0, 1)
    return color * ((0.62 + 0.45 * pool) * (0.72 + 0.28 * edge))[:, None]


def _walls(point: np.ndarray, seed: int) -> np.ndarray:
    """Plaster over a coloured dado, windows and wall bars on the back wall, a pale ceiling. (P, 3) in [0, 1]."""
    x, y, z = point.T
    back = z < BACK + 1e-2
    across = np.where(back, x, z)
    accents = np.array([[0.35, 0.51, 0.55], [0.46, 0.52, 0.42], [0.40, 0.44, 0.56], [0.60, 0.47, 0.40]], np.float32)
    color = np.broadcast_to(np.array([0.80, 0.79, 0.75], np.float32), (len(x), 3)).copy()
    color *= (1 + 0.015 * np.sin(7 * across + 2 * np.sin(3 * y)))[:, None]
    color[y < 1.15] = accents[seed % len(accents)]
    color[(y > 1.15) & (y < 1.20)] = (0.90, 0.89, 0.86)
    color[y < 0.12] = (0.30, 0.29, 0.28)
    _window(color, back, x, y)
    _wall_bars(color, back, x, y)
    color[y > HEIGHT - 1e-2] = (0.83, 0.83, 0.82)
    lamp = np.exp(-((np.where(back, x, 0) / 5.0) ** 2)) * (0.85 + 0.15 * np.clip(y / 2.5, 0, 1))
    corner = np.clip(np.where(back, WIDTH / 2 - np.abs(x), z - BACK) / 0.9, 0, 1)
    foot = np.clip(y / 0.35, 0, 1)
    side = np.where(back, 1.0, 0.90)
    return color * ((0.74 + 0.28 * lamp) * (0.86 + 0.14 * corner) * (0.88 + 0.12 * foot) * side)[:, None]


def _window(color: np.ndarray, back: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    for center in (-3.0, 0.35, 3.7):
        u, v = np.abs(x - center), np.abs(y - 2.15)
        color[back & (u < 0.98) & (v < 0.60)] = (0.93, 0.93, 0.92)
        pane = back & (u < 0.92) & (v < 0.54) & (u > 0.025)
        sky = np.clip((y[pane] - 1.6) / 1.1, 0, 1)[:, None]
        color[pane] = (1 - sky) * np.array([0.88, 0.92, 0.92]) + sky * np.array([0.72, 0.84, 0.95])


def _wall_bars(color: np.ndarray, back: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    for center in (-1.33, 2.02):
        u = np.abs(x - center)
        panel = back & (u < 0.46) & (y < 2.75) & (y > 0.12)
        color[panel & (np.abs(np.mod(y, 0.2) - 0.1) < 0.022)] = (0.74, 0.58, 0.40)
        color[panel & (np.abs(np.mod(y, 0.2) - 0.065) < 0.012)] *= 0.80  # the rung's shadow
        color[panel & (u > 0.41)] = (0.66, 0.50, 0.34)


def _draw_prop(camera: Camera, prop: Prop, index: int, image: np.ndarray, depth: np.ndarray, owner: np.ndarray) -> None:
    if isinstance(prop, Block):
        drawn = _block(camera, prop)
    else:
        solids = Solids()
        if isinstance(prop, Pillar):
            base, top = np.array([prop.x, -prop.radius, prop.z]), np.array([prop.x, HEIGHT + 1, prop.z])
            solids.add(base, top, prop.radius, prop.radius, prop.color, SKIN)
        elif isinstance(prop, Pipe):
            solids.add(np.array(prop.start), np.array(prop.end), prop.radius, prop.radius, prop.color, METAL)
        drawn = paint(camera, solids, None, Look())
    if drawn is None:
        return
    layer, color = drawn
    window = layer.window
    nearer = layer.depth < depth[window]
    image[window][nearer] = color[..., :3][nearer]
    depth[window][nearer] = layer.depth[nearer]
    owner[window][nearer] = index


def _block(camera: Camera, block: Block) -> tuple[Layer, np.ndarray] | None:
    """A shaded box by the slab test (Kay and Kajiya 1986), over the rectangle of its corners."""
    angle, half = np.deg2rad(block.turn), np.array(block.size) / 2
    turn = np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]])  # world -> own
    center = np.array([block.x, block.bottom + half[1], block.z])
    signs = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)])
    pixels, depth = camera.project(center + (signs * half) @ turn)
    if (depth < 0.1).any():
        return None
    (x0, y0), (x1, y1) = (f(pixels, 0) for f in (np.min, np.max))
    left, right = int(np.clip(x0, 0, camera.width)), int(np.clip(x1 + 1, 0, camera.width))
    top, bottom = int(np.clip(y0, 0, camera.height)), int(np.clip(y1 + 1, 0, camera.height))
    if right <= left or bottom <= top:
        return None
    rays = _rays(camera)[top:bottom, left:right] @ turn.T
    origin = (np.array(camera.position) - center) @ turn.T
    with np.errstate(divide="ignore", invalid="ignore"):
        near, far = ((-np.sign(rays) * half - origin) / rays), ((np.sign(rays) * half - origin) / rays)
    enter, leave = near.max(-1), far.min(-1)
    hit = (enter < leave) & (enter > 0)
    own = origin + enter[..., None] * rays
    face = near.argmax(-1)
    normal = np.zeros_like(own)
    np.put_along_axis(normal, face[..., None], -np.sign(np.take_along_axis(rays, face[..., None], -1)), -1)
    normal = normal @ turn
    light = 0.42 + 0.5 * np.clip(normal @ (_LIGHT / np.linalg.norm(_LIGHT)), 0, 1) + 0.08 * normal[..., 0]
    light *= 0.80 + 0.20 * np.clip((own[..., 1] + half[1] + block.bottom) / 0.3, 0, 1)
    # Rounded-looking edges and a little grain
    rim = np.sort(half - np.abs(own), -1)[..., 1]
    light *= 1 + 0.18 * np.clip(1 - rim / 0.012, 0, 1)
    light *= 1 + 0.02 * np.sin(60 * own[..., 1] + 4 * np.sin(5 * own[..., 0] + 3 * own[..., 2]))
    color = 255 * np.sqrt(np.clip(np.square(block.color) * light[..., None] * 1.35, 0, 1))
    return Layer(left, top, np.where(hit, enter, np.inf), np.zeros(hit.shape, int)), color


# ---- shadows


def _on_map(points: np.ndarray) -> np.ndarray:
    """World points (..., 3) -> pixels of the shadow map (..., 2)."""
    return ((points[..., [0, 2]] - (-_SPAN / 2, -_SPAN / 2 - 0.8 + 1.6)) * (_MAP / _SPAN)).astype(np.float32)


def shadow_map(people: Sequence[Solids]) -> np.ndarray:
    """How much light people take from each spot of the floor, float32 (320, 320) in [0, 1]."""
    import cv2

    cast = np.zeros((_MAP, _MAP), np.uint8)
    contact = np.zeros((_MAP, _MAP), np.uint8)
    scale = _MAP / _SPAN
    for solids in people:
        ends = np.array([solids.start, solids.end])  # (2, N, 3)
        dropped = ends - ends[..., 1:2] * (_LIGHT / _LIGHT[1])
        # Where a solid is stretched, its width lies between the largest and smallest axis.
        wide = 1 / np.sqrt(np.linalg.norm(np.array(solids.shape), axis=(1, 2)) ** 2 / 3)
        radius = np.array(solids.radius).max(1) * wide
        height = ends[..., 1].min(0) - radius
        lines = np.round(_on_map(dropped) * 8).astype(int)
        below = np.round(_on_map(ends) * 8).astype(int)
        for i in range(len(radius)):
            width = max(1, round(2 * radius[i] * scale))
            cv2.line(cast, lines[0, i].tolist(), lines[1, i].tolist(), 255, width, cv2.LINE_AA, 3)
            if height[i] < 0.15:
                level = int(255 * (1 - max(height[i], 0) / 0.15))
                cv2.line(contact, below[0, i].tolist(), below[1, i].tolist(), level, width, cv2.LINE_AA, 3)
    soft = cv2.GaussianBlur(cast.astype(np.float32), (0, 0), 2.6)
    tight = cv2.GaussianBlur(contact.astype(np.float32), (0, 0), 1.1)
    return 1 - (1 - 0.38 / 255 * soft) * (1 - 0.45 / 255 * tight)


def _contact_map(props: Sequence[Prop]) -> np.ndarray:
    """Soft shadows under the things that stand about."""
    import cv2

    shade = np.zeros((_MAP, _MAP), np.float32)
    for prop in props:
        if isinstance(prop, Block):
            angle, (w, h, d) = np.deg2rad(prop.turn), prop.size
            u = np.array([np.cos(angle), 0, -np.sin(angle)]) * w / 2
            v = np.array([np.sin(angle), 0, np.cos(angle)]) * d / 2
            middle = np.array([prop.x, 0, prop.z]) - 0.25 * h * _LIGHT * (1, 0, 1)
            corners = np.array([middle + u + v, middle + u - v, middle - u - v, middle - u + v])
            cv2.fillConvexPoly(shade, np.round(_on_map(corners)).astype(np.int32), 1.0)
        elif isinstance(prop, Pillar):
            x, z = _on_map(np.array([prop.x + 0.05, 0, prop.z - 0.05]))
            cv2.circle(shade, (round(float(x)), round(float(z))), round(1.25 * prop.radius * _MAP / _SPAN), (1.0,), -1)
    return 0.5 * cv2.GaussianBlur(shade, (0, 0), 3.0)


def _sample(shade: np.ndarray, floor: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.remap(shade, floor[..., 0], floor[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def cast_shadows(image: np.ndarray, backdrop: Backdrop, people: Sequence[Solids]) -> None:
    """Darken the floor of ``image`` (uint8, in place) where people take its light."""
    if people:
        shade = _sample(shadow_map(people), backdrop.floor)
        rows = np.flatnonzero(shade.max(1) > 0.004)
        columns = np.flatnonzero(shade.max(0) > 0.004)
        if len(rows):
            window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
            image[window] = image[window] * (1 - shade[window])[..., None]


def moved(prop: Prop, x: float, z: float) -> Prop:
    """The same thing elsewhere on the floor."""
    if isinstance(prop, Pipe):
        return replace(
            prop,
            start=(prop.start[0] + x, prop.start[1], prop.start[2] + z),
            end=(prop.end[0] + x, prop.end[1], prop.end[2] + z),
        )
    return replace(prop, x=prop.x + x, z=prop.z + z)
