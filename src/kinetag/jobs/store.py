"""The store of jobs: one SQLite file in the user's kinetag home, shared by all clients and runners of a machine.

Every change is one short transaction that states what it expects, so two that want the same come one after the other
and the second finds its expectation gone. SQLite's write-ahead log keeps what was committed through a kill at any
moment; it needs a disk of the machine itself, not one of the network. No secret is ever written here.
"""

import json
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from kinetag.errors import KinetagError
from kinetag.jobs.process import Identity, held

HOME_VARIABLE = "KINETAG_HOME"
MOST_VARIABLE = "KINETAG_MAX_JOBS"
STORE = "jobs.sqlite"
_VERSION = 1
_BUSY = 60.0  # s to wait for another's transaction
_LETTERS = "abcdefghjkmnpqrstvwxyz23456789"  # none that looks like another
_ID_LENGTH = 6

QUEUED, RUNNING, DONE = "queued", "running", "done"
FAILED, CANCELLED, INTERRUPTED, BLOCKED = "failed", "cancelled", "interrupted", "blocked"
STATES = (QUEUED, RUNNING, DONE, FAILED, CANCELLED, INTERRUPTED, BLOCKED)
ENDED_BADLY = (FAILED, CANCELLED, INTERRUPTED, BLOCKED)  # these can be tried again

_SCHEMA = """
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, action TEXT NOT NULL, parent TEXT, state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '',
    cwd TEXT NOT NULL, train_data TEXT NOT NULL DEFAULT '', needs_key INTEGER NOT NULL DEFAULT 0,
    results TEXT NOT NULL DEFAULT '', inferred TEXT NOT NULL DEFAULT '[]', notes TEXT NOT NULL DEFAULT '[]',
    created REAL NOT NULL, launched REAL NOT NULL DEFAULT 0, ready REAL NOT NULL DEFAULT 0, started REAL, ended REAL,
    attempts INTEGER NOT NULL DEFAULT 0, runner TEXT, worker TEXT, cancelling INTEGER NOT NULL DEFAULT 0,
    exit_code INTEGER, status_offset INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX jobs_by_parent ON jobs (parent);
CREATE INDEX jobs_by_state ON jobs (state);
"""


@dataclass(frozen=True)
class Job:
    """One job as the store knows it. Times are seconds since 1970."""

    id: str
    action: str
    parent: str | None
    state: str
    reason: str  # why it is in this state, where that is not plain
    cwd: str  # the folder that relative paths in its spec start from
    train_data: str  # the folder or prefix of data that it was given, '' for none
    needs_key: bool  # it was created with an encryption key
    results: str  # the folder that its action writes into; '' until it is known
    inferred: tuple[dict[str, Any], ...]  # what followed from the job graph: key, value, function, source
    notes: tuple[str, ...]
    created: float
    launched: float  # when a runner was last started for it
    ready: float = field(repr=False)  # since when nothing but the number of running jobs keeps it waiting; 0: not yet
    started: float | None
    ended: float | None
    attempts: int
    runner: Identity | None = field(repr=False)
    worker: Identity | None = field(repr=False)
    cancelling: bool  # somebody has asked that it end
    exit_code: int | None
    status_offset: int = field(repr=False)  # bytes of status.json that are of earlier runs
    folder: Path = field(repr=False)  # its spec, log, and results unless they go elsewhere

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def given(self) -> Path:
        """The spec as the user gave it, without secrets."""
        return self.folder / "given.yaml"

    @property
    def overrides(self) -> Path:
        """The dotted keys that were given beside that spec: a search keeps their values."""
        return self.folder / "overrides.json"

    @property
    def spec(self) -> Path:
        """The spec that it runs with: the given one, and what followed from the job graph."""
        return self.folder / "spec.yaml"

    @property
    def progress(self) -> Path:
        return self.folder / "progress.json"

    @property
    def standing(self) -> Path:
        """What its action told in the end, where its results are in a store."""
        return self.folder / "standing.json"

    @property
    def lock(self) -> Path:
        """The file whose lock the runner and its processes hold."""
        return self.folder / "lock"

    @property
    def own_results(self) -> Path:
        """The results folder of a job whose spec names none."""
        return self.folder / "results"

    @property
    def is_over(self) -> bool:
        return self.state not in (QUEUED, RUNNING)


