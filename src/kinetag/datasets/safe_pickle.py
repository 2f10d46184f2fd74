"""Reading pickles of plain data, and refusing every other.

A pickle is a program. The reader below runs it with nothing to call: lists, tuples, dicts, text and numbers are made by
the pickle machine itself, and the few names that numpy's arrays need are answered by inert stand-ins that only note
what they are given. Arrays are built afterwards from the noted bytes, so no code of numpy ever sees hostile state.
"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from kinetag.errors import KinetagError

_MAX_BYTES = 4 << 30
_KINDS = "biufUS"  # plain numbers and text; 'O' would be objects
_MAX_DEPTH = 50


class _Dtype:
    """Stands for numpy.dtype: notes the code ('i8') and the byte order."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any, *_: Any) -> None:
        if not isinstance(code, str) or len(code) > 12:
            raise KinetagError("an array of a kind that is not plain numbers or text")
        self.code, self.order = code, "<"

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 2 or any(item is not None for item in state[2:5]):
            raise KinetagError("an array of a kind that is not plain numbers or text")
        self.order = state[1]

    def real(self) -> np.dtype:
        dtype = np.dtype(self.code)
        if dtype.kind not in _KINDS or not 0 < dtype.itemsize <= 4096:
            raise KinetagError(f"an array of kind '{self.code}', which is not plain numbers or text")
        return dtype.newbyteorder(">" if self.order == ">" else "<")


class _Array:
    """Stands for numpy.ndarray: notes shape, dtype, order and bytes."""

    __slots__ = ("state",)

    def __init__(self) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def real(self) -> np.ndarray:
        try:
            _, shape, dtype, fortran, raw = self.state
            if not isinstance(dtype, _Dtype) or not isinstance(raw, bytes | bytearray):
                raise KinetagError("an array of Python objects, which is not plain numbers or text")
            values = np.frombuffer(raw, dtype.real())
            return values.reshape(tuple(int(n) for n in shape), order="F" if fortran else "C")
        except (TypeError, ValueError, OverflowError) as error:
            raise KinetagError(f"a broken array ({str(error)[:60]})") from None


class _Name:
    """A name that a pickle may call. Nothing can be set on it."""

    __slots__ = ("_answer",)

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def __call__(self, *arguments: Any) -> Any:
        return self._answer(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise KinetagError("state for a function, which plain data never has")


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _from_buffer(raw: Any, dtype: Any, shape: Any, order: Any, *_: Any) -> _Array:
    array = _Array()
    array.state = (1, shape, dtype, order == "F", raw)
    return array


def _scalar(dtype: Any, raw: Any = b"") -> Any:
    if isinstance(raw, str):
        raw = raw.encode("latin1")
    if not isinstance(dtype, _Dtype) or not isinstance(raw, bytes) or len(raw) != dtype.real().itemsize:
        raise KinetagError("a number of a kind that is not plain")
    return np.frombuffer(raw, dtype.real())[0].item()


def _encode(text: Any, encoding: Any = "latin1", *_: Any) -> bytes:
    """How protocols before 3 write bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise KinetagError("bytes in an unknown encoding")
    return text.encode("latin1")


_NUMPY = {
    "_reconstruct": _reconstruct,
    "scalar": _scalar,
    "_frombuffer": _from_buffer,
    "dtype": _Dtype,
    "ndarray": _reconstruct,  # only ever an argument
}
_MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module in _MODULES and name in _NUMPY:
            return _Name(_NUMPY[name])
        if (module, name) == ("_codecs", "encode"):
            return _Name(_encode)
        raise KinetagError(f"'{module[:40]}.{name[:40]}'")

    def persistent_load(self, pid: Any) -> Any:
        raise KinetagError("a reference to something outside the file")


def read_pickle(path: Path) -> Any:
    """The plain data of a pickle: lists, tuples, dicts, text, numbers and numpy arrays of numbers or text.

    Anything else, and anything broken, raises a KinetagError; nothing in the file is ever run.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise KinetagError(f"{path}: larger than {_MAX_BYTES >> 30} GiB; split it")
        with open(path, "rb") as stream:
            return _real(_Reader(stream, encoding="latin1").load(), 0)
    except KinetagError as error:
        if str(error).startswith(str(path)):
            raise
        raise KinetagError(
            f"{path}: holds {error}; only lists, tuples, text, numbers and plain numpy arrays are read from a pickle"
        ) from None
    except FileNotFoundError:
        raise KinetagError(f"no such file: {path}") from None
    except OSError as error:
        raise KinetagError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from None
    except (MemoryError, RecursionError):
        raise KinetagError(f"{path}: nested too deeply, or too large, to be read") from None
    except Exception as error:  # a broken pickle raises anything: UnpicklingError, EOFError, IndexError, KeyError, ...
        raise KinetagError(
            f"{path}: not a pickle that can be read ({str(error)[:80] or type(error).__name__})"
        ) from None


def _real(value: Any, depth: int) -> Any:
    """The same data with arrays in place of their stand-ins."""
    if depth > _MAX_DEPTH:
        raise RecursionError
    if isinstance(value, _Array):
        return value.real()
    if isinstance(value, list | tuple | set | frozenset):
        if all(type(item) in (int, float, str, bool) for item in value):
            return value
        return type(value)(_real(item, depth + 1) for item in value)
    if isinstance(value, dict):
        return {_real(key, depth + 1): _real(item, depth + 1) for key, item in value.items()}
    if isinstance(value, _Name | _Dtype):
        raise KinetagError("a name in place of data")
    return value
