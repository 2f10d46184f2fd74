"""Processes with a helper each, to see whether the helper ends with them."""

import os
import subprocess
import sys
import time

import psutil

_HELPER = """
import os, sys, time
def helper():
    child = os.fork()
    if not child:
        time.sleep(60)
        os._exit(0)
    return child
"""


def start(code: str, **more) -> "subprocess.Popen[str]":
    """A process that runs ``code``, in which ``helper()`` starts a helper and returns its number."""
    words = [sys.executable, "-c", _HELPER + code]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, env=os.environ, **more)


def ends(number: int, seconds: float = 3.0) -> bool:
    """Whether a process is gone, soon; one that lives on is ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if psutil.Process(number).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    psutil.Process(number).kill()
    return False
