"""Generated photographs: things of many colours, sharp, before a ground; and production's camera."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np
import pandas as pd

from pipeline.images.pixels import Pixels
from pipeline.manifest import PRODUCTION, RAW
from pipeline.stages.augment.degradation import Strengths, degrade


@cache
def scene(seed: int, side: int = 24) -> Pixels:
    """Discs and boards of colours 0.1 to 0.9 before a ground that gets lighter to one side, (side, side, 3)."""
    draw = np.random.default_rng(seed)
    twice = 2 * side
    ramp = np.linspace(draw.uniform(-0.2, 0.2), draw.uniform(-0.2, 0.2), twice)[:, None, None]
    canvas = np.ascontiguousarray(np.broadcast_to(draw.uniform(0.3, 0.7, 3) + ramp, (twice, twice, 3)), np.float32)
    for _ in range(draw.integers(4, 9)):
        place, size = draw.integers(0, twice, 2).tolist(), int(draw.integers(2, max(3, side // 2)))
        colour = tuple(draw.uniform(0.1, 0.9, 3).tolist())
        if draw.random() < 0.5:
            cv2.circle(canvas, place, size, colour, -1)
        else:
            cv2.rectangle(canvas, place, [place[0] + size, place[1] + 2 * size], colour, -1)
    seen = cv2.resize(np.clip(canvas, 0, 1), (side, side), interpolation=cv2.INTER_AREA)
    return np.rint(seen * 255).astype(np.uint8)


def both_roles(planted: Strengths, images: int, side: int = 24) -> tuple[pd.DataFrame, Sequence[Pixels]]:
    """So many scenes of each role and their rows; production's are degraded."""
    raw = [scene(number, side) for number in range(images)]
    production = [degrade(scene(100_000 + number, side), planted, 7, f"phone/{number}", 0) for number in range(images)]
    return pd.concat([rows_of(RAW, "web", images), rows_of(PRODUCTION, "phone", images)], ignore_index=True), [
        *raw,
        *production,
    ]


def rows_of(role: str, source: str, images: int, **columns: Any) -> pd.DataFrame:
    ids = [f"{source}/{number}" for number in range(images)]
    return pd.DataFrame({"id": ids, "group": ids, "label": "thing", "role": role} | columns)


def crowded(seed: int, side: int = 224, things: int = 160) -> Pixels:
    """Many small things of all colours in one place, as in a crate or on a desk; shape (side, side, 3)."""
    draw = np.random.default_rng(1000 + seed)
    canvas = np.full((side, side, 3), draw.integers(60, 200, 3), np.uint8)
    for _ in range(things):
        place, size = draw.integers(0, side, 2), int(draw.integers(5, 22))
        colour = draw.integers(0, 256, 3).tolist()
        if draw.random() < 0.4:
            cv2.circle(canvas, place.tolist(), size, colour, -1)
        else:
            corners = place + np.rint(size * draw.normal(size=(4, 2))).astype(int)
            cv2.fillConvexPoly(canvas, cv2.convexHull(corners.astype(np.int32)), colour)
    noise = draw.normal(0, 4, canvas.shape)
    return np.clip(cv2.GaussianBlur(canvas, (0, 0), 0.7) + noise, 0, 255).astype(np.uint8)
