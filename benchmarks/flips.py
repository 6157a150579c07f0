"""Flipped bits in the outs of benchmarks/chaos.py's project, and what their readers make of them."""

import os
import random
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
from accident_projects import ERROR, SAME, WRONG, Project, contents, forked, repro

from pipeline import catalogue
from pipeline.errors import PipelineError
from pipeline.models.files import load_model
from pipeline.store.arrow import open_arrow
from pipeline.store.artifacts import Artifact

FOUND, NONE = "found by doctor", "no effect"
# Prefix of an out's path -> the command that reads it next; what none reads, the doctor verifies.
READERS = {
    "data/ingest/web/shards": ("augment",),
    "data/ingest/phone/shards": ("evaluate",),
    "data/ingest": ("curate",),
    "data/embed": ("curate",),
    "data/curate/groups.arrow": ("curate",),
    "data/curate/scene_pairs.arrow": ("curate",),
    "data/curate/manifest.arrow": ("split",),
    "data/split/manifest.arrow": ("balance",),
    "data/balance": ("augment",),
    "data/augment": ("train",),
    "data/train": ("evaluate",),
    "data/evaluate": ("diagnose",),
    "reports/train": ("diagnose",),
    "reports/label_issues/metrics.json": ("diagnose",),
    "reports/evaluate/metrics.json": ("summary",),
    "reports/diagnose/diagnosis.md": ("summary",),
    "reports": ("report",),
}
# Written anew by each run, and read by DVC alone.
OF_DVC = ("data/code", "data/inventory")
PAGE = "report/index.html"


def flipped_by_hand(project: Project, draw: random.Random, path: str, old_time: bool) -> str:
    """One bit of one out; what the command that reads it says, or whether what it then writes is what it should be."""
    if path.startswith(OF_DVC):
        return "written anew by each run"
    reader = next((words for prefix, words in READERS.items() if path.startswith(prefix)), ("doctor",))
    with project.copy() as place:
        flip(place / path, draw, old_time)
        if reader == ("augment",):
            shutil.rmtree(place / "data/augment")
        before = contents(place)
        end = forked(place, ["pipeline", *reader])
        if end.code and reader != ("doctor",):
            return ERROR if end.is_clear else WRONG
        page = place / PAGE
        if reader == ("report",) and "doctor --fix" in page.read_text(encoding="utf-8"):
            return ERROR
        now = contents(place)
        written = {name: now.get(name) for name in now if now[name] != before.get(name)}
        if any(value != project.outs.get(name) for name, value in written.items()):
            return WRONG
        if now == project.outs:
            return SAME
        # What is left is the damaged file itself, which this command did not need.
        return FOUND if path in forked(place, ["pipeline", "doctor"]).printed else NONE


def read_after_flips(project: Project, draw: random.Random, flips: int) -> list[str]:
    """Flipped bits of each out that later commands read, and what reading it as they do comes to."""
    with project.copy() as place:
        os.chdir(place)
        found = []
        for path, read in sorted(reads().items()):
            whole = Path(path).read_bytes()
            right = read()
            for _ in range(flips):
                flip(Path(path), draw, old_time=False)
                found.append(_read(path, read, right))
                Path(path).write_bytes(whole)
        os.chdir(project.folder)
        return found


def reads() -> dict[str, Callable[[], object]]:
    """Path of an out in the current folder -> what reads it as a value that can be compared."""
    artifacts = [value for value in vars(catalogue).values() if isinstance(value, Artifact) and Path(value.path).suffix]
    found: dict[str, Callable[[], object]] = {}
    for artifact in artifacts:
        for path in Path().glob(artifact.path.replace("{name}", "*")):
            # A model's file carries its checksum in its header.
            found[path.as_posix()] = partial(_value, artifact, path)
    for path in Path("data").rglob("shards/*.arrow"):
        found[path.as_posix()] = partial(lambda place: open_arrow(place).to_pydict(), path)
    return found


def _value(artifact: Artifact, path: Path) -> object:
    value = artifact.read(path)
    if artifact is catalogue.MODEL:
        return [tensor.tolist() for tensor in load_model(value).network.state_dict().values()]
    return value.to_pandas() if hasattr(value, "to_pandas") else value


def _read(path: str, read: Callable[[], object], right: object) -> str:
    try:
        value = read()
    except PipelineError:
        return ERROR
    except Exception as error:  # noqa: BLE001 - counted, whatever it is
        return f"{type(error).__name__} at {path}"
    # Written anew where it is damaged.
    return SAME if value is None or _same(value, right) else f"{WRONG}: {path}"


def _same(value: object, right: object) -> bool:
    if isinstance(value, pd.DataFrame) and isinstance(right, pd.DataFrame):
        return value.equals(right)
    return bool(value == right)


def flipped_repro(project: Project, draw: random.Random, path: str, old_time: bool) -> str:
    """One bit of one out; what `dvc repro` makes of it."""
    with project.copy() as place:
        # So that DVC knows the files' times.
        forked(place, ["dvc", "status"])
        flip(place / path, draw, old_time)
        # Something has to be made again, or DVC would look at nothing.
        for folder in ("data/split", "data/evaluate", "reports/diagnose"):
            shutil.rmtree(place / folder)
        end = repro(place)
        now, then = ({k: v for k, v in found.items() if k != path} for found in (contents(place), project.outs))
        if end.is_clear:
            forked(place, ["pipeline", "doctor", "--fix"])
            repro(place)
            return ERROR if contents(place) == project.outs else "clear error, which its advice did not end"
        if now != then:
            return WRONG
        return SAME if contents(place) == project.outs else NONE


def flip(path: Path, draw: random.Random, old_time: bool) -> None:
    """One bit, the file's time with it or not."""
    before = path.stat()
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)
    if old_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
