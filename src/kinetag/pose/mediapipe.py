"""MediaPipe pose landmarks in the forms that people write them: JSON of frames, wide CSV, long CSV.

MediaPipe itself defines no file. Its landmarks are fractions of the frame, so a frame size is needed to get their
proportions right; world landmarks are metres. Reference: the Pose Landmarker guide, ai.google.dev/edge/mediapipe.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from kinetag.errors import KinetagError
from kinetag.pose.found import Found, listing, mapping, number, unseen, whole
from kinetag.skeletons import BLAZEPOSE

_JOINTS = len(BLAZEPOSE)
_IMAGE = ("pose_landmarks", "poseLandmarks", "landmarks", "keypoints")
_WORLD = ("pose_world_landmarks", "poseWorldLandmarks", "world_landmarks", "worldLandmarks")
_TIMES = {
    "time": 1.0, "time_s": 1.0, "seconds": 1.0, "t": 1.0, "timestamp_s": 1.0,
    "timestamp_ms": 1e-3, "time_ms": 1e-3, "timestampMs": 1e-3, "ms": 1e-3, "timestamp_us": 1e-6,
}  # fmt: skip
_FRAMES = ("frame", "frame_index", "frame_number", "frame_num", "frame_id", "index")
_PEOPLE = ("person", "person_id", "track_id", "pose_id")
_AXES = {"x": 0, "y": 1, "z": 2, "v": 3, "visibility": 3, "confidence": 3, "vis": 3, "score": 3}
_NAMES = {name: i for i, name in enumerate(BLAZEPOSE.joints)} | {
    # MediaPipe puts the side last in these two
    "mouth_left": BLAZEPOSE.index("left_mouth"),
    "mouth_right": BLAZEPOSE.index("right_mouth"),
}

Read = tuple[list[Found], str, tuple[int, int] | None]
Size = tuple[int, int] | None


def is_mediapipe(data: Any) -> bool:
    """Whether parsed JSON has MediaPipe's form; frames without anybody have, so any format's empty list has, too."""
    frames = data.get("frames") if isinstance(data, dict) else data
    if not isinstance(frames, list):
        return False
    if all(frame in (None, [], {}) for frame in frames):
        return True
    first = next((frame for frame in frames if frame), None)
    return isinstance(first, list) or (isinstance(first, dict) and any(key in first for key in (*_IMAGE, "landmark")))


def mediapipe(data: Any, frame_rate: float, size: Size, where: str) -> Read:
    """JSON: a list of frames (or {"frames": [...]}), each a list of 33 landmarks, of people, or an object with them."""
    if isinstance(data, dict):
        size = size or _stated_size(data, where)
        frames = data["frames"]
    else:
        frames = data
    rows: list[tuple[float, int | None, np.ndarray, np.ndarray | None]] = []
    for index, frame in enumerate(frames):
        place = f"{where}, frame {index}"
        time, people, worlds = _frame(frame, index / frame_rate, frame_rate, place)
        identity = frame.get("person_id") if isinstance(frame, dict) else None
        for k, person in enumerate(people):
            world = _landmarks(worlds[k], f"{place}, person {k}")[:, :3] if k < len(worlds) else None
            single = None if identity is None else whole(identity, f"{place} 'person_id'")
            rows.append((time, single, _landmarks(person, f"{place}, person {k}"), world))
    return _found(rows, size, where)


def _stated_size(data: dict[str, Any], where: str) -> Size:
    for width, height in (("width", "height"), ("image_width", "image_height"), ("frame_width", "frame_height")):
        if data.get(width) and data.get(height):
            return whole(data[width], f"{where} '{width}'"), whole(data[height], f"{where} '{height}'")
    return None


def _frame(frame: Any, time: float, frame_rate: float, where: str) -> tuple[float, list[Any], list[Any]]:
    """Time, landmarks of every person and world landmarks of every person."""
    if frame is None:
        return time, [], []
    if isinstance(frame, list):
        return time, _people(frame), []
    frame = mapping(frame, where)
    for key, unit in _TIMES.items():
        if frame.get(key) is not None:
            time = number(frame[key], f"{where} '{key}'") * unit
            break
    else:
        key = next((k for k in _FRAMES if frame.get(k) is not None), None)
        if key is not None:
            time = whole(frame[key], f"{where} '{key}'") / frame_rate
    image = next((frame[key] for key in (*_IMAGE, "landmark") if frame.get(key)), [])
    world = next((frame[key] for key in _WORLD if frame.get(key)), [])
    return time, _people(image), _people(world)


def _people(value: Any) -> list[Any]:
    """One person's landmarks or a list of people's -> a list of people's."""
    if isinstance(value, dict):
        return [value.get("landmark", value.get("landmarks"))]
    if isinstance(value, list) and value and isinstance(value[0], list):
        # [[x, y, z], ...] is one person, [[{...}, ...], ...] are several
        return [value] if value[0] and isinstance(value[0][0], int | float) else value
    if isinstance(value, list) and value and isinstance(value[0], dict) and "landmark" in value[0]:
        return [person.get("landmark") if isinstance(person, dict) else None for person in value]
    return [value] if value else []


