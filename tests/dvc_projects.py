"""Copies of this repository as projects of their own, with tiny sources, under real Git and real DVC."""

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from pipeline import cli
from tests.examples import REPOSITORY
from tests.running import run, write_params, write_tiny_sources

# What only a look tells has changed: DVC runs these stages each time.
ALWAYS = ["data/dvc.yaml:code", "data/dvc.yaml:inventory"]
# Endings of the package's files, and the files of the repository that a project needs beside it.
KINDS = (".css", ".csv", ".j2", ".py", ".yaml")
BESIDE_THE_CODE = (
    *("dvc.yaml", "data/dvc.yaml", "final/dvc.yaml"),
    *("feedback/README.md", "feedback/labels.csv", "feedback/pairs.csv", ".gitignore", ".dvcignore"),
)


def copied_repository(folder: Path) -> Path:
    """What Git tracks of this repository and a project needs, in a new repository of Git and DVC without a commit."""
    code = (path.relative_to(REPOSITORY) for path in (REPOSITORY / "pipeline").rglob("*") if path.suffix in KINDS)
    for path in [*sorted(code), *map(Path, BESIDE_THE_CODE)]:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REPOSITORY / path, folder / path)
    run(folder, "git", "init", "--quiet", "--initial-branch", "main")
    run(folder, "dvc", "init", "--quiet")
    return folder


def reproduced_project(folder: Path) -> str:
    """A copy with tiny sources that DVC tracks, after `dvc repro` and a commit; what `dvc repro` printed."""
    copied_repository(folder)
    write_tiny_sources(folder)
    write_params(folder)
    shutil.copytree(REPOSITORY / ".dvc/plots", folder / ".dvc/plots")
    run(folder, "dvc", "add", "--quiet", "images")
    commit(folder, "Set up")
    printed = run(folder, "dvc", "repro")
    commit(folder, "Run")
    return printed


def commit(folder: Path, message: str) -> None:
    """Everything in it."""
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", message)


def stages_run(printed: str) -> list[str]:
    """The stages that DVC ran, in order, by what it printed."""
    return [line.split("'")[1] for line in printed.splitlines() if line.startswith("Running stage")]


def metrics(folder: Path, stage: str = "evaluate") -> Any:
    return json.loads((folder / f"reports/{stage}/metrics.json").read_text())


def change(file: Path, old: str, new: str) -> None:
    """Another text in the first place of it."""
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def comparison(folder: Path, *options: str) -> str:
    """What `pipeline compare` prints there."""
    with contextlib.chdir(folder):
        result = CliRunner().invoke(cli.app, ["compare", *options])
    assert result.exit_code == 0, result.output
    return result.stdout


def compared(folder: Path) -> dict[str, Any]:
    """Rows of `pipeline compare` by name; in the order printed."""
    found = json.loads(comparison(folder, "--json"))
    assert found["metric"] == "accuracy"
    return {row["name"]: row for row in found["rows"]}


def gated(folder: Path, *options: str) -> Any:
    """What `pipeline gate` does there."""
    with contextlib.chdir(folder):
        return CliRunner().invoke(cli.app, ["gate", *options])


def metrics_after(folder: Path, *command: str) -> Any:
    run(folder, *command)
    return metrics(folder, "final_evaluation")
