"""What a job's spec gets from the job graph where the user left an option empty.

`SPEC_PARAMS` of the contract says which function here fills which option; data come by `DATA_SOURCES`. Everything that
is filled in is told with where it came from; what the user wrote is never touched.
"""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kinetag.errors import KinetagError
from kinetag.jobs.checkpoints import MONITORED, Choice, choose_checkpoint, choose_onnx, list_folder
from kinetag.jobs.contract import DATA_SOURCES, SPEC_PARAMS
from kinetag.spec import EMPTY, KEY_VARIABLE, MASK, Spec, put_at, value_at

_LATEST, _BEST = "pc_model_latest.pth", "pc_model_best.pth"  # as training writes them; `learning` would load torch
_ONNX, _PREDICTIONS = "model.onnx", "predictions"
_PERSON = re.compile(r"(?:^|/)object_\w+\.npy$")  # what a conversion of DeepStream's poses writes
_MOST_SIDE = 64 << 20  # bytes


@dataclass(frozen=True)
class Inferred:
    """One option that was filled in: by which function of the contract, and from where."""

    key: str
    value: Any
    function: str
    source: str


@dataclass(frozen=True)
class Parent:
    """An ancestor, as far as its descendants care."""

    id: str
    action: str
    finished: bool
    results: str  # the folder of its action
    values: Mapping[str, Any]  # its spec
    train_data: str = ""


@dataclass
class Case:
    """A job whose spec is to be completed."""

    action: str
    values: dict[str, Any]  # its spec: as given, then with what was filled in
    own_results: str  # the results folder of a job whose spec names none
    parents: Sequence[Parent] = ()  # the nearest first
    attempt: int = 1
    has_key: bool = False
    train_data: str = ""
    filled: list[Inferred] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def given(self, key: str) -> bool:
        return value_at(self.values, key) not in EMPTY

    def fill(self, key: str, value: Any, function: str, source: str) -> None:
        """Fill an option in, unless it has a value."""
        if not self.given(key):
            put_at(self.values, key, value)
            self.filled.append(Inferred(key, value, function, source))

    def folder(self) -> str:
        """The folder that the action writes into."""
        return results_of(self.values, self.action)


def results_of(values: Mapping[str, Any], action: str) -> str:
    """Where an action with this spec writes, as `Spec.results_folder` says."""
    own = value_at(values, f"{action}.results_dir")
    if own not in EMPTY:
        return str(own)
    shared = value_at(values, "results_dir")
    return os.path.join("results" if shared in EMPTY else str(shared), action)


def infer(case: Case) -> Case:
    """Fill in what the user left empty. Raises a KinetagError when the parent has nothing that fits."""
    if case.action == "train" and "automl_policy" in Spec.model_fields:
        case.fill("automl_policy", "auto", "automl_policy", "jobs search unless the spec says off")
    params = SPEC_PARAMS[case.action]
    for key in sorted(params, key=lambda key: params[key] not in ("key", "output_dir")):  # the others build on these
        found = None if case.given(key) else FUNCTIONS[params[key]](case, key)
        if found is not None:
            case.fill(key, found[0], params[key], found[1])
    _fill_data(case)
    if case.action == "train":
        _fill_array_facts(case)
    if case.action == "export" and case.attempt > 1 and "export.onnx_file" in {one.key for one in case.filled}:
        case.fill("export.force", True, "create_onnx_file", "an earlier attempt may have written this job's own file")
    return case


# --- the functions of the contract: (value, source), or None for nothing ---------------------------------------------

_Filling = tuple[Any, str] | None


def _key(case: Case, key: str) -> _Filling:
    return (
        (MASK, f"the variable {KEY_VARIABLE} of the job's process; the key itself is in no file")
        if case.has_key
        else None
    )


def _output_dir(case: Case, key: str) -> _Filling:
    if case.given("results_dir") or case.given(f"{case.action}.results_dir"):
        return None
    return case.own_results, "this job's own folder"


def _parent_model(case: Case, key: str) -> _Filling:
    for parent in case.parents:
        choice = _model_of(parent)
        if choice is not None:
            return choice.path, f"job {parent.id} ({parent.action}): {choice.why}"
    return None


def _pretrained(case: Case, key: str) -> _Filling:
    if _own_state(case) is not None:
        return None
    found = _parent_model(case, key)
    if found is not None and found[0].lower().endswith(".onnx"):
        case.notes.append(f"training cannot start from {found[0]}: an ONNX file holds no weights to train")
        return None
    return found


