"""The record of a search: Optuna's tables, in a file of SQLite's or on a PostgreSQL server.

Everything that is decided is decided under one lock and recorded before it is done, each step in one transaction. So a
search can be killed at any moment, and several machines can share one.
"""

import json
import math
import os
import socket
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kinetag.errors import KinetagError, missing_extra
from kinetag.locks import take
from kinetag.spec import PASSWORD_VARIABLE
from kinetag.spec.errors import shown
from kinetag.tune.sampling import import_optuna
from kinetag.tune.space import Dimension, Space
from kinetag.tune.trials import Go, New, Score, Trial
from kinetag.urls import MASK, hide_secrets, split_password

FILE = "study.db"
BASELINE = "baseline"  # how the first trial came about
BEAT = 10.0  # s between two signs of life of a machine
_SILENT = 90.0  # s without one after which another machine takes its trials over

Curve = Mapping[int, tuple[Score, Score]]  # epoch -> (of the checkpoint kept by then, of that epoch)


class Store:
    """The trials of one study.

    ``url`` '' is a file in ``folder``; ``full`` is the epoch at which a trial is complete. A process that works on the
    study holds a lock file of its own in ``folder``, by which others on this machine see that it lives; machines tell
    each other by signs of life in the record.
    """

    def __init__(self, folder: Path, url: str, name: str, *, maximize: bool, full: int) -> None:
        optuna = import_optuna()
        self.folder, self.shown, self.shared = folder, split_password(url)[0], bool(url)
        folder.mkdir(parents=True, exist_ok=True)
        self._states = optuna.trial.TrialState
        with self._told(), self._file_lock():
            self.storage = _server(optuna, url) if url else _file(optuna, folder / FILE)
            direction = optuna.study.StudyDirection.MAXIMIZE if maximize else optuna.study.StudyDirection.MINIMIZE
            study = optuna.create_study(
                storage=self.storage, study_name=name, load_if_exists=True, directions=[direction]
            )
            self.id: int = study._study_id
        self.maximize, self.full = maximize, full
        self.owner = f"{socket.gethostname()}:{uuid.uuid4().hex}"
        self._alive = _own_file(self._owners / self.owner)
        self._beaten = 0.0
        self._seen: dict[str, tuple[Any, float]] = {}  # the last sign of life of each owner elsewhere, and since when

    def close(self) -> None:
        """Give up the sign of life; what this process still had in hand is others' to take."""
        self._alive.close()
        (self._owners / self.owner).unlink(missing_ok=True)
        self.storage.remove_session()
        self.storage.engine.dispose()

    # --- the study ---------------------------------------------------------------------------------------------------

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Nobody else decides meanwhile, on this or another machine."""
        if not self.shared:
            with self._file_lock():
                yield
            return
        from sqlalchemy import text

        with self._told(), self.storage.engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK + self.id})
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK + self.id})

    def facts(self) -> dict[str, Any]:
        """What is known of the study as a whole."""
        with self._told():
            return self.storage.get_study_user_attrs(self.id)

    def set_fact(self, key: str, value: Any) -> None:
        """Record one thing of the study as a whole, in one stroke."""
        with self._told():
            self.storage.set_study_user_attr(self.id, key, value)

    def beat(self) -> None:
        """A sign of life, now and then; other machines compare it with a clock of their own."""
        if time.monotonic() - self._beaten > BEAT:
            self._beaten = time.monotonic()
            if self.shared:
                self.set_fact(f"alive {self.owner}", uuid.uuid4().hex)

    # --- trials ------------------------------------------------------------------------------------------------------

    def discard(self) -> None:
        """Forget a study in which nothing has come about yet."""
        with self._told():
            self.storage.delete_study(self.id)

    def trials(self) -> list[Trial]:
        """All trials by number, as algorithms see them."""
        with self._told():
            return [self._trial(frozen) for frozen in self._all()]

    def notes(self) -> dict[int, dict[str, Any]]:
        """What else is on record of each trial: how it came about, its error, its times (s)."""
        with self._told():
            frozen = self._all()
        return {trial.number: trial.user_attrs for trial in frozen}

    def abandoned(self, mine: set[int]) -> list[Trial]:
        """Trials that nobody trains any more, though they are to be; ``mine``: the numbers that this process has."""
        with self._told():
            found, life = self._all(), self.facts()
        gone = []
        for frozen in found:
            owner = frozen.user_attrs.get("job", {}).get("owner")
            if owner and (frozen.number not in mine if owner == self.owner else not self._lives(owner, life)):
                gone.append(self._trial(frozen))
        return gone

    def create(self, decision: New, values: Mapping[str, Any], space: Space, how: str) -> Trial:
        """Record a new trial as this process's, in one transaction."""
        optuna = import_optuna()
        job = {"target": decision.target, "owner": self.owner}
        born = {"bracket": decision.bracket, "slot": decision.slot, "parent": decision.parent, "start": decision.start}
        dimensions = {dimension.key: dimension for dimension in space.dimensions}
        frozen = optuna.trial.FrozenTrial(
            number=-1,
            trial_id=-1,
            state=self._states.RUNNING,
            value=None,
            datetime_start=datetime.now(),
            datetime_complete=None,
            params={key: _stored(value) for key, value in values.items()},
            distributions={key: _distribution(optuna, dimensions[key], value) for key, value in values.items()},
            user_attrs={"job": job, "born": {**born, "how": how}},
            system_attrs={},
            intermediate_values={},
        )
        with self._told():
            identifier = self.storage.create_new_trial(self.id, frozen)
            return self._trial(self.storage.get_trial(identifier))

    def go_on(self, decision: Go) -> Trial:
        """Send a trial on to another target, as this process's."""
        return self._assign(decision.number, {"target": decision.target, "owner": self.owner})

    def take_over(self, number: int) -> Trial:
        """Make a trial that nobody trains any more this process's; its target stays."""
        job = self.notes()[number]["job"]
        return self._assign(number, {**job, "owner": self.owner})

    def report(self, number: int, curve: Curve) -> None:
        """Record how a trial does by epoch; what is on record already stays as it is."""
        frozen = self._frozen(number)
        with self._told():
            for epoch, (kept, _) in sorted(curve.items()):
                if epoch not in frozen.intermediate_values:
                    value = kept[0] if self.maximize else -kept[0]
                    self.storage.set_trial_intermediate_value(frozen._trial_id, epoch, value)

    def finish(self, number: int, curve: Curve, seconds: float) -> None:
        """A trial has come to its target. At the full length it is complete."""
        self.report(number, curve)
        frozen = self._frozen(number)
        attributes = frozen.user_attrs
        job = attributes["job"]
        rows = [[epoch, *kept, *latest] for epoch, (kept, latest) in sorted(curve.items())]
        with self._told():
            set_attribute = self.storage.set_trial_user_attr
            set_attribute(frozen._trial_id, "curve", rows)
            set_attribute(frozen._trial_id, "seconds", attributes.get("seconds", 0.0) + seconds)
            set_attribute(frozen._trial_id, "job", {**job, "owner": ""})
            if job["target"] >= self.full and rows:
                value = rows[-1][1] if self.maximize else -rows[-1][1]
                self.storage.set_trial_state_values(frozen._trial_id, self._states.COMPLETE, [value])

    def fail(self, number: int, reason: str) -> None:
        """A trial has come to nothing."""
        frozen = self._frozen(number)
        job = frozen.user_attrs["job"]
        with self._told():
            self.storage.set_trial_user_attr(frozen._trial_id, "error", reason[:500])
            self.storage.set_trial_user_attr(frozen._trial_id, "job", {**job, "owner": ""})
            self.storage.set_trial_state_values(frozen._trial_id, self._states.FAIL)

    # --- rows --------------------------------------------------------------------------------------------------------

    def _all(self) -> Sequence[Any]:
        return sorted(self.storage.get_all_trials(self.id, deepcopy=False), key=lambda trial: trial.number)

    def _frozen(self, number: int) -> Any:
        with self._told():
            return self.storage.get_trial(self.storage.get_trial_id_from_study_id_trial_number(self.id, number))

    def _assign(self, number: int, job: Mapping[str, Any]) -> Trial:
        frozen = self._frozen(number)
        with self._told():
            self.storage.set_trial_user_attr(frozen._trial_id, "job", dict(job))
        return self._trial(self._frozen(number))

    def _trial(self, frozen: Any) -> Trial:
        attributes = frozen.user_attrs
        born, job = attributes["born"], attributes["job"]
        sign = 1.0 if self.maximize else -1.0
        rows = attributes.get("curve", [])
        # The second part is recorded at the end alone: until then a trial does not outdo one that is as good.
        kept = {epoch: (sign * value, -math.inf) for epoch, value in frozen.intermediate_values.items()}
        kept |= {int(row[0]): (row[1], row[2]) for row in rows}
        state = "running" if job["owner"] else "done" if job["target"] >= self.full else "paused"
        return Trial(
            number=frozen.number,
            values={key: _read(value) for key, value in frozen.params.items()},
            target=job["target"],
            state="failed" if "error" in attributes else state,
            bracket=born["bracket"],
            slot=born["slot"],
            parent=born["parent"],
            start=born["start"],
            baseline=born["how"] == BASELINE,
            kept=dict(sorted(kept.items())),
            latest={int(row[0]): (row[3], row[4]) for row in rows},
        )

    # --- who lives ---------------------------------------------------------------------------------------------------

    @property
    def _owners(self) -> Path:
        return self.folder / ".working"

    def _lives(self, owner: str, life: Mapping[str, Any]) -> bool:
        """Whether a process is still at work: on this machine it holds its file, on another it gives signs of life."""
        if owner.partition(":")[0] == socket.gethostname():
            return _held(self._owners / owner)
        if not self.shared:
            return False  # a file belongs to one machine at a time: it was brought here, and its owner is elsewhere
        now, sign = time.monotonic(), life.get(f"alive {owner}")
        if owner not in self._seen or self._seen[owner][0] != sign:
            self._seen[owner] = (sign, now)
        return now - self._seen[owner][1] < _SILENT

    @contextmanager
    def _file_lock(self) -> Iterator[None]:
        with (self.folder / ".lock").open("a") as file:
            take(file, _WHO, wait=True)
            yield

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What goes wrong with the storage is told in one line, without the password."""
        try:
            yield
        except KinetagError:
            raise
        except ModuleNotFoundError as error:
            raise missing_extra(error.name or "sqlalchemy", "tune", "the record of a search") from None
        except Exception as error:
            if not _of_storage(error):
                raise
            cause = error.__cause__ or error
            reason = str(getattr(cause, "orig", None) or cause).strip().partition("\n")[0]
            reason = reason.rpartition("FATAL:")[2].strip()  # the server's own word, after where it was asked
            where = self.shown or self.folder / FILE
            reason = " ".join(hide_secrets(reason).split())  # before it is cut: half an address is not known for one
            reason = reason if len(reason) <= _REASON else f"{reason[: _REASON - 3]}..."
            raise KinetagError(f"the study's storage {where} cannot be used: {reason}") from None


_REASON = 200  # characters of what a server says
_WHO = "searches for settings"
_LOCK = 0x6B74 << 32  # the keys of our locks on a server, apart from those of others


def _of_storage(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] in ("sqlalchemy", "optuna", "psycopg", "sqlite3", "alembic")


def _file(optuna: Any, path: Path) -> Any:
    return optuna.storages.RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}})


def need_server(url: str) -> str:
    """What follows ``://`` in the address of a PostgreSQL server; KinetagError for any other address."""
    scheme, _, rest = url.partition("://")
    if scheme not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise KinetagError(
            f"automl_settings.storage is {shown(url)}; give postgresql://user@host/database, or nothing "
            "for a file in the results folder"
        )
    return rest


