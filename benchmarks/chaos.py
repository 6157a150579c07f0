"""What accidents do to a run: kills, signals, full, failing and read-only disks, flipped bits, two runs at once.

Each accident happens to a stage, or to `dvc repro`, of a small project that is made for it; afterwards `dvc repro` runs
once more. What counts is how that ends:

same bytes     the outs are those of a run to which nothing happened
clear error    it ends with a message that names the file and the next step, and one more round of what it says helps
wrong          damaged or other bytes stand as outs, and nothing was said

    python benchmarks/chaos.py                  about two hours of two cores
    python benchmarks/chaos.py --only flips --flips 200 --flips-of-repro 20
    python benchmarks/chaos.py --moments 1 --stages train "dvc repro"

Flips: one bit of one out, files by turns, half of them as a write leaves them (a new time), half as a failing disk does
(the old one). Each is used by the stage that reads it, run by hand; some by `dvc repro`, too, which has to make the
stages after split again.

A full disk is a limit on the size of files where the user may mount nothing; a failing one is a library that is loaded
in front of the system's (with a C compiler; left out without). Root is refused nothing: it mounts folders read-only.
"""

import argparse
import contextlib
import hashlib
import importlib
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.cli import main as main_of_pipeline
from pipeline.stage import NAMES, load_stage
from tests.examples import REPOSITORY
from tests.running import environment, run, tracked, write_params, write_tiny_sources

STAGES = [
    "inventory",
    "ingest web",
    "curate",
    "split",
    "balance",
    "augment",
    "previews",
    "train",
    "evaluate",
    "label_issues",
]
STAGES += ["diagnose"]
SAME, ERROR, WRONG = "same bytes", "clear error", "wrong"
CLEAR = re.compile(r"^error: .*(run|remove|free|fix|lower|wait)", re.MULTILINE | re.IGNORECASE)
# Outs that say how long something took, which no two runs agree on.
TIMED = ("latency.json",)
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


