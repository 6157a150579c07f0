"""Find the image files that a user names (files, folders, patterns, lists), and read their pictures.

Pictures are made in processes, under the limits of ingest: a hostile file may end one. Not here: what is seen in a
picture.
"""

import glob
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pipeline.errors import MissingInputError
from pipeline.images.normalising import Picture, normalise
from pipeline.images.pixels import Pixels, decode
from pipeline.images.rejection import Rejection
from pipeline.sources.scan import scan
from pipeline.stages.ingest.params import IngestParams
from pipeline.store.refusals import refusals
from pipeline.workers.codec_messages import codec_messages
from pipeline.workers.engine import Engine
from pipeline.workers.serving import Guard

# Files that one process reads in a row.
TASK = 32
STDIN = "-"

Item = TypeVar("Item")
Made = TypeVar("Made")


def find_files(targets: Sequence[str], lines: Iterable[str]) -> list[tuple[str, Rejection | None]]:
    """Paths of all files that are named, in order; with those that are refused unread, the reason.

    Args:
        targets: files, folders (all files in them), patterns such as `photos/**/*.jpg`, or `-` for the lines.
        lines: one of these each, for `-`.

    Raises:
        MissingInputError: nothing is named.
    """
    named = [name for target in targets for name in (_names(lines) if target == STDIN else [target])]
    found = [file for name in named for file in _files(name)]
    if not found:
        raise MissingInputError(f"no files in {', '.join(targets)}: name images, or folders that contain some")
    return found


def pictures(paths: Sequence[str], params: IngestParams, engine: Engine, title: str) -> list[Pixels | Rejection]:
    """The pixels that training would have got of each file, or why there are none."""
    return made_safely(paths, partial(picture_of, params=params), _refused, params, engine, title)


def made_safely(
    items: Sequence[Item],
    make: Callable[[Item], Made],
    refuse: Callable[[Item, str, str], Made],
    limits: IngestParams,
    engine: Engine,
    title: str,
) -> list[Made]:
    """What is made of each item, in order, in processes: one that crashes, hangs or takes all memory is refused alone.

    Args:
        make, refuse: as a Guard has them.
        limits: of which max_seconds and max_memory_mb count here.
    """
    guard = Guard(make, refuse, limits.max_seconds, limits.max_memory_mb)
    tasks = [items[start : start + TASK] for start in range(0, len(items), TASK)]
    made = engine.map_guarded(_collected, tasks, _as_it_is, guard, title, size=len)
    return [one for part in made for one in part]


def picture_of(path: str, params: IngestParams) -> Pixels | Rejection:
    """The pixels that training would have got of a file, or why there are none."""
    try:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):
            return Rejection("not_a_regular_file", "a pipe, socket or device")
        if status.st_size > params.max_bytes:
            return Rejection(
                "too_many_bytes", f"{status.st_size} bytes, the limit ingest.max_bytes is {params.max_bytes}"
            )
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return Rejection("missing", "the file does not exist")
    except (OSError, ValueError) as error:
        return Rejection("unreadable", getattr(error, "strerror", None) or str(error))
    match normalise(data, params, codec_messages):
        case Picture(image=image):
            return decode(image)
        case rejection:
            return rejection


def _names(lines: Iterable[str]) -> Iterator[str]:
    return (line.rstrip("\r\n") for line in lines if line.strip())


def _files(name: str) -> Iterator[tuple[str, Rejection | None]]:
    path = Path(name)
    with refusals(path):
        if path.is_dir():
            found = scan(path)
            inside: dict[str, Rejection | None] = dict.fromkeys(found.files)
            inside |= {file: Rejection(reason, "") for file, reason in found.refused}
            yield from ((str(path / file), inside[file]) for file in sorted(inside))
        elif not path.exists() and glob.has_magic(name):
            matches = sorted(match for match in glob.glob(name, recursive=True) if not Path(match).is_dir())  # noqa: PTH207
            yield from (
                ((match, None) for match in matches) if matches else [(name, Rejection("missing", "no file matches"))]
            )
        else:
            yield name, None


def _collected(_: Sequence[Any], made: Iterator[Made]) -> list[Made]:
    return list(made)


def _as_it_is(task: Sequence[Item]) -> Sequence[Item]:
    return task


def _refused(_: str, reason: str, detail: str) -> Rejection:
    return Rejection(reason, detail)
