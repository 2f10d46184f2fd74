"""Reading the YAML file of a spec and its overrides into one tree of plain data, with the line of every key."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kinetag.errors import KinetagError, missing_extra
from kinetag.spec.errors import shown

_MAX_BYTES = 1_000_000
_MAX_DEPTH = 20
_MAX_VALUES = 20_000  # with aliases written out
_REPLACED = frozenset({"dataset.label_map"})  # a mapping given as an override replaces the file's; groups are merged
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same, ten times faster


@dataclass(frozen=True)
class SpecSource:
    """Where the values of a spec come from: a file, overrides, or both. ``lines`` has the line of each dotted key."""

    path: Path | None
    overrides: Mapping[str, str]
    values: dict[str, Any]
    lines: Mapping[str, int] = field(default_factory=dict)

    def where(self, key: str) -> str:
        """Where a dotted key was written: "spec.yaml:12", "override train.seed=x", or what is known of it."""
        for override, text in reversed(list(self.overrides.items())):
            if override == key or override.startswith(f"{key}.") or key.startswith(f"{override}."):
                return f"override {shown(text)}" if "encryption_key" not in override else f"override of {override}"
        while key and key not in self.lines:
            key = key.rpartition(".")[0]
        return f"{self.path}:{self.lines[key]}" if key else str(self.path or "the spec")


def read_spec(path: Path | None, overrides: Sequence[str], shorthands: Mapping[str, str]) -> SpecSource:
    """Merge a file and ``dotted.key=value`` overrides; resolve references such as ``${results_dir}``."""
    try:
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException
    except ImportError:
        raise missing_extra("omegaconf", "train", "reading a spec") from None
    data, lines = _read(path) if path is not None else ({}, {})
    given = dict(dotted(override, shorthands) for override in overrides)
    doing = str(path or "the spec")
    try:
        config = OmegaConf.create(data)
        for key, text in given.items():
            doing = f"override {shown(key)}"
            if key in _REPLACED and text.partition("=")[2].startswith("{"):
                OmegaConf.update(config, key, {}, merge=False)
            config.merge_with_dotlist([text])
        doing = str(path or "the spec")
        values = OmegaConf.to_container(config, resolve=True)
    except (OmegaConfBaseException, yaml.YAMLError, ValueError, TypeError, AttributeError, IndexError) as error:
        reason = " ".join(str(error).split()).partition(" object_type=")[0]
        if "encryption_key" in f"{doing} {reason}":  # the reason may show the key
            reason = "encryption_key cannot be read; put it in quotes, and do not let it hold '${'"
        raise KinetagError(f"{doing}: {reason}") from None
    return SpecSource(path, given, _filled(values), lines)


def dotted(override: str, shorthands: Mapping[str, str]) -> tuple[str, str]:
    """The dotted key of an override, its shorthand spelled out, and the override with it."""
    key, equals, value = override.partition("=")
    key = key.strip().lstrip("+-")
    if not equals or not key:
        raise KinetagError(f"{shown(override)} is not an override; write dotted.key=value, such as train.num_epochs=20")
    key = shorthands.get(key, key)
    return key, f"{key}={value.strip()}"


def _filled(value: Any) -> Any:
    """The tree without keys whose value was left blank: those keep their defaults."""
    if isinstance(value, dict):
        return {str(key): _filled(item) for key, item in value.items() if item is not None}
    return value


def _read(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """The one mapping in a YAML file, and the line of each dotted key."""
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise KinetagError(f"{path} has {size} bytes; a spec has at most {_MAX_BYTES}")
        text = path.read_text("utf-8")
        return _parse(path, text)
    except FileNotFoundError:
        raise KinetagError(f"spec '{path}' does not exist; 'kinetag spec train' prints one to start from") from None
    except OSError as error:
        raise KinetagError(f"spec '{path}' cannot be read: {error.strerror or error}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = error.problem or error.context
        raise KinetagError(f"{path}:{mark.line + 1 if mark else 1}: not valid YAML: {reason}") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise KinetagError(f"{path}: not a YAML text file: {' '.join(str(error).split())}") from None


def _parse(path: Path, text: str) -> tuple[dict[str, Any], dict[str, int]]:
    _check_depth(path, text)
    loader = _LOADER(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return {}, {}
        if not isinstance(node, yaml.MappingNode):
            raise KinetagError(f"{path}: not keys and values; 'kinetag spec train' prints a spec to start from")
        if _size(path, node, {}) > _MAX_VALUES:
            raise KinetagError(f"{path}: more than {_MAX_VALUES} values once its aliases are written out")
        lines = dict(_lines(path, node))
        return loader.construct_document(node), lines
    finally:
        loader.dispose()


def _check_depth(path: Path, text: str) -> None:
    depth = 0
    for event in yaml.parse(text, _LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise KinetagError(f"{path}:{event.start_mark.line + 1}: nested too deeply for a spec")


def _size(path: Path, node: yaml.Node, sizes: dict[int, int]) -> int:
    """How many values a node holds when every alias is written out, without writing them out."""
    if id(node) not in sizes:
        sizes[id(node)] = _MAX_VALUES + 1  # a node within itself has no end
        children = [child for pair in node.value for child in pair] if isinstance(node, yaml.MappingNode) else []
        children = node.value if isinstance(node, yaml.SequenceNode) else children
        sizes[id(node)] = 1 + sum(_size(path, child, sizes) for child in children)
    return sizes[id(node)]


def _lines(path: Path, node: yaml.MappingNode, prefix: str = "") -> Iterator[tuple[str, int]]:
    """The line of every dotted key. A key written twice is refused: YAML itself would silently take the last."""
    seen: set[str] = set()
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise KinetagError(f"{path}:{line}: a key must be a plain word")
        if key.tag == "tag:yaml.org,2002:bool":
            raise KinetagError(f"{path}:{line}: YAML reads the key {key.value} as true or false; put it in quotes")
        if key.value in seen:
            raise KinetagError(f"{path}:{line}: '{prefix}{key.value}' is written twice")
        seen.add(key.value)
        yield prefix + key.value, line
        if isinstance(value, yaml.MappingNode):
            yield from _lines(path, value, f"{prefix}{key.value}.")
