"""Pickles are read without running anything in them."""

import datetime
import io
import os
import pickle
import subprocess
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinetag.datasets.safe_pickle import read_pickle
from kinetag.errors import KinetagError


class Runs:
    """A pickle that calls something when it is loaded."""

    def __init__(self, function, *arguments) -> None:
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def written(folder: Path, value: object, protocol: int = 4) -> Path:
    path = folder / "label.pkl"
    path.write_bytes(value if isinstance(value, bytes) else pickle.dumps(value, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", ["f2", "f4", "<f8", ">f4", "i1", "i8", ">i4", "u2", "?", "S5", "<U7", ">U3"])
def test_plain_arrays_of_every_kind_and_protocol_come_back(tmp_path: Path, protocol: int, kind: str) -> None:
    array = np.arange(12).reshape(3, 4).astype(kind)
    back = read_pickle(written(tmp_path, {"a": [array, array.T, np.asfortranarray(array)]}, protocol))["a"]
    for there, here in zip(back, (array, array.T, array), strict=True):
        assert there.dtype == here.dtype
        np.testing.assert_array_equal(there, here)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


@given(plain, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_data_comes_back_as_it_was(tmp_path_factory, value, protocol: int) -> None:
    folder = tmp_path_factory.mktemp("plain")
    assert read_pickle(written(folder, value, protocol)) == value


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_numbers_of_numpy_become_numbers(tmp_path: Path, protocol: int) -> None:
    back = read_pickle(written(tmp_path, (["a"], [np.int64(7), np.float32(0.5)]), protocol))
    assert back == (["a"], [7, 0.5])


HOSTILE = {
    "a command": Runs(os.system, "touch HARM"),
    "another command": Runs(subprocess.Popen, ["touch", "HARM"]),
    "eval": Runs(eval, "open('HARM', 'w')"),
    "a file is opened": Runs(open, "HARM", "w"),
    "getattr": Runs(getattr, [], "append"),
    "a date": datetime.date(2024, 1, 1),
    "an ordered dict": OrderedDict(a=1),
    "an array of objects": np.array([{}, []], dtype=object),
    "a record array": np.zeros(3, [("a", "f4"), ("b", "i8")]),
    "a date array": np.zeros(3, "M8[s]"),
    "a complex array": np.zeros(3, complex),
    "hidden in a list": [["x"], [Runs(os.system, "touch HARM")]],
    "hidden in a key": {("a", Runs(os.remove, "HARM")): 1},
    "numpy's loader": Runs(np.load, "HARM"),
    "numpy from a file": Runs(np.fromfile, "HARM"),
    "a class as data": [np.ndarray],
    "a type as data": [np.dtype],
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_hostile_pickles_are_refused_in_one_line(tmp_path: Path, monkeypatch, name: str, protocol: int) -> None:
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path, HOSTILE[name], protocol)
    with pytest.raises(KinetagError) as error:
        read_pickle(path)
    message = str(error.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert "plain numpy arrays" in message
    assert not (tmp_path / "HARM").exists()


def op(*parts: bytes) -> bytes:
    return b"".join(parts) + b"."


HAND_MADE = {
    # a dtype whose state claims fields of its own, as numpy's own loader would believe
    "a dtype with fields": op(b"cnumpy\ndtype\n(S'i8'\nI00\nI01\ntR(I3\nS'<'\nN(S'a'\nt(dI8\nI8\nI0\ntb"),
    "a dtype of huge size": op(b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'V999999999'\nI0\nI1\ntRS'x'\ntR"),
    "an array larger than its bytes": op(
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR",
        b"(I1\n(I1000000000000\ntcnumpy\ndtype\n(S'f8'\nI0\nI1\ntRI00\nC\x04abcdtb",
    ),
    "state for a function": op(b"cnumpy.core.multiarray\n_reconstruct\n(N(dS'__defaults__'\nNstb"),
    "state for a class": op(b"cnumpy\ndtype\n(dS'x'\nI1\nsb"),
    "no state at all": op(b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"),
    "a dotted name": b"\x80\x04\x8c\x05numpy\x8c\x0bdtype.__new__\x93.",
    "a persistent reference": b"Psomewhere\n.",
    "an extension": b"\x82\x01.",
    "a memo that is not there": b"\x80\x04j\xff\xff\xff\x7f.",
    "a list in itself": pickle.dumps((lambda a: (a.append(a), a)[1])([]), 2),
    "deep nesting": b"(" * 5000 + b"t" * 5000 + b".",
    "nothing": b"",
    "text": b"a,b,c\n1,2,3\n",
    "cut short": pickle.dumps((["a"] * 99, list(range(99))))[:-20],
    "a zip file": b"PK\x03\x04" + bytes(100),
}


@pytest.mark.parametrize("name", HAND_MADE)
def test_broken_pickles_are_one_clear_line(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, HAND_MADE[name])
    with pytest.raises(KinetagError) as error:
        read_pickle(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@given(st.binary(max_size=60))
def test_random_bytes_never_do_anything_else_than_a_clear_line(tmp_path_factory, noise: bytes) -> None:
    base = pickle.dumps((["a", "b"], np.arange(2)))
    path = tmp_path_factory.mktemp("noise") / "label.pkl"
    for content in (noise, base[: len(noise)] + noise + base[len(noise) * 2 :]):
        path.write_bytes(content)
        try:
            read_pickle(path)
        except KinetagError as error:
            assert "\n" not in str(error)  # noqa: PT017 - what is read by luck is fine too


def test_what_is_missing_or_unreadable_is_said(tmp_path: Path) -> None:
    with pytest.raises(KinetagError, match="no such file"):
        read_pickle(tmp_path / "none.pkl")
    with pytest.raises(KinetagError, match="cannot be read"):
        read_pickle(tmp_path)


def test_the_stand_ins_remember_nothing_from_one_file_to_the_next(tmp_path: Path) -> None:
    with pytest.raises(KinetagError):
        read_pickle(written(tmp_path, HAND_MADE["state for a class"]))
    array = np.arange(3)
    np.testing.assert_array_equal(read_pickle(written(tmp_path, array)), array)
    assert isinstance(pickle.load(io.BytesIO(pickle.dumps(array))), np.ndarray)
