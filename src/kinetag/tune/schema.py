"""From the train schema, the settings and the spec to the space of a search."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kinetag.errors import KinetagError
from kinetag.spec import Spec
from kinetag.spec.automl import AutomlSettings, ParamRange
from kinetag.spec.errors import explain, nearest, shown
from kinetag.spec.schema import action_schema
from kinetag.tune.conditions import Bound, holds
from kinetag.tune.entries import Entry, check_schema, options_of
from kinetag.tune.space import Dimension, Interval, Space

NOT_RUNNABLE = "AutoML is enabled but not runnable until schemas are generated"

_MOST_BYTES = 5_000_000
_RANGE_OF = "automl_settings.custom_param_ranges"
_KINDS = {"number": "float", "float": "float", "integer": "int", "int": "int"}
# A search must not turn these even when it is asked to: they say where things are, not how to learn.
_NEVER = ("results_dir", "_path", "cache_dir", "gpu_ids", "num_gpus", "num_nodes", "encryption_key", "accelerator")
_NEVER_IN = ("automl_", "wandb.", "dataset.train_dataset", "dataset.val_dataset")


def read_schema(place: str) -> dict[str, Any]:
    """The train schema that the setting search_schema names, or kinetag's own; KinetagError where it is not usable.

    A folder is a skill's (or its schemas folder): it must hold the train schema and, in a skill, the train template.
    """
    if not place:
        return action_schema("train")
    path = Path(place)
    for folder in (path / "schemas", path):
        if (folder / "train.schema.json").is_file():
            schema = _parsed(folder / "train.schema.json")
            if folder != path:
                _check_template(path / "references" / "spec_template_train.yaml")
            return schema
    if path.is_dir():
        raise KinetagError(f"{NOT_RUNNABLE}: there is no train.schema.json in {path}; 'kinetag schema --out' makes it")
    return _parsed(path)


def _parsed(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("too large for a schema")
        schema = json.loads(path.read_text("utf-8"))
        if not isinstance(schema, dict) or not isinstance(schema.get("properties"), dict):
            raise ValueError("no properties in it")
        check_schema(schema)
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or "nested too deeply"
        raise KinetagError(
            f"{NOT_RUNNABLE}: {path} cannot be read ({reason}); 'kinetag schema --out' makes it"
        ) from None
    return schema


def _check_template(path: Path) -> None:
    import yaml

    try:
        if not isinstance(yaml.safe_load(path.read_text("utf-8")), dict):
            raise ValueError("no keys and values")
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise KinetagError(
            f"{NOT_RUNNABLE}: {path} cannot be read ({reason}); 'kinetag spec train' prints it"
        ) from None


def build_space(spec: Spec, schema: Entry) -> Space:
    """What a search over ``spec`` varies. ``spec`` has its recipe filled in. KinetagError for settings that do not fit.

    The spec's own values are where the search starts. Options given as overrides keep their value, unless
    automl_hyperparameters names them.
    """
    settings = spec.automl_settings
    known = {key: entry for key, entry in options_of(schema) if _has(spec, key)}
    ranges = dict(options_of(action_schema("train")))  # for a schema that has none
    fixed = {key: spec.get(key) for key in (*ranges, *known)}
    notes: list[str] = []
    dimensions: list[Dimension] = []
    for key in _names(spec, settings, known, schema, notes):
        entry = {"automl_ranges": ranges.get(key, {}).get("automl_ranges"), **known[key]}
        for name in ("conditions", "math_cond", "depends_on"):
            entry.setdefault(name, ranges.get(key, {}).get(name))
        given = settings.custom_param_ranges.get(key)
        dimension = _dimension(key, entry, given, fixed[key])
        if wrong := _refused(spec, dimension):
            where = f"{NOT_RUNNABLE}: the range in the schema" if given is None else _RANGE_OF
            raise KinetagError(f"{where} of {key}: {wrong}")
        dimensions.append(dimension)
    dimensions = _effective(_ordered(dimensions), fixed, notes)
    if not dimensions:
        why = f" ({'; '.join(notes)})" if notes else ""
        raise KinetagError(f"there is nothing to search{why}: name options in automl_settings.automl_hyperparameters")
    searched = {dimension.key for dimension in dimensions}
    return Space(tuple(dimensions), {key: value for key, value in fixed.items() if key not in searched}, tuple(notes))


def _has(spec: Spec, key: str) -> bool:
    try:
        spec.get(key)
    except AttributeError:
        return False
    return True


def _names(
    spec: Spec, settings: AutomlSettings, known: Mapping[str, Entry], schema: Entry, notes: list[str]
) -> list[str]:
    """The dotted keys to search, in the order in which they are named."""
    named = settings.automl_hyperparameters
    for key in (*named, *settings.custom_param_ranges):
        if key not in known:
            raise KinetagError(f"automl_settings names '{key}', which is no option of a training{nearest(key, known)}")
    disabled = {str(key) for key in schema.get("automl_disabled_parameters") or ()}
    for key in (*named, *settings.custom_param_ranges):
        where = f"automl_settings.{'automl_hyperparameters' if key in named else 'custom_param_ranges'} names {key}"
        if key.endswith(_NEVER) or key.startswith(_NEVER_IN) or "." not in key:
            raise KinetagError(
                f"{where}, which no search varies: it says where things are or how to search, not how to learn"
            )
        if (
            key in disabled or known[key].get("automl_enabled") is False
        ) and not settings.override_automl_disabled_params:
            raise KinetagError(
                f"{where}, which a search does not vary: leave it out, or set "
                "automl_settings.override_automl_disabled_params to true and give its valid_options"
            )
    notes += [
        f"{key} is not searched, though custom_param_ranges has a range for it: automl_hyperparameters does not name it"
        for key in settings.custom_param_ranges
        if named and key not in named
    ]
    defaults = [str(key) for key in schema.get("automl_default_parameters") or () if str(key) in known]
    defaults += [key for key in settings.custom_param_ranges if key not in defaults]
    kept = [key for key in defaults if not named and key in spec.overridden]
    notes += [f"{key} stays {shown(spec.get(key))}, as the command says" for key in kept]
    return list(dict.fromkeys(named or [key for key in defaults if key not in kept]))


def _dimension(key: str, entry: Entry, given: ParamRange | None, start: Any) -> Dimension:
    """One option: its range is the user's, else the declared one, else that of the schema's bounds."""
    kind = _KINDS.get(str(entry.get("type")), "")
    declared = [_declared(searched) for searched in entry.get("automl_ranges") or ()]
    bounds = _number(entry, "minimum", -math.inf), _number(entry, "maximum", math.inf)
    if given is not None:
        intervals = [_given(key, kind, entry, given, declared, bounds)]
    elif declared:
        intervals = declared
    elif entry.get("enum") or entry.get("type") in ("boolean", "bool"):
        intervals = [Interval(options=tuple(entry.get("enum") or (False, True)), weights=_weights(key, entry))]
    elif kind and all(map(math.isfinite, bounds)):
        intervals = [Interval(*bounds)]
    else:
        raise KinetagError(
            f"{key} has no range to search: give one in automl_settings.custom_param_ranges (valid_min and valid_max, "
            "or valid_options)"
        )
    intervals = [_without_never(interval) for interval in intervals]
    if any(interval.options for interval in intervals):
        kind = "choice"
        intervals = [interval if given else _with(interval, start) for interval in intervals]
    elif not given:
        intervals = [_widened(interval, start) for interval in intervals]
    return Dimension(
        key,
        kind,
        tuple(intervals),
        start,
        tuple(entry.get("conditions") or ()),
        Bound.read(entry["math_cond"]) if entry.get("math_cond") and kind != "choice" else None,
        entry.get("depends_on") or "",
    )


def _refused(spec: Spec, dimension: Dimension) -> str:
    """Why the option does not take some value of its range; '' where it takes all of them."""
    parent, _, name = dimension.key.rpartition(".")
    group = spec.get(parent).model_copy()
    for interval in dimension.intervals:
        for value in interval.options or (interval.low, interval.high):
            bound = dimension.bound
            if not interval.options and bound is not None and not bound.kept(value, None):
                continue  # is never drawn
            try:
                setattr(group, name, int(value) if dimension.kind == "int" else value)
            except ValidationError as error:
                return explain(error, type(group))[1]
    return ""


def _declared(searched: Entry) -> Interval:
    return Interval(
        float(searched.get("minimum", 0.0)),
        float(searched.get("maximum", 1.0)),
        bool(searched.get("log")),
        tuple(searched.get("options", ())),
        when=searched.get("when", ""),
    )


def _given(
    key: str, kind: str, entry: Entry, given: ParamRange, declared: list[Interval], bounds: tuple[float, float]
) -> Interval:
    """The user's range; what it leaves open is as declared."""
    where = f"{_RANGE_OF} of {key}"
    choices = list(entry.get("enum") or next((interval.options for interval in declared if interval.options), ()))
    if given.option_weights and given.valid_options is None and not choices:
        raise KinetagError(f"{where}: option_weights weigh choices, and it has none: give valid_options too")
    if given.valid_options is not None or given.option_weights:
        if given.valid_min is not None or given.valid_max is not None:
            raise KinetagError(f"{where}: give valid_min and valid_max, or choices, not both")
        options = given.valid_options if given.valid_options is not None else choices
        if not options:
            raise KinetagError(f"{where}: valid_options is empty")
        if entry.get("enum") and (wrong := [option for option in options if option not in entry["enum"]]):
            raise KinetagError(
                f"{where}: {shown(wrong[0])} is no choice; there are {', '.join(map(str, entry['enum']))}"
            )
        weights = {"option_weights": given.option_weights, "enum": options}
        return Interval(options=tuple(options), weights=_weights(key, weights) if given.option_weights else ())
    if not kind:
        raise KinetagError(f"{where}: it is no number; give valid_options")
    usual = next((interval for interval in declared if not interval.options), None)
    low = given.valid_min if given.valid_min is not None else usual.low if usual else bounds[0]
    high = given.valid_max if given.valid_max is not None else usual.high if usual else bounds[1]
    if not (math.isfinite(low) and math.isfinite(high)):
        raise KinetagError(f"{where}: give both valid_min and valid_max")
    if low >= high:
        raise KinetagError(f"{where}: valid_min {low:g} is not below valid_max {high:g}")
    if low < bounds[0] or high > bounds[1]:
        least = f", from {bounds[0]:g}" if math.isfinite(bounds[0]) else ""
        most = f", up to {bounds[1]:g}" if math.isfinite(bounds[1]) else ""
        raise KinetagError(f"{where}: {low:g} to {high:g} is out of its bounds{least}{most}")
    if kind == "int" and (low % 1 or high % 1):
        raise KinetagError(f"{where}: it takes whole numbers")
    log = low > 0 and (usual.log if usual else high / low >= 100)
    return Interval(low, high, log)


