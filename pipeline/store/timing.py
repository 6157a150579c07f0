"""How long stages took on this machine: a JSON object per line, keyed by the hashes of what they wrote.

Times differ from run to run, so they are no result: neither DVC nor Git knows the file, and nothing reads it but tables
for people. Without it they say no times. The key is what dvc.lock says of a stage's files, so that a time is never
shown beside another run's numbers.
"""

import fcntl
import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.store.dvc_lock import Stages
from pipeline.store.reading import check_regular, md5_of, read_bytes
from pipeline.store.refusals import refusals
from pipeline.store.writing import replacing, write_bytes

# Lines that are kept when the file has twice as many.
MAX_LINES = 2000
FOLDER = ".dir"


@dataclass(frozen=True)
class Timing:
    """What a run of a stage took.

    stage: its name in dvc.lock. key: of the files that it wrote. seconds: of the command, without Python's start.
    images: rows of its largest table; None where it has none. epochs, fit_seconds: of a stage that fits a model.
    """

    stage: str
    key: str
    seconds: float
    images: int | None = None
    epochs: int | None = None
    fit_seconds: float | None = None

    @property
    def images_per_second(self) -> float | None:
        """Images per second; of a fit, the images of all epochs count."""
        seconds = self.seconds if self.fit_seconds is None else self.fit_seconds
        return None if not self.images or not seconds else self.images * (self.epochs or 1) / seconds

    @property
    def epoch_seconds(self) -> float | None:
        """Seconds per epoch; None if the stage fits no model."""
        return None if not self.epochs or self.fit_seconds is None else self.fit_seconds / self.epochs


def note(path: Path, timing: Timing) -> None:
    """Add a line; where the disk refuses, the time is not known later, and the run goes on."""
    line = json.dumps({name: value for name, value in asdict(timing).items() if value is not None})
    with suppress(PipelineError), refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            with suppress(OSError):  # some network drives have no locks
                fcntl.flock(folder, fcntl.LOCK_EX)
            _append(path, line)
        finally:
            os.close(folder)


def _append(path: Path, line: str) -> None:
    check_regular(path)
    before = path.read_bytes() if path.is_file() else b""
    if before.count(b"\n") >= 2 * MAX_LINES:
        with replacing(path) as half:
            write_bytes(b"".join(before.splitlines(keepends=True)[-MAX_LINES:]), half)
    # What a kill left of a line must not take this one with it.
    separator = "\n" if before and not before.endswith(b"\n") else ""
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{separator}{line}\n")


def timings(path: Path) -> dict[tuple[str, str], Timing]:
    """(stage, key) -> the latest time; none where nothing was noted, and without lines that cannot be read."""
    try:
        lines = read_bytes(path).decode(errors="replace").splitlines() if path.is_file() else []
    except PipelineError:
        return {}
    found = [timing for line in lines if (timing := _parsed(line)) is not None]
    return {(timing.stage, timing.key): timing for timing in found}


def of_stages(path: Path, stages: Stages) -> list[Timing]:
    """The times of stages as dvc.lock has them, in its order; those that nobody noted are left out."""
    known = timings(path)
    found = (known.get((name, key_in(entry))) for name, entry in stages.items())
    return [timing for timing in found if timing is not None]


def key_in(entry: Mapping[str, Any]) -> str:
    """The key of what dvc.lock says of a stage; folders, which hold shards and curves, are not in it."""
    outs = ((str(out.get("path")), str(out.get("md5"))) for out in entry.get("outs", []))
    return _key((path, md5) for path, md5 in outs if not md5.endswith(FOLDER))


def key_of_files(paths: Iterable[Path]) -> str:
    """The same of a stage's files as they lie here."""
    files = (path for path in paths if path.is_file())
    return _key((path.as_posix(), md5_of(path)) for path in files)


def in_words(seconds: float) -> str:
    """A time in a fitting unit: 41 s, 3.2 min, 1.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _key(hashes: Iterable[tuple[str, str]]) -> str:
    text = "".join(f"{path} {md5}\n" for path, md5 in sorted(hashes))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _parsed(line: str) -> Timing | None:
    try:
        value = json.loads(line)
        timing = Timing(**value)
        numbers = [timing.seconds, timing.images or 0, timing.epochs or 0, timing.fit_seconds or 0.0]
        names = {type(value.get(name)) for name in ("stage", "key")} == {str}
        return timing if names and all(math.isfinite(each) and each >= 0 for each in numbers) else None
    except (ValueError, TypeError):
        return None