def _server(optuna: Any, url: str) -> Any:
    rest = need_server(url)
    options = {"pool_pre_ping": True, "connect_args": {"connect_timeout": 10}}
    return optuna.storages.RDBStorage(f"postgresql+psycopg://{_with_password(rest)}", engine_kwargs=options)


def _with_password(address: str) -> str:
    """An address whose password a spec hides, as that of a job does, with the password of the environment."""
    if MASK not in address:
        return address
    password = os.environ.get(PASSWORD_VARIABLE)
    if not password:
        raise KinetagError(
            f"the password in automl_settings.storage is hidden in this spec ({MASK}): give it in the variable "
            f"{PASSWORD_VARIABLE}"
        )
    return address.replace(MASK, quote(password, safe=""))


def _own_file(path: Path) -> Any:
    """A file held locked as long as this process lives."""
    path.parent.mkdir(exist_ok=True)
    file = path.open("a")
    take(file, _WHO, wait=True)
    return file


def _held(path: Path) -> bool:
    """Whether the process of a file lives; the file of a dead one is removed."""
    try:
        with path.open("a") as file:
            if not take(file, _WHO):
                return True
            os.unlink(path)
        return False
    except OSError:
        return False


# --- values as Optuna keeps them -------------------------------------------------------------------------------------


def _stored(value: Any) -> Any:
    """A list is kept as text; a whole number in a range as such."""
    return json.dumps(value) if isinstance(value, list | dict) else value


def _read(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and value.startswith(("[", "{")) else value


def _distribution(optuna: Any, dimension: Dimension, value: Any) -> Any:
    """A distribution that holds the value, for Optuna's own tools; the sampler has ranges of its own."""
    kinds = optuna.distributions
    if dimension.kind == "choice":
        options = [option for interval in dimension.intervals for option in interval.options]
        options += [] if any(_same(option, dimension.start) for option in options) else [dimension.start]
        return kinds.CategoricalDistribution([_stored(option) for option in options])
    low = min(value, *(interval.low for interval in dimension.intervals))
    high = max(value, *(interval.high for interval in dimension.intervals))
    log = all(interval.log for interval in dimension.intervals) and low > 0
    if dimension.kind == "int":
        return kinds.IntDistribution(int(low), int(high), log=log)
    return kinds.FloatDistribution(float(low), float(high), log=log)


def _same(a: Any, b: Any) -> bool:
    return json.dumps(a) == json.dumps(b)
