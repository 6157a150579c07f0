"""Archives of a few pictures, and what ingest makes of them."""

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from tests.examples import encoded, picture
from tests.stages.ingest.ingesting import TOLERANT, Run, run

KINDS = ("zip", "tar", "tar.gz", "tar.bz2", "tar.xz")
FILES = {
    "cat/1.png": encoded(picture(1)),
    "cat/deep/2.png": encoded(picture(2)),
    "dog/3.png": encoded(picture(3)),
    "dog/bad.png": b"no image",
    "dog/.hidden.png": b"x",
    "__MACOSX/dog/3.png": b"x",
    "loose.png": encoded(picture(4)),
}


def pack(place: Path, files: dict[str, bytes]) -> Path:
    """An archive of the kind that its name says, members in the order given."""
    if place.suffix == ".zip":
        with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return place
    mode: Any = f"w:{place.suffix[1:]}" if place.suffix != ".tar" else "w"
    with tarfile.open(place, mode) as archive:
        for name, data in files.items():
            archive.addfile(info(name, size=len(data)), io.BytesIO(data))
    return place


def info(name: str, **changes: Any) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for key, value in changes.items():
        setattr(made, key, value)
    return made


def ingested(place: Path, base: Path, workers: int = 1, folder: Path | None = None, **source: Any) -> Run:
    entry = {"sources.web": {"role": "raw", "path": str(place), **source}}
    return run(place, base, {**TOLERANT, **entry}, workers=workers, folder=folder)


def reasons(done: Run) -> dict[str, str]:
    return dict(zip(done.outputs.rejected["path"], done.outputs.rejected["reason"], strict=True))
