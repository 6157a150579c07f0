"""Projects for accidents: made, run in forked processes, and compared."""

import contextlib
import hashlib
import importlib
import os
import re
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dvc.cli import main as main_of_dvc

from pipeline.__main__ import main as main_of_pipeline
from pipeline.stage import NAMES, load_stage
from tests.dvc_projects import commit, reproduced_project
from tests.running import environment, run

REPRO = "dvc repro"
SAME, ERROR, WRONG = "same bytes", "clear error", "wrong"
CLEAR = re.compile(r"^error: .*(run|remove|free|fix|lower|wait|check)", re.MULTILINE | re.IGNORECASE)
# Outs that say how long something took, which no two runs agree on.
TIMED = ("latency.json", "timing.jsonl")
# Caches of commands in the folder of stages' outs.
CACHES = {"memory", "map", "code-memo"}
LEDGER = "ledger.jsonl"


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    printed: str

    @property
    def is_clear(self) -> bool:
        """Whether it says what to do next, without a traceback."""
        return bool(CLEAR.search(self.printed)) and "Traceback" not in self.printed


class Project:
    """A project that has run, and copies of it to which something happens."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.whole = folder / "whole"
        self.place = folder / "copy"
        if not (folder / "made").exists():
            shutil.rmtree(self.whole, ignore_errors=True)
            reproduced_project(self.whole)
            # The ledger names the evaluation from now on, so that the same one again adds nothing.
            run(self.whole, "dvc", "repro", "final/dvc.yaml")
            commit(self.whole, "Evaluate on test")
            (folder / "made").touch()
        self.outs = contents(self.whole)

    @contextlib.contextmanager
    def copy(self) -> Iterator[Path]:
        """The same once more; gone afterwards."""
        subprocess.run(["chmod", "-R", "u+w", str(self.place)], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.whole, self.place, symlinks=True)
        yield self.place

    def after(self, place: Path, what: str) -> str:
        """How the next run ends, of the same stage or of `dvc repro`, and what it leaves."""
        ended = repro(place) if what == REPRO else forked(place, command(what))
        if contents(place) == self.outs:
            left = half_written(place)
            return SAME if not left else f"{SAME}, {len(left)} half-written files left"
        if not ended.is_clear:
            return WRONG
        # What the message says to do.
        forked(place, ["pipeline", "doctor", "--fix"])
        repro(place)
        return ERROR if contents(place) == self.outs else WRONG


def preload() -> None:
    """Import here what forked commands need: each would take seconds for it."""
    modules = ("torch", "sklearn.ensemble", "scipy.stats", "albumentations", "dvclive.live", "pipeline.project.runner")
    tools = ("pipeline.tools.report.report", "pipeline.tools.doctor.doctor")
    for module in (*modules, *tools, "dvc.repo", "dvc.commands.repro"):
        importlib.import_module(module)
    for stage in NAMES:
        load_stage(stage)


def contents(place: Path) -> dict[str, str]:
    """Path -> digest of every out and report."""
    files = [path for name in ("data", "reports") for path in (place / name).rglob("*") if path.is_file()]
    return {
        path.relative_to(place).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
        if not CACHES & {*path.parts} and path.name not in TIMED and not path.name.endswith((".partial", ".yaml"))
    }


def half_written(place: Path) -> list[Path]:
    return [path for path in place.rglob(".*.partial") if ".dvc" not in path.parts]


def command(what: str) -> list[str]:
    """A stage by hand, or `dvc repro` from the first stage on."""
    return ["dvc", "repro", "--no-run-cache", "--force"] if what == REPRO else ["pipeline", *what.split()]


def repro(place: Path) -> Ended:
    """`dvc repro` without runs that it remembers: they would bring back what was damaged."""
    return forked(place, ["dvc", "repro", "--no-run-cache"])


def unmade(place: Path, what: str) -> None:
    """Without what the stage made, so that it has something to do."""
    # Of a stage that runs once a source, that source's folder.
    names = ["ingest", "embed", "augment", "train"] if what == REPRO else [what.replace("-", "_").replace(" ", "/")]
    files = [path for top in ("data", "reports") for name in names for path in (place / top / name).rglob("*")]
    for path in files:
        # Git has the ledger of test evaluations, without which test stays closed.
        if path.name != LEDGER and not path.is_dir():
            path.unlink()


def started(place: Path, words: Sequence[str], prepare: Callable[[], object] = lambda: None) -> tuple[int, Path]:
    """A command in a process that has read in its libraries already: its number, and where it prints."""
    number, printed = 0, place / ".printed"
    while printed.exists():
        number += 1
        printed = place / f".printed-{number}"
    file = os.open(printed, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    child = os.fork()
    if child:
        os.close(file)
        return child, printed
    os.setsid()
    os.chdir(place)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ.update(environment(place))
    os.environ["DVC_SITE_CACHE_DIR"] = str(place.parent / "dvc-state")
    code = 1
    try:
        prepare()
        if words[0] == "dvc":
            code = main_of_dvc([*words[1:]])
        else:
            sys.argv = [*words, *([] if words[1] in ("report", "summary", "doctor") else ["--workers", "2"])]
            main_of_pipeline()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(bool(error.code))
    except BaseException:  # noqa: BLE001 - a fork must never go on as its parent
        traceback.print_exc()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def ended(child: int, printed: Path) -> Ended:
    """Wait for a started command."""
    return Ended(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), printed.read_text(errors="replace"))


def forked(place: Path, words: Sequence[str], prepare: Callable[[], object] = lambda: None) -> Ended:
    """The two together."""
    return ended(*started(place, words, prepare))
