"""A small project that has run, copies of it, and the accidents that benchmarks/chaos.py lets happen to them."""

import contextlib
import hashlib
import importlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dvc.cli import main as main_of_dvc

from pipeline.__main__ import main as main_of_pipeline
from pipeline.stage import NAMES, load_stage
from tests.examples import REPOSITORY
from tests.running import environment, run, tracked, write_params, write_tiny_sources

REPRO = "dvc repro"
SAME, ERROR, WRONG = "same bytes", "clear error", "wrong"
CLEAR = re.compile(r"^error: .*(run|remove|free|fix|lower|wait|check)", re.MULTILINE | re.IGNORECASE)
# Outs that say how long something took, which no two runs agree on.
TIMED = ("latency.json", "timing.jsonl")
LEDGER = "ledger.jsonl"
# Root is refused nothing, but where it has mounted the folders so.
READ_ONLY = ["unshare", "--mount", "sh", "-c"]
READ_ONLY += [
    'for top in data reports; do mount --bind $top $top; mount -o remount,bind,ro $top; done; exec "$@"',
    "sh",
]
FAILING = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>
static int fails(int fd) {
    static long seen; char link[64], path[4096]; ssize_t n;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if ((n = readlink(link, path, sizeof path - 1)) < 0) return 0;
    path[n] = 0;
    if (!strstr(path, ".partial")) return 0;
    return ++seen >= atol(getenv("CHAOS_WRITE"));
}
#define REFUSE if (fails(fd)) { errno = atoi(getenv("CHAOS_ERRNO")); return -1; }
ssize_t write(int fd, const void *data, size_t size) {
    REFUSE return ((ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write"))(fd, data, size);
}
int fsync(int fd) { REFUSE return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd); }
"""


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
            self._make()
            (folder / "made").touch()
        self.outs = contents(self.whole)

    def _make(self) -> None:
        for path in [*tracked(), Path(".gitignore"), Path(".dvcignore")]:
            (self.whole / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / path, self.whole / path)
        write_tiny_sources(self.whole)
        write_params(self.whole)
        run(self.whole, "git", "init", "--quiet")
        run(self.whole, "dvc", "init", "--quiet")
        run(self.whole, "dvc", "add", "--quiet", "images")
        shutil.copytree(REPOSITORY / ".dvc/plots", self.whole / ".dvc/plots")
        # DVCLive needs a commit.
        for message in ("Set up", "Run"):
            run(self.whole, "git", "add", "--all")
            run(self.whole, "git", "commit", "--quiet", "--message", message)
            if message == "Set up":
                run(self.whole, "dvc", "repro")
                # The ledger names the evaluation from now on, so that the same one again adds nothing.
                run(self.whole, "dvc", "repro", "final/dvc.yaml")

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
    for module in (*modules, "dvc.repo", "dvc.commands.repro", "pipeline.tools.report", "pipeline.tools.doctor"):
        importlib.import_module(module)
    for stage in NAMES:
        load_stage(stage)


def contents(place: Path) -> dict[str, str]:
    """Path -> digest of every out and report."""
    files = [path for name in ("data", "reports") for path in (place / name).rglob("*") if path.is_file()]
    return {
        path.relative_to(place).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
        if not {"memory", "map"} & {*path.parts} and path.name not in TIMED and not path.name.endswith((".partial", ".yaml"))
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


def seconds_of(project: Project, what: str) -> float:
    """How long it takes when nothing happens."""
    with project.copy() as place:
        unmade(place, what)
        begun = time.perf_counter()
        forked(place, command(what))
        return time.perf_counter() - begun


def signalled(project: Project, what: str, number: signal.Signals, wait: float) -> tuple[str, str]:
    """A signal after so many seconds; how it ended, and the run after it."""
    with project.copy() as place:
        unmade(place, what)
        child, printed = started(place, command(what))
        stop = time.perf_counter() + wait
        gone = False
        while time.perf_counter() < stop and not gone:
            time.sleep(0.02)
            gone = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        if not gone:
            os.killpg(child, number)
        end = ended(child, printed)
        expected = -number if number == signal.SIGKILL else 128 + number
        said = "ended before" if gone else "by the signal" if end.code == expected else f"code {end.code}"
        if "Traceback" in end.printed and what != REPRO:
            said += ", traceback"
        return said if what != REPRO else "", project.after(place, what)


def full_disk(project: Project, what: str) -> tuple[str, str]:
    """No file may grow beyond 4 kB: the limit of the system (EFBIG)."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        # Not its own log, which is such a file as well.
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))

    with project.copy() as place:
        unmade(place, what)
        return _said(forked(place, command(what), limit), place), project.after(place, what)


def failing_disk(project: Project, what: str, library: Path, code: int, write: int) -> tuple[str, str]:
    """A disk that refuses from a write on, by a library that is loaded in front of the system's."""
    settings = {"LD_PRELOAD": str(library), "CHAOS_ERRNO": str(code), "CHAOS_WRITE": str(write)}
    with project.copy() as place:
        unmade(place, what)
        return _said(_process(place, [], what, settings), place), project.after(place, what)


def compiled(folder: Path) -> Path | None:
    """The library of a failing disk; None without a C compiler."""
    if shutil.which("cc") is None:
        return None
    library = folder / "failing.so"
    library.with_suffix(".c").write_text(FAILING)
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(library.with_suffix(".c")), "-ldl"]
    subprocess.run(command, check=True)
    return library


def read_only(project: Project, what: str) -> tuple[str, str]:
    """All folders of outs may be read alone."""
    with project.copy() as place:
        root = os.geteuid() == 0
        for top in () if root else ("data", "reports"):
            subprocess.run(["chmod", "-R", "a-w", str(place / top)], check=True)
        said = _said(_process(place, READ_ONLY if root else [], what, {}), place)
        subprocess.run(["chmod", "-R", "u+w", str(place)], check=True)
        return said, project.after(place, what)


def two_at_once(project: Project, what: str) -> tuple[str, str]:
    """The same twice at the same time."""
    with project.copy() as place:
        unmade(place, what)
        both = [started(place, command(what)) for _ in range(2)]
        ends = [ended(*one) for one in both]
        said = "codes " + " and ".join(sorted(str(end.code) for end in ends))
        if any("Traceback" in end.printed for end in ends):
            said += ", traceback"
        return said, project.after(place, what)


def _process(place: Path, before: Sequence[str], what: str, settings: Mapping[str, str]) -> Ended:
    words = command(what)
    words = words if words[0] == "dvc" else [sys.executable, "-m", *words]
    found = subprocess.run(
        [*before, *words],
        cwd=place,
        env={**environment(place), **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Ended(found.returncode, found.stdout)


def _said(end: Ended, place: Path) -> str:
    said = "nothing to write" if end.code == 0 else f"code {end.code}"
    said += "" if end.code == 0 or end.is_clear else ", unclear"
    said += ", traceback" if "Traceback" in end.printed else ""
    left = half_written(place)
    return said + (f", {len(left)} half-written files left" if left else "")
