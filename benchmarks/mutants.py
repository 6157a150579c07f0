"""Do the tests notice when the code is wrong? Random small faults, one at a time, and which of them no test sees.

A fault is a comparison turned, an operator or a constant changed, a condition negated, "and" made "or". The tests of
FOLDERS run once while coverage notes which lines each one reaches. Then each fault is written into a copy of the
package, and only the tests that reach its lines run there, the quick ones first, until one fails. They run in a process
that is forked from one in which the libraries are loaded. Printed: the rate of faults that were caught, with its exact
interval, and the survivors. A fault may change nothing (a rounding, a limit that no value reaches): read the survivors.
Takes two minutes, and then some five seconds of one core a fault.

    python benchmarks/mutants.py [--count 200] [--seed 0] [--only pipeline/metrics/intervals.py ...]
    ... --results FILE      # goes on where a run that was stopped had come to, and keeps what it found
    ... --again             # what survived in earlier runs is tried once more, with the tests as they are now
"""

import argparse
import ast
import hashlib
import importlib
import json
import os
import random
import resource
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDERS = ("pipeline/metrics", "pipeline/diagnosis", "pipeline/stages/split")
# The tests that should notice.
TESTS = ("tests/metrics", "tests/diagnosis", "tests/stages/split", "tests/stages/diagnose",
         "tests/training/test_features.py", "tests/stages/curate/test_confounders.py",
         "tests/stages/augment/test_match_production.py", "tests/tools/test_compare.py", "tests/tools/test_gate.py",
         "tests/tuning/test_selection.py")  # fmt: skip
# Loaded once, before processes are forked; nothing of the package itself.
LIBRARIES = ("pytest", "hypothesis", "numpy", "pandas", "pyarrow", "scipy.stats", "sklearn", "pydantic", "ruamel.yaml",
             "typer.main", "dvc.repo", "dvc.utils.hydra", "cv2", "PIL.Image", "torch")  # fmt: skip
OPTIONS = ["-x", "-q", "-n0", "--assert=plain", "-p", "no:cacheprovider"]
COMPARISONS = {ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult}
# Of a processor; a fault that takes more runs without end.
SECONDS = 120


@dataclass(frozen=True)
class Reached:
    """Which tests reach a line of a module, from file and line; and the seconds that each test takes."""

    lines: dict[str, dict[int, list[str]]]
    seconds: dict[str, float]

    def tests(self, path: Path, lines: range) -> list[str]:
        """The tests that reach some lines, the quickest first; of what runs at import, all of the module."""
        reached = self.lines.get(path.as_posix(), {})
        found = {test for line in lines for test in reached.get(line, [])}
        if "" in found:
            found = {test for tests in reached.values() for test in tests}
        return sorted(found - {""}, key=lambda test: (self.seconds.get(test, 0.0), test))


class Recorder:
    """Notes which lines of FOLDERS each test reaches, and how long it takes."""

    def __init__(self) -> None:
        # Not the script of that name beside this one.
        library = importlib.import_module("coverage")
        self.coverage = library.Coverage(data_file=None, source=[*FOLDERS], config_file=False)
        self.seconds: dict[str, float] = defaultdict(float)
        self.coverage.start()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Lines that run from here on are reached by this test."""
        self.coverage.switch_context(nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Add up set-up, test and what comes after."""
        self.seconds[report.nodeid] += report.duration

    def pytest_runtest_logfinish(self) -> None:
        """What runs between tests, such as imports, is nobody's."""
        self.coverage.switch_context("")

    def reached(self) -> dict[str, Any]:
        """What was noted, for JSON."""
        self.coverage.stop()
        data = self.coverage.get_data()
        files = {Path(file).relative_to(Path.cwd()).as_posix(): file for file in data.measured_files()}
        lines = {name: data.contexts_by_lineno(file) for name, file in sorted(files.items())}
        return {"lines": lines, "seconds": self.seconds}


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
    places = [(path, number) for path in paths for number in range(_count(path))]
    drawn = random.Random(chosen.seed).sample(places, min(chosen.count, len(places)))
    for name in LIBRARIES:
        importlib.import_module(name)
    done = _earlier(chosen.results)
    if chosen.again:
        done = {key: ended for key, ended in done.items() if ended == "caught"}
    found = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("pipeline", "tests"):
            shutil.copytree(name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "params.yaml", "dvc.yaml"):
            shutil.copy(name, copy / name)
        noted = chosen.results.with_suffix(".reached") if chosen.results is not None else copy / "reached"
        reached = _reached(copy, noted.absolute())
        for path, number in drawn:
            source, key, lines = mutated(path, number)
            found.append(key)
            if key in done:
                continue
            tests = reached.tests(path, lines)
            (copy / path).write_text(source, encoding="utf-8")
            done[key] = _ended(copy, tests) if tests else "not reached"
            shutil.copy(path, copy / path)
            print(f"{key}: {done[key] if done[key] == 'caught' else 'SURVIVED'}", flush=True)
            if chosen.results is not None:
                with chosen.results.open("a") as file:
                    file.write(json.dumps([key, done[key]]) + "\n")
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
    """Which tests reach which lines, from a file if nothing changed since. All must pass before anything is wrong."""
    digest = hashlib.sha256()
    for file in sorted([*copy.glob("pipeline/**/*.py"), *copy.glob("tests/**/*.py")]):
        digest.update(file.read_bytes())

    def note() -> int:
        import pytest

        recorder = Recorder()
        tests = [test for test in TESTS if Path(test).exists()]
        code = int(pytest.main([*OPTIONS, *tests], plugins=[recorder]))
        if code == 0:
            noted.write_text(json.dumps({"of": digest.hexdigest(), **recorder.reached()}))
        return code

    read = json.loads(noted.read_text()) if noted.exists() else {}
    if read.get("of") != digest.hexdigest():
        if _forked(copy, note) != 0:
            sys.exit(f"{' '.join(TESTS)} fail before anything is wrong")
        read = json.loads(noted.read_text())
    lines = {name: {int(line): tests for line, tests in of.items()} for name, of in read["lines"].items()}
    return Reached(lines, read["seconds"])


