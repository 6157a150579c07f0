"""Compare a file's name ending with the format of its content."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

# Format -> endings, in small letters, that promise it. Other endings promise nothing that could be a lie.
ENDINGS = {
    "JPEG": ("jpg", "jpeg", "jpe", "jfif", "jif", "mpo"),
    "PNG": ("png", "apng"),
    "WEBP": ("webp",),
    "GIF": ("gif",),
    "BMP": ("bmp", "dib"),
    "TIFF": ("tif", "tiff"),
    "AVIF": ("avif", "avifs"),
    "HEIF": ("heic", "heif", "hif"),
    "JPEG2000": ("jp2", "j2k", "j2c", "jpc", "jpf", "jpx"),
}
# Both are files of one kind, whose endings programs mix.
_ALIKE = {"AVIF": {"HEIF"}}


def misnamed(paths: pa.StringArray, formats: pa.StringArray) -> list[tuple[str, str]]:
    """Path and real format of each file whose name has another format's ending; in order within a format."""
    found: list[tuple[str, str]] = []
    for name in sorted(pc.unique(formats).to_pylist()):
        honest = {name, *_ALIKE.get(name, ())}
        others = [ending for other, endings in ENDINGS.items() if other not in honest for ending in endings]
        lies = pc.match_substring_regex(paths, _ends_in(others), ignore_case=True)
        found += [(path, name) for path in paths.filter(pc.and_(lies, pc.equal(formats, name))).to_pylist()]
    return found


def _ends_in(endings: Sequence[str]) -> str:
    return rf"\.(?:{'|'.join(endings)})$"
