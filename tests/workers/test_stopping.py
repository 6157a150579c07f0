"""Ctrl-C and SIGTERM: one line and 128 + the signal, whatever the process is at; workers end too."""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline import catalogue
from tests.examples import REPOSITORY
from tests.running import environment, run_stages, write_params, write_tiny_sources
from tests.warm import Warm

pytestmark = pytest.mark.slow
# Before the command begins, this is added to what Python runs: it takes the process to the place in question, from
# where a signal comes, so that no test waits for a moment.
PLACES: dict[str, str] = {
    "before a stage writes": """
from pipeline.project import runner
def write_all(*_):
    stop()
runner.write_all = write_all
""",
    "when all is in place": """
from pipeline.store.shards import ShardStore
from pipeline.training.checkpoint import Checkpoint
import pipeline.project.runner
pipeline.project.runner.time.perf_counter = lambda: stop() if sys._getframe(1).f_locals.get("label") else 0.0
""",
    "in a finaliser, where Python drops what is raised": """
from pipeline.project import runner
class Held:
    def __del__(self):
        stop()
def write_all(*_):
    Held()
    while True:
        time.sleep(0.01)
runner.write_all = write_all
""",
    "where a library catches Ctrl-C and goes on": """
from pipeline.project import runner
def write_all(*_):
    try:
        stop()
    except KeyboardInterrupt:
        pass
runner.write_all = write_all
""",
    "while Python ends": """
import atexit
atexit.register(lambda: stop())
""",
    "twice": """
from pipeline.project import runner
def write_all(*_):
    try:
        stop()
    finally:
        stop()
runner.write_all = write_all
""",
}
IMPORTING = """
class Late:
    def find_spec(self, name, *_):
        if name == "typer":
            stop()
sys.meta_path.insert(0, Late())
"""
PROGRAM = """
import os, signal, sys, time
number, *sys.argv[1:] = sys.argv[1:]
sys.argv[0] = "pipeline"
def stop():
    os.kill(os.getpid(), int(number))
    time.sleep(0.1)
{place}
from pipeline.__main__ import main
main()
"""
AT_A_PICTURE = """
from pipeline.store.shards import ShardReader
image, left = ShardReader.image, list(range({before}))
def stop_and_read(*arguments):
    if not left:
        stop()
    left.pop()
    return image(*arguments)
ShardReader.image = stop_and_read
"""
COUNT_PICTURES = """
import atexit
from pipeline.store.shards import ShardReader
image, read = ShardReader.image, []
def count(*arguments):
    read.append(None)
    return image(*arguments)
ShardReader.image = count
atexit.register(lambda: print(len(read), file=sys.stderr))
"""
SIGNALS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


def line(number: signal.Signals) -> str:
    return f"stopped by {SIGNALS[number]}: finished work is kept. Run the command again\n"


def stopped(warm: Warm, folder: Path, place: str, number: signal.Signals, *command: str) -> tuple[int, str]:
    """Exit code and what stood on stderr."""
    ended = warm.run(folder, PROGRAM.format(place=place), str(int(number)), *command)
    return ended.returncode, ended.stderr


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("place", PLACES)
def test_a_signal_ends_a_command_with_one_line(place: str, number: signal.Signals, workspace: Path, warm: Warm) -> None:
    assert stopped(warm, workspace, PLACES[place], number, "ingest", "web") == (128 + number, line(number))


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_libraries_are_imported_does_too(number: signal.Signals, workspace: Path) -> None:
    program = [sys.executable, "-c", PROGRAM.format(place=IMPORTING), str(int(number)), "ingest", "web"]
    ended = subprocess.run(
        program, cwd=workspace, env=environment(workspace), capture_output=True, text=True, check=False, timeout=300
    )
    assert (ended.returncode, ended.stderr) == (128 + number, line(number))