def _weights(key: str, entry: Entry) -> tuple[float, ...]:
    weights = tuple(float(weight) for weight in entry.get("option_weights") or ())
    if weights and (len(weights) != len(entry.get("enum") or ()) or min(weights) < 0 or not any(weights)):
        raise KinetagError(
            f"option_weights of {key} are {shown(list(weights))}; give one from 0 up for each choice, and one above 0"
        )
    return weights


def _without_never(interval: Interval) -> Interval:
    """Without the choices that are never drawn."""
    if not interval.weights or min(interval.weights) > 0:
        return interval
    kept = [(option, weight) for option, weight in zip(interval.options, interval.weights, strict=True) if weight > 0]
    return replace(interval, options=tuple(o for o, _ in kept), weights=tuple(w for _, w in kept))


def _with(interval: Interval, start: Any) -> Interval:
    """With the spec's own value among the choices."""
    if any(json.dumps(option) == json.dumps(start) for option in interval.options) or start in interval.options:
        return interval
    weights = (*interval.weights, sum(interval.weights) / len(interval.weights)) if interval.weights else ()
    return replace(interval, options=(*interval.options, start), weights=weights)


def _widened(interval: Interval, start: Any) -> Interval:
    """Wide enough for the spec's own value, where that is a value that the scale knows."""
    if not isinstance(start, int | float) or isinstance(start, bool) or interval.when or (interval.log and start <= 0):
        return interval
    return replace(interval, low=min(interval.low, start), high=max(interval.high, start))


