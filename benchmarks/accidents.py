"""A small project that has run, copies of it, and the accidents that benchmarks/chaos.py lets happen to them."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from accident_projects import REPRO, Ended, Project, command, ended, forked, half_written, started, unmade

from tests.running import environment

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
