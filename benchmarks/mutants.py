"""Do the tests notice when the code is wrong? Random small faults, one at a time, and which of them no test sees.

A fault is a comparison turned, an operator or a constant changed, a condition negated, or a result replaced by its
first argument. Each is written into a copy of the package, and the tests of that module run there. Printed: the rate of
faults that were caught, with its exact interval, and the survivors. A fault may change nothing (a rounding, a limit
that no value reaches): read the survivors. Takes about a quarter of a minute a fault.

    python benchmarks/mutants.py [--count 200] [--seed 0] [--only pipeline/metrics/intervals.py ...]
"""

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.metrics.intervals import share_interval

# Module -> the tests that should notice; others of the folder are those of the same name.
FOLDERS = ("pipeline/metrics", "pipeline/diagnosis", "pipeline/stages/split")
TESTS = {
    "influence": ["tests/metrics/test_intervals.py", "tests/metrics/test_comparison.py"],
    "multiple_comparisons": ["tests/metrics/test_comparison.py"],
    "limits": ["tests/metrics/test_evaluation.py"],
    "slices": ["tests/metrics/test_evaluation.py"],
    "confusion": ["tests/metrics/test_measures.py", "tests/metrics/test_evaluation.py"],
}
COMPARISONS = {ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult}
SECONDS = 300


def main() -> None:
    """Print the rate, and the survivors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", type=Path)
    chosen = parser.parse_args()
    paths = chosen.only or [path for folder in FOLDERS for path in sorted(Path(folder).glob("*.py"))]
    places = [(path, number) for path in paths if _tests(path) for number in range(_count(path))]
    drawn = random.Random(chosen.seed).sample(places, min(chosen.count, len(places)))
    caught, survivors = 0, []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("pipeline", "tests"):
            shutil.copytree(name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "params.yaml", "dvc.yaml"):
            shutil.copy(name, copy / name)
        for path in sorted({path for path, _ in drawn}):
            if _ended(copy, _tests(path)) != "passed":
                sys.exit(f"{_tests(path)} fail, or take too long, before anything is wrong")
        for path, number in drawn:
            source, words = mutated(path.read_text(encoding="utf-8"), number)
            (copy / path).write_text(source, encoding="utf-8")
            ended = _ended(copy, _tests(path))
            shutil.copy(path, copy / path)
            caught += ended == "failed"
            survivors += [] if ended == "failed" else [f"{path}:{words} ({ended})"]
            print(f"{path}:{words}: {'caught' if ended == 'failed' else ended.upper()}", flush=True)
    low, high = share_interval(caught / len(drawn), len(drawn), 0.05)
    print(f"\ncaught: {caught} of {len(drawn)}, {caught / len(drawn):.1%} ({100 * low:.1f} to {100 * high:.1f})")
    print("\n".join(["survivors:", *survivors]))


def _tests(path: Path) -> list[str]:
    """The tests of a module that there are."""
    folder = Path("tests", *path.parts[1:-1])
    names = TESTS.get(path.stem, [str(folder / f"test_{'split' if path.stem == 'stage' else path.stem}.py")])
    return [name for name in names if Path(name).exists()]


def _ended(copy: Path, tests: list[str]) -> str:
    """How the tests ended: failed, passed, or timed out, which on a busy machine proves nothing."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n0", "-p", "no:cacheprovider", *tests]
    try:
        ended = subprocess.run(command, cwd=copy, env=environment, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return "timed out"
    return "failed" if ended.returncode == 1 else "passed" if ended.returncode == 0 else "broken"


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
