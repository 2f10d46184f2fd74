"""Reading YAML files that people write: safe, bounded, and with errors that name the line and the nearest right key."""

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from kinetag.errors import KinetagError, MistakesError

MAX_BYTES = 200_000
_MAX_DEPTH = 12
_TOLD = 12  # mistakes of a file; more are only counted
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same, ten times faster

Model = TypeVar("Model", bound=BaseModel)


class MisplacedError(ValueError):
    """A mistake that a validator finds in a part of what it validates: ``where`` are the keys that lead there."""

    def __init__(self, message: str, *where: str | int) -> None:
        super().__init__(message)
        self.where = where


def read_models(path: Path, model: type[Model] | None) -> list[Any]:
    """Every document of a YAML file as a ``model``; as plain data when that is None.

    Raises a KinetagError of one line, ``file:line: what is wrong``, for anything the file gets wrong; a MistakesError
    of such lines where there are several.
    """
    nodes = _compose(path)
    if not nodes:
        raise KinetagError(f"{path} is empty; see docs/exercises.md for an example")
    documents = [(node, _construct(path, node)) for node in nodes]
    if model is None:
        return [data for _, data in documents]
    read, mistakes = [], []
    for node, data in documents:
        try:
            read.append(model.model_validate(data))
        except ValidationError as error:
            mistakes += _explain(node, model, error)
    if mistakes:
        raise _refusal(path, mistakes)
    return read


def line_of(path: Path, document: int, *where: str | int) -> int:
    """The line of a part of a file's document (0 is the first); of the nearest part around it that is there."""
    return _locate(_compose(path)[document], list(where))[0]


def nearest(word: str, known: Iterable[str]) -> str:
    """ ", did you mean 'x'?" when a known word is near, else nothing."""
    close = difflib.get_close_matches(str(word), list(known), 1, 0.6)
    return f", did you mean '{close[0]}'?" if close else ""


def _compose(path: Path) -> list[yaml.Node]:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise KinetagError(f"{path} has {size} bytes; an exercise file has at most {MAX_BYTES}")
        text = path.read_text("utf-8")
        _refuse_tricks(path, text)
        nodes = list(yaml.compose_all(text, _LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise KinetagError(f"{path}:{line}: not valid YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise KinetagError(f"{path}: not a YAML text file: {' '.join(str(error).split())}") from None
    except OSError as error:
        raise KinetagError(f"{path} cannot be read: {error.strerror or error}") from None
    for node in nodes:
        _check_keys(path, node)
    return nodes


def _refuse_tricks(path: Path, text: str) -> None:
    """Refuse what no exercise needs and an attacker would use: aliases, which multiply, and deep nests."""
    depth = 0
    for event in yaml.parse(text, _LOADER):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise KinetagError(f"{path}:{line}: aliases (*name) are not understood here; write the value out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise KinetagError(f"{path}:{line}: nested too deeply; an exercise needs at most {_MAX_DEPTH} levels")


def _check_keys(path: Path, node: yaml.Node) -> None:
    """Keys must be plain words, each said once (YAML itself would silently take the last)."""
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            _check_keys(path, child)
    elif isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, child in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise KinetagError(f"{path}:{key.start_mark.line + 1}: a key must be a plain word")
            if key.value in keys:
                raise KinetagError(f"{path}:{key.start_mark.line + 1}: '{key.value}' is said twice")
            keys.add(key.value)
            _check_keys(path, child)


def _construct(path: Path, node: yaml.Node) -> dict[str, Any]:
    loader = yaml.SafeLoader("")
    try:
        data = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else node.start_mark.line + 1
        raise KinetagError(f"{path}:{line}: {error.problem}") from None
    except (ValueError, OverflowError) as error:
        raise KinetagError(f"{path}:{node.start_mark.line + 1}: {error}") from None
    finally:
        loader.dispose()
    if not isinstance(data, dict):
        raise KinetagError(f"{path}:{node.start_mark.line + 1}: expected 'key: value' lines, found {_short(data)}")
    return data


def _refusal(path: Path, mistakes: Sequence[tuple[int, str]]) -> KinetagError:
    """The error that tells of mistakes, each with its line, in the order of the file."""
    ordered = sorted(mistakes, key=lambda mistake: mistake[0])
    lines = [" ".join(f"{path}:{line}: {told}".splitlines()) for line, told in ordered[:_TOLD]]
    if len(ordered) > _TOLD:
        lines.append(f"{path}: and {len(ordered) - _TOLD} more mistakes")
    return MistakesError("\n".join(lines)) if len(lines) > 1 else KinetagError(lines[0])


def _explain(node: yaml.Node, model: type[BaseModel], error: ValidationError) -> list[tuple[int, str]]:
    """The mistakes of a document, each with its line."""
    problems = error.errors()
    strange = [problem["loc"] for problem in problems if problem["type"] == "extra_forbidden"]
    found: dict[str, tuple[int, str]] = {}  # by its place: what is neither of two things is told once
    for problem in problems:
        *around, key = problem["loc"] or ("",)
        if problem["type"] == "missing" and any(
            [*others] == around and nearest(str(other), [str(key)]) for *others, other in strange
        ):
            continue  # it is there, but misspelt
        loc = [part for part in problem["loc"] if not str(part).startswith("function-")]
        loc += getattr(problem.get("ctx", {}).get("error"), "where", ())
        line, where = _locate(node, loc)
        place = ".".join(where) or "the exercise"
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "missing":
            place = ".".join(map(str, loc))
            told = f"'{place}' is missing"
        elif problem["type"] == "extra_forbidden":
            told = f"unknown key '{place}'{nearest(where[-1], _keys(model, where[:-1]))}"
        elif problem["type"] == "value_error":
            told = f"{place}: {message}"
        else:
            told = f"{place} is {_short(problem['input'])}: {message[0].lower()}{message[1:]}"
        found.setdefault(place, (line, told))
    return list(found.values())


def _locate(node: yaml.Node, loc: list[Any]) -> tuple[int, list[str]]:
    """Line of the deepest part of ``loc`` that is in the file, and the parts that are."""
    line, where = node.start_mark.line + 1, []
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == str(part)), None)
            if found is None:
                continue
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode):  # a word of a list
            return next((n.start_mark.line + 1 for n in node.value if n.value == str(part)), line), where
        else:
            break
        where.append(str(part))
    return line, where


def _keys(model: type[BaseModel], where: list[str]) -> list[str]:
    """The keys that the model at a place in the file allows."""
    current: Any = model
    for part in where:
        if isinstance(current, type) and issubclass(current, BaseModel) and part in current.model_fields:
            current = _model_in(current.model_fields[part].annotation)
    return list(current.model_fields) if current is not None else []


def _model_in(annotation: Any) -> Any:
    """The model somewhere inside a type such as ``dict[str, Pose]`` or ``Support | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(part) for part in getattr(annotation, "__args__", ()))
    return next((part for part in found if part is not None), None)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
