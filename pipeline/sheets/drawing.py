"""Draw sheets: pictures side by side, with text.

The same sheet gives the same pixels wherever Pillow's build is the same: its own font, laid out without
the machine's libraries. That font has the letters of English and a few signs: of other letters the
accents are left out, and what is then still unknown shows as an escape. Not here: what to show.
"""

import bisect
import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.images.pixels import Pixels, encode
from pipeline.manifest import PRODUCTION, RAW
from pipeline.stages.ingest.params import PngEncoding

# Pixels that the longer side of a picture gets at most.
SIDE = 160
GAP, MARGIN, FRAME, BAR = 8, 16, 1, 4
TITLE, HEADING, TEXT = 20, 16, 13
PAPER, INK, PALE_INK, RULE = (255, 255, 255), (24, 24, 24), (80, 80, 80), (190, 190, 190)
# Told apart with any colour vision (Okabe and Ito, 2008); the words stand beside them all the same.
COLOURS = {RAW: (0, 114, 178), PRODUCTION: (213, 94, 0)}

# Pillow's font has these beside ASCII.
SIGNS = frozenset("©«°±´·»‘’“”…‹›⁄™")  # noqa: RUF001
FONT_LACKS = "The font of this sheet lacks some letters: they are shown without accents, or as \\u and a number."
# More than any line holds: longer text is cut before it is measured.
MAX_LETTERS = 400
MAX_WRAPPED = 3


@dataclass(frozen=True)
class Cell:
    """A picture, shape (height, width, 3), and lines under it."""

    pixels: Pixels
    captions: Sequence[str] = ()
    role: str | None = None


@dataclass(frozen=True)
class Strip:
    """Pictures that belong together, under a line of their own."""

    caption: str
    cells: Sequence[Cell]
    role: str | None = None


@dataclass(frozen=True)
class Section:
    """Strips under a heading."""

    heading: str
    strips: Sequence[Strip]


@dataclass(frozen=True)
class Sheet:
    """Sections under a title and lines that say what is shown and what is left out."""

    title: str
    lines: Sequence[str]
    sections: Sequence[Section]
    columns: int


def sheet_png(sheet: Sheet) -> bytes:
    """The sheet as a PNG file."""
    return encode(draw_sheet(sheet), PngEncoding(name="png"))


def draw_sheet(sheet: Sheet) -> Pixels:
    """The sheet's pixels, shape (height, width, 3); the width depends on its columns alone.

    A picture of at most SIDE pixels is enlarged by the largest whole factor that fits, each pixel
    becoming a block; a larger one is reduced by averaging. Lines under the title go on for MAX_WRAPPED
    lines; other text that is too long is cut in its middle.
    """
    width = sheet.columns * (SIDE + 2 * FRAME) + (sheet.columns - 1) * GAP
    lacking = any(drawable(text[:MAX_LETTERS]) != text[:MAX_LETTERS] for text in _texts(sheet))
    blocks = [_text(sheet.title, TITLE, INK, width)]
    for line in [*sheet.lines, *[FONT_LACKS] * lacking]:
        blocks += [_text(part, TEXT, PALE_INK, width) for part in _wrapped(line, TEXT, width)]
    for section in sheet.sections:
        blocks += [_paper(MARGIN, width), _paper(1, width, RULE), _paper(GAP, width)]
        blocks += [_text(section.heading, HEADING, INK, width)] if section.heading else []
        for strip in section.strips:
            blocks += [_paper(GAP, width), *_strip(strip, sheet.columns, width)]
    pixels = np.concatenate(blocks)
    page = _paper(len(pixels) + 2 * MARGIN, width + 2 * MARGIN)
    page[MARGIN:-MARGIN, MARGIN:-MARGIN] = pixels
    return page


def drawable(text: str) -> str:
    """The text in letters that the font has; others as the top of this file says."""
    return "".join(_letter(letter) for letter in unicodedata.normalize("NFC", text))