class Store:
    """The jobs under one kinetag home. Cheap to make; it holds no connection between two calls."""

    def __init__(self, home: str | Path | None = None) -> None:
        named = home or os.environ.get(HOME_VARIABLE)
        self.home = Path(named).expanduser().absolute() if named else Path.home() / ".kinetag"
        self.path = self.home / STORE

    # --- reading -----------------------------------------------------------------------------------------------------

    def get(self, job_id: str) -> Job:
        """The job of this id, or of the one id that begins so."""
        if self.path.exists():
            text = job_id.strip().lower()
            # substr and not LIKE: what the user types is no pattern
            found = self._query("WHERE substr(id, 1, ?) = ? ORDER BY id LIMIT 6", len(text), text) if text else []
            exact = [job for job in found if job.id == text]
            if len(exact or found) == 1:
                return (exact or found)[0]
            if found:
                names = ", ".join(job.id for job in found)
                raise KinetagError(f"'{job_id}' is the beginning of several jobs ({names}): write more of it")
        raise KinetagError(f"no job '{job_id}' in {self.path}: 'kinetag jobs list' shows what there is")

    def find(self, job_id: str) -> Job | None:
        """The job of exactly this id."""
        found = self._query("WHERE id = ?", job_id)
        return found[0] if found else None

    def jobs(self, *states: str) -> list[Job]:
        """All jobs, or those in some states, the oldest first."""
        if not self.path.exists():
            return []
        if not states:
            return self._query("ORDER BY created, rowid")
        return self._query(f"WHERE state IN ({_marks(states)}) ORDER BY created, rowid", *states)

    def children(self, job_id: str) -> list[Job]:
        return self._query("WHERE parent = ? ORDER BY created, rowid", job_id)

    def descendants(self, job_id: str) -> list[Job]:
        """Children, their children and so on, every job behind its parent."""
        tree = "WITH RECURSIVE tree(id) AS (SELECT ? UNION SELECT jobs.id FROM jobs JOIN tree ON jobs.parent = tree.id)"
        with self._connected() as connection:
            rows = connection.execute(
                f"{tree} SELECT * FROM jobs WHERE id IN tree AND id != ? ORDER BY created", (job_id, job_id)
            )
            return [self._job(row) for row in rows]

    # --- changing ----------------------------------------------------------------------------------------------------

    def new_id(self) -> str:
        """An id that no job has."""
        while True:
            job_id = "".join(secrets.choice(_LETTERS) for _ in range(_ID_LENGTH))
            if not self.folder(job_id).exists() and (not self.path.exists() or self.find(job_id) is None):
                return job_id

    def add(self, **row: Any) -> Job:
        """A new job. Raises a KinetagError when another job is writing into its results folder."""
        with self._changing() as connection:
            self._refuse_writers(connection, row.get("results", ""), row["id"])
            row = {"created": time.time(), **row}
            values = tuple(map(_stored, row.values()))
            connection.execute(f"INSERT INTO jobs ({', '.join(row)}) VALUES ({_marks(values)})", values)
        return self.get(row["id"])

    def refuse_writers(self, results: str, job_id: str) -> None:
        """Raise a KinetagError when another job that is not over writes into a folder."""
        with self._connected() as connection:
            self._refuse_writers(connection, results, job_id)

    def change(self, job: Job, expected: str | tuple[str, ...], **values: Any) -> bool:
        """Set columns of a job if its state is (one of) ``expected``; False when it is not, and nothing was changed."""
        states = (expected,) if isinstance(expected, str) else expected
        return self._update(job.id, f"state IN ({_marks(states)})", states, values)

    def change_own(self, job: Job, me: Identity, **values: Any) -> bool:
        """The same for a runner: only while the job is its own and not over."""
        condition = "runner = ? AND state IN (?, ?)"
        return self._update(job.id, condition, (me.to_text(), QUEUED, RUNNING), values)

    def attach(self, job_id: str, me: Identity) -> Job | None:
        """Make ``me`` the runner of a queued job; None when another is, or it is not queued any more."""
        with self._changing() as connection:
            row = connection.execute("SELECT * FROM jobs WHERE id = ? AND state = ?", (job_id, QUEUED)).fetchone()
            job = None if row is None else self._job(row)
            if job is None or (job.runner is not None and job.runner.runs() is not False):
                return None
            connection.execute("UPDATE jobs SET runner = ? WHERE id = ?", (me.to_text(), job_id))
        return self.find(job_id)

    def start(self, job: Job, me: Identity, most: int, **values: Any) -> bool | None:
        """Make a queued job of this runner's a running one.

        False while ``most`` (0: any number) run on this machine or another has been ready for longer; None when it is
        not this runner's any more.
        """
        with self._changing() as connection:
            rows = connection.execute("SELECT * FROM jobs WHERE state IN (?, ?)", (QUEUED, RUNNING)).fetchall()
            here = [one for one in map(self._job, rows) if one.runner is not None and one.runner.boot == me.boot]
            own = next((one for one in here if one.id == job.id and one.runner == me and one.state == QUEUED), None)
            if own is None:
                return None
            running = [one for one in here if one.state == RUNNING]
            earlier = [one for one in here if one.state == QUEUED and 0 < one.ready < own.ready and one.runner.runs()]  # type: ignore[union-attr]
            if most and (len(running) >= most or earlier):
                return False
            columns = ", ".join(f"{name} = ?" for name in values)
            parameters = (RUNNING, *map(_stored, values.values()), job.id)
            connection.execute(f"UPDATE jobs SET state = ?, {columns} WHERE id = ?", parameters)
            return True

    def take_launch(self, job: Job, *, before: float) -> bool:
        """Whether the caller is to start a runner for a queued job: nobody has since the time ``before``."""
        return self._update(job.id, "state = ? AND launched < ?", (QUEUED, before), {"launched": time.time()})

    def lose(self, job: Job, **values: Any) -> bool:
        """Change a job whose runner is gone, unless another has taken it over since."""
        runner = job.runner.to_text() if job.runner else None
        return self._update(job.id, "state = ? AND runner IS ?", (job.state, runner), values)

    def remove(self, job: Job) -> bool:
        """Forget a job that is over."""
        with self._changing() as connection:
            states = (QUEUED, RUNNING)
            done = connection.execute(
                f"DELETE FROM jobs WHERE id = ? AND state NOT IN ({_marks(states)})", (job.id, *states)
            )
            return done.rowcount == 1

    def folder(self, job_id: str) -> Path:
        if not job_id.isalnum():  # a store that somebody wrote into must not lead elsewhere
            raise KinetagError(f"{self.path} holds the id {job_id!r}, which no job has: it was tampered with")
        return self.home / "jobs" / job_id

    # --- SQLite ------------------------------------------------------------------------------------------------------

    @staticmethod
    def _refuse_writers(connection: sqlite3.Connection, results: str, job_id: str) -> None:
        clause = "results = ? AND results != '' AND id != ? AND state IN (?, ?)"
        found = connection.execute(f"SELECT id FROM jobs WHERE {clause}", (results, job_id, QUEUED, RUNNING)).fetchone()
        if found is not None:
            raise KinetagError(f"job {found[0]} writes into {results}: name another results_dir, or wait for it")

    def _update(self, job_id: str, condition: str, given: tuple[Any, ...], values: Mapping[str, Any]) -> bool:
        columns = ", ".join(f"{name} = ?" for name in values)
        with self._changing() as connection:
            parameters = (*map(_stored, values.values()), job_id, *given)
            done = connection.execute(f"UPDATE jobs SET {columns} WHERE id = ? AND {condition}", parameters)
            return done.rowcount == 1

    def _query(self, clause: str, *parameters: Any) -> list[Job]:
        with self._connected() as connection:
            return [self._job(row) for row in connection.execute(f"SELECT * FROM jobs {clause}", parameters)]

    def _job(self, row: sqlite3.Row) -> Job:
        values = {column.name: row[column.name] for column in fields(Job) if column.name != "folder"}
        values |= {name: bool(values[name]) for name in ("needs_key", "cancelling")}
        values |= {name: tuple(json.loads(values[name])) for name in ("inferred", "notes")}
        values |= {name: Identity.from_text(values[name]) for name in ("runner", "worker")}
        return Job(**values, folder=self.folder(row["id"]))

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that nobody else's change comes between."""
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            self._prepare()
            connection = sqlite3.connect(self.path, timeout=_BUSY, isolation_level=None)
            try:
                connection.row_factory = sqlite3.Row
                self._check_version(connection)
                connection.execute("PRAGMA synchronous = FULL")  # a power cut loses nothing that was committed
                yield connection
            finally:
                connection.close()
        except (sqlite3.Error, OSError) as error:
            raise KinetagError(
                f"the store of jobs {self.path} cannot be used: {error}; name another folder in {HOME_VARIABLE}"
            ) from None

    def _prepare(self) -> None:
        """Make the store when there is none. Its making is locked: two at once would trip over each other."""
        if self.path.exists():
            return
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with held(self.home / "jobs.lock"):
            if self.path.exists():
                return
            draft = self.home / f".{STORE}.draft"
            draft.unlink(missing_ok=True)
            connection = sqlite3.connect(draft, isolation_level=None)
            try:
                connection.executescript(f"{_SCHEMA}\nPRAGMA user_version = {_VERSION};")
                connection.execute("PRAGMA journal_mode = WAL")  # stays with the file
            finally:
                connection.close()
            draft.chmod(0o600)
            draft.rename(self.path)

    def _check_version(self, connection: sqlite3.Connection) -> None:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version != _VERSION:
            raise KinetagError(
                f"{self.path} has version {version}, and this kinetag writes {_VERSION}: use the kinetag that made it, "
                f"or name another folder in {HOME_VARIABLE}"
            )


def most_at_once() -> int:
    """How many jobs of this machine may run at once, by KINETAG_MAX_JOBS; 0 for any number."""
    text = os.environ.get(MOST_VARIABLE) or "0"
    if not text.isdecimal():
        raise KinetagError(f"{MOST_VARIABLE} is '{text}': set it to a number of jobs, or to 0 for any number")
    return int(text)


def _stored(value: Any) -> Any:
    """A value as a column holds it."""
    if isinstance(value, Identity):
        return value.to_text()
    return json.dumps(value) if isinstance(value, list | tuple) else value


def _marks(values: tuple[Any, ...]) -> str:
    return ", ".join("?" * len(values))
