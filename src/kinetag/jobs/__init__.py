"""Actions as jobs: they run without the client that created them, wait for a parent, and take from it what they need.

    job = create_job("train", "train.yaml")
    create_job("evaluate", {"evaluate.test_dataset.data_path": "data"}, job.id)

`contract` says which options follow from the job graph and `inferring` fills them in; `store` keeps the jobs (SQLite);
`runner` is the process of one job and `worker` that of its action; `tidying` puts right what a kill left behind.
"""

from kinetag.jobs.api import (
    cancel_job,
    create_job,
    delete_job,
    get_job,
    job_logs,
    list_jobs,
    plan_job,
    retry_job,
    wait_for,
)
from kinetag.jobs.store import Job

__all__ = [
    "Job",
    "cancel_job",
    "create_job",
    "delete_job",
    "get_job",
    "job_logs",
    "list_jobs",
    "plan_job",
    "retry_job",
    "wait_for",
]
