"""Figures of matplotlib as files."""

from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def png_of(figure: "Figure") -> bytes:
    """A figure as PNG: the same bytes for the same figure, without time or version."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    return buffer.getvalue()
