"""Asks the server of tests/warm.py for a forked process; as a program, in the place of `dvc`, `pipeline` and `python`.

It imports only what Python itself starts with, and little more: it is started for each command.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Mapping


def ask(place: str, order: Mapping[str, object], streams: list[int], seconds: float | None = None) -> int:
    """The exit code of a program that the server at a socket runs; minus the signal if one ended it.

    Raises:
        TimeoutError: it did not end in time.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(seconds)
        connection.connect(place)
        text = json.dumps(order).encode() + b"\n"
        sent = socket.send_fds(connection, [text], streams)
        connection.sendall(text[sent:])
        if seconds is None:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda number, _: connection.send(bytes([number])))
        answer = b""
        while not answer.endswith(b"\n"):
            part = connection.recv(64)
            if not part:
                raise ConnectionError("the server of tests/warm.py ended")
            answer += part
    return int(answer)


def main() -> None:
    """Run what this file was called as."""
    folder, name = os.path.split(os.path.abspath(sys.argv[0]))
    place = os.path.dirname(folder)
    with open(os.path.join(place, "programs.json"), encoding="utf-8") as file:
        programs = json.load(file)
    arguments = sys.argv[1:]
    if name == "python":
        if arguments[:2] != ["-m", "pipeline"]:
            os.execv(programs["python"], [programs["python"], *arguments])
        name, arguments = "pipeline", arguments[2:]
    order = {
        "folder": os.getcwd(),
        "program": programs[name],
        "quick": True,
        "arguments": [name, *arguments],
        "variables": dict(os.environ),
    }
    code = ask(os.path.join(place, "socket"), order, [0, 1, 2])
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main()
