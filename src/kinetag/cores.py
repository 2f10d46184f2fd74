"""How much of the processor is ours."""

import os


def core_count() -> int:
    """The cores that this process may use: fewer than the machine has where its affinity is set."""
    of_process = getattr(os, "process_cpu_count", None)  # from Python 3.13 on
    if of_process is not None:
        return of_process() or 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
