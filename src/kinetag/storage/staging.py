"""Actions on paths in stores, while the actions themselves know local paths only.

`staged` gives an action a spec whose inputs are local copies and whose results folder is one of this machine, mirrored
to the store (`kinetag.storage.mirror`). What the action then says of these places is put back into the user's words:
in messages and results here, in what it writes by `Spec.shown`.
"""

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from kinetag.errors import KinetagError
from kinetag.progress import Progress, silent
from kinetag.status import STATUS_FILE, Status, is_first_process
from kinetag.storage.names import Names
from kinetag.urls import is_remote, join, name_of, parent, scheme_of, shown_url, split_query

if TYPE_CHECKING:
    from kinetag.spec import Spec
    from kinetag.storage.cache import Lease
    from kinetag.storage.mirror import Mirror

log = logging.getLogger("kinetag.storage")

P = ParamSpec("P")
R = TypeVar("R")

# The inputs of each action: dotted key -> role of its clips, or 'checkpoint'. A data source has data_path, label_path.
_SOURCES: dict[str, dict[str, str]] = {
    "dataset_convert": {},
    "train": {"dataset.train_dataset": "train", "dataset.val_dataset": "val"},
    "evaluate": {"evaluate.test_dataset": "val"},
    "inference": {"inference.test_dataset": "test"},
    "export": {"export.calibration_dataset": "train"},
}
_FILES: dict[str, dict[str, str]] = {
    "dataset_convert": {"dataset_convert.data": ""},
    "train": {"model.pretrained_model_path": "", "train.resume_training_checkpoint_path": "checkpoint"},
    "evaluate": {"evaluate.checkpoint": "", "evaluate.trt_engine": ""},
    "inference": {"inference.checkpoint": "", "inference.trt_engine": ""},
    "export": {"export.checkpoint": ""},
}
_OUTPUTS = {"inference": "inference.output_file", "export": "export.onnx_file"}  # files beside the results folder