def fitted(pixels: Pixels) -> Pixels:
    """The picture (height, width, 3), enlarged or reduced so that its longer side is at most SIDE."""
    height, width = pixels.shape[:2]
    longer = max(height, width)
    if longer <= SIDE:
        return pixels.repeat(SIDE // longer, axis=0).repeat(SIDE // longer, axis=1)
    size = (max(1, round(width * SIDE / longer)), max(1, round(height * SIDE / longer)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def _letter(letter: str) -> str:
    if _known(letter):
        return letter
    plain = "".join(part for part in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(part))
    return plain if plain and all(map(_known, plain)) else letter.encode("unicode_escape").decode()


def _known(letter: str) -> bool:
    return " " <= letter <= "~" or letter in SIGNS


def _texts(sheet: Sheet) -> Iterator[str]:
    yield sheet.title
    yield from sheet.lines
    for section in sheet.sections:
        yield section.heading
        for strip in section.strips:
            yield strip.caption
            for cell in strip.cells:
                yield from cell.captions


def _strip(strip: Strip, columns: int, width: int) -> Iterator[Pixels]:
    if strip.caption:
        yield _text(strip.caption, TEXT, INK, width, strip.role)
    for start in range(0, len(strip.cells), columns):
        cells = [_cell(cell) for cell in strip.cells[start : start + columns]]
        row = _paper(max(map(len, cells)) + GAP, width)
        for number, cell in enumerate(cells):
            left = number * (SIDE + 2 * FRAME + GAP)
            row[: len(cell), left : left + cell.shape[1]] = cell
        yield row


def _cell(cell: Cell) -> Pixels:
    pixels = fitted(cell.pixels)
    height, width = pixels.shape[:2]
    picture = _paper(height + 2 * FRAME, SIDE + 2 * FRAME)
    picture[:, : width + 2 * FRAME] = RULE
    picture[FRAME : FRAME + height, FRAME : FRAME + width] = pixels
    return np.concatenate([picture, *(_text(line, TEXT, INK, picture.shape[1], cell.role) for line in cell.captions)])


def _text(text: str, size: int, ink: tuple[int, int, int], width: int, role: str | None = None) -> Pixels:
    """One line, cut in its middle to fit the width; with a role, behind a bar in its colour."""
    font = _font(size)
    image = Image.new("RGB", (width, sum(font.getmetrics()) + 2), PAPER)
    draw = ImageDraw.Draw(image)
    indent = 0 if role is None else 2 * BAR
    if role is not None:
        draw.rectangle((0, 1, BAR - 1, image.height - 2), fill=COLOURS[role])
    draw.text((indent, 1), _cut(text, font, width - indent), fill=ink, font=font)
    return np.asarray(image)


def _cut(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    letters = drawable(text if len(text) <= MAX_LETTERS else _ends(text, MAX_LETTERS))
    if font.getlength(letters) <= width:
        return letters
    lengths = range(len(letters))
    fitting = bisect.bisect_right(lengths, width, key=lambda length: math.ceil(font.getlength(_ends(letters, length))))
    return _ends(letters, max(0, fitting - 1))


def _wrapped(text: str, size: int, width: int) -> list[str]:
    """The text in lines that fit, but for a single long word and the last of MAX_WRAPPED lines."""
    font = _font(size)
    lines = [""]
    for word in drawable(text[: MAX_WRAPPED * MAX_LETTERS]).split(" "):
        longer = f"{lines[-1]} {word}".lstrip()
        if lines[-1] and len(lines) < MAX_WRAPPED and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _ends(text: str, letters: int) -> str:
    """The first and last letters, so many in all, so that names that differ in their ends still do."""
    tail = letters // 2
    return text[: letters - tail] + "…" + text[len(text) - tail :]


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("Pillow was built without FreeType, which its own font needs: install it from its wheel")
    # The other engine, Raqm, places letters with the help of what is installed on the machine.
    return font.font_variant(layout_engine=ImageFont.Layout.BASIC)


def _paper(height: int, width: int, colour: tuple[int, int, int] = PAPER) -> Pixels:
    return np.full((height, width, 3), colour, np.uint8)
