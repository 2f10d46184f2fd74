"""Skeletons and label tags drawn on a frame, legible from 240p to 4K, faces left free."""

from dataclasses import dataclass

import cv2
import numpy as np

from kinetag.report.style import person_color
from kinetag.skeletons import Layout, get_layout

_HEAD = ("nose", "eye", "ear", "mouth", "head")  # never drawn on: faces stay free
_FINGERS = ("pinky", "index", "thumb", "middle", "knuckle", "tip")
_SEEN, _FAINT = 0.5, 0.15  # confidence from which a joint is drawn fully, and at all
_INK, _PAPER = (16, 18, 22), (255, 255, 255)
_SUBPIXEL = 4  # bits: lines move smoothly at any size
_TAGS_KEPT = 256
_LONGEST = 26  # letters of what somebody does

Box = tuple[int, int, int, int]  # left, top, right, bottom


@dataclass(frozen=True)
class Shown:
    """One person as drawn in one frame; ``label`` as it is said, ``repetitions`` None where they are not counted."""

    id: int
    keypoints: np.ndarray  # (V, 2) pixels
    confidence: np.ndarray  # (V,)
    layout: str
    label: str | None = None
    sure: float = 0.0
    repetitions: int | None = None

    def seen(self) -> np.ndarray:
        """(V,) bool: joints that are known at all."""
        return np.isfinite(self.keypoints).all(axis=1) & (self.confidence >= _FAINT)