def stored(action: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let an action's function, called with a spec and ``progress``, take paths in stores."""

    def wrap(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            spec = cast("Spec", args[0])
            if not remote_keys(spec, action):
                return function(*args, **kwargs)
            progress = cast(Progress, kwargs.get("progress") or silent)
            with staged(spec, action, progress=progress) as local:
                result = cast(Any, function)(local, *args[1:], **kwargs)
                return local.names.result(result)

        return run

    return wrap


def remote_keys(spec: "Spec", action: str) -> list[str]:
    """The dotted keys of the paths that an action uses and that are not of this machine."""
    keys = [f"{key}.{part}" for key in _all_sources(spec, action) for part in ("data_path", "label_path")]
    keys += [*_FILES[action], *output_keys(action), "dataset.cache_dir"]
    return [key for key in keys if is_remote(spec.get(key))]


def output_keys(action: str) -> list[str]:
    """The dotted keys of the places that an action writes to."""
    return [f"{action}.results_dir", "results_dir", *([_OUTPUTS[action]] if action in _OUTPUTS else [])]


@contextmanager
def staged(spec: "Spec", action: str, *, progress: Progress = silent) -> "Iterator[Spec]":
    """A copy of ``spec`` for one run of ``action``: its inputs are local copies, its results folder is a local one.

    The results folder begins with what the store holds of an earlier run (so a training goes on from there), and is
    sent to it all the time and at the end, also after a failure. Raises KinetagError, in the user's names, for what
    cannot be fetched, and for results that could not be sent: they are kept then.
    """
    if is_remote(spec.dataset.cache_dir):
        raise KinetagError("dataset.cache_dir must be a folder of this machine: poses are kept there between runs")
    local = spec.model_copy(deep=True)
    names: dict[str, str] = {}
    with ExitStack() as stack:
        stack.enter_context(in_users_names(names))
        mirrors = _outputs(local, action, names, progress, stack)
        with _sent(mirrors, progress):
            try:
                _inputs(local, action, names, progress, stack)
                local.rename(Names(names))
            except (KinetagError, KeyboardInterrupt):  # the action itself tells of its failures
                with Status(local.results_folder(action), action, secret=_secret(local), shown=Names(names).shown):
                    raise
            yield local


@contextmanager
def mirrored(
    url: str, *, wanted: Callable[[str], bool], recorded: bool = False, progress: Progress = silent
) -> Iterator[Path]:
    """A local folder that stands for the one at ``url`` and is sent there, all the time and at the end.

    It begins with the files of the store whose names below it are ``wanted``. ``recorded``: it has a status.json, which
    is sent after what it tells of.
    """
    names: dict[str, str] = {}
    with ExitStack() as stack:
        stack.enter_context(in_users_names(names))
        mirror = _folder_mirror(url.rstrip("/"), names, stack, recorded=recorded)
        mirror.begin(wanted, progress=progress)
        with _sent([mirror], progress):
            yield mirror.folder


@contextmanager
def in_users_names(names: Mapping[str, str]) -> Iterator[None]:
    """Errors that name local copies name the addresses that these stand for."""
    try:
        yield
    except KinetagError as error:
        raise type(error)(Names(names).shown(str(error))) from error.__cause__


@contextmanager
def _sent(mirrors: "list[Mirror]", progress: Progress) -> Iterator[None]:
    """Send what the mirrors' folders hold while the block runs and at its end; the last one, with status.json, last."""
    for mirror in mirrors:
        mirror.start()
    try:
        yield
    except BaseException as failure:
        _finish(mirrors, progress, failure)
        raise
    _finish(mirrors, progress, None)


def _finish(mirrors: "list[Mirror]", progress: Progress, failure: BaseException | None) -> None:
    """Send the rest. A mistake that was made before is told rather than that its record could not be sent."""
    for mirror in mirrors:
        mirror.stop()
    try:
        for mirror in mirrors:
            mirror.finish(progress=progress)
    except KinetagError as error:
        if failure is None:
            raise
        log.warning("%s", error)


# --- results ---------------------------------------------------------------------------------------------------------


def _outputs(spec: "Spec", action: str, names: dict[str, str], progress: Progress, stack: ExitStack) -> "list[Mirror]":
    """Local places for everything that the action writes, and the mirrors that send it."""
    mirrors = []
    _choose_onnx_file(spec, action)
    key = _OUTPUTS.get(action, "")
    if key and is_remote(spec.get(key)):
        mirrors.append(_file_mirror(spec.get(key), key, names, stack))
        mirrors[0].begin(lambda name: True, progress=progress)
        _set(spec, key, str(mirrors[0].folder / mirrors[0].only))
    if is_remote(place := spec.results_place(action)):
        mirror = _folder_mirror(place.rstrip("/"), names, stack, recorded=True)
        mirror.begin(_wanted_by_training if action == "train" else _wanted, progress=progress)
        mirrors.append(mirror)
        if getattr(spec, action).results_dir:
            _set(spec, f"{action}.results_dir", str(mirror.folder))
        else:
            _set(spec, "results_dir", str(mirror.folder.parent))
    return mirrors


def _wanted(name: str) -> bool:
    """Of an earlier run only its record, which grows."""
    return name == STATUS_FILE


def _wanted_by_training(name: str) -> bool:
    """The state to go on from and what grows; not the checkpoints that were kept on the way, in trials too."""
    return not name.rpartition("/")[2].startswith("model_epoch_")


def _choose_onnx_file(spec: "Spec", action: str) -> None:
    """Beside the checkpoint, as without a store; where that can only be read, into the results folder."""
    checkpoint = spec.export.checkpoint
    if action != "export" or spec.export.onnx_file or not is_remote(checkpoint):
        return
    name = Path(name_of(checkpoint)).with_suffix(".onnx").name
    if scheme_of(checkpoint) in ("http", "https"):
        place = spec.results_place(action)
        _set(spec, "export.onnx_file", join(place, name) if is_remote(place) else str(Path(place) / name))
    else:
        _set(spec, "export.onnx_file", join(parent(checkpoint), name))


def _folder_mirror(url: str, names: dict[str, str], stack: ExitStack, *, recorded: bool) -> "Mirror":
    """The mirror of a folder, which no other run on this machine may have."""
    from kinetag.storage import store
    from kinetag.storage.cache import cache_folder
    from kinetag.storage.mirror import Mirror

    store.need_writable(url, "writing to")
    base, folder = _work_folder(cache_folder(), url), mirror_folder(url)
    _hold(base / "lock", url, stack)
    names[str(folder.parent)], names[str(folder)] = parent(url), url
    return Mirror(url, folder, base / "journal.json", recorded=recorded, sends=is_first_process())


def mirror_folder(url: str) -> Path:
    """Where a run on this machine keeps what is, or will be, in the folder at ``url``; there only until it is sent."""
    from kinetag.storage.cache import cache_folder

    return _work_folder(cache_folder(), url) / "files" / name_of(url)


def _file_mirror(url: str, key: str, names: dict[str, str], stack: ExitStack) -> "Mirror":
    from kinetag.storage import store
    from kinetag.storage.cache import cache_folder
    from kinetag.storage.mirror import of_file

    store.need_writable(url, key)
    if url.endswith("/"):
        raise KinetagError(f"{key} {shown_url(url)} is a folder: name the file")
    base = _work_folder(cache_folder(), url)
    _hold(base / "lock", url, stack)
    names[str(base / "file")] = parent(url)
    return of_file(url, base / "file", base / "journal.json")


def _work_folder(cache: Path, url: str) -> Path:
    """Where results on their way to ``url`` are kept; every process of one run has its own."""
    ranks = [os.environ.get(name, "0") for name in ("RANK", "NODE_RANK", "LOCAL_RANK")]
    mine = "" if is_first_process() else "-" + "-".join(ranks)
    return cache / "results" / (hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:24] + mine)


def _hold(lock: Path, url: str, stack: ExitStack) -> None:
    from kinetag.storage.cache import locked

    if not stack.enter_context(locked(lock, wait=False)):
        raise KinetagError(
            f"another run on this machine writes to {shown_url(url)}: wait for it, or choose another place"
        )


# --- inputs ----------------------------------------------------------------------------------------------------------


def _inputs(spec: "Spec", action: str, names: dict[str, str], progress: Progress, stack: ExitStack) -> None:
    """Local copies of what the action reads, held until the stack ends."""
    from kinetag.storage.cache import Cache

    if not any(is_remote(spec.get(key)) for key in _input_keys(spec, action)):
        return
    lease = stack.enter_context(Cache().lease())
    for key, role in _all_sources(spec, action).items():
        for part in ("data_path", "label_path"):
            try:
                _input(spec, f"{key}.{part}", role, lease, names, progress)
            except KinetagError:
                if action != "export" or key.startswith("export."):
                    raise  # an export can do without the data of the training
    for key, role in _FILES[action].items():
        _input(spec, key, role, lease, names, progress)


def _input_keys(spec: "Spec", action: str) -> list[str]:
    parts = [f"{key}.{part}" for key in _all_sources(spec, action) for part in ("data_path", "label_path")]
    return [*parts, *_FILES[action]]


def _all_sources(spec: "Spec", action: str) -> dict[str, str]:
    """The data sources that an action will look at. An export looks at the training's as far as it must."""
    if action != "export" or spec.export.calibration_dataset.data_path:
        return _SOURCES[action]
    if spec.dataset.val_dataset.data_path:
        return {"dataset.val_dataset": "val"}
    return {"dataset.train_dataset": "train"} if spec.export.precision == "int8" else {}


def _input(spec: "Spec", key: str, role: str, lease: "Lease", names: dict[str, str], progress: Progress) -> None:
    from kinetag.storage.sources import fetch

    url = spec.get(key)
    if not is_remote(url):
        return
    path = fetch(url, lease, role=role, alone=key.endswith("label_path"), progress=progress)
    names[str(path)] = url.rstrip("/")
    names[str(path.parent)] = split_query(parent(url))[0]
    _set(spec, key, str(path))


def _set(spec: "Spec", key: str, value: str) -> None:
    group, _, name = key.rpartition(".")
    setattr(spec.get(group) if group else spec, name, value)


def _secret(spec: "Spec") -> str | None:
    try:
        return spec.secret()
    except KinetagError:
        return None


__all__ = ["mirror_folder", "mirrored", "output_keys", "remote_keys", "staged", "stored"]
