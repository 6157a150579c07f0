"""Do the tests notice when the code is wrong? Random small faults, one at a time, and which of them no test sees.

A fault is a comparison turned, an operator or a constant changed, a condition negated, "and" made "or". The tests of
FOLDERS run once while coverage notes which lines each one reaches. Then each fault is written into a copy of the
package, and only the tests that reach its lines run there, the quick ones first, until one fails or PATIENCE is over.
They run in a process that is forked from one in which the libraries are loaded. A fault within a function needs no
module to be loaded anew: the function gets other code in a process that has loaded everything. Printed: the rate of
faults that were caught, with its exact interval, and the survivors. A fault may change nothing (a rounding, a limit
that no value reaches): read the survivors. Takes two minutes, and then a few seconds of one core a fault.

    python benchmarks/mutants.py [--count 200] [--seed 0] [--only pipeline/metrics/intervals.py ...]
    ... --results FILE      # goes on where a run that was stopped had come to, and keeps what it found
    ... --again             # what survived in earlier runs is tried once more, with the tests as they are now
"""

import argparse
import gc
import hashlib
import importlib
import itertools
import json
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from faults import Fault, count_of, mutated

FOLDERS = ("pipeline/metrics", "pipeline/diagnosis", "pipeline/stages/split")
# The tests that should notice. Not those of other stages: each of them needs a run of several, for each fault.
TESTS = ("tests/metrics", "tests/diagnosis", "tests/stages/split", "tests/stages/curate/test_confounders.py",
         "tests/tools/test_compare.py", "tests/tools/test_gate.py", "tests/tuning/test_selection.py")  # fmt: skip
# Loaded once, before processes are forked; nothing of the package itself.
LIBRARIES = ("pytest", "hypothesis", "numpy", "pandas", "pyarrow", "scipy.stats", "sklearn", "pydantic", "ruamel.yaml",
             "typer.main", "dvc.repo", "dvc.utils.hydra", "cv2", "PIL.Image", "torch")  # fmt: skip
OPTIONS = ["-x", "-q", "-n0", "--assert=plain", "-p", "no:cacheprovider"]
# Of a processor; a fault that takes more runs without end.
SECONDS = 120
# Seconds of a processor that the tests of a fault may take together: the quickest first.
PATIENCE = 25.0
# Characters that are shown of what failing tests say.
SAID = 3000


@dataclass(frozen=True)
class Reached:
    """Which tests reach a line of a module, from file and line; and the seconds that each test takes."""

    lines: dict[str, dict[int, list[str]]]
    seconds: dict[str, float]

    def tests(self, path: Path, lines: range) -> list[str]:
        """Those that reach some lines, quick ones first, for PATIENCE.

        Of what runs at import, all that reach the module, and those that reach no line at all: these look at what
        modules declare.
        """
        reached = self.lines.get(path.as_posix(), {})
        found = {test for line in lines for test in reached.get(line, [])}
        if "" in found:
            found = {test for tests in reached.values() for test in tests}
            found |= self.seconds.keys() - {
                test for of in self.lines.values() for tests in of.values() for test in tests
            }
        ordered = sorted(found - {""}, key=lambda test: (self.seconds.get(test, 0.0), test))
        sums = itertools.accumulate(self.seconds.get(test, 0.0) for test in ordered)
        return [test for test, spent in zip(ordered, sums, strict=True) if spent <= PATIENCE or test == ordered[0]]


class Recorder:
    """Notes which lines of FOLDERS each test reaches, and how long it takes."""

    def __init__(self) -> None:
        # Not the script of that name beside this one.
        library = importlib.import_module("coverage")
        self.coverage = library.Coverage(data_file=None, source=[*FOLDERS], config_file=False)
        self.seconds: dict[str, float] = {}
        self.begun = 0.0
        self.coverage.start()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Lines that run from here on are reached by this test."""
        self.coverage.switch_context(nodeid)
        self.begun = _processor_seconds()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """What runs between tests, such as imports, is nobody's."""
        self.seconds[nodeid] = _processor_seconds() - self.begun
        self.coverage.switch_context("")

    def reached(self) -> dict[str, Any]:
        """What was noted, for JSON."""
        self.coverage.stop()
        data = self.coverage.get_data()
        files = {Path(file).relative_to(Path.cwd()).as_posix(): file for file in data.measured_files()}
        lines = {name: data.contexts_by_lineno(file) for name, file in sorted(files.items())}
        return {"lines": lines, "seconds": self.seconds}


