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
    camera gives the same picture at any resolution.
    """

    position: tuple[float, float, float] = (0.0, 1.2, 4.5)
    target: tuple[float, float, float] = (0.0, 0.9, 0.0)
    focal: float = 1.1
    width: int = 640
    height: int = 360

    @cached_property
    def axes(self) -> np.ndarray:
        """Right, up and forward as rows, (3, 3)."""
        forward = np.subtract(self.target, self.position)
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, (0.0, 1.0, 0.0))
        right = right / np.linalg.norm(right)
        return np.array([right, np.cross(right, forward), forward])

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
    left, top = low[seen].min(0).astype(int)
    right, bottom = high[seen].max(0).astype(int)
    layer = Layer(
        left,
        top,
        np.full((bottom - top, right - left), np.inf, np.float32),
        np.zeros((bottom - top, right - left), int),
    )
    quadratics = _Quadratics(camera, solids)
    for i in np.flatnonzero(seen).tolist():
        (x0, y0), (x1, y1) = low[i].astype(int), high[i].astype(int)
        depth = quadratics.depth(i, np.arange(x0, x1) + 0.5, np.arange(y0, y1) + 0.5)
        window = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
        nearer = depth < layer.depth[window]
        layer.depth[window][nearer] = depth[nearer]
        layer.part[window][nearer] = i
    return layer


class _Quadratics:
    """The ray-round-cone quadratics of many solids (after Quilez, 'Round cone - intersection', for any ray length)."""

    def __init__(self, camera: Camera, solids: Solids) -> None:
        shape = np.array(solids.shape)
        start, end = np.array(solids.start, float), np.array(solids.end, float)
        axis = np.einsum("nij,nj->ni", shape, end - start)
        origin = np.einsum("nij,nj->ni", shape, np.array(camera.position) - start)
        rays = np.einsum("nij,kj->nki", shape, camera.ray_basis)  # (N, 3: c dx dy, 3)
        first, last = np.array(solids.radius).T
        along, offset = (axis * axis).sum(1), first - last
        self.slant = along - offset**2  # > 0 unless one ball holds the other
        self.axis_ray = np.einsum("ni,nki->nk", axis, rays)
        self.origin_ray = np.einsum("ni,nki->nk", origin, rays)
        self.ray_ray = np.einsum("nki,nli->nkl", rays, rays)
        self.axis_origin = (axis * origin).sum(1)
        self.origin_origin = (origin * origin).sum(1)
        self.along, self.first, self.last, self.offset = along, first, last, offset

    def depth(self, i: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Depth of solid i for pixel columns x (w,) and rows y (h,): (h, w), inf where the ray misses."""
        rows, columns = y[:, None].astype(np.float32), x[None].astype(np.float32)

        def affine(c: np.ndarray) -> np.ndarray:
            return (float(c[0]) + float(c[2]) * rows) + float(c[1]) * columns

        q = self.ray_ray[i]
        ray_ray = (float(q[0, 0]) + rows * (2 * float(q[0, 2]) + float(q[2, 2]) * rows)) + columns * (
            (2 * float(q[0, 1]) + float(q[1, 1]) * columns) + (2 * float(q[1, 2])) * rows
        )
        origin_ray = affine(self.origin_ray[i])
        first, last, slant = float(self.first[i]), float(self.last[i]), float(self.slant[i])
        if slant <= 1e-9:  # one ball holds the other: only the larger shows
            if first >= last:
                return _ball(origin_ray, ray_ray, float(self.origin_origin[i]) - first**2)
            to_end = origin_ray - affine(self.axis_ray[i])
            return _ball(to_end, ray_ray, self._end_distance(i) - last**2)
        axis_ray = affine(self.axis_ray[i])
        m1, offset = float(self.axis_origin[i]), float(self.offset[i])
        k2 = slant * ray_ray - axis_ray * axis_ray
        k1 = slant * origin_ray - (m1 - offset * first) * axis_ray
        k0 = slant * float(self.origin_origin[i]) - m1**2 + 2 * m1 * offset * first - float(self.along[i]) * first**2
        h = k1 * k1 - k0 * k2
        side = (-k1 - np.sqrt(np.maximum(h, 0))) / k2
        height = (m1 - first * offset) + side * axis_ray
        side[(h < 0) | (height < 0) | (height > slant)] = np.inf
        near = _ball(origin_ray, ray_ray, float(self.origin_origin[i]) - first**2)
        far = _ball(origin_ray - axis_ray, ray_ray, self._end_distance(i) - last**2)
        return np.minimum(np.minimum(near, far), side)

    def _end_distance(self, i: int) -> float:
        return float(self.origin_origin[i] - 2 * self.axis_origin[i] + self.along[i])


def _ball(origin_ray: np.ndarray, ray_ray: np.ndarray, constant: float) -> np.ndarray:
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
