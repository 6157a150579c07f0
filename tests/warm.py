"""Programs in processes of their own that need not import libraries first: forked from one that has imported them.

Most of what a small program takes is the import of PyTorch, pandas and SciPy. To signals, kills and exit codes a forked
process is as real as another one; what happens while libraries are imported needs a new process.
"""

import importlib
import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from pipeline.stage import NAMES
from pipeline.workers.libraries import SETTINGS
from tests.examples import REPOSITORY
from tests.running import environment

IMPORTED = (
    "pipeline.cli",
    *(f"pipeline.stages.{name}.stage" for name in NAMES),
    *("pipeline.project.code", "pipeline.project.runner", "pipeline.training.training", "pipeline.data.prepared"),
    *(
        "pipeline.tools.learning_curve",
        "pipeline.tools.spot_check",
        "pipeline.tools.lr_range",
        "pipeline.tools.preview",
    ),
    *("dvclive", "matplotlib.figure", "scipy.stats", "sklearn.ensemble", "sklearn.linear_model"),
)
# Not in a module: processes that a program starts would import it. What is raised goes to the top, as in any program.
SERVER = """
from tests import warm
order = warm.next_order()
if order is not None:
    warm.become(order)
    exec(compile(order["program"], "<program>", "exec"), {"__name__": "__main__"})
"""
SECONDS = 300


def next_order() -> Any:
    """In the server: import everything, then fork for each line of stdin; return it in the new process."""
    for name in IMPORTED:
        importlib.import_module(name)
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            return json.loads(line)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
    return None


def become(order: dict[str, Any]) -> None:
    """In a forked process: the folder, arguments, variables and streams that are asked for."""
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["variables"])
    sys.argv = ["-c", *order["arguments"]]
    for stream, name in enumerate((os.devnull, *order["streams"])):
        opened = os.open(name, os.O_RDWR | os.O_CREAT)
        os.dup2(opened, stream)
        os.close(opened)


class Warm:
    """A server; started with the first program."""

    def __init__(self, folder: Path) -> None:
        self._streams = [str(folder / "out"), str(folder / "err")]
        self._server: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._server:
            self._server.communicate()

    def run(self, folder: Path, program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a program as `python -c` would, with the variables that tests give commands.

        Raises:
            TimeoutError: it did not end within 5 minutes.
        """
        if self._server is None:
            self._server = subprocess.Popen(
                [sys.executable, "-c", SERVER],
                cwd=REPOSITORY,
                env={**SETTINGS, **environment(folder)},  # as the command line has them before it imports numpy
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        for stream in self._streams:
            Path(stream).write_bytes(b"")
        order = {
            "folder": str(folder),
            "program": program,
            "arguments": arguments,
            "variables": environment(folder),
            "streams": self._streams,
        }
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(json.dumps(order), file=self._server.stdin, flush=True)
        if not select.select([self._server.stdout], [], [], SECONDS)[0]:
            self._server.kill()
            raise TimeoutError(program)
        code = int(self._server.stdout.readline())
        out, err = (Path(stream).read_text(encoding="utf-8") for stream in self._streams)
        return subprocess.CompletedProcess([program, *arguments], code, out, err)
