"""Suggest the file that a wrong path may mean, for "did you mean"."""

import posixpath
import re
import unicodedata
from collections.abc import Iterator, Sequence

# Label Studio puts so many hex digits before the names of files that are uploaded to it.
UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")


class Nearest:
    """The files of a source, found by what a path may have lost or have too much of."""

    def __init__(self, files: Sequence[str]) -> None:
        self._files: dict[str, str] = {}
        for path in files:
            like = _likeness(path)
            # Of files that differ in capitals alone, the first in the alphabet.
            self._files[like] = min(path, self._files.get(like) or path)
        short: dict[str, str | None] = {}
        for like, path in self._files.items():
            for form in _shortened(like):
                # What several files may be called means none of them.
                short[form] = None if form in short else path
        self._short = short

    def __call__(self, path: str) -> str | None:
        """The file that a path means but for how it is written, its folder, its ending, or a mark of an upload."""
        like = _likeness(path)
        if like in self._files:
            return self._files[like]
        name = posixpath.basename(like)
        tried = (like, name, posixpath.splitext(name)[0])
        return next((found for form in _with_uploads(tried) if (found := self._short.get(form)) is not None), None)

    def hint(self, path: str) -> str:
        """A hint for messages: ", did you mean …?" and what the path lacks; "" without a similar file."""
        near = self(path)
        if near is None:
            return ""
        return f", did you mean {near}?{_why(path, near)}"

    def hint_of_prefix(self, path: str) -> str:
        """A hint for messages, if a path lies elsewhere and ends in that of a file: which prefix leads to it."""
        near = self(path)
        if near is None or not path.endswith(f"/{near}"):
            return ""
        return f". `prefix: {path.removesuffix(near)}` in the source's labels takes off what stands before {near}"


def _why(path: str, near: str) -> str:
    if unicodedata.normalize("NFC", path) == unicodedata.normalize("NFC", near):
        return " It has the same letters in other bytes (Unicode NFC or NFD)"
    if _likeness(path) == _likeness(near):
        return ""
    if UPLOADED.match(posixpath.basename(path)) and not UPLOADED.match(posixpath.basename(near)):
        return " Label Studio puts eight digits before the names of uploaded files: `strip_hash: true` takes them off"
    lacking = [
        what for what, one, other in zip(("folder", "ending"), _ends(path), _ends(near), strict=True) if one != other
    ]
    return f" A path needs its {' and its '.join(lacking)}" if lacking else ""


def _ends(path: str) -> tuple[str, str]:
    like = _likeness(path)
    return posixpath.dirname(like), posixpath.splitext(like)[1]


def _shortened(like: str) -> Iterator[str]:
    """A path without its folders, its ending, and both; each once."""
    name = posixpath.basename(like)
    yield from dict.fromkeys((posixpath.splitext(like)[0], name, posixpath.splitext(name)[0]))


def _with_uploads(forms: Sequence[str]) -> Iterator[str]:
    yield from dict.fromkeys(forms)
    for form in forms:
        folder, name = posixpath.split(form)
        if (bare := UPLOADED.sub("", name)) != name:
            yield posixpath.join(folder, bare)
            yield posixpath.splitext(bare)[0]


def _likeness(path: str) -> str:
    """What is equal for paths that differ in capitals, blanks at the ends, slashes, or how accents are written."""
    return unicodedata.normalize("NFC", posixpath.normpath(path.strip().replace("\\", "/"))).casefold()