def _resume_model(case: Case, key: str) -> _Filling:
    path = _own_state(case)
    return None if path is None else (path, "the latest checkpoint in this job's own folder, of an earlier attempt")


def _onnx_file(case: Case, key: str) -> _Filling:
    return os.path.join(case.folder(), _ONNX), "a file in this job's results folder"


def _predictions_file(case: Case, key: str) -> _Filling:
    kind = value_at(case.values, "inference.output_format")
    name = f"{_PREDICTIONS}.{'txt' if kind in EMPTY else kind}"
    return os.path.join(case.folder(), name), "a file in this job's results folder"


FUNCTIONS: dict[str, Callable[[Case, str], _Filling]] = {
    "key": _key,
    "output_dir": _output_dir,
    "parent_model": _parent_model,
    "ptm_if_no_resume_model": _pretrained,
    "resume_model": _resume_model,
    "create_onnx_file": _onnx_file,
    "create_inference_result_file_pose": _predictions_file,
}


def _own_state(case: Case) -> str | None:
    """The state that an earlier attempt left in the job's own folder.

    In a folder that the user named training itself looks, and checks that the state is of this very run. A search keeps
    the states of its trials itself.
    """
    own = value_at(case.values, "results_dir") == case.own_results and not case.given("train.results_dir")
    searches = value_at(case.values, "automl_policy") == "auto"
    path = os.path.join(case.folder(), _LATEST)
    return path if case.attempt > 1 and own and not searches and os.path.isfile(path) else None


def _model_of(parent: Parent) -> Choice | None:
    """The model that a parent made, or that it used itself; None for a conversion."""
    if parent.action == "train":
        if parent.finished:
            metric, maximize = _judged_by(parent.values)
            return choose_checkpoint(parent.results, metric, maximize=maximize)
        return Choice(os.path.join(parent.results, _BEST), "what it will have kept as the best")
    if parent.action == "export":
        named = str(value_at(parent.values, "export.onnx_file") or "")
        if parent.finished:
            return choose_onnx(parent.results, named)
        return Choice(named or os.path.join(parent.results, _ONNX), "the file that it will write")
    used = value_at(parent.values, f"{parent.action}.checkpoint")
    return None if used in EMPTY else Choice(str(used), "the model that it used")


def _judged_by(values: Mapping[str, Any]) -> tuple[str, bool]:
    """What a training kept its best checkpoint by, and whether more of it is better; a search is told by what."""
    if value_at(values, "automl_policy") != "auto":
        return MONITORED, True
    named, direction = (value_at(values, f"automl_settings.{name}") for name in ("metric", "direction"))
    metric = MONITORED if named in EMPTY else str(named)
    return metric, direction == "maximize" or (direction != "minimize" and "loss" not in metric)


# --- data ------------------------------------------------------------------------------------------------------------


def _fill_data(case: Case) -> None:
    """Data from the folder that the job was given, else from the nearest ancestor that has any."""
    keys = DATA_SOURCES.get(case.action)
    if keys is None:
        return
    first = next(iter(keys))
    if case.train_data:
        _fill_from_folder(case, case.train_data, "the data folder of this job", None)
        return
    for parent in [] if case.given(first) else case.parents:
        _refuse_split(case, parent, first)
        if parent.train_data:
            _fill_from_folder(case, parent.train_data, f"the data folder of job {parent.id}", None)
        elif parent.action == "dataset_convert":
            _fill_from_folder(case, parent.results, f"job {parent.id} (dataset_convert)", parent)
        elif parent.action in DATA_SOURCES:
            _fill_from_spec(case, parent)
        if case.given(first):
            return


def _refuse_split(case: Case, parent: Parent, key: str) -> None:
    """A training that put aside a part of its own data has none that could be named for an evaluation."""
    share = value_at(parent.values, "dataset.validation_split")
    own = value_at(parent.values, "dataset.val_dataset.data_path") not in EMPTY
    open_yet = bool(parent.train_data) and not parent.finished  # its folder may hold validation data
    if case.action == "evaluate" and parent.action == "train" and share not in (*EMPTY, 0) and not own and not open_yet:
        raise KinetagError(
            f"job {parent.id} (train) was validated on a part of its training data (dataset.validation_split={share}), "
            f"which is no file to evaluate on: give {key}, or train with data apart, as 'dataset_convert' with "
            "dataset_convert.split=0.2 writes"
        )