class Project:
    """A project that has run, and copies of it to which something happens."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self.whole = folder / "whole"
        for path in [*tracked(), Path(".gitignore"), Path(".dvcignore")]:
            (self.whole / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / path, self.whole / path)
        write_tiny_sources(self.whole)
        write_params(self.whole)
        run(self.whole, "git", "init", "--quiet")
        run(self.whole, "dvc", "init", "--quiet")
        run(self.whole, "dvc", "add", "--quiet", "images")
        shutil.copytree(REPOSITORY / ".dvc/plots", self.whole / ".dvc/plots")
        for message in ("Set up", "Run"):
            run(self.whole, "git", "add", "--all")
            run(self.whole, "git", "commit", "--quiet", "--message", message)
            run(self.whole, "dvc", "repro")
        self.outs = contents(self.whole)

    @contextlib.contextmanager
    def copy(self) -> Iterator[Path]:
        """The same once more; gone afterwards."""
        self.count += 1
        place = self.folder / f"copy-{self.count}"
        shutil.copytree(self.whole, place, symlinks=True)
        try:
            yield place
        finally:
            subprocess.run(["chmod", "-R", "u+w", str(place)], check=False)
            shutil.rmtree(place)

    def verdict(self, place: Path) -> str:
        """How the next `dvc repro` ends, and what it leaves."""
        printed = repro(place)
        if contents(place) == self.outs:
            left = [path for path in place.rglob(".*.partial") if ".dvc" not in path.parts]
            return SAME if not left else f"{SAME}, {len(left)} half-written files left"
        if not CLEAR.search(printed):
            return WRONG
        # What the message says to do.
        run(place, sys.executable, "-m", "pipeline", "doctor", "--fix", check=False)
        repro(place)
        return ERROR if contents(place) == self.outs else WRONG


def contents(place: Path) -> dict[str, str]:
    """Path -> digest of every out and report."""
    files = [path for name in ("data", "reports") for path in (place / name).rglob("*") if path.is_file()]
    return {
        path.relative_to(place).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
        if "memory" not in path.parts and path.name not in TIMED and not path.name.endswith((".partial", ".yaml"))
    }


def repro(place: Path) -> str:
    """`dvc repro` without runs that it remembers: they would bring back what was damaged."""
    return run(place, "dvc", "repro", "--no-run-cache", check=False)


def command(what: str) -> list[str]:
    """A stage by hand, or `dvc repro` from the first stage on."""
    if what == "dvc repro":
        return ["dvc", "repro", "--no-run-cache", "--force"]
    return [sys.executable, "-m", "pipeline", *what.split()]


def unmade(place: Path, what: str) -> None:
    """Without what the stage made, so that it has something to do."""
    stage = what.split(maxsplit=1)[0]
    names = ["ingest", "augment", "train"] if what == "dvc repro" else [stage]
    for folder in (place / top / name for top in ("data", "reports") for name in names):
        shutil.rmtree(folder, ignore_errors=True)


def seconds_of(project: Project, what: str) -> float:
    """How long it takes when nothing happens."""
    with project.copy() as place:
        unmade(place, what)
        begun = time.perf_counter()
        run(place, *command(what))
        return time.perf_counter() - begun


def signalled(project: Project, what: str, number: signal.Signals, share: float, seconds: float) -> tuple[str, str]:
    """A signal after this share of the time that it takes; how it ended, and the run after it."""
    with project.copy() as place:
        unmade(place, what)
        with subprocess.Popen(
            command(what),
            cwd=place,
            env=environment(place),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(share * seconds)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            printed = process.communicate()[0]
        expected = {-number} if number == signal.SIGKILL else {128 + number}
        said = "code" if process.returncode in expected else "too late" if process.returncode == 0 else "other code"
        if "Traceback" in printed and what != "dvc repro":
            said += ", traceback"
        if what == "dvc repro":
            said = ""
        return said, project.verdict(place)


def disk(project: Project, what: str, settings: dict[str, str], room: int | None) -> tuple[str, str]:
    """A disk that refuses while it runs."""

    def limit() -> None:
        if room is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    with project.copy() as place:
        unmade(place, what)
        ended = subprocess.run(
            command(what),
            cwd=place,
            env={**environment(place), **settings},
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=limit,
        )
        half = [path for path in place.rglob(".*.partial") if ".dvc" not in path.parts]
        said = "nothing to write" if ended.returncode == 0 else f"code {ended.returncode}"
        if "Traceback" in ended.stderr:
            said += ", traceback"
        if half:
            said += f", {len(half)} half-written files left"
        return said, project.verdict(place)


def read_only(project: Project, what: str) -> tuple[str, str]:
    """All folders of outs may be read alone."""
    with project.copy() as place:
        root = os.geteuid() == 0
        for top in () if root else ("data", "reports"):
            subprocess.run(["chmod", "-R", "a-w", str(place / top)], check=True)
        ended = subprocess.run(
            [*(READ_ONLY if root else []), *command(what)],
            cwd=place,
            env=environment(place),
            capture_output=True,
            text=True,
            check=False,
        )
        subprocess.run(["chmod", "-R", "u+w", str(place)], check=True)
        said = f"code {ended.returncode}" + (", traceback" if "Traceback" in ended.stderr else "")
        return said, project.verdict(place)


def two_at_once(project: Project, what: str) -> tuple[str, str]:
    """The same twice at the same time."""
    with project.copy() as place:
        unmade(place, what)
        both = [
            subprocess.Popen(
                command(what),
                cwd=place,
                env=environment(place),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        errors = [process.communicate()[1] for process in both]
        said = "codes " + " and ".join(sorted(str(process.returncode) for process in both))
        if any("Traceback" in text for text in errors):
            said += ", traceback"
        return said, project.verdict(place)


# Path of an out -> the stage that reads it next, by hand.
READERS = {
    "data/inventory": None,
    "data/ingest/web/shards": "augment",
    "data/ingest/phone/shards": "evaluate",
    "data/ingest": "curate",
    "data/curate": "split",
    "data/split": "balance",
    "data/balance": "augment",
    "data/augment": "train",
    "data/train": "evaluate",
    "data/evaluate": "diagnose",
    "reports/train": "diagnose",
    "reports/label_issues": "diagnose",
}


def flipped_by_hand(project: Project, draw: random.Random, path: str, old_time: bool) -> str:
    """One bit of one out; what the stage that reads it says, or whether what it then writes is what it should be."""
    reader = next((stage for prefix, stage in READERS.items() if path.startswith(prefix)), None)
    if reader is None:
        return "read by none"
    with project.copy() as place:
        flip(place / path, draw, old_time)
        if reader == "augment":
            shutil.rmtree(place / "data/augment")
        code, printed = forked(place, reader)
        if code:
            return ERROR if CLEAR.search(printed) else WRONG
        own = (f"data/{reader}/", f"reports/{reader}/")
        now, then = (
            {name: value for name, value in found.items() if name.startswith(own)}
            for found in (contents(place), project.outs)
        )
        return "no effect" if now == then else WRONG


def forked(place: Path, *words: str) -> tuple[int, str]:
    """The `pipeline` command in a process that has read in its libraries already; its code, and what it printed."""
    printed = place / ".printed"
    child = os.fork()
    if child == 0:
        os.chdir(place)
        file = os.open(printed, os.O_CREAT | os.O_WRONLY)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.argv = ["pipeline", *words, "--workers", "1"]
        try:
            main_of_pipeline()
        except SystemExit as error:
            sys.stdout.flush()
            os._exit(error.code if isinstance(error.code, int) else 1)
        except BaseException:  # noqa: BLE001 - a fork must never go on as its parent
            traceback.print_exc()
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code, printed.read_text(errors="replace")


def flipped_repro(project: Project, draw: random.Random, path: str, old_time: bool) -> str:
    """One bit of one out; what `dvc repro` makes of it."""
    with project.copy() as place:
        flip(place / path, draw, old_time)
        # Something has to be made again, or DVC would look at nothing.
        for folder in ("data/split", "data/evaluate", "reports/diagnose"):
            shutil.rmtree(place / folder)
        printed = repro(place)
        now, then = ({k: v for k, v in found.items() if k != path} for found in (contents(place), project.outs))
        if CLEAR.search(printed):
            return ERROR
        if now != then:
            return WRONG
        return SAME if contents(place) == project.outs else "no effect"


def flip(path: Path, draw: random.Random, old_time: bool) -> None:
    """One bit, the file's time with it or not."""
    before = path.stat()
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)
    if old_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


