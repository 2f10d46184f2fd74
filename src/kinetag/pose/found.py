"""One pose read from a file, and the checks that every reader of untrusted files and numbers needs."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kinetag.errors import KinetagError

_LARGEST = 1e6  # pixels; a coordinate beyond is no coordinate


@dataclass
class Found:
    """One person at one time. ``person`` is None where the file has no ids. Shapes as in `kinetag.sequence.Pose`."""

    time: float
    person: int | None
    keypoints: np.ndarray
    confidence: np.ndarray
    score: float
    world: np.ndarray | None = None


def load_json(path: Path, most: int) -> Any:
    """Parsed JSON of at most ``most`` bytes; anything that is not raises a KinetagError of one line."""
    try:
        if path.stat().st_size > most:
            raise KinetagError(f"{path}: larger than {most >> 20} MiB; split it")
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise KinetagError(f"no such file: {path}") from None
    except OSError as error:
        raise KinetagError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from None
    except RecursionError:
        raise KinetagError(f"{path}: nested too deeply to be a pose file") from None
    except UnicodeDecodeError:
        raise KinetagError(f"{path}: not JSON (it is not text)") from None
    except json.JSONDecodeError as error:
        raise KinetagError(f"{path}: not JSON ({error.msg} at line {error.lineno}, column {error.colno})") from None
    except ValueError as error:  # a number of thousands of digits
        raise KinetagError(f"{path}: not JSON that can be read ({str(error)[:80]})") from None


def numbers(value: Any, where: str, counts: tuple[int, ...] | None = None) -> np.ndarray:
    """A flat list of numbers, float64 (N,); null and infinity become NaN."""
    if not isinstance(value, list):
        raise KinetagError(f"{where}: expected a list of numbers, found {_short(value)}")
    if value and isinstance(value[0], list):
        value = [item for row in value for item in (row if isinstance(row, list) else [row])]
    if counts is not None and len(value) not in counts:
        raise KinetagError(f"{where}: {len(value)} numbers, expected {' or '.join(map(str, counts))}")
    odd = next((item for item in value if not (item is None or isinstance(item, int | float))), None)
    if odd is not None:
        raise KinetagError(f"{where}: {_short(odd)} is not a number")
    try:
        array = np.array([math.nan if item is None else item for item in value], np.float64)
    except OverflowError:
        raise KinetagError(f"{where}: a number is too large") from None
    array[~np.isfinite(array)] = np.nan
    return array


def number(value: Any, where: str) -> float:
    """One finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e15 < value < 1e15:
        raise KinetagError(f"{where}: {_short(value)} is not a sensible number")
    return float(value)


def whole(value: Any, where: str) -> int:
    """One whole number, also when it is written as text or as 3.0 (some programs do)."""
    if isinstance(value, str) and value.strip().lstrip("-").isdigit():
        value = int(value.strip()[:20])
    result = number(value, where)
    if result != int(result):
        raise KinetagError(f"{where}: {_short(value)} is not a whole number")
    return int(result)


def unseen(points: np.ndarray, confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (V, 2) and confidence (V,) with every joint that is unknown or absurd as NaN with confidence 0."""
    confidence = np.clip(np.nan_to_num(confidence), 0.0, 1.0)
    with np.errstate(invalid="ignore"):
        known = (confidence > 0) & (np.abs(points) < _LARGEST).all(axis=-1)
    return (
        np.where(known[:, None], points, np.nan).astype(np.float32),
        np.where(known, confidence, 0.0).astype(np.float32),
    )


def mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise KinetagError(f"{where}: expected an object, found {_short(value)}")
    return value


def listing(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise KinetagError(f"{where}: expected a list, found {_short(value)}")
    return value


def _short(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", type(None): "nothing"}
    return kinds.get(type(value)) or repr(str(value)[:40] if isinstance(value, str) else value)[:44]