def _ended(copy: Path, tests: list[str]) -> str:
    """How the tests ended: caught (one failed, none began, no end), or passed."""

    def run() -> int:
        import pytest

        used = int(resource.getrusage(resource.RUSAGE_SELF).ru_utime) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (used + SECONDS, used + SECONDS))
        return int(pytest.main([*OPTIONS, *tests]))

    return "passed" if _forked(copy, run) == 0 else "caught"


def _forked(copy: Path, work: Callable[[], int]) -> int:
    """The exit code of what a silent process of its own does in the copy; -1 if a signal ended it."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.chdir(copy)
        sys.path[0] = str(copy)
        sys.dont_write_bytecode = True
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        os._exit(work())
    status = os.waitpid(child, 0)[1]
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1


def _sites(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes that can be made wrong, in the order of the walk; annotations and texts are none."""
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        for part in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if part is not None
        for inner in ast.walk(part)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        turned = isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS
        changed = isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in OPERATORS
        number = isinstance(node, ast.Constant) and type(node.value) in {int, float, bool}
        if turned or changed or number or isinstance(node, ast.If | ast.IfExp | ast.BoolOp):
            yield node


def _count(path: Path) -> int:
    return sum(1 for _ in _sites(ast.parse(path.read_text(encoding="utf-8"))))


def mutated(path: Path, number: int) -> tuple[str, str, range]:
    """The source with one node made wrong; what was done, with its line; and the lines that reach it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    node = list(_sites(tree))[number]
    lines = _lines(tree, node)
    before = ast.unparse(node).splitlines()[0]
    match node:
        case ast.Compare():
            node.ops[0] = COMPARISONS[type(node.ops[0])]()
        case ast.BinOp() | ast.AugAssign():
            node.op = OPERATORS[type(node.op)]()
        case ast.Constant(value=bool()):
            node.value = not node.value
        case ast.Constant():
            node.value = node.value * 50 if isinstance(node.value, float) and node.value else node.value + 1  # type: ignore[operator]
        case ast.If() | ast.IfExp():
            node.test = ast.UnaryOp(ast.Not(), node.test)
        case ast.BoolOp():
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    place = f"{getattr(node, 'lineno', 0)}:{getattr(node, 'col_offset', 0)}"
    key = f"{path}:{place}: {before} -> {ast.unparse(node).splitlines()[0]}"
    return ast.unparse(ast.fix_missing_locations(tree)), key, lines


def _lines(tree: ast.AST, node: Any) -> range:
    """From the start of the statement that has the node to its end; of a condition, its head alone."""
    statement: Any = [one for one in ast.walk(tree) if isinstance(one, ast.stmt) and node in ast.walk(one)][-1]
    last: Any = node.test if isinstance(node, ast.If) else node
    return range(statement.lineno, last.end_lineno + 1)


if __name__ == "__main__":
    main()
