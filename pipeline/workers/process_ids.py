"""Identify a process by its number and start time, so that a later one with the same number is another one."""

import os
from pathlib import Path
from typing import Any


def process_id(number: int | None = None) -> str:
    """A process of this machine, this one unless said, as a text that no other one has."""
    number = os.getpid() if number is None else number
    return f"{number} {_started(number)}"


def is_alive(process: Any) -> bool:
    """Whether the process of such a text still runs here."""
    if not isinstance(process, str):
        return False
    number, _, started = process.partition(" ")
    if not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return _started(int(number)) == started


def _started(number: int) -> str:
    """When a process was started, in ticks since the machine was; "" where nothing says so."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