class Painter:
    """Draws people on frames of one size. It remembers where each person's tag was, so that tags do not hop about."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        side = min(width, height)
        self.text_size = max(12, round(side * 0.034))  # pixels
        self.line = max(1.5, side * 0.0065)
        self._tags: dict[tuple[int, str], np.ndarray] = {}
        self._places: dict[int, int] = {}

    def reset(self) -> None:
        self._places.clear()

    def paint(self, image: np.ndarray, people: list[Shown]) -> np.ndarray:
        """A copy of ``image`` (H, W, 3) uint8 RGB with everybody's skeleton and tag."""
        image = np.ascontiguousarray(image).copy()
        for person in people:
            self.skeleton(image, person)
        taken = [face for face in map(_face, people) if face is not None]
        for person in people:
            if person.seen().any():
                taken.append(self._tag(image, person, taken))
        return image

    def skeleton(self, image: np.ndarray, person: Shown) -> None:
        """Draw bones and joints in place; those of low confidence shine through."""
        seen = person.seen()
        layout = get_layout(person.layout)
        limbs, joints = _drawn(layout)
        limbs = [(a, b) for a, b in limbs if seen[a] and seen[b]]
        joints = [joint for joint in joints if seen[joint]]
        sure = person.confidence >= _SEEN
        faint = [(a, b) for a, b in limbs if not (sure[a] and sure[b])], [j for j in joints if not sure[j]]
        clear = [(a, b) for a, b in limbs if sure[a] and sure[b]], [j for j in joints if sure[j]]
        if faint[0] or faint[1]:
            left, top, right, bottom = self._around(person.keypoints[seen])
            region = image[top:bottom, left:right]
            before = region.copy()
            self._strokes(image, person, *faint)
            cv2.addWeighted(region, 0.4, before, 0.6, 0, dst=region) if region.size else None
        self._strokes(image, person, *clear)

    def _strokes(self, image: np.ndarray, person: Shown, limbs: list[tuple[int, int]], joints: list[int]) -> None:
        color = person_color(person.id)
        limit = 8 * max(self.width, self.height)  # far outside the frame: drawing there only costs time
        points = np.round(np.clip(np.nan_to_num(person.keypoints), -limit, limit) * (1 << _SUBPIXEL)).astype(int)
        inner, outer = round(self.line), round(self.line) + 2 * max(1, round(self.line / 3))
        for width, ink in ((outer, _INK), (inner, color)):  # a dark rim keeps the colour legible on any background
            for a, b in limbs:
                cv2.line(image, points[a].tolist(), points[b].tolist(), ink, width, cv2.LINE_AA, _SUBPIXEL)
        for radius, ink in ((max(2.6, self.line * 1.25), _INK), (max(1.7, self.line * 0.85), color)):
            for joint in joints:
                size = round(radius * (1 << _SUBPIXEL))
                cv2.circle(image, points[joint].tolist(), size, ink, -1, cv2.LINE_AA, _SUBPIXEL)

    def _around(self, points: np.ndarray) -> Box:
        edge = 3 * self.line
        left, top = np.clip(points.min(axis=0) - edge, 0, (self.width, self.height))
        right, bottom = np.clip(points.max(axis=0) + edge + 1, 0, (self.width, self.height))
        return int(left), int(top), int(right), int(bottom)

    def _tag(self, image: np.ndarray, person: Shown, taken: list[Box]) -> Box:
        tag = self._tag_picture(person)
        height, width = tag.shape[:2]
        places = self._candidates(person, width, height)
        order = sorted(range(len(places)), key=lambda i: i != self._places.get(person.id))  # the last place first
        chosen = next((i for i in order if self._is_free(places[i], taken)), None)
        if chosen is None:  # no place is free: the one that covers least of what matters, faces above all
            chosen = min(range(len(places)), key=lambda i: sum(_overlap(self._inside(places[i]), t) for t in taken))
        self._places[person.id] = chosen
        left, top, right, bottom = self._inside(places[chosen])
        region = image[top:bottom, left:right]
        part = tag[: bottom - top, : right - left]
        alpha = part[..., 3:].astype(np.uint16)
        region[:] = ((part[..., :3] * alpha + region * (255 - alpha)) // 255).astype(np.uint8)
        return left, top, right, bottom

    def _candidates(self, person: Shown, width: int, height: int) -> list[Box]:
        """Where the tag may go, best first: over the head, higher, under the feet, at the sides, then ever further."""
        left, top, right, bottom = self._around(person.keypoints[person.seen()])
        face = _face(person)
        if face is not None:
            top = min(top, face[1])
        gap, middle = round(self.text_size * 0.4), (left + right - width) // 2
        step = round(1.15 * height)
        corners = [(middle, top - gap - height), (middle, top - gap - height - step), (middle, bottom + gap)]
        corners += [(right + gap, top), (left - gap - width, top)]
        corners += [(middle, top - gap - height - level * step) for level in (2, 3)]
        corners += [(middle, bottom + gap + level * step) for level in (1, 2, 3)]
        shifted = [(min(max(x, 0), max(0, self.width - width)), y) for x, y in corners]
        return [(x, y, x + width, y + height) for x, y in shifted]

    def _is_free(self, box: Box, taken: list[Box]) -> bool:
        return self._inside(box) == box and not any(_overlap(box, other) for other in taken)

    def _inside(self, box: Box) -> Box:
        width, height = min(box[2] - box[0], self.width), min(box[3] - box[1], self.height)
        left = min(max(box[0], 0), self.width - width)
        top = min(max(box[1], 0), self.height - height)
        return left, top, left + width, top + height

    def _tag_picture(self, person: Shown) -> np.ndarray:
        """The tag as RGBA uint8 (h, w, 4); drawn once for each text."""
        text = tag_text(person)
        key = (person.id, text)
        if key not in self._tags:
            if len(self._tags) >= _TAGS_KEPT:
                self._tags.clear()
            self._tags[key] = _render_tag(str(person.id), text, person_color(person.id), self.text_size)
        return self._tags[key]


def tag_text(person: Shown) -> str:
    """'push up ×12  93%'."""
    if person.label is None:
        return ""
    label = person.label
    if len(label) > _LONGEST:  # shorter, but no surer
        end = "…?" if label.endswith("?") else "…"
        label = label[: _LONGEST - len(end)] + end
    count = "" if person.repetitions is None else f" ×{person.repetitions}"
    return f"{label}{count}  {person.sure:.0%}"


def _drawn(layout: Layout) -> tuple[list[tuple[int, int]], list[int]]:
    """Bones and joints that are drawn: all but the head's and the fingers'."""

    def is_drawn(joint: str) -> bool:
        hand = "foot" not in joint and "toe" not in joint and any(part in joint for part in _FINGERS)
        return not hand and not any(part in joint for part in _HEAD)

    names = layout.joints
    limbs = [(int(a), int(b)) for a, b in layout.edges if is_drawn(names[a]) and is_drawn(names[b])]
    return limbs, [i for i, name in enumerate(names) if is_drawn(name)]


def _face(person: Shown) -> Box | None:
    """The head as a box, which tags keep clear of: nose, eyes and ears with a margin; None when unseen."""
    seen, names = person.seen(), get_layout(person.layout).joints
    head = [i for i, name in enumerate(names) if seen[i] and any(part in name for part in _HEAD)]
    if not head:
        return None
    points = person.keypoints[head]
    shoulders = [i for i, name in enumerate(names) if seen[i] and name.endswith("shoulder")]
    margin = 0.6 * float(np.ptp(points, axis=0).max())
    if shoulders:  # the crown is about as far above the face as the face is above the shoulders
        ends = person.keypoints[shoulders]
        margin = max(margin, float(np.linalg.norm(ends.mean(axis=0) - points.mean(axis=0))))
        margin = max(margin, 0.45 * float(np.linalg.norm(ends[0] - ends[-1])))
    low, high = points.min(axis=0), points.max(axis=0)
    center, half = (low + high) / 2, np.maximum((high - low) / 2, margin)
    left, top, right, bottom = *(center - half), *(center + half)
    return int(left), int(top), int(right), int(bottom)


def _overlap(a: Box, b: Box) -> int:
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def _render_tag(number: str, text: str, color: tuple[int, int, int], size: int) -> np.ndarray:
    """A dark plate: the id on the person's colour, then the text in white."""
    pad, height = round(size * 0.5), round(size * 1.7)
    badge = max(height, _text_width(number, size) + 2 * pad)
    width = badge + (_text_width(text, size) + 2 * pad if text else 0)
    tag = np.empty((height, width, 4), np.uint8)
    tag[:, :, :3], tag[:, :badge, :3] = _INK, color
    picture = np.ascontiguousarray(tag[:, :, :3])
    baseline = round(height * 0.5 + size * 0.36)
    dark = sum(color) / 3 > 110  # dark ink on light colours
    _write(picture, number, ((badge - _text_width(number, size)) // 2, baseline), _INK if dark else _PAPER, size)
    _write(picture, text, (badge + pad, baseline), _PAPER, size)
    tag[:, :, :3] = picture
    tag[:, :, 3] = 235 * _rounded(width, height, round(size * 0.35))
    return tag


def _rounded(width: int, height: int, radius: int) -> np.ndarray:
    """Coverage in [0, 1] of a rectangle with round corners, float (height, width)."""
    x = np.maximum(radius - np.arange(width) - 0.5, np.arange(width) + 0.5 - (width - radius)).clip(0)
    y = np.maximum(radius - np.arange(height) - 0.5, np.arange(height) + 0.5 - (height - radius)).clip(0)
    return np.clip(radius + 0.5 - np.hypot(x[None, :], y[:, None]), 0, 1)


def _write(image: np.ndarray, text: str, origin: tuple[int, int], color: tuple[int, int, int], size: int) -> None:
    if hasattr(cv2, "FontFace"):  # OpenCV 5 draws TrueType and knows most alphabets
        cv2.putText(image, text, origin, color, cv2.FontFace("sans"), size, 600)
        return
    scale, weight = _hershey(size)
    cv2.putText(image, _ascii(text), origin, cv2.FONT_HERSHEY_DUPLEX, scale, color, weight, cv2.LINE_AA)


def _text_width(text: str, size: int) -> int:
    if hasattr(cv2, "FontFace"):
        return cv2.getTextSize((1, 1), text, (0, 0), cv2.FontFace("sans"), size, 600)[2] if text else 0
    scale, weight = _hershey(size)
    return cv2.getTextSize(_ascii(text), cv2.FONT_HERSHEY_DUPLEX, scale, weight)[0][0]


def _hershey(size: int) -> tuple[float, int]:
    return size / 30, max(1, round(size / 18))


def _ascii(text: str) -> str:
    return text.replace("×", "x").replace("…", "...").encode("ascii", "replace").decode()
