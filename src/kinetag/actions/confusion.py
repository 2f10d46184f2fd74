"""A confusion matrix (K, K; rows are the truth, columns the prediction) as text and as a picture."""

import numpy as np

from kinetag.errors import KinetagError

_INK, _PAPER, _FAINT, _RIM = (34, 38, 46), (255, 255, 255), (120, 126, 136), (222, 226, 232)
_DARK = np.array((8, 72, 135), float)  # of a full cell; an empty one is paper
_MOST_NUMBERS = 40  # classes up to which every cell carries its number
_MOST_CLASSES = 400  # beyond these a picture would show nothing
_LONGEST = 26  # characters of a class name


def confusion_text(matrix: np.ndarray, names: tuple[str, ...]) -> str:
    """Columns of counts under numbers, which the rows explain; ``·`` for none."""
    number = [str(i) for i in range(len(names))]
    width = max(len(str(int(matrix.max(initial=0)))), len(number[-1])) + 1
    label = max(len(f"{n} {name}") for n, name in zip(number, names, strict=True))
    lines = [" " * label + "".join(n.rjust(width) for n in number)]
    for n, name, row in zip(number, names, matrix, strict=True):
        cells = "".join((str(int(count)) if count else "·").rjust(width) for count in row)
        lines.append(f"{n} {name}".ljust(label) + cells)
    return "\n".join(lines)


def confusion_picture(matrix: np.ndarray, names: tuple[str, ...], title: str) -> np.ndarray:
    """The matrix as RGB uint8 (H, W, 3): each row's shares as shades of blue, with percent and counts in the cells."""
    if len(names) > _MOST_CLASSES:
        raise KinetagError(
            f"{len(names)} classes are too many for a picture of their confusion (at most {_MOST_CLASSES})"
        )
    cell, size = _sizes(len(names))
    labels = [_shortened(name) for name in names]
    room = max(_text_width(label, size) for label in labels)
    left, top = room + 5 * size, room + 7 * size
    width = max(left + len(names) * cell + 2 * size, _text_width(title, size + 4) + 4 * size)
    image = np.full((top + len(names) * cell + 2 * size, width, 3), 255, np.uint8)
    _write(image, title, (2 * size, 3 * size - size // 2), _INK, size + 4, bold=True)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    for row in range(len(names)):
        for column in range(len(names)):
            corner = (left + column * cell, top + row * cell)
            _cell(image, corner, cell, float(shares[row, column]), int(matrix[row, column]), len(names))
    for i, label in enumerate(labels):
        middle = i * cell + cell // 2
        _write(image, label, (left - size - _text_width(label, size), top + middle + size * 2 // 5), _INK, size)
        _write_upwards(image, label, (left + middle, top - size // 2), _INK, size)
    _write_upwards(image, "truth", (size + size // 2, top + len(names) * cell // 2 + 2 * size), _FAINT, size)
    caption = "predicted as" if len(names) > _MOST_NUMBERS else "predicted as: % of the clips of a row, and how many"
    _write(
        image,
        caption,
        (min(left, max(2 * size, width - 2 * size - _text_width(caption, size))), top - room - 2 * size),
        _FAINT,
        size,
    )
    return image


def png(image: np.ndarray) -> bytes:
    """RGB uint8 (H, W, 3) as the bytes of a PNG file."""
    import cv2

    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


def _sizes(classes: int) -> tuple[int, int]:
    """Pixels of a cell's side and of a letter's height."""
    if classes > 3 * _MOST_NUMBERS:
        return 9, 9
    if classes > _MOST_NUMBERS:
        return 16, 13
    return (84, 20) if classes <= 12 else (64, 17)


def _cell(image: np.ndarray, corner: tuple[int, int], cell: int, share: float, count: int, classes: int) -> None:
    left, top = corner
    rim = 1 if cell > 12 else 0
    shade = (1 - share**0.7) * np.array(_PAPER, float) + share**0.7 * _DARK  # small shares stay visible
    image[top : top + cell, left : left + cell] = _RIM
    image[top + rim : top + cell, left + rim : left + cell] = np.round(shade).astype(np.uint8)
    if not count or classes > _MOST_NUMBERS:
        return
    ink = _PAPER if share > 0.4 else _INK
    size = cell // 4
    percent = f"{100 * share:.0f}" if share >= 0.005 else "<1"
    _write(image, percent, (left + (cell - _text_width(percent, size)) // 2, top + cell * 13 // 25), ink, size)
    small = cell // 6
    text = str(count)
    where = (left + (cell - _text_width(text, small)) // 2, top + cell * 20 // 25)
    _write(image, text, where, ink if share > 0.4 else _FAINT, small)


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"


def _write_upwards(image: np.ndarray, text: str, foot: tuple[int, int], color: tuple[int, int, int], size: int) -> None:
    """Text that reads from below, its middle line at x and its beginning at y of ``foot``."""
    width = _text_width(text, size) + 4
    strip = np.full((2 * size, width, 3), 255, np.uint8)
    _write(strip, text, (2, size * 7 // 5), color, size)
    strip = np.rot90(strip)
    left, bottom = max(0, foot[0] - size), foot[1]
    target = image[max(0, bottom - width) : bottom, left : left + 2 * size]
    np.minimum(target, strip[-len(target) :, : target.shape[1]], out=target)


def _write(
    image: np.ndarray,
    text: str,
    origin: tuple[int, int],
    color: tuple[int, int, int],
    size: int,
    *,
    bold: bool = False,
) -> None:
    import cv2

    if hasattr(cv2, "FontFace"):  # OpenCV 5 draws TrueType and knows most alphabets
        cv2.putText(image, text, origin, color, cv2.FontFace("sans"), size, 600 if bold else 400)
        return
    cv2.putText(image, _ascii(text), origin, cv2.FONT_HERSHEY_SIMPLEX, size / 30, color, 1 + bold, cv2.LINE_AA)


def _text_width(text: str, size: int) -> int:
    import cv2

    if hasattr(cv2, "FontFace"):
        return cv2.getTextSize((1, 1), text, (0, 0), cv2.FontFace("sans"), size, 600)[2] if text else 0
    return cv2.getTextSize(_ascii(text), cv2.FONT_HERSHEY_SIMPLEX, size / 30, 2)[0][0]


def _ascii(text: str) -> str:
    return text.replace("…", "...").encode("ascii", "replace").decode()