def _number(entry: Entry, name: str, otherwise: float) -> float:
    value = entry.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else otherwise


def _ordered(dimensions: list[Dimension]) -> list[Dimension]:
    """Each after those that it looks at; in the order in which they came otherwise."""
    left, done = list(dimensions), []
    while left:
        waiting = {dimension.key for dimension in left}
        ready = next((d for d in left if not (d.looks_at & waiting - {d.key})), None)
        if ready is None:
            raise KinetagError(f"the conditions of {', '.join(sorted(waiting))} depend on one another in a circle")
        left.remove(ready)
        done.append(ready)
    return done


def _effective(dimensions: list[Dimension], fixed: Mapping[str, Any], notes: list[str]) -> list[Dimension]:
    """Without those that can have no effect, whatever is drawn; a note says why each is left out."""
    kept: list[Dimension] = []
    for dimension in dimensions:
        open_keys = {other.key for other in kept}
        never = [
            text for text in dimension.conditions if text.split()[0] not in open_keys and not holds(text, fixed.get)
        ]
        usable = [
            i for i in dimension.intervals if not i.when or i.when.split()[0] in open_keys or holds(i.when, fixed.get)
        ]
        if never:
            notes.append(f"{dimension.key} is not searched: it has an effect only with {never[0]}")
        elif not usable:
            notes.append(f"{dimension.key} is not searched: it matters only with {dimension.intervals[0].when}")
        else:
            kept.append(replace(dimension, intervals=_until_sure(usable, open_keys)))
    return kept


def _until_sure(intervals: list[Interval], open_keys: set[str]) -> tuple[Interval, ...]:
    """The ranges up to the first that is sure to apply."""
    chosen: list[Interval] = []
    for interval in intervals:
        sure = not interval.when or interval.when.split()[0] not in open_keys
        chosen.append(replace(interval, when="") if sure else interval)
        if sure:
            break
    return tuple(chosen)
