"""A curve over a logarithmic axis, as pixels: plain, with the font that drawing.py has for sheets."""

import math

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from pipeline.images.pixels import Pixels

WIDTH, HEIGHT = 800, 480
LEFT, RIGHT, TOP, BOTTOM = 80, 20, 50, 60
PAPER, INK, RULE = (255, 255, 255), (24, 24, 24), (220, 220, 220)
# Told apart with any colour vision (Okabe and Ito, 2008).
DOTS, CURVE, MARK = (150, 150, 150), (0, 114, 178), (213, 94, 0)

Numbers = npt.NDArray[np.float64]


def draw_rates(rates: Numbers, losses: Numbers, smoothed: Numbers, suggested: float, title: str) -> Pixels:
    """Losses as dots and smoothed as a line over rates (n,), and the suggested rate as an upright line."""
    image = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    draw = ImageDraw.Draw(image)
    low, high = float(smoothed.min()), float(np.quantile(smoothed, 0.98))
    room = max(high - low, 1e-9) * 0.1
    bottom, top = low - room, high + room
    first, last = math.log10(rates[0]), math.log10(rates[-1])

    def across(rate: float) -> float:
        share = (math.log10(rate) - first) / max(last - first, 1e-9)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def up(loss: float) -> float:
        share = (min(max(loss, bottom), top) - bottom) / (top - bottom)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    for power in range(math.ceil(first), math.floor(last) + 1):
        draw.line([(across(10.0**power), TOP), (across(10.0**power), HEIGHT - BOTTOM)], RULE)
        _write(draw, across(10.0**power), HEIGHT - BOTTOM + 10, f"1e{power}", "ma")
    for loss in np.linspace(low, high, 5):
        draw.line([(LEFT, up(loss)), (WIDTH - RIGHT, up(loss))], RULE)
        _write(draw, LEFT - 8, up(loss), f"{loss:.3g}", "rm")
    for rate, loss in zip(rates, losses, strict=True):
        if bottom <= loss <= top:
            draw.ellipse([across(rate) - 2, up(loss) - 2, across(rate) + 2, up(loss) + 2], DOTS)
    draw.line([(across(rate), up(loss)) for rate, loss in zip(rates, smoothed, strict=True)], CURVE, 3)
    draw.line([(across(suggested), TOP), (across(suggested), HEIGHT - BOTTOM)], MARK, 2)
    _write(draw, LEFT, 16, title, "la")
    _write(draw, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 24, "learning rate; dots: a batch's loss, line: smoothed", "ma")
    return np.asarray(image, dtype=np.uint8)


def _write(draw: ImageDraw.ImageDraw, x: float, y: float, words: str, anchor: str) -> None:
    font = ImageFont.load_default(14)
    draw.text((x, y), words, INK, font, anchor=anchor)