@pytest.fixture(scope="module")
def run_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which the stages have run."""
    folder = tmp_path_factory.mktemp("workspace")
    write_tiny_sources(folder)
    write_params(folder)
    (folder / "feedback").mkdir()
    with contextlib.chdir(folder):
        run_stages("ingest", "embed", "curate", "split", "balance", "augment", "train", "evaluate")
    return folder


def test_a_training_that_is_stopped_says_so_and_keeps_the_old_model(run_before: Path, warm: Warm) -> None:
    model = (run_before / catalogue.MODEL.path).read_bytes()
    ended, shown = stopped(warm, run_before, COUNT_PICTURES, signal.SIGTERM, "train")
    assert ended == 0
    pictures = shown.splitlines()[-1]  # after the forecast
    for third, number in enumerate(SIGNALS, 1):
        place = AT_A_PICTURE.format(before=int(pictures) * third // 3)
        code, shown = stopped(warm, run_before, place, number, "train")
        assert (code, shown.splitlines()[-1]) == (128 + number, line(number).strip())
        assert "Traceback" not in shown
        assert (run_before / catalogue.MODEL.path).read_bytes() == model


@pytest.mark.filterwarnings("ignore:::lightning.*")
@pytest.mark.parametrize(
    "command",
    [
        ["previews"],
        ["train"],
        ["evaluate"],
        ["label-issues"],
        ["spot-check"],
        ["learning-curve", "--sizes", "3", "--seeds", "2"],
        ["lr-range"],
        ["preview", "--class", "a"],
        ["augment"],
    ],
    ids=lambda command: command[0],
)
def test_every_command_that_reads_pictures_ends_so(command: list[str], run_before: Path, warm: Warm) -> None:
    if command == ["augment"]:
        shutil.rmtree(run_before / "data/augment")
    code, shown = stopped(warm, run_before, AT_A_PICTURE.format(before=0), signal.SIGTERM, *command)
    assert (code, shown.splitlines()[-1:]) == (143, [line(signal.SIGTERM).strip()])
    assert "Traceback" not in shown


WAITING = """
import os, pathlib, sys, time
from pipeline.workers.engine import Engine
from pipeline.workers.stopping import stoppable
from tests.workers.test_stopping import report_and_wait
folder = sys.argv[1]
with stoppable():
    Engine(2).map(report_and_wait, [folder] * 2, "wait")
"""


def report_and_wait(folder: str) -> None:
    """Tell that a process is at work, and hold a pipe open for as long as it lives."""
    up = os.open(f"{folder}/up", os.O_WRONLY)
    os.write(up, b"x")
    while True:
        signal.pause()


@pytest.mark.parametrize("whom", [os.kill, os.killpg], ids=["the parent", "all"])
@pytest.mark.parametrize("number", SIGNALS)
def test_workers_end_with_the_process_that_is_stopped(
    number: signal.Signals, whom: Callable[[int, int], None], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "up")
    up = os.open(tmp_path / "up", os.O_RDONLY | os.O_NONBLOCK)
    command = [sys.executable, "-c", WAITING, str(tmp_path)]
    with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True, start_new_session=True) as parent:
        try:
            for _ in range(2):
                assert select.select([up], [], [], 60)[0]
                assert os.read(up, 1) == b"x"
            whom(parent.pid, number)
            shown = parent.communicate(timeout=60)[1]
            assert (parent.returncode, shown) == (128 + number, line(number))
            assert select.select([up], [], [], 60)[0]
            assert os.read(up, 1) == b""  # nobody is left who holds it
        finally:
            with suppress(ProcessLookupError):
                os.killpg(parent.pid, signal.SIGKILL)
            os.close(up)


def test_a_signal_that_is_to_be_ignored_is(workspace: Path, warm: Warm) -> None:
    """As by nohup, or of a job in a shell's background."""
    place = "signal.signal(int(number), signal.SIG_IGN)" + PLACES["before a stage writes"]
    code, shown = stopped(warm, workspace, place, signal.SIGINT, "ingest", "web")
    assert (code, shown) == (0, "")
