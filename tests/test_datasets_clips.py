"""Clips as a whole: what they check, subsets, and splits that keep a person on one side."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinetag.datasets import class_names_of
from kinetag.datasets.clips import Clips, Kept, held_out, split
from kinetag.errors import KinetagError


def clips(labels=(0, 1, 2, 0, 1, 2), **options) -> Clips:
    count = len(labels)
    known = {
        "source": "made",
        "layout": "coco",
        "channels": ("x", "y"),
        "class_names": ("a", "b", "c"),
        "names": [f"clip {i}" for i in range(count)],
        "labels": np.array(labels),
        "arrays": [np.full((2, 5, 17, 1), i, np.float32) for i in range(count)],
        "lengths": np.arange(count),
        "people": tuple(range(count)),
        "groups": tuple(f"person {i // 2}" for i in range(count)),
    }
    return Clips(**(known | options))


def test_a_subset_takes_every_field_along() -> None:
    some = clips().subset([4, 1, 1])
    assert [int(array[0, 0, 0, 0]) for array in some.arrays] == [4, 1, 1]
    assert some.labels is not None
    assert some.lengths is not None
    assert some.labels.tolist() == [1, 1, 1]
    assert some.names == ("clip 4", "clip 1", "clip 1")
    assert some.people == (4, 1, 1)
    assert some.lengths.tolist() == [4, 1, 1]
    assert some.groups == ("person 2", "person 0", "person 0")
    assert some.intervals is None
    assert some.counts() == {"a": 0, "b": 3, "c": 0}


def test_a_subset_of_clips_without_labels() -> None:
    some = clips(labels=[0, 0], lengths=None, groups=None)
    bare = Clips("x", "coco", ("x", "y"), (), ["p", "q"], None, some.arrays)
    assert bare.subset([1]).labels is None
    assert bare.subset([1]).lengths is None


@pytest.mark.parametrize("field", ["names", "lengths", "people", "groups"])
def test_fields_of_unequal_length_are_refused(field: str) -> None:
    with pytest.raises(KinetagError, match=rf"made: 6 clips but 2 {field}"):
        clips(**{field: (0, 1)})


def test_no_clips_are_refused() -> None:
    with pytest.raises(KinetagError, match="made: no clips"):
        clips(labels=())


groups_and_labels = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=8, max_size=80)


@given(groups_and_labels, st.floats(0.05, 0.6), st.integers(0, 5))
def test_a_group_is_never_on_both_sides(made, share: float, seed: int) -> None:
    groups = [f"p{g}" for g, _ in made]
    labels = np.array([label for _, label in made])
    chosen = held_out(labels, groups, share, seed)
    assert not {g for g, c in zip(groups, chosen, strict=True) if c} & {
        g for g, c in zip(groups, chosen, strict=True) if not c
    }
    np.testing.assert_array_equal(chosen, held_out(labels, groups, share, seed))


def test_a_split_takes_about_the_share_of_every_class() -> None:
    labels = np.repeat(np.arange(4), 100)
    groups = [str(i) for i in range(400)]
    for seed in range(3):
        chosen = held_out(labels, groups, 0.2, seed)
        assert np.bincount(labels[chosen], minlength=4).tolist() == pytest.approx([20] * 4, abs=3)
    assert (held_out(labels, groups, 0.2, 0) != held_out(labels, groups, 0.2, 1)).any()


def test_split_gives_two_sets_or_says_why_not() -> None:
    train, val = split(clips(), 0.34)
    assert len(train) + len(val) == 6
    assert len(val) == 2
    assert not set(train.groups or ()) & set(val.groups or ())
    with pytest.raises(KinetagError, match=r"cannot hold out 0.2.*1 person.*val_dataset"):
        split(clips(groups=("one",) * 6), 0.2)
    with pytest.raises(KinetagError, match="must lie between 0 and 1"):
        split(clips(), 1.5)


def test_class_names_in_the_order_of_their_indices() -> None:
    spec = SimpleNamespace(num_classes=3, label_map={"walk": 2, "run": 0, "jump": 1})
    assert class_names_of(spec) == ("run", "jump", "walk")
    assert class_names_of(SimpleNamespace(num_classes=2, label_map=None)) == ("class_0", "class_1")
    for wrong in ({"a": 0, "b": 0, "c": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 0}):
        with pytest.raises(KinetagError, match="each once"):
            class_names_of(SimpleNamespace(num_classes=3, label_map=wrong))


def test_the_readers_load_nothing_heavy() -> None:
    code = (
        "import sys; from kinetag.datasets import arrays, pyskl, poses, listing, deepstream, extraction;"
        "print([m for m in ('torch', 'cv2', 'av', 'onnxruntime', 'scipy', 'pandas', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_kept_clips_are_made_once_as_long_as_there_is_room() -> None:
    asked: list[int] = []

    class Made(list):
        def __getitem__(self, i):
            asked.append(i)
            return np.full((1, 4, 1, 1), i, np.float32)  # 16 bytes

    kept = Kept(Made(range(3)), most=40)
    for _ in range(2):
        assert [clip.max() for clip in (kept[0], kept[1], kept[2])] == [0, 1, 2]
    assert asked == [0, 1, 2, 2]
    assert len(kept) == 3
    with pytest.raises(ValueError, match="read-only"):
        kept[0][:] = 5