class Table:
    """Outcomes, a line an accident."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, accident: str, outcomes: list[tuple[str, str]]) -> None:
        """Note what came of it, and print it at once."""
        said = ", ".join(f"{count} {name}" for name, count in Counter(a for a, _ in outcomes).most_common() if name)
        after = Counter(b for _, b in outcomes)
        rate = f"{after[WRONG]} of {len(outcomes)}"
        words = ", ".join(f"{count} {name}" for name, count in after.most_common())
        self.lines.append(f"| {accident} | {len(outcomes)} | {said} | {words} | {rate} |")
        print(self.lines[-1], flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=int, default=200, help="used by stages that are run by hand")
    parser.add_argument("--flips-of-repro", type=int, default=20, help="so many of them also used by `dvc repro`")
    parser.add_argument("--moments", type=int, default=5, help="of each stage, at which each signal comes")
    parser.add_argument("--stages", nargs="*", default=[*STAGES, "dvc repro"])
    kinds = ["signals", "disk", "read-only", "twice", "flips"]
    parser.add_argument("--only", nargs="*", choices=kinds, default=kinds)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    os.environ["PIPELINE_WORKERS"] = "2"
    table = Table()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        project = Project(Path(folder))
        print("| accident | runs | how it ended | after the next `dvc repro` | silently wrong |\n|---|---|---|---|---|")
        for kind, function in KINDS.items():
            if kind in asked.only:
                function(project, asked, table)


def try_signals(project: Project, asked: argparse.Namespace, table: Table) -> None:
    """At some moments of each stage."""
    seconds = {what: seconds_of(project, what) for what in asked.stages}
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        outcomes: list[tuple[str, str]] = []
        of_repro: list[tuple[str, str]] = []
        for what in asked.stages:
            for moment in range(asked.moments):
                share = (moment + 0.5) / asked.moments
                into = of_repro if what == "dvc repro" else outcomes
                into.append(signalled(project, what, number, share, seconds[what]))
        table.add(f"{number.name}, a stage", outcomes)
        if of_repro:
            table.add(f"{number.name}, dvc repro", of_repro)


def try_disks(project: Project, asked: argparse.Namespace, table: Table) -> None:
    """Full by the system's limit, full and failing by a library."""
    stages = [what for what in asked.stages if what != "dvc repro"]
    table.add("no file above 4 kB (EFBIG)", [disk(project, what, {}, 4096) for what in stages])
    library = project.folder / "failing.so"
    source = library.with_suffix(".c")
    source.write_text(FAILING)
    if shutil.which("cc") is None:
        print("no C compiler: ENOSPC and EIO left out", file=sys.stderr)
        return
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    for name, code in (("ENOSPC", 28), ("EIO", 5)):
        outcomes = []
        for what in stages:
            for write in (1, 2, 4):
                settings = {"LD_PRELOAD": str(library), "CHAOS_ERRNO": str(code), "CHAOS_WRITE": str(write)}
                outcomes.append(disk(project, what, settings, None))
        table.add(f"{name} at the 1st, 2nd, 4th write", outcomes)