def _processor_seconds() -> float:
    """Of this process and those that it started and that ended: no other work on the machine makes them more."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def main() -> None:
    """Print the rate, and the survivors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", type=Path)
    parser.add_argument("--results", type=Path)
    parser.add_argument("--again", action="store_true")
    chosen = parser.parse_args()
    paths = chosen.only or [path for folder in FOLDERS for path in sorted(Path(folder).glob("*.py"))]
    places = [(path, number) for path in paths for number in range(count_of(path))]
    drawn = random.Random(chosen.seed).sample(places, min(chosen.count, len(places)))
    for name in LIBRARIES:
        importlib.import_module(name)
    done = _earlier(chosen.results)
    if chosen.again:
        done = {key: ended for key, ended in done.items() if ended == "caught"}
    results = None if chosen.results is None else chosen.results.absolute()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("pipeline", "tests"):
            shutil.copytree(name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "params.yaml", "dvc.yaml"):
            shutil.copy(name, copy / name)
        noted = results.with_suffix(".reached") if results is not None else copy / "reached"
        reached = _reached(copy, noted.absolute())
        faults = [mutated(path, number) for path, number in drawn]
        # Faults of what runs at import come first, while nothing of the package is loaded.
        functions: dict[tuple[str, str], list[FunctionType]] = {}
        for fault in sorted(faults, key=lambda fault: fault.function is not None):
            if fault.key in done:
                continue
            if fault.function is not None and not functions:
                functions = _loaded(copy, reached)
            tests = reached.tests(fault.path, fault.lines)
            begun = time.monotonic()
            done[fault.key] = _ended(copy, fault, tests, functions) if tests else "not reached"
            ended = done[fault.key] if done[fault.key] == "caught" else "SURVIVED"
            print(f"{fault.key}: {ended} in {time.monotonic() - begun:.1f} s, {len(tests)} tests", flush=True)
            if results is not None:
                with results.open("a") as file:
                    file.write(json.dumps([fault.key, done[fault.key]]) + "\n")
    found = [fault.key for fault in faults]
    survivors = [f"{key} ({done[key]})" for key in found if done[key] != "caught"]
    # Only now, so that forked processes load the copy's.
    from pipeline.metrics.mean_intervals import share_interval

    caught = len(found) - len(survivors)
    low, high = share_interval(caught / len(found), len(found), 0.05)
    print(f"\ncaught: {caught} of {len(found)}, {caught / len(found):.1%} ({100 * low:.1f} to {100 * high:.1f})")
    print("\n".join(["survivors:", *survivors]))


def _earlier(file: Path | None) -> dict[str, Any]:
    """What earlier runs found: fault -> how the tests ended."""
    return dict(map(json.loads, file.read_text().splitlines())) if file is not None and file.exists() else {}


def _reached(copy: Path, noted: Path) -> Reached:
    """Which tests reach which lines, from files if nothing changed since. All must pass before anything is wrong.

    noted: a folder, with a file for each part of the tests: a run that was stopped goes on where it had come to.
    """
    digest = hashlib.sha256()
    for file in sorted([*copy.glob("pipeline/**/*.py"), *copy.glob("tests/**/*.py")]):
        digest.update(file.read_bytes())
    noted.mkdir(exist_ok=True)
    lines: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    seconds: dict[str, float] = {}
    for tests in filter(os.path.exists, TESTS):
        file = noted / f"{tests.replace('/', '_')}.json"
        read = json.loads(file.read_text()) if file.exists() else {}
        if read.get("of") != digest.hexdigest():
            read = _recorded(copy, tests, digest.hexdigest())
            file.write_text(json.dumps(read))
        seconds |= read["seconds"]
        for name, reached in read["lines"].items():
            for line, those in reached.items():
                lines[name][int(line)] += those
    return Reached(lines, seconds)


def _recorded(copy: Path, tests: str, of: str) -> dict[str, Any]:
    """What a part of the tests reaches, for JSON. of: the digest of the code."""
    said, found = copy / "said", copy / "found"

    def note() -> int:
        import pytest

        recorder = Recorder()
        code = int(pytest.main([*OPTIONS, tests], plugins=[recorder]))
        found.write_text(json.dumps({"of": of, **recorder.reached()}))
        return code

    if _forked(copy, note, said) != 0:
        sys.exit(f"{said.read_text()[-SAID:]}\nTests fail before anything is wrong")
    read: dict[str, Any] = json.loads(found.read_text())
    return read


def _ended(copy: Path, fault: Fault, tests: list[str], functions: Mapping[tuple[str, str], list[FunctionType]]) -> str:
    """How the tests ended: caught (one failed, none began, no end), or passed."""
    file = copy / fault.path
    before = file.read_bytes()
    swapped = functions.get((str(file), fault.function or ""), [])
    file.write_text(fault.source, encoding="utf-8")

    def run() -> int:
        import pytest

        for function in swapped:
            function.__code__ = _code_of(fault.source, str(file), function.__code__.co_qualname)
        used = int(resource.getrusage(resource.RUSAGE_SELF).ru_utime) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (used + SECONDS, used + SECONDS))
        return int(pytest.main([*OPTIONS, *tests]))

    code = _forked(copy, run)
    file.write_bytes(before)
    return "passed" if code == 0 else "caught"


def _loaded(copy: Path, reached: Reached) -> dict[tuple[str, str], list[FunctionType]]:
    """Load all tests and what they import, from the copy: the functions by file and qualified name."""
    os.chdir(copy)
    sys.path[0] = str(copy)
    sys.dont_write_bytecode = True
    import pytest

    pytest.main([*OPTIONS, "--collect-only", "-qq", *sorted({test.partition("::")[0] for test in reached.seconds})])
    found: dict[tuple[str, str], list[FunctionType]] = defaultdict(list)
    for each in gc.get_objects():
        if isinstance(each, FunctionType) and each.__code__.co_filename.startswith(str(copy)):
            found[each.__code__.co_filename, each.__code__.co_qualname].append(each)
    gc.freeze()
    return found


def _code_of(source: str, file: str, name: str) -> CodeType:
    """The code of the function with this qualified name."""
    left: list[Any] = [compile(source, file, "exec")]
    for code in left:
        if code.co_qualname == name:
            return code
        left += [each for each in code.co_consts if isinstance(each, CodeType)]
    raise LookupError(name)


def _forked(copy: Path, work: Callable[[], int], said: Path = Path(os.devnull)) -> int:
    """The exit code of what a process of its own does in the copy; -1 if a signal ended it. said: where it writes."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.chdir(copy)
        sys.path[0] = str(copy)
        sys.dont_write_bytecode = True
        # Processes that tests start anew would run this script again to find what they are sent.
        vars(sys.modules["__main__"]).pop("__file__")
        file = os.open(said, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, 1)
        os.dup2(file, 2)
        os._exit(work())
    status = os.waitpid(child, 0)[1]
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1


if __name__ == "__main__":
    main()
