"""How a clip's numbers are made: from keypoints in pixels or metres to what a network is given.

Reading data sets and classifying live windows share these functions, so a trained model sees the numbers it knows.
"""

import numpy as np

from kinetag.errors import KinetagError

_LIMIT = 6.0  # body sizes; a wilder coordinate is an outlier
FLAT = ("pixels", "frame", "body")  # made from x and y in the picture


def normalise(
    points: np.ndarray, confidence: np.ndarray, coordinates: str, frame_size: tuple[int, int] | None = None
) -> np.ndarray:
    """Points (T, V, D) of one clip in the coordinates asked for, float32, zero where ``confidence`` (T, V) is 0.

    'frame' is x / width - 0.5, y / height - 0.5, and needs ``frame_size``; 'body' has the clip's mean body centre as
    its origin and the root mean square distance of the joints from it as its unit, so it does not depend on
    distance and resolution; 'pixels' and 'metres' are as they come. Several people go in as (T, M * V, D).
    """
    seen = (confidence > 0)[..., None] & np.isfinite(points).all(axis=-1, keepdims=True)  # (T, V, 1)
    points = np.where(seen, points, 0).astype(np.float32)
    if coordinates == "frame":
        if frame_size is None or min(frame_size) < 1:
            raise KinetagError("coordinates 'frame' need the frame's size, which the file does not state; use 'body'")
        points[..., 0] = points[..., 0] / frame_size[0] - 0.5
        points[..., 1] = points[..., 1] / frame_size[1] - 0.5
    elif coordinates == "body":
        points = _body(points, np.where(seen, confidence[..., None], 0).astype(np.float32))
    elif coordinates not in ("pixels", "metres"):
        raise KinetagError(f"coordinates '{coordinates}' cannot be made from these poses; use body, frame or pixels")
    return np.where(seen, points, 0)


def _body(points: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Centred and scaled, as in `kinetag.features.window_features`; ``weight`` (T, V, 1) is the confidence."""
    frame = weight.sum(axis=1, keepdims=True)  # (T, 1, 1)
    centre = (points * weight).sum(axis=1, keepdims=True) / np.maximum(frame, 1e-6)
    total = max(float(frame.sum()), 1e-6)
    scale = np.sqrt((((points - centre) ** 2).sum(axis=-1, keepdims=True) * weight).sum() / total)
    middle = (centre * frame).sum(axis=0, keepdims=True) / total
    return np.clip((points - middle) / max(float(scale), 1e-6), -_LIMIT, _LIMIT)


def channel_names(count: int, coordinates: str, source: str) -> tuple[str, ...]:
    """The channels that ``model.input_channels`` stands for: x, y, then z in space, then the confidence."""
    axes = ("x", "y") if coordinates in FLAT else ("x", "y", "z")
    if count == len(axes):
        return axes
    if count == len(axes) + 1:
        return (*axes, "confidence")
    raise KinetagError(
        f"{source}: model.input_channels is {count}, but poses in coordinates '{coordinates}' give {len(axes)} "
        f"({', '.join(axes)}) or {len(axes) + 1} (and the confidence)"
    )


def stack(points: np.ndarray, confidence: np.ndarray, channels: tuple[str, ...]) -> np.ndarray:
    """Points (T, V, D) and confidence (T, V) of one person -> a clip (C, T, V, 1) float32."""
    parts = [np.moveaxis(points, -1, 0)]
    if channels[-1] == "confidence":
        parts.append(confidence[None])
    return np.concatenate(parts).astype(np.float32)[..., None]
