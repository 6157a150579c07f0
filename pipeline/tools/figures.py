"""Pictures as files with a table beside them."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from pipeline.errors import ParamsError
from pipeline.store.artifacts import table
from pipeline.store.writing import check_writable, replacing, write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def table_beside(picture: Path) -> Path:
    """Where the table of a picture is written: beside it, with the ending .csv. Both are checked before the work.

    Raises:
        ParamsError: the picture's name is not one of a PNG file.
        StorageError: a file cannot be written there.
    """
    if picture.suffix.lower() != ".png":
        raise ParamsError(f"--output {picture} must end in .png: the table is written beside it, with the ending .csv")
    table = picture.with_suffix(".csv")
    check_writable(picture, table)
    return table


def write_figure(numbers: pd.DataFrame, draw: "Callable[[Axes], None]", title: str, path: Path) -> tuple[Path, Path]:
    """Write numbers to a CSV file and a figure of them to a PNG file of the same name; return both paths.

    The same numbers give the same bytes, without time or version.
    """
    # It takes a second to import, and computing the numbers does without.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    draw(axes)
    axes.set_title(title)
    axes.legend()
    picture = BytesIO()
    figure.savefig(picture, format="png", dpi=100, metadata={"Software": None})
    csv, png = path.with_suffix(".csv"), path.with_suffix(".png")
    with replacing(csv) as half:
        table(str(csv)).write(numbers, half)
    with replacing(png) as half:
        write_bytes(picture.getvalue(), half)
    return csv, png
