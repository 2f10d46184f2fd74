"""Locks between processes that the system itself frees when the last holder is gone, however it went."""

from typing import IO

from kinetag.errors import KinetagError


def take(file: IO[str] | int, who: str, *, wait: bool = False, shared: bool = False) -> bool:
    """Lock an open file or descriptor for as long as it stays open here or in a process that inherits it.

    Returns whether it was free; with ``wait``, once it is. ``shared``: beside others who share it. Raises a
    KinetagError that names ``who`` (such as 'jobs') where the system has no such locks.
    """
    try:
        import fcntl
    except ImportError:
        raise KinetagError(f"{who} need Linux or macOS; on Windows they work within WSL") from None
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
