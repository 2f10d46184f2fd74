"""Whatever is in a file: it is read, or refused in one line."""

import json
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_clips import annotation, bodypose, dataset, model, source, write_arrays

from kinetag.datasets import load_clips
from kinetag.datasets.deepstream import read_tracks
from kinetag.datasets.listing import list_entries
from kinetag.datasets.pyskl import read_annotations
from kinetag.errors import KinetagError

many = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
odd = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["objects", "file", "x"]), inner),
    max_leaves=6,
)


def one_line(function, *arguments, **keywords) -> None:
    try:
        function(*arguments, **keywords)
    except KinetagError as error:
        message = str(error)
    else:
        return
    assert message
    assert "\n" not in message


@st.composite
def altered(draw, make):
    """A good piece of data with one place in it replaced by something odd."""
    data = make()
    place, steps = data, draw(st.integers(1, 7))
    for _ in range(steps):
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            break
        key = draw(st.sampled_from(keys))
        inner = place[key]
        if _ == steps - 1 or not isinstance(inner, dict | list) or not inner:
            place[key] = draw(odd)
            break
        place = inner
    return data


@many
@given(altered(lambda: bodypose({1: list(range(3)), 2: [1]}, frames=3, joints=3, stated=True)))
def test_deepstream(data) -> None:
    one_line(read_tracks, data, "pose3d", 3, "made.json")


@many
@given(altered(lambda: [{"file": "a.mp4", "label": "x", "start": 1, "end": 2, "person": 1}, {"file": "a.mp4"}]))
def test_json_lists(tmp_path: Path, data) -> None:
    (tmp_path / "a.mp4").touch()
    path = tmp_path / "list.json"
    path.write_text(json.dumps(data))
    one_line(list_entries, tmp_path, str(path))


@many
@given(st.text(max_size=60), st.sampled_from(["file,label\n", "file,start,end\na.mp4,", "", "file\n"]))
def test_csv_lists(tmp_path: Path, text: str, head: str) -> None:
    (tmp_path / "a.mp4").touch()
    path = tmp_path / "list.csv"
    path.write_bytes((head + text).encode("utf-8", "surrogatepass"))
    one_line(list_entries, tmp_path, str(path))


@many
@given(altered(lambda: [annotation("a"), annotation("b", 1)]))
def test_annotations(tmp_path: Path, data) -> None:
    import pickle

    path = tmp_path / "clips.pkl"
    path.write_bytes(pickle.dumps(data))

    def read() -> None:
        clips = read_annotations(path, layout="coco", class_names=("x", "y"))
        assert all(np.isfinite(clip).all() for clip in clips.arrays)

    one_line(read)


@many
@given(st.integers(0, 127), st.binary(max_size=12), st.booleans())
def test_arrays(tmp_path: Path, at: int, noise: bytes, labels: bool) -> None:
    write_arrays(tmp_path, (2, 3, 4, 34, 1))
    path = tmp_path / ("train_label.pkl" if labels else "train_data.npy")
    content = path.read_bytes()
    path.write_bytes(content[:at] + noise + content[at + len(noise) :])
    one_line(load_clips, source(tmp_path), dataset(), model(), role="train")
