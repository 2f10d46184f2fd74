"""Other programs' pose files: OpenPose, COCO keypoints (and AlphaPose), DeepStream bodypose.

Each reader takes parsed JSON and returns (poses, layout, frame size or None). A joint that a format marks as unseen
(confidence 0) becomes NaN. MediaPipe, which has no one format, has a file of its own.
"""

import re
from typing import Any, TypeGuard

import numpy as np

from kinetag.errors import KinetagError
from kinetag.pose.found import Found, listing, mapping, number, numbers, unseen, whole

Read = tuple[list[Found], str, tuple[int, int] | None]

# Joint counts tell the layout. Halpe26 and whole-body begin with COCO's 17 joints.
_OPENPOSE = {75: "openpose25", 54: "openpose", 51: "coco"}
_COCO_COUNTS = (51, 78, 399, 408)  # 17, 26 (Halpe), 133 (whole body), 136 (Halpe full body) joints
_NVIDIA = 34


def is_openpose(data: Any) -> bool:
    return isinstance(data, dict) and isinstance(data.get("people"), list) and "format" not in data


def openpose(data: dict[str, Any], time: float, where: str) -> tuple[list[Found], str | None]:
    """One frame's people. Source: OpenPose's doc/02_output.md. The layout is None when nobody is in it."""
    found, layout = [], None
    for index, person in enumerate(data["people"]):
        place = f"{where}, people[{index}]"
        values = mapping(person, place).get("pose_keypoints_2d", person.get("pose_keypoints"))
        if values == []:
            continue  # a face or hand without a body
        flat = numbers(values, f"{place} 'pose_keypoints_2d'", tuple(_OPENPOSE))
        layout = _OPENPOSE[len(flat)]
        ids = person.get("person_id")
        identity = ids[0] if isinstance(ids, list) and ids else ids
        identity = identity if isinstance(identity, int) and identity >= 0 else None  # -1: not tracked
        found.append(_pose(flat.reshape(-1, 3), time, identity))
    return found, layout


def is_coco(data: Any) -> bool:
    if isinstance(data, dict):
        return isinstance(data.get("annotations"), list)
    return isinstance(data, list) and bool(data) and isinstance(data[0], dict) and "image_id" in data[0]


def coco(data: Any, frame_rate: float, where: str) -> Read:
    """COCO keypoint results or annotations, https://cocodataset.org/#format-results, and AlphaPose's results.

    The image's number (its id, or the last number of its name) is the frame's number. People are known by 'track_id',
    'person_id' or AlphaPose's 'idx' where there is one; an annotation's 'id' says nothing about who it is.
    """
    images, size = ({}, None) if isinstance(data, list) else _images(data, where)
    entries = data if isinstance(data, list) else data["annotations"]
    marked = isinstance(data, dict)  # annotations carry flags 0, 1, 2 in place of a confidence
    numbers_of = [_image_number(entry, images, f"{where}, entry {i}") for i, entry in enumerate(entries)]
    first = min(numbers_of, default=0)
    found = []
    for index, (entry, image) in enumerate(zip(entries, numbers_of, strict=True)):
        place = f"{where}, entry {index}"
        if entry.get("category_id", 1) != 1:
            continue
        flat = numbers(entry.get("keypoints"), f"{place} 'keypoints'", _COCO_COUNTS)
        values = flat.reshape(-1, 3)[:17]
        values[:, 2] = values[:, 2] / 2 if marked else values[:, 2]
        key = next((k for k in ("track_id", "person_id", "idx") if entry.get(k) is not None), None)
        identity = None if key is None else _identity(entry[key], f"{place} '{key}'")
        pose = _pose(values, (image - first) / frame_rate, identity)
        if entry.get("score") is not None:
            pose.score = min(max(number(entry["score"], f"{place} 'score'"), 0.0), 1.0)
        found.append(pose)
    return found, "coco", size


def _images(data: dict[str, Any], where: str) -> tuple[dict[Any, Any], tuple[int, int] | None]:
    """Image id -> file name, and the size if all images have the same."""
    images, sizes = {}, set()
    for index, image in enumerate(listing(data.get("images", []), f"{where} 'images'")):
        place = f"{where}, images[{index}]"
        image = mapping(image, place)
        images[str(image.get("id"))] = image.get("file_name")
        if image.get("width") and image.get("height"):
            sizes.add((whole(image["width"], place), whole(image["height"], place)))
    return images, sizes.pop() if len(sizes) == 1 else None


def _image_number(entry: Any, images: dict[Any, Any], where: str) -> int:
    image = mapping(entry, where).get("image_id")
    name = images.get(str(image)) or image
    if isinstance(name, str):
        digits = re.findall(r"\d+", name.rsplit(".", 1)[0] if not name.isdigit() else name)
        if not digits:
            raise KinetagError(f"{where}: image '{name[:40]}' has no number, so its place in time is unknown")
        return int(digits[-1][-15:])
    return whole(name, f"{where} 'image_id'")


def _identity(value: Any, where: str) -> int:
    while isinstance(value, list) and value:  # AlphaPose sometimes wraps it
        value = value[0]
    return whole(value, where)


def is_deepstream(data: Any) -> TypeGuard[list[Any]]:
    return isinstance(data, list) and bool(data) and isinstance(data[0], dict) and "batches" in data[0]


def deepstream(data: list[Any], frame_rate: float, where: str) -> Read:
    """What DeepStream's bodypose-3d app publishes: batches of frames of objects with 34 joints (x, y, z, confidence).

    'pose25d' holds pixels; 'pose3d' alone cannot be placed in a frame.
    """
    found, count = [], 0
    for i, batch in enumerate(data):
        frames = listing(mapping(batch, f"{where}, entry {i}").get("batches"), f"{where}, entry {i} 'batches'")
        for j, frame in enumerate(frames):
            place = f"{where}, entry {i}, batches[{j}]"
            stated = mapping(frame, place).get("frame_num")
            time = (count if stated is None else whole(stated, f"{place} 'frame_num'")) / frame_rate
            count += 1
            for k, thing in enumerate(listing(frame.get("objects", []), f"{place} 'objects'")):
                spot = f"{place}, objects[{k}]"
                if "pose25d" not in mapping(thing, spot):
                    raise KinetagError(f"{spot}: no 'pose25d', which holds the joints' pixels")
                flat = numbers(thing["pose25d"], f"{spot} 'pose25d'", (_NVIDIA * 4,))
                identity = whole(thing.get("object_id"), f"{spot} 'object_id'")
                found.append(_pose(flat.reshape(-1, 4)[:, [0, 1, 3]], time, identity))
    return found, "nvidia", None


def _pose(values: np.ndarray, time: float, person: int | None) -> Found:
    """``values`` (V, 3): x, y, confidence."""
    keypoints, confidence = unseen(values[:, :2], values[:, 2])
    seen = confidence > 0
    return Found(time, person, keypoints, confidence, float(confidence[seen].mean()) if seen.any() else 0.0)