def _landmarks(value: Any, where: str) -> np.ndarray:
    """One person's landmarks, (33, 4): x, y, z, visibility (1 where it is not given)."""
    points = listing(value, where)
    if len(points) != _JOINTS:
        raise KinetagError(f"{where}: {len(points)} landmarks, expected {_JOINTS}")
    out = np.full((_JOINTS, 4), np.nan)
    out[:, 3] = 1.0
    for index, point in enumerate(points):
        spot = f"{where}, landmark {index}"
        if isinstance(point, list):
            if not 2 <= len(point) <= 5:
                raise KinetagError(f"{spot}: {len(point)} numbers, expected x, y, z, visibility")
            out[index, : min(4, len(point))] = [number(item, spot) for item in point[:4]]
        elif point is not None:
            point = mapping(point, spot)
            for axis, name in enumerate(("x", "y", "z", "visibility")):
                if point.get(name) is not None:
                    out[index, axis] = number(point[name], f"{spot} '{name}'")
    return out


def mediapipe_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], frame_rate: float, size: Size, where: str
) -> Read:
    """CSV, wide (a row a frame: x0, y0, ... or nose_x, ...) or long (a row a landmark)."""
    names = [name.strip() for name in header]
    lower = [name.lower() for name in names]
    size = size or _table_size(lower, rows, where)
    long = next((i for i, n in enumerate(lower) if n in ("landmark", "landmark_id", "landmark_index", "joint")), None)
    if long is not None and {"x", "y"} <= set(lower):
        return _long(lower, rows, long, frame_rate, size, where)
    places = _wide_columns(lower)
    if len({joint for joint, axis in places.values() if axis < 2}) < _JOINTS:
        raise KinetagError(
            f"{where}: no columns of {_JOINTS} landmarks found; expected names as x0, y0, ... or nose_x, nose_y, ... "
            f"(its columns begin {', '.join(names[:5])})"
        )
    moments, people = _moments(lower, rows, frame_rate, where)
    found: list[tuple[float, int | None, np.ndarray, np.ndarray | None]] = []
    for line, row in enumerate(rows, 2):
        points = np.full((_JOINTS, 4), np.nan)
        points[:, 3] = 1.0
        for column, (joint, axis) in places.items():
            points[joint, axis] = _cell(row[column], f"{where}, line {line}, column '{names[column]}'")
        found.append((moments[line - 2], people[line - 2], points, None))
    return _found(found, size, where)


def _wide_columns(lower: list[str]) -> dict[int, tuple[int, int]]:
    """Column -> (joint, axis) for every column that names a landmark's coordinate."""
    places: dict[int, tuple[int, int]] = {}
    numbered = []
    for column, name in enumerate(lower):
        name = re.sub(r"[\s.\-\[\]]+", "_", name).strip("_")
        match = re.fullmatch(r"(?:(?:pose_)?landmark_?|lm_?|kp_?)?(\d+)_?([a-z]+)", name) or re.fullmatch(
            r"(?P<axis>[a-z]+)_?(?P<joint>\d+)", name
        )
        if match:
            joint, axis = match.groups() if match.group(1).isdigit() else match.groups()[::-1]
            if axis in _AXES:
                numbered.append((column, int(joint[:6]), _AXES[axis]))
            continue
        joint, _, axis = name.rpartition("_")
        if joint in _NAMES and axis in _AXES:
            places[column] = (_NAMES[joint], _AXES[axis])
    base = min((joint for _, joint, _ in numbered), default=0)  # some count from 1
    places |= {column: (joint - base, axis) for column, joint, axis in numbered if joint - base < _JOINTS}
    return places


