"""What several test files of curate see instead of pictures."""

import numpy as np
import pytest

from pipeline.images.pixels import Pixels
from pipeline.sheets.drawing import Sheet
from pipeline.stages.curate import confounders, sheets


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Sheet]:
    """The sheets that were drawn, instead of their pixels."""
    seen: list[Sheet] = []

    def draw(sheet: Sheet) -> Pixels:
        seen.append(sheet)
        return np.zeros((1, 1, 3), np.uint8)

    for module in (confounders, sheets):
        monkeypatch.setattr(module, "draw_sheet", draw)
    return seen