def _fill_from_spec(case: Case, parent: Parent) -> None:
    """The data that a parent used: those that it was validated on to evaluate, the same for the same action."""
    theirs = {"train": "dataset.val_dataset"}.get(parent.action, f"{parent.action}.test_dataset")
    pairs = {"evaluate": {theirs: "evaluate.test_dataset"}} if parent.action != "inference" else {}
    if parent.action == case.action:
        sections = {key.rpartition(".")[0] for key in DATA_SOURCES[case.action]}
        pairs[case.action] = {section: section for section in sorted(sections)}
    for source, target in pairs.get(case.action, {}).items():
        for name in ("data_path", "label_path", "format"):
            value = value_at(parent.values, f"{source}.{name}")
            if value not in EMPTY:
                case.fill(f"{target}.{name}", value, "data_sources", f"{source} of job {parent.id} ({parent.action})")


def _fill_from_folder(case: Case, folder: str, source: str, parent: Parent | None) -> None:
    """The well-known files of a folder; a folder that has none of them is a source as it is, such as one of videos."""
    wanted = {key: entry["path"] for key, entry in DATA_SOURCES[case.action].items()}
    first = next(iter(wanted))
    expected = parent is not None and not parent.finished
    names = _expected(parent) if expected else {found.name for found in list_folder(folder, deep=parent is not None)}
    for key, name in wanted.items():
        if name in names:
            case.fill(key, os.path.join(folder, name), "data_sources", source)
    if case.given(first):
        return
    persons = sorted(name for name in names if _PERSON.search(name))
    if expected:
        case.fill(first, folder, "data_sources", f"{source}: what it will have written")
    elif len(persons) == 1 and case.action == "inference":
        case.fill(first, os.path.join(folder, persons[0]), "data_sources", source)
    elif persons:
        raise KinetagError(_unlabelled(case, folder, persons, first))
    elif parent is not None:
        split = "; convert with dataset_convert.split=0.2 to have one" if wanted[first].startswith("val") else ""
        raise KinetagError(f"{source} wrote no {wanted[first]} into {folder}{split}; or give {first}")
    elif known := sorted(names & {entry["path"] for keys in DATA_SOURCES.values() for entry in keys.values()}):
        raise KinetagError(
            f"{folder} has {', '.join(known)}, but no {wanted[first]}, which {case.action} reads; give {first}"
        )
    else:
        case.fill(first, folder, "data_sources", source)


def _expected(parent: Parent | None) -> set[str]:
    """The files that a conversion of labelled data will have written."""
    share = value_at(parent.values, "dataset_convert.split") if parent else None
    splits = isinstance(share, int | float) and share > 0
    return {
        f"{role}_{kind}" for role in (("train", "val") if splits else ("train",)) for kind in ("data.npy", "label.pkl")
    }


def _unlabelled(case: Case, folder: str, persons: Sequence[str], key: str) -> str:
    some = ", ".join(persons[:3]) + (", ..." if len(persons) > 3 else "")
    if case.action == "inference":
        return f"{folder} has {len(persons)} persons ({some}): say which in {key}"
    return (
        f"{folder} has the poses of {len(persons)} person(s) ({some}) without labels, which {case.action} needs: put "
        f"them into an array and a label file and give {key}, or convert labelled videos"
    )


def _fill_array_facts(case: Case) -> None:
    """Skeleton and channels of an array that kinetag wrote, from the file beside it."""
    path = value_at(case.values, "dataset.train_dataset.data_path")
    if all(one.key != "dataset.train_dataset.data_path" for one in case.filled) or not str(path).endswith(".npy"):
        return
    from kinetag.storage import fetched

    try:
        beside = Path(fetched(f"{str(path).removesuffix('.npy')}.json"))
        about = json.loads(beside.read_bytes()) if beside.stat().st_size < _MOST_SIDE else None
    except (KinetagError, OSError, ValueError, RecursionError):
        return
    if not isinstance(about, dict):
        return
    if isinstance(about.get("layout"), str):
        case.fill("model.graph_layout", about["layout"], "data_sources", f"{beside.name}, beside the array")
    if isinstance(about.get("channels"), list):
        case.fill("model.input_channels", len(about["channels"]), "data_sources", f"{beside.name}, beside the array")