def try_read_only(project: Project, asked: argparse.Namespace, table: Table) -> None:
    """Folders of outs that may not be written."""
    table.add("read-only", [read_only(project, what) for what in asked.stages if what != "dvc repro"])


def try_twice(project: Project, asked: argparse.Namespace, table: Table) -> None:
    """Two of a kind at once."""
    table.add("two at once", [two_at_once(project, what) for what in asked.stages])


def try_flips(project: Project, asked: argparse.Namespace, table: Table) -> None:
    """Over all outs, by turns; shards as often as all others."""
    draw = random.Random(asked.seed)
    shards = sorted(name for name in project.outs if "/shards/" in name)
    others = sorted(name for name in project.outs if "/shards/" not in name)
    draw.shuffle(others)
    for module in (
        "torch",
        "sklearn.ensemble",
        "scipy.stats",
        "albumentations",
        "dvclive.live",
        "pipeline.project.runner",
    ):
        importlib.import_module(module)
    for stage in NAMES:
        load_stage(stage)
    for how, function, count in (
        ("its reader by hand", flipped_by_hand, asked.flips),
        ("dvc repro", flipped_repro, asked.flips_of_repro),
    ):
        outcomes: dict[bool, list[tuple[str, str]]] = {False: [], True: []}
        for number in range(count):
            of, old_time = (shards, others)[number // 2 % 2], bool(number % 2)
            path = of[number // 4 % len(of)]
            outcomes[old_time].append(("", function(project, draw, path, old_time)))
            if outcomes[old_time][-1][1] == WRONG:
                print(f"  wrong: {path}, {'old' if old_time else 'new'} time, {how}", file=sys.stderr)
        for old_time, found in outcomes.items():
            table.add(f"flipped bit, {'old' if old_time else 'new'} time: {how}", found)


KINDS: dict[str, Callable[[Project, argparse.Namespace, Table], None]] = {
    "signals": try_signals,
    "disk": try_disks,
    "read-only": try_read_only,
    "twice": try_twice,
    "flips": try_flips,
}

if __name__ == "__main__":
    main()
