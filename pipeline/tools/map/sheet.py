"""The panels of a map as one PNG file."""

import io
from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image, ImageDraw, ImageFont

from pipeline.tools.map.drawing import NAME_BOX

HEADING = 40
"""Pixels above a panel for its title."""


def map_sheet(panels: Mapping[str, Figure]) -> bytes:
    """The panels by title, two a row, dark ink on white."""
    pictures = {title: _picture(figure) for title, figure in panels.items()}
    width = max(picture.width for picture in pictures.values())
    height = HEADING + max(picture.height for picture in pictures.values())
    rows = -(-len(pictures) // 2)
    sheet = Image.new("RGB", (width * min(len(pictures), 2), height * rows), "white")
    draw = ImageDraw.Draw(sheet)
    for place, (title, picture) in enumerate(pictures.items()):
        x, y = width * (place % 2), height * (place // 2)
        draw.text((x + 12, y + 8), title, "black", ImageFont.load_default(24))
        sheet.paste(picture, (x, y + HEADING))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def _picture(figure: Figure) -> Image.Image:
    for text in figure.findobj(Text):
        if text.get_bbox_patch():
            text.set_bbox({**NAME_BOX, "facecolor": "white"})
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor="white", metadata={"Software": None})
    return Image.open(buffer).convert("RGB")
