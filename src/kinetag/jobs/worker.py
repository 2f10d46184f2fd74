"""The process that does a job's action: the command line itself, ended when the runner above it is gone."""

import os
import signal
import sys
import threading
from typing import NoReturn

_ORPHANED = 1  # exit code


def _end_with_runner(pipe: int) -> None:
    """The runner holds the other end: this returns when it is gone, however it went."""
    os.read(pipe, 1)
    if os.getpgrp() == os.getpid():  # with those that load its data, which hold the job's lock too
        os.killpg(0, signal.SIGKILL)
    os._exit(_ORPHANED)


def _main() -> NoReturn:
    pipe, *words = sys.argv[1:]
    os.set_inheritable(int(pipe), False)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a client in the background of a shell ignores it
    threading.Thread(target=_end_with_runner, args=(int(pipe),), daemon=True).start()
    from kinetag.cli import main

    sys.exit(main(words))


if __name__ == "__main__":
    _main()
