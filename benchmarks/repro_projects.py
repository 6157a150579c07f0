"""A small project by `pipeline init`, and commands in it that can be stopped: for accidents over `dvc repro`."""

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from accident_projects import contents

from tests.dvc_projects import change, commit
from tests.examples import write_source
from tests.running import BIN, run, warm_server

# DVC and the doctor begin anew, so that a signal to DVC's group reaches its stages, and the doctor knows itself.
REPRO, DOCTOR = (f"{BIN}/dvc", "repro"), (f"{BIN}/python", "-m", "pipeline", "doctor")
SMALL = (
    ("    depth: 2\n    width: 16\n", "    depth: 2\n    width: 8\n"),
    ("  epochs: 60 ", "  epochs: 6 "),
    ("  bootstrap: 1000 ", "  bootstrap: 100 "),
    ("n_estimators: 60", "n_estimators: 10"),
)
FIRST, AGAIN, LATE = "first run", "every stage again", "train and later again"
CHANGES = {FIRST: (), AGAIN: (("  size: 16 ", "  size: 20 "),), LATE: (("  epochs: 6 ", "  epochs: 5 "),)}


class Projects:
    """The project before its first run and after it, and what a run of changed params leaves."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.place = folder, folder / "copy"
        self.expected: dict[str, dict[str, str]] = {}
        self.seconds: dict[str, float] = {}
        record = folder / "expected.json"
        if record.exists():
            self.expected, self.seconds = json.loads(record.read_text())
            return
        self._make()
        for name in CHANGES:
            with self.copy(name) as place:
                begun = time.perf_counter()
                run(place, "dvc", "repro")
                self.seconds[name] = time.perf_counter() - begun
                self.expected[name] = contents(place)
        record.write_text(json.dumps([self.expected, self.seconds]))

    def _make(self) -> None:
        write_source(self.folder / "web", {"a": 50, "b": 40, "c": 30}, seed=11)
        write_source(self.folder / "phone", {"a": 30, "b": 30, "c": 20}, seed=12, noise=100)
        for name in ("new", "run"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        new = self.folder / "new"
        run(self.folder, "pipeline", "init", "new", "--raw", "web", "--production", "phone")
        for old, changed in SMALL:
            change(new / "params.yaml", old, changed)
        commit(new, "Take a small network")
        shutil.copytree(new, self.folder / "run", symlinks=True)
        run(self.folder / "run", "dvc", "repro")
        commit(self.folder / "run", "Run")

    @contextlib.contextmanager
    def copy(self, state: str) -> Iterator[Path]:
        """One of the two, with the changes of its params."""
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.folder / ("new" if state == FIRST else "run"), self.place, symlinks=True)
        for old, changed in CHANGES[state]:
            change(self.place / "params.yaml", old, changed)
        yield self.place


class Command:
    """A command in a session of its own."""

    def __init__(self, place: Path, *words: str) -> None:
        self._printed = place.parent / f"printed-{os.urandom(4).hex()}"
        with self._printed.open("w") as file:
            self.process = subprocess.Popen(
                words, cwd=place, env=warm_server().variables(place), stdout=file, stderr=file, start_new_session=True
            )

    def until(self, moment: float) -> bool:
        """Wait until then; whether it still runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.0, moment - time.perf_counter()))
        return self.process.poll() is None

    def end(self) -> tuple[int, str]:
        """Its exit code and what it printed, once it has ended."""
        code = self.process.wait()
        said = self._printed.read_text(errors="replace")
        self._printed.unlink()
        return code, said


def idle(place: Path) -> None:
    """Wait until no stage works there: one outlives a DVC that was killed alone."""
    for _ in range(300):
        if not any(working(Path(entry.path), place) for entry in os.scandir("/proc") if entry.name.isdigit()):
            return
        time.sleep(0.1)


def working(process: Path, place: Path) -> bool:
    try:
        return (process / "cwd").readlink().is_relative_to(place) and process.name != str(os.getpid())
    except OSError:
        return False


def send(command: Command, number: int, whom: str) -> bool:
    """Send a signal to all processes of a command, to DVC alone, or to the stage that it runs; False: none ran."""
    if whom == "all":
        os.killpg(command.process.pid, number)
        return True
    if whom == "DVC alone":
        os.kill(command.process.pid, number)
        return True
    # Between two stages there is none for a moment.
    while command.process.poll() is None:
        for stage in stages_of(command.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(stage, number)
                return True
        time.sleep(0.005)
    return False


def stages_of(session: int) -> list[int]:
    """Processes of a session that run a stage (the clients of tests/warm.py, to which DVC sends what it sends)."""
    found = []
    for entry in os.scandir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            if entry.name.isdigit() and os.getsid(int(entry.name)) == session and int(entry.name) != session:
                words = Path(entry.path, "cmdline").read_bytes().split(b"\0")
                if b"pipeline" in words:
                    found.append(int(entry.name))
    return found
