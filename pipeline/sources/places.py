"""Where a source lies: a path on this machine, or an object store's URL; both answer the same few questions."""

from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

from pipeline.sources.object_store import ObjectPlace
from pipeline.sources.urls import is_url


class Stat(Protocol):
    """What is known of a file unread; of a path's, `os.stat_result`."""

    @property
    def st_size(self) -> int: ...

    @property
    def st_mtime_ns(self) -> int: ...

    @property
    def st_ino(self) -> int: ...


class Place(Protocol):
    """A folder or a file; as text, its path or URL. A Path is one."""

    def __hash__(self) -> int:
        """Equal ones have the same: a process opens an archive once."""
        ...

    def is_dir(self) -> bool:
        """Whether it is a folder, or the beginning of the names of some objects."""
        ...

    def is_file(self) -> bool:
        """Whether it is one file or object."""
        ...

    def open(self, mode: Literal["rb"], /) -> BinaryIO:
        """Read it from any place in it."""
        ...

    def stat(self) -> Stat:
        """Its size and times."""
        ...


def place_of(path: str) -> Path | ObjectPlace:
    """The place that a source's `path` names.

    Raises:
        ParamsError: it is a URL that breaks a rule.
    """
    return ObjectPlace.parse(path) if is_url(path) else Path(path)


def openable(place: Place) -> Any:
    """What libraries open: a path, whose file they also close, or an object that is open already."""
    return place if isinstance(place, Path) else place.open("rb")
