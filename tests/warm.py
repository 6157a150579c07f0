"""Programs in processes of their own that need not import libraries first: forked from one that has imported them.

Most of what a small program takes is the import of PyTorch, pandas, SciPy and DVC. To signals, kills and exit codes a
forked process is as real as another one; what happens while libraries are imported needs a new process.

`Warm.run` runs a text of Python. With the variables of `Warm.variables`, `dvc`, `pipeline` and `python -m pipeline` are
forked as well, whoever starts them: a shell, or DVC for a stage. tests/warm_client.py stands in their place.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from pipeline.stage import NAMES
from pipeline.versions.stages import installed_versions
from pipeline.workers.libraries import SETTINGS
from tests import warm_client
from tests.examples import REPOSITORY

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
    *("lightning_fabric", "networkx", "pipeline.__main__", "pipeline.tools.checked_transforms", "pyarrow.dataset"),
    *("dvc.cli.parser", "dvc.repo.reproduce", "dvc.repo.experiments.queue.celery", "dvc.scm", "dvc_data.index"),
)
# Not in a module: processes that a program starts would import it. What is raised goes to the top, as in any program.
SERVER = """
from tests import warm
order = warm.next_order()
if order is not None:
    warm.become(order)
    if order["quick"]:
        warm.run_quickly(order["program"])
    exec(compile(order["program"], "<program>", "exec"), {"__name__": "__main__"})
"""
# The commands that are forked: what Python runs for each.
PROGRAMS = {
    "dvc": "import sys\nfrom dvc.cli import main\nsys.exit(main())\n",
    "pipeline": "from pipeline.__main__ import main\nmain()\n",
}
SECONDS = 300


def next_order() -> Any:
    """In the server: import everything, then fork for each program that is asked for; return it in the new process.

    None once the process that started the server has closed its stdin.
    """
    for name in IMPORTED:
        importlib.import_module(name)
    for name in NAMES:
        installed_versions().reached(name)  # it reads the syntax trees of the whole package, once for all programs
    gc.collect()
    gc.freeze()  # so that no collection touches, and thereby copies, the pages that processes share
    listener = socket.socket(fileno=int(sys.argv[1]))
    running: dict[int, tuple[int, socket.socket]] = {}
    with selectors.DefaultSelector() as events:
        events.register(0, selectors.EVENT_READ)
        events.register(listener, selectors.EVENT_READ)
        while True:
            for event, _ in events.select():
                if event.fd == 0:
                    return None
                if event.fileobj is listener:
                    connection = listener.accept()[0]
                    order = received(connection)
                    pid = os.fork()
                    if not pid:
                        for descriptor in (connection, listener, *(other for _, other in running.values())):
                            descriptor.close()
                        return order
                    for descriptor in order["streams"]:
                        os.close(descriptor)
                    end = os.pidfd_open(pid)
                    running[end] = (pid, connection)
                    events.register(end, selectors.EVENT_READ)
                    events.register(connection, selectors.EVENT_READ, pid)
                elif event.data is None:
                    pid, connection = running.pop(event.fd)
                    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                    for ended in (event.fd, connection):
                        events.unregister(ended)
                    os.close(event.fd)
                    with contextlib.suppress(OSError), connection:
                        connection.sendall(b"%d\n" % code)
                elif event.fileobj in {connection for _, connection in running.values()}:  # its program still runs
                    pass_on(event.fileobj, event.data)


def received(connection: socket.socket) -> dict[str, Any]:
    """What `warm_client.ask` sent: an order, with the streams as descriptors."""
    text, streams, _, _ = socket.recv_fds(connection, 1 << 16, 3)
    while not text.endswith(b"\n"):
        text += connection.recv(1 << 16)
    return {**json.loads(text), "streams": streams}


def pass_on(connection: Any, pid: int) -> None:
    """A signal that came to the program's client, to the program; it ends when its client is gone."""
    numbers = connection.recv(1 << 10)
    for number in numbers or (signal.SIGKILL,):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def become(order: Mapping[str, Any]) -> None:
    """In a forked process: the folder, arguments, variables and streams that are asked for."""
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["variables"])
    sys.argv = order["arguments"]
    for stream, opened in enumerate(order["streams"]):
        os.dup2(opened, stream)
        os.close(opened)


def run_quickly(program: str) -> None:
    """Run a program, then end the process without taking apart what it has imported, which would copy all its pages.

    What is raised goes to the top and takes the long way.
    """
    code: Any = 0
    try:
        exec(compile(program, "<program>", "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        code = end.code
    if isinstance(code, str):
        sys.exit(code)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code or 0)


class Warm:
    """A server; started with the first program, ended with the block or the process, but not with forks of it.

    environment: a folder -> the variables of programs that run there.
    """

    def __init__(self, environment: Callable[[Path], Mapping[str, str]]) -> None:
        self._environment = environment
        self._owner = os.getpid()
        self._place: Path | None = None
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if os.getpid() != self._owner:
            return
        if self._server:
            self._server.communicate()
        if self._place:
            shutil.rmtree(self._place)
        self._server = self._place = None

    def _started(self) -> Path:
        """The folder of the server's socket and of the commands that reach it."""
        if self._place is None:
            # Not in pytest's folder: the path of a socket may have 107 bytes.
            place = self._place = Path(tempfile.mkdtemp(prefix="warm-"))
            atexit.register(self.__exit__)
            source = Path(warm_client.__file__).read_text(encoding="utf-8")
            for name in ("all/dvc", "all/pipeline", "all/python", "dvc/dvc"):
                (place / name).parent.mkdir(exist_ok=True)
                (place / name).write_text(f"#!{sys.executable} -IS\n{source}", encoding="utf-8")
                (place / name).chmod(0o755)
            (place / "programs.json").write_text(json.dumps({**PROGRAMS, "python": sys.executable}), encoding="utf-8")
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(place / "socket"))
                listener.listen(64)
                self._server = subprocess.Popen(
                    [sys.executable, "-c", SERVER, str(listener.fileno())],
                    cwd=REPOSITORY,
                    env={
                        **SETTINGS,
                        **self._environment(place),
                    },  # as the command line has them before it imports numpy
                    stdin=subprocess.PIPE,
                    pass_fds=[listener.fileno()],
                )
        return self._place

    def variables(self, folder: Path, new_stages: bool = False) -> dict[str, str]:
        """Variables with which `dvc`, `pipeline` and `python -m pipeline` are forked; or `dvc` alone."""
        found = {**self._environment(folder)}
        first = self._started() / ("dvc" if new_stages else "all")
        return {**found, "PATH": os.pathsep.join([str(first), found["PATH"]])}

    def run(self, folder: Path, program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a program as `python -c` would, with the variables that tests give commands.

        Raises:
            TimeoutError: it did not end within 5 minutes.
        """
        order = {
            "folder": str(folder),
            "program": program,
            "quick": False,
            "arguments": ["-c", *arguments],
            "variables": {**self._environment(folder)},
        }
        place = str(self._started() / "socket")
        with Path(os.devnull).open() as nothing, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            code = warm_client.ask(place, order, [stream.fileno() for stream in (nothing, out, err)], SECONDS)
            for stream in (out, err):
                stream.seek(0)
            return subprocess.CompletedProcess([program, *arguments], code, out.read().decode(), err.read().decode())
