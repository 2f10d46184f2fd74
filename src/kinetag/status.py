"""status.json: what an action is doing, one JSON object a line, as TAO writes it, so that services can follow it."""

import json
import math
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kinetag.errors import KinetagError, OtherRunError
from kinetag.urls import hide_secrets

STATUS_FILE = "status.json"


class Status:
    """The record of one run of an action.

    ``with Status(folder, "train") as status:`` writes STARTED, and at the end SUCCESS, or FAILURE with the error's
    message. Lines are added to ``folder/status.json``, so an earlier run's stay. Of several processes only the first
    writes. ``secret`` is blotted out wherever it would appear; ``shown`` is how texts are put (`Spec.shown`).

    ``held``: nothing is written before `release` or the end, and nothing at all where the run turns out to have no
    business in this folder (OtherRunError).
    """

    def __init__(
        self,
        folder: str | Path,
        action: str,
        *,
        secret: str | None = None,
        shown: Callable[[str], str] = hide_secrets,
        held: bool = False,
    ) -> None:
        self.path = Path(folder) / STATUS_FILE
        self.action = action
        self._secret = secret
        self._shown = shown
        self._ended = False
        self._held: list[str] | None = [] if held else None
        self._writes = is_first_process()

    def __enter__(self) -> Self:
        try:
            if self._writes:
                self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _cannot_write(f"into {self.path.parent}", error) from None
        self._write("STARTED", f"Starting {self.action}.")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ended or (self._held is not None and isinstance(error, OtherRunError)):
            return
        if error is None:
            self.release()
            self._write("SUCCESS", f"{self.action} finished successfully.")
            return
        interrupted = isinstance(error, KeyboardInterrupt)
        message = "interrupted by the user" if interrupted else str(error) or type(error).__name__
        with suppress(KinetagError):  # the error under way says more than that it could not be written down
            self.release()
            self._write("FAILURE", message, verbosity="ERROR")

    def release(self) -> None:
        """Write what was held back; from now on each line is written at once."""
        lines, self._held = self._held, None
        self._append("".join(lines or []))

    def running(self, message: str = "", *, verbosity: str = "INFO", **groups: Mapping[str, Any]) -> None:
        """Report progress. ``groups`` are TAO's: ``kpi`` (numbers), ``categorical``, ``graphical``."""
        self._write("RUNNING", message, verbosity=verbosity, **groups)

    def skipped(self, message: str) -> None:
        """Nothing had to be done: the run ends as SKIPPED."""
        self._write("SKIPPED", message)
        self._ended = True

    def _write(self, status: str, message: str, *, verbosity: str = "INFO", **groups: Mapping[str, Any]) -> None:
        if not self._writes:
            return
        now = datetime.now()
        record = {
            "date": f"{now.month}/{now.day}/{now.year}",
            "time": f"{now.hour}:{now.minute}:{now.second}",
            "status": status,
            "verbosity": verbosity,
            "message": _plain(" ".join(self._shown(message).split()), self._secret),
        }
        record |= {name: _plain(group, self._secret) for name, group in groups.items() if group}
        line = json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"
        if self._held is None:
            self._append(line)
        else:
            self._held.append(line)

    def _append(self, lines: str) -> None:
        if not lines:
            return
        before = self.path.stat().st_size if self.path.is_file() else 0
        try:
            # A file's name may be no Unicode; JSON has the same escapes.
            with self.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(lines)
        except OSError as error:
            with suppress(OSError):  # half a line would spoil the next one too
                os.truncate(self.path, before)
            raise _cannot_write(str(self.path), error) from None


def _cannot_write(what: str, error: OSError) -> KinetagError:
    return KinetagError(f"cannot write {what}: {(error.strerror or str(error)).lower()}; choose another results_dir")


def _plain(value: Any, secret: str | None) -> Any:
    """A value as JSON has it: numpy's and torch's numbers too; NaN and infinity as null; the secret blotted out."""
    if isinstance(value, Mapping):
        return {_plain(str(key), secret): _plain(item, secret) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, secret) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist(), secret)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int | float | bool | None):
        return value
    return str(value).replace(secret, "***") if secret else str(value)


def is_first_process() -> bool:
    """True for the one process that reports, also before the processes of a training know each other."""
    rank = os.environ.get("RANK")
    if rank is not None:
        return rank == "0"
    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("NODE_RANK", "0") == "0"
