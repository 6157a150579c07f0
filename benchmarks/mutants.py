"""Do the tests notice when the code is wrong? Random small faults, one at a time, and which of them no test sees.

A fault is a comparison turned, an operator or a constant changed, a condition negated, "and" made "or". Each is
written into a copy of the package, and the tests that mirror that module run there, in a process that is forked from
one in which the libraries are loaded. Printed: the rate of faults that were caught, with its exact interval, and the
survivors. A fault may change nothing (a rounding, a limit that no value reaches): read the survivors. Takes some five
seconds of one core a fault.

    python benchmarks/mutants.py [--count 200] [--seed 0] [--only pipeline/metrics/intervals.py ...]
    ... --results FILE      # goes on where a run that was stopped had come to, and keeps what it found
"""

import argparse
import ast
import importlib
import json
import os
import random
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Module -> the tests that should notice; others of the folder are those of the same name.
FOLDERS = ("pipeline/metrics", "pipeline/diagnosis", "pipeline/stages/split")
TESTS = {
    "influence": ["tests/metrics/test_intervals.py", "tests/metrics/test_comparison.py"],
    "multiple_comparisons": ["tests/metrics/test_comparison.py"],
    "limits": ["tests/metrics/test_evaluation.py"],
    "slices": ["tests/metrics/test_evaluation.py"],
    "confusion": ["tests/metrics/test_measures.py", "tests/metrics/test_evaluation.py"],
    "probability_measures": ["tests/metrics/test_measures.py", "tests/metrics/test_intervals.py"],
    "diagnosis": ["tests/stages/diagnose/test_diagnose.py"],
    "findings": ["tests/diagnosis/test_failing_slices.py", "tests/diagnosis/test_sanity_checks.py"],
    "param_changes": [
        "tests/diagnosis/test_next_steps.py",
        "tests/diagnosis/test_param_changes.py",
        "tests/diagnosis/test_costs.py",
    ],
    "finding_advice": [
        "tests/diagnosis/test_next_steps.py",
        "tests/diagnosis/test_param_changes.py",
        "tests/diagnosis/test_costs.py",
    ],
    "gap_advice": ["tests/diagnosis/test_next_steps.py", "tests/diagnosis/test_param_changes.py"],
    "giving_away": ["tests/metrics/test_confounding.py"],
    "fact_rules": ["tests/metrics/test_confounding.py"],
    "splitting": ["tests/stages/split/test_splitting.py", "tests/stages/split/test_splitting_choices.py"],
    "stage": ["tests/stages/split/test_split.py"],
}
# Loaded once, before processes are forked; nothing of the package itself.
LIBRARIES = ("pytest", "hypothesis", "numpy", "pandas", "pyarrow", "scipy.stats", "sklearn", "pydantic", "ruamel.yaml",
             "typer.main", "dvc.repo", "dvc.utils.hydra", "cv2", "PIL.Image", "torch")  # fmt: skip
COMPARISONS = {ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult}
# Of a processor; a fault that takes more runs without end.
SECONDS = 120


def main() -> None:
    """Print the rate, and the survivors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", type=Path)
    parser.add_argument("--results", type=Path)
    chosen = parser.parse_args()
    paths = chosen.only or [path for folder in FOLDERS for path in sorted(Path(folder).glob("*.py"))]
    places = [(path, number) for path in paths if _tests(path) for number in range(_count(path))]
    drawn = random.Random(chosen.seed).sample(places, min(chosen.count, len(places)))
    for name in LIBRARIES:
        importlib.import_module(name)
    done = _earlier(chosen.results)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("pipeline", "tests"):
            shutil.copytree(name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "params.yaml", "dvc.yaml"):
            shutil.copy(name, copy / name)
        good: set[Path] = set()
        for path, number in drawn:
            source, words = mutated(path.read_text(encoding="utf-8"), number)
            key = f"{path}:{words}"
            if key in done:
                continue
            if path not in good and _ended(copy, _tests(path)) != "passed":
                sys.exit(f"{_tests(path)} fail, or take too long, before anything is wrong")
            good.add(path)
            (copy / path).write_text(source, encoding="utf-8")
            done[key] = _ended(copy, _tests(path))
            shutil.copy(path, copy / path)
            print(f"{key}: {done[key] if done[key] == 'caught' else 'SURVIVED'}", flush=True)
            if chosen.results is not None:
                with chosen.results.open("a") as file:
                    file.write(json.dumps([key, done[key]]) + "\n")
    found = [f"{path}:{mutated(path.read_text(encoding='utf-8'), number)[1]}" for path, number in drawn]
    survivors = [key for key in found if done[key] != "caught"]
    # Only now, so that forked processes load the copy's.
    from pipeline.metrics.intervals import share_interval

    caught = len(found) - len(survivors)
    low, high = share_interval(caught / len(found), len(found), 0.05)
    print(f"\ncaught: {caught} of {len(found)}, {caught / len(found):.1%} ({100 * low:.1f} to {100 * high:.1f})")
    print("\n".join(["survivors:", *survivors]))


def _earlier(file: Path | None) -> dict[str, Any]:
    """What earlier runs found: fault -> how the tests ended."""
    return dict(map(json.loads, file.read_text().splitlines())) if file is not None and file.exists() else {}


def _tests(path: Path) -> list[str]:
    """The tests of a module that there are."""
    folder = Path("tests", *path.parts[1:-1])
    names = TESTS.get(path.stem, [str(folder / f"test_{'split' if path.stem == 'stage' else path.stem}.py")])
    return [name for name in names if Path(name).exists()]


def _ended(copy: Path, tests: list[str]) -> str:
    """How the tests ended in a process of their own: caught (one failed, none began, no end), or passed."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.chdir(copy)
        sys.path.insert(0, str(copy))
        sys.dont_write_bytecode = True
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        used = int(resource.getrusage(resource.RUSAGE_SELF).ru_utime) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (used + SECONDS, used + SECONDS))
        import pytest

        os._exit(int(pytest.main(["-x", "-q", "-n0", "--assert=plain", "-p", "no:cacheprovider", *tests])))
    status = os.waitpid(child, 0)[1]
    return "passed" if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0 else "caught"


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


def mutated(source: str, number: int) -> tuple[str, str]:
    """The source with one node made wrong, and what was done, with its line."""
    tree = ast.parse(source)
    node = list(_sites(tree))[number]
    before = ast.unparse(node).splitlines()[0]
    match node:
        case ast.Compare():
            node.ops[0] = COMPARISONS[type(node.ops[0])]()
        case ast.BinOp() | ast.AugAssign():
            node.op = OPERATORS[type(node.op)]()
        case ast.Constant(value=bool()):
            node.value = not node.value
        case ast.Constant():
            node.value = node.value + 1 if isinstance(node.value, int) else node.value * 50  # type: ignore[operator]
        case ast.If() | ast.IfExp():
            node.test = ast.UnaryOp(ast.Not(), node.test)
        case ast.BoolOp():
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    line = getattr(node, "lineno", 0)
    return ast.unparse(ast.fix_missing_locations(tree)), f"{line}: {before} -> {ast.unparse(node).splitlines()[0]}"


if __name__ == "__main__":
    main()
