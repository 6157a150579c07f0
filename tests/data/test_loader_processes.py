"""The loader's workers as processes: what they do when a signal comes, or their parent dies."""

import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.examples import REPOSITORY

TRAINING = """
import os, sys
from pathlib import Path
from pipeline.data.loader import Loader
from tests.stored import dataset, stored, with_copies, IMAGES
from tests.data.at_work import Announce, numbered
folder, late = Path(sys.argv[1]), sys.argv[2] == "True"
announce = Announce(folder / "pipe", late)
rows = dataset(with_copies(stored(folder / "shards", IMAGES), 9), folder / "shards", announce)
with Loader(rows, 1, 2, range(200), numbered) as loader:
    batches = iter(loader)
    os.write(os.open(folder / "pipe", os.O_WRONLY), b"s")
    for batch in batches:
        pass
"""


# The same, which wants ten batches more once it is to stop, and then ends as the command line does.
STOPPED = TRAINING.replace(
    "with Loader(rows, 1, 2, range(200), numbered) as loader:",
    "import signal\n"
    "from pipeline.workers.stopping import stop_deferred\n"
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
    "with Loader(rows, 1, 2, range(200), numbered) as loader, stop_deferred() as stopping:",
).replace("        pass\n", "        if stopping(): break\n    print(len([*zip(range(10), batches)]), flush=True)\n")


@contextmanager
def training(
    folder: Path, late: bool = False, program: str = TRAINING
) -> Iterator[tuple[subprocess.Popen[str], Callable[[], bytes]]]:
    """A process with two workers, and a function that gives the next byte from them, none after the last ended."""
    os.mkfifo(folder / "pipe")
    command = [sys.executable, "-c", program, str(folder), str(late)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=REPOSITORY, start_new_session=True, **pipes) as parent:
        pipe = os.open(folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)

        def heard() -> bytes:
            assert select.select([pipe], [], [], 60)[0], "neither a byte nor an end came"
            return os.read(pipe, 1)

        try:
            yield parent, heard
        finally:
            os.close(pipe)
            with suppress(ProcessLookupError):
                os.killpg(parent.pid, signal.SIGKILL)


@pytest.mark.parametrize("at_work", [False, True], ids=["while workers start", "at work"])
def test_ctrl_c_is_answered_by_the_parent_alone(tmp_path: Path, at_work: bool) -> None:
    with training(tmp_path) as (parent, heard):
        assert heard() == b"s"
        if at_work:
            assert heard() + heard() == b"ww"
        os.killpg(parent.pid, signal.SIGINT)
        shown = parent.communicate()[1]
        assert heard() == b""
    assert parent.returncode == -signal.SIGINT
    assert re.findall(r"^\w.*", shown, re.MULTILINE) == ["Traceback (most recent call last):", "KeyboardInterrupt"]


@pytest.mark.parametrize("at_work", [False, True], ids=["while workers start", "at work"])
def test_sigterm_to_all_leaves_workers_for_the_batches_that_are_still_wanted(tmp_path: Path, at_work: bool) -> None:
    with training(tmp_path, program=STOPPED) as (parent, heard):
        assert heard() == b"s"
        if at_work:
            assert heard() + heard() == b"ww"
        os.killpg(parent.pid, signal.SIGTERM)
        shown, told = parent.communicate()
        while heard():
            pass
    assert (shown, told, parent.returncode) == ("10\n", "", 143)


@pytest.mark.parametrize("late", [False, True], ids=["at work", "before they begin"])
def test_a_killed_parent_takes_its_workers_along(tmp_path: Path, late: bool) -> None:
    with training(tmp_path, late) as (parent, heard):
        assert sorted(heard() + heard() + heard()) == sorted(b"sww")
        parent.kill()
        assert heard() == b""