def _long(lower: list[str], rows: Any, long: int, frame_rate: float, size: Size, where: str) -> Read:
    moments, people = _moments(lower, rows, frame_rate, where)
    named = [_NAMES.get(re.sub(r"[\s.\-]+", "_", row[long].strip().lower()), row[long]) for row in rows]
    joints = [whole(joint, f"{where}, line {line}, column '{lower[long]}'") for line, joint in enumerate(named, 2)]
    base = 1 if joints and min(joints) == 1 and max(joints) == _JOINTS else 0
    columns = [(i, _AXES[name]) for i, name in enumerate(lower) if name in _AXES]
    poses: dict[tuple[float, int | None], np.ndarray] = {}
    for line, (row, joint) in enumerate(zip(rows, joints, strict=True), 2):
        if not 0 <= joint - base < _JOINTS:
            raise KinetagError(f"{where}, line {line}: landmark {joint}, but there are {_JOINTS}")
        points = poses.get((moments[line - 2], people[line - 2]))
        if points is None:
            points = poses[moments[line - 2], people[line - 2]] = np.full((_JOINTS, 4), np.nan)
        points[joint - base, 3] = 1.0
        for column, axis in columns:
            points[joint - base, axis] = _cell(row[column], f"{where}, line {line}, column '{lower[column]}'")
    return _found([(time, person, points, None) for (time, person), points in poses.items()], size, where)


def _moments(lower: list[str], rows: Any, frame_rate: float, where: str) -> tuple[list[float], list[int | None]]:
    """Time and person of every row; without a time column rows are frames."""
    person = next((i for i, name in enumerate(lower) if name in _PEOPLE), None)
    if person is None:
        people: list[int | None] = [None] * len(rows)
    else:
        people = [whole(row[person], f"{where}, line {line}") for line, row in enumerate(rows, 2)]
    units = {name.lower(): unit for name, unit in _TIMES.items()}
    column = next((i for i, name in enumerate(lower) if name in (*units, "timestamp")), None)
    frame = next((i for i, name in enumerate(lower) if name in _FRAMES), None)
    use = frame if column is None else column
    if use is None:
        return [index / frame_rate for index in range(len(rows))], people
    values = [_cell(row[use], f"{where}, line {line}, column '{lower[use]}'") for line, row in enumerate(rows, 2)]
    if not np.isfinite(values).all():
        raise KinetagError(f"{where}: column '{lower[use]}' has empty cells")
    unit = 1 / frame_rate if column is None else units.get(lower[use]) or _timestamp_unit(values)
    return [value * unit for value in values], people


def _timestamp_unit(values: list[float]) -> float:
    """Seconds, milli- or microseconds? The usual step from frame to frame, some 10 to 100 ms, tells."""
    steps = np.diff(np.unique(values))
    step = float(np.median(steps)) if len(steps) else 0.0
    return 1.0 if step < 2 else 1e-3 if step < 2000 else 1e-6


def _table_size(lower: list[str], rows: Any, where: str) -> Size:
    for names in (("width", "height"), ("image_width", "image_height"), ("frame_width", "frame_height")):
        if rows and set(names) <= set(lower):
            width, height = (whole(rows[0][lower.index(name)], f"{where}, line 2, '{name}'") for name in names)
            return width, height
    return None


def _cell(cell: str, where: str) -> float:
    try:
        value = float(cell) if cell.strip() else np.nan
    except ValueError:
        raise KinetagError(f"{where}: '{cell[:40]}' is not a number") from None
    return value if abs(value) < 1e15 else np.nan


def _found(rows: list[tuple[float, int | None, np.ndarray, np.ndarray | None]], size: Size, where: str) -> Read:
    """Fractions of the frame -> pixels; visibility is the confidence."""
    known = np.abs(np.concatenate([points[:, :2].ravel() for _, _, points, _ in rows])) if rows else np.zeros(0)
    fractions = known.size > 0 and np.isfinite(known).any() and float(np.nanmedian(known)) <= 2.0
    if fractions and size is None:
        raise KinetagError(
            f"{where}: its coordinates are fractions of the frame, so its size is needed for their proportions: "
            "give it as --frame-size 1280x720, or in a spec as dataset.frame_size=[1280,720]"
        )
    scale = np.array(size if fractions else (1.0, 1.0), np.float64)
    found = []
    for time, person, points, world in rows:
        keypoints, confidence = unseen(points[:, :2] * scale, points[:, 3])
        seen = confidence[confidence > 0]
        score = float(seen.mean()) if len(seen) else 0.0
        found.append(Found(time, person, keypoints, confidence, score, world))
    return found, "blazepose", size
