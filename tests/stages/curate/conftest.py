"""What several test files of curate see instead of pictures."""

import numpy as np
import pytest

from pipeline.images.pixels import Pixels
from pipeline.sheets import drawing
from pipeline.sheets.drawing import Sheet


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Sheet]:
    """The sheets that were drawn, instead of their pixels."""
    seen: list[Sheet] = []

    def draw(sheet: Sheet) -> Pixels:
        seen.append(sheet)
        return np.zeros((1, 1, 3), np.uint8)

    monkeypatch.setattr(drawing, "draw_sheet", draw)
    return seen
