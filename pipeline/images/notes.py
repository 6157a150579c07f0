"""Notes on accepted files: misleading names, dark pictures, values from EXIF."""

import math
from collections.abc import Iterator, Sequence

from pipeline.errors import listing

BITS = 16
# Of what files of more than 8 bits per channel can hold: whose largest value is no more, uses fewer bits than it has.
LITTLE = 0.25


def notes_on(
    source: str, misnamed: Sequence[tuple[str, str]], dim: Sequence[float], times: int, cameras: int
) -> list[str]:
    """One sentence per observation.

    Args:
        misnamed: path and format of files whose names end as another format's do.
        dim: the share of its range that each image uses which uses little of it.
        times, cameras: images that have theirs from EXIF.
    """
    return [*_misnamed(misnamed), *_dim(source, dim), *_from_exif(times, cameras)]


def white_of(shares: Sequence[float]) -> int:
    """The largest value of the fewest bits that hold images of 16 bits, which nearly all files of more than 8 have.

    Args:
        shares: of their range that the images use, above 0.
    """
    return int(2 ** math.ceil(math.log2(max(shares) * 2**BITS)) - 1)


def _misnamed(files: Sequence[tuple[str, str]]) -> Iterator[str]:
    if files:
        shown = listing((f"{path} (is {kind})" for path, kind in files), most=3)
        yield f"{len(files)} files have the ending of another format; they were read by their content: {shown}"


def _dim(source: str, shares: Sequence[float]) -> Iterator[str]:
    if not shares:
        return
    top = white_of(shares)
    yield (
        f"{len(shares)} images of more than 8 bits use at most {max(shares):.1%} of the range of their files, "
        f"so they look dark. If {top} is their white, set value_range: [0, {top}] in sources.{source}, or in "
        "ingest for all sources"
    )


def _from_exif(times: int, cameras: int) -> Iterator[str]:
    parts = [f"captured_at of {times} image{'s' * (times != 1)}"] * (times > 0) + [f"meta_camera of {cameras}"] * (
        cameras > 0
    )
    if parts:
        yield f"from EXIF, because no table gives it: {' and '.join(parts)}"
