"""Square, turned regions of a picture: what a network gets to see, and the way back to the picture's pixels."""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

# BlazePose's rule: the side is 2.5 times the distance between a person's two alignment points.
_SCALE = 2.5


@dataclass(frozen=True)
class Region:
    """A square around (``x``, ``y``) with sides of ``size`` pixels, turned by ``angle`` radians (clockwise as seen)."""

    x: float
    y: float
    size: float
    angle: float = 0.0

    @classmethod
    def around(cls, points: np.ndarray) -> "Region":
        """The region of a person from BlazePose's two alignment points (2, 2): mid-hip, and the end of the full body.

        Centre: the first point; up: towards the second (Bazarevsky et al. 2020, "BlazePose", section 2.1).
        """
        (x, y), (end_x, end_y) = points.tolist()
        across, down = end_x - x, end_y - y
        return cls(x, y, _SCALE * math.hypot(across, down), math.atan2(across, -down))

    @property
    def sane(self) -> bool:
        return math.isfinite(self.x + self.y + self.size + self.angle) and self.size >= 8

    def moved(self, across: float, down: float) -> "Region":
        return replace(self, x=self.x + across, y=self.y + down)

    def turned(self, angle: float) -> "Region":
        return replace(self, angle=self.angle + angle)

    def scaled(self, factor: float) -> "Region":
        return replace(self, size=self.size * factor)

    def matrix(self, side: int) -> np.ndarray:
        """Picture pixels -> pixels of the ``side`` x ``side`` crop, affine (2, 3)."""
        scale = side / self.size
        cos, sin = scale * math.cos(self.angle), scale * math.sin(self.angle)
        half = side / 2
        return np.array(
            [
                [cos, sin, half - cos * self.x - sin * self.y],
                [-sin, cos, half + sin * self.x - cos * self.y],
            ]
        )

    def crop(self, image: np.ndarray, side: int, *, border: int = cv2.BORDER_REPLICATE) -> np.ndarray:
        """What the region shows, uint8 (side, side, 3)."""
        return cv2.warpAffine(image, self.matrix(side), (side, side), flags=cv2.INTER_LINEAR, borderMode=border)

    def to_picture(self, points: np.ndarray, side: int) -> np.ndarray:
        """Points (..., 2) in crop pixels -> picture pixels."""
        scale = self.size / side
        cos, sin = scale * math.cos(self.angle), scale * math.sin(self.angle)
        back = np.array([[cos, sin], [-sin, cos]])
        return (points - side / 2) @ back + (self.x, self.y)

    def distance(self, other: "Region") -> float:
        return math.hypot(other.x - self.x, other.y - self.y)

    def offset(self, other: "Region") -> tuple[float, float, float]:
        """How far ``other`` is: centre (in sides of this one), size (as |log ratio|), and angle (radians, 0 to pi)."""
        distance = self.distance(other) / self.size
        turn = abs(math.remainder(other.angle - self.angle, math.tau))
        return distance, abs(math.log(other.size / self.size)), turn

    def near(self, other: "Region") -> bool:
        """So alike that both show the same person, upright or not."""
        distance, size, _ = self.offset(other)
        return distance < 0.12 and size < 0.35
