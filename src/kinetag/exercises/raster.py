"""A small ray caster for rounded solids: pinhole camera, round cones, depth, deferred shading.

Every solid is a *round cone*: two balls and the cone that touches both, seen through a linear map, so that one
formula gives balls, ellipsoids, capsules, tapered limbs and flattened trunks. A pixel's ray meets a round cone in
closed form (a quadratic whose coefficients are affine in the pixel's coordinates), which numpy solves for all pixels
of the solid's bounding box at once.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

NEAR = 0.15  # metres: what is nearer to the lens is not drawn


@dataclass(frozen=True)
class Camera:
    """A pinhole camera. World: metres, right-handed, Y up.

    ``focal`` is the focal length in image heights (1.1 is a phone's main camera, held upright or flat), so the same
    camera gives the same picture at any resolution. ``roll`` degrees turn the camera clockwise about its view axis.
    """

    position: tuple[float, float, float] = (0.0, 1.2, 4.5)
    target: tuple[float, float, float] = (0.0, 0.9, 0.0)
    focal: float = 1.1
    width: int = 640
    height: int = 360
    roll: float = 0.0

    @cached_property
    def axes(self) -> np.ndarray:
        """Right, up and forward as rows, (3, 3)."""
        forward = np.subtract(self.target, self.position)
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, (0.0, 1.0, 0.0))
        right = right / np.linalg.norm(right)
        up = np.cross(right, forward)
        cos, sin = np.cos(np.deg2rad(self.roll)), np.sin(np.deg2rad(self.roll))
        return np.array([cos * right - sin * up, cos * up + sin * right, forward])

    @property
    def focal_pixels(self) -> float:
        return self.focal * self.height

    def resized(self, width: int, height: int) -> "Camera":
        return replace(self, width=width, height=height)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World points (..., 3) -> pixels (..., 2) with x right and y down, and depth (...) along the view axis.

        Points behind the lens have no picture: their pixels are NaN.
        """
        local = (np.asarray(points, float) - self.position) @ self.axes.T
        depth = local[..., 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.where(depth > 1e-6, self.focal_pixels / depth, np.nan)
        x = self.width / 2 + local[..., 0] * scale
        y = self.height / 2 - local[..., 1] * scale
        return np.stack([x, y], -1), depth

    @property
    def ray_basis(self) -> np.ndarray:
        """Rows c, dx, dy (3, 3): the ray through pixel (x, y) is c + x dx + y dy, of length 1 along the view axis."""
        right, up, forward = self.axes
        dx, dy = right / self.focal_pixels, -up / self.focal_pixels
        return np.array([forward - dx * self.width / 2 - dy * self.height / 2, dx, dy])


@dataclass
class Solids:
    """Round cones to draw. Row i joins a ball at ``start`` to a ball at ``end`` after the linear map ``shape``.

    ``shape`` maps world vectors to the solid's own space, where the balls are round with radius ``radius[:, 0]`` and
    ``radius[:, 1]`` (metres). ``color`` is RGB in [0, 1]; ``material`` chooses the shading.
    """

    start: list[np.ndarray] = field(default_factory=list)
    end: list[np.ndarray] = field(default_factory=list)
    radius: list[tuple[float, float]] = field(default_factory=list)
    shape: list[np.ndarray] = field(default_factory=list)
    color: list[tuple[float, float, float]] = field(default_factory=list)
    material: list[int] = field(default_factory=list)

    def add(self, start, end, first, last, color, material=0, shape=None) -> None:
        """One round cone from ``start`` (radius ``first``) to ``end`` (radius ``last``)."""
        self.start.append(start)
        self.end.append(end)
        self.radius.append((first, last))
        self.shape.append(_IDENTITY if shape is None else shape)
        self.color.append(color)
        self.material.append(material)

    def __len__(self) -> int:
        return len(self.start)


_IDENTITY = np.eye(3)


def stretched(axes: np.ndarray, scale: tuple[float, float, float]) -> np.ndarray:
    """The ``shape`` that widens a solid by ``scale`` along the three rows of ``axes``, (3, 3)."""
    return axes / np.asarray(scale)[:, None]


@dataclass
class Layer:
    """What was drawn in a rectangle: depth (h, w), inf where nothing is, and the solid's index (h, w)."""

    left: int
    top: int
    depth: np.ndarray
    part: np.ndarray

    @property
    def window(self) -> tuple[slice, slice]:
        height, width = self.depth.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def bounds(camera: Camera, solids: Solids) -> np.ndarray:
    """Rectangles (N, 4) left, top, right, bottom in pixels that hold each solid; NaN for one behind the lens."""
    inverse = np.linalg.inv(np.array(solids.shape))
    # support of a mapped ball along a camera axis u: radius * |shape^-T u|
    support = np.linalg.norm(np.einsum("nij,ki->nkj", inverse, camera.axes), axis=-1)  # (N, 3)
    radius = np.array(solids.radius)
    boxes = []
    for ends, r in ((solids.start, radius[:, 0]), (solids.end, radius[:, 1])):
        pixels, depth = camera.project(np.array(ends))
        near = depth - r * support[:, 2]
        near = np.where(near > NEAR, near, np.nan)
        half = camera.focal_pixels * r[:, None] * support[:, :2] / near[:, None]
        # Perspective moves the outline of a ball away from the image centre a little.
        shift = np.abs(pixels - (camera.width / 2, camera.height / 2)) * (r * support[:, 2] / near)[:, None] ** 2
        boxes.append((pixels - half - shift, pixels + half + shift))
    low = np.minimum(boxes[0][0], boxes[1][0])
    high = np.maximum(boxes[0][1], boxes[1][1])
    return np.concatenate([low, high], axis=1)


def draw(camera: Camera, solids: Solids) -> Layer | None:
    """Depth and nearest solid for every pixel that the solids cover; None when they are all out of the picture."""
    boxes = bounds(camera, solids)
    size = (camera.width, camera.height)
    low = np.clip(np.floor(boxes[:, :2]), 0, size)
    high = np.clip(np.ceil(boxes[:, 2:]) + 1, 0, size)
    seen = ((high - low) > 0).all(1)  # NaN compares false
    if not seen.any():
        return None
    low[~seen] = high[~seen] = 0
    left, top = low[seen].min(0).astype(int)
    right, bottom = high[seen].max(0).astype(int)
    layer = Layer(
        left,
        top,
        np.full((bottom - top, right - left), np.inf, np.float32),
        np.zeros((bottom - top, right - left), int),
    )
    _fill(layer, _coefficients(camera, solids), np.flatnonzero(seen), low.astype(int), high.astype(int))
    return layer


_BATCH = 12_000  # pixels worked on at once: enough to hide numpy's own cost, few enough to stay in the cache


def _fill(layer: Layer, table: np.ndarray, ids: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    """Put the solids ``ids`` with rectangles ``low`` to ``high`` (N, 2) into the layer, nearest first wins."""
    size = high - low  # (N, 2) width, height
    counts = size[ids].prod(1)
    batch = np.cumsum(counts) // _BATCH
    for number in np.unique(batch):
        group = ids[batch == number]
        own = counts[batch == number]
        starts = np.cumsum(own) - own
        flat = np.arange(own.sum()) - np.repeat(starts, own)
        row, column = np.divmod(flat, np.repeat(size[group, 0], own))
        x = (column + np.repeat(low[group, 0], own)).astype(np.float32) + np.float32(0.5)
        y = (row + np.repeat(low[group, 1], own)).astype(np.float32) + np.float32(0.5)
        depth = _hit(np.repeat(table[:, group], own, axis=1), x, y)
        for i, start, count in zip(group.tolist(), starts.tolist(), own.tolist(), strict=True):
            (x0, y0), (width, height) = low[i].tolist(), size[i].tolist()
            window = slice(y0 - layer.top, y0 - layer.top + height), slice(x0 - layer.left, x0 - layer.left + width)
            mine = depth[start : start + count].reshape(height, width)
            nearer = mine < layer.depth[window]
            np.copyto(layer.depth[window], mine, where=nearer)
            np.copyto(layer.part[window], i, where=nearer)


def _coefficients(camera: Camera, solids: Solids) -> np.ndarray:
    """What ``_hit`` needs of each solid, float32 (18, N)."""
    shape, (first, last) = np.array(solids.shape), np.array(solids.radius).T
    start, end = np.array(solids.start, float), np.array(solids.end, float)
    axis = np.einsum("nij,nj->ni", shape, end - start)
    # One ball holds the other: only the larger shows.
    inside = (axis * axis).sum(1) - (first - last) ** 2 <= 1e-9
    start = np.where((inside & (last > first))[:, None], end, start)
    first = np.where(inside, np.maximum(first, last), first)
    last = np.where(inside, first, last)
    axis[inside] = 0
    origin = np.einsum("nij,nj->ni", shape, np.array(camera.position) - start)
    rays = np.einsum("nij,kj->nki", shape, camera.ray_basis)  # (N, 3: c dx dy, 3)
    square = np.einsum("nki,nli->nkl", rays, rays)
    along, offset = (axis * axis).sum(1), first - last
    axis_origin, origin_origin = (axis * origin).sum(1), (origin * origin).sum(1)
    rows = [
        square[:, 0, 0], 2 * square[:, 0, 1], square[:, 1, 1], 2 * square[:, 0, 2], square[:, 2, 2],
        2 * square[:, 1, 2],
        *np.einsum("ni,nki->kn", axis, rays),
        *np.einsum("ni,nki->kn", origin, rays),
        along - offset**2,
        axis_origin - offset * first,
        (along - offset**2) * origin_origin - axis_origin**2 + 2 * axis_origin * offset * first - along * first**2,
        origin_origin - first**2,
        origin_origin - 2 * axis_origin + along - last**2,
        inside,
    ]  # fmt: skip
    return np.array(rows, np.float32)


def _hit(c: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Depth (P,) at which the rays of pixels (x, y) enter round cones with coefficients c (18, P); inf for a miss.

    After Quilez, 'Round cone - intersection' (MIT), for rays of any length: the cone's side, and the two balls.
    """
    ray_ray = c[0] + x * (c[1] + c[2] * x) + y * (c[3] + c[4] * y + c[5] * x)
    axis_ray = c[6] + c[7] * x + c[8] * y
    origin_ray = c[9] + c[10] * x + c[11] * y
    slant, shift, k0, start_square, end_square, no_side = c[12:]
    k2 = slant * ray_ray - axis_ray * axis_ray
    k1 = slant * origin_ray - shift * axis_ray
    h = k1 * k1 - k0 * k2
    with np.errstate(divide="ignore", invalid="ignore"):
        side = (-k1 - np.sqrt(np.maximum(h, 0))) / k2
    height = shift + side * axis_ray
    # Written so that NaN counts as a miss.
    side[~((h >= 0) & (height >= 0) & (height <= slant)) | (no_side > 0)] = np.inf
    near = _ball(origin_ray, ray_ray, start_square)
    far = _ball(origin_ray - axis_ray, ray_ray, end_square)
    return np.minimum(np.minimum(near, far), side)


def _ball(origin_ray: np.ndarray, ray_ray: np.ndarray, constant: np.ndarray) -> np.ndarray:
    h = origin_ray * origin_ray - constant * ray_ray
    out = (-origin_ray - np.sqrt(np.maximum(h, 0))) / ray_ray
    out[h < 0] = np.inf
    return out


@dataclass
class Surface:
    """The visible points of a layer, one row a covered pixel: where, which solid, and how it is turned."""

    rows: np.ndarray  # (P,) in the layer
    columns: np.ndarray  # (P,)
    part: np.ndarray  # (P,) index of the solid
    position: np.ndarray  # (P, 3) world
    normal: np.ndarray  # (P, 3) world, unit
    local: np.ndarray  # (P, 3) in the solid's own space, from its start
    view: np.ndarray  # (P, 3) unit, towards the camera


def surface(camera: Camera, solids: Solids, layer: Layer) -> Surface:
    """World position and normal of every covered pixel of a layer."""
    rows, columns = np.nonzero(np.isfinite(layer.depth))
    part, depth = layer.part[rows, columns], layer.depth[rows, columns]
    pixel = np.stack([np.ones(len(rows)), columns + layer.left + 0.5, rows + layer.top + 0.5], 1).astype(np.float32)
    ray = pixel @ camera.ray_basis.astype(np.float32)
    position = np.asarray(camera.position, np.float32) + depth[:, None] * ray
    shape = np.array(solids.shape, np.float32)
    start = np.array(solids.start, np.float32)
    axis = np.einsum("nij,nj->ni", shape, np.array(solids.end, np.float32) - start)
    first, last = np.array(solids.radius, np.float32).T
    slant = (axis * axis).sum(1) - (first - last) ** 2
    matrix = shape[part]  # (P, 3, 3)
    local = np.einsum("pij,pj->pi", matrix, position - start[part])
    with np.errstate(divide="ignore", invalid="ignore"):
        along = ((local * axis[part]).sum(1) - (first * (first - last))[part]) / slant[part]
    # One ball inside the other: the larger one is all there is.
    along = np.where(slant[part] > 1e-9, np.clip(along, 0, 1), (last > first)[part])
    normal = np.einsum("pij,pi->pj", matrix, local - along[:, None] * axis[part])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    view = -ray / np.linalg.norm(ray, axis=1, keepdims=True)
    return Surface(rows, columns, part, position, normal, local, view)
