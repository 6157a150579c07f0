"""Whether two pictures are one that was moved, turned, zoomed or cropped a little, as in a burst.

One is laid over the other by an affine map (enhanced correlation coefficient, Evangelidis and Psarakis
2008). So can pictures be that are no copies: lines and shapes have few degrees of freedom, and a silhouette
or a printed form agrees with another one almost everywhere. Hence only pictures with structure nearly
all over are laid over each other, and then almost every cell must agree, not their sum.
"""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.images.pixels import Pixels

# Pixels a side. Measured: of photos moved by up to 5 %, 8 to 23 in 100 agree by less than 0.96 at 32, none at 64.
PORTRAIT_SIDE = 64
# Share of cells that have structure. Measured: lines, digits and discs have it in less than half, logos and
# charts in less than this; of photos 92 in 100 have more.
MIN_FILLED = 0.6
# Share of cells with structure that agree. Measured: one form filled in twice agrees in 95 % or less.
MIN_AGREEING = 0.97
# Farthest that a corner may move, as a share of the side.
FARTHEST = 0.1

_CELL = 4
# Grey levels of 255, root mean square; less is what compression leaves.
_STRUCTURE = 1.0
# Of the gradients' strength along their main direction, so much lies across it. Stripes have none, photos 0.15 or more.
_ACROSS = 0.05
_AGREEMENT = 0.9
# Of the cells, these must lie inside both pictures.
_MIN_SHARED = 0.5
_STEPS = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 20, 1e-4)
_EVERYWHERE = np.ones((PORTRAIT_SIDE, PORTRAIT_SIDE), np.uint8)
_SMOOTHING = 0.8
_CORNERS = np.array([[x, y, 1] for x in (0, PORTRAIT_SIDE) for y in (0, PORTRAIT_SIDE)], np.float64)

Structure = npt.NDArray[np.float32]


def portrait(pixels: Pixels) -> Pixels:
    """A picture in grey, fine enough to be laid over another; shape (PORTRAIT_SIDE, PORTRAIT_SIDE).

    Args:
        pixels: shape (height, width, 3).
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    method = cv2.INTER_AREA if grey.size > PORTRAIT_SIDE**2 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, (PORTRAIT_SIDE, PORTRAIT_SIDE), interpolation=method), np.uint8)


def is_filled(picture: Pixels) -> bool:
    """Whether a portrait has structure nearly all over, so that agreement after an alignment means something."""
    structure = _structure(picture.astype(np.float32))
    filled = (_strengths(_cells(structure)) >= _STRUCTURE).mean() >= MIN_FILLED
    # Stripes can be laid over others of their width along any shift: Harris and Stephens (1988).
    down, right = (gradient.astype(np.float64) for gradient in np.gradient(structure))
    across, along = np.linalg.eigvalsh([[(one * other).sum() for one in (down, right)] for other in (down, right)])
    return bool(filled and across >= _ACROSS * along)


def is_moved_copy(one: Pixels, other: Pixels) -> bool:
    """Whether portraits of pictures that are filled show the same once one is laid over the other."""
    fixed, moving = one.astype(np.float32), other.astype(np.float32)
    try:
        _, found = cv2.findTransformECC(
            fixed, moving, np.eye(2, 3, dtype=np.float32), cv2.MOTION_AFFINE, _STEPS, _EVERYWHERE, 3
        )
    except cv2.error:  # it does not converge: they have nothing in common
        return False
    if np.abs(_CORNERS @ (found - np.eye(2, 3)).T).max() > FARTHEST * PORTRAIT_SIDE:
        return False
    laid = _warped(moving, found, cv2.INTER_CUBIC)
    inside = (_warped(np.ones_like(moving), found, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT) > 0.99).astype(np.uint8)
    shared = _cells(cv2.erode(inside, np.ones((5, 5), np.uint8))).all(axis=1)
    left, right = (_cells(_structure(picture))[shared] for picture in (fixed, laid))
    strengths = np.stack([_strengths(left), _strengths(right)])
    compared = strengths.max(axis=0) >= _STRUCTURE
    if shared.mean() < _MIN_SHARED or compared.sum() < MIN_FILLED * shared.sum():
        return False
    products = (left * right).mean(axis=1)[compared]
    agreeing = products >= _AGREEMENT * strengths.prod(axis=0)[compared]
    return bool(agreeing.mean() >= MIN_AGREEING)


def _warped(picture: Structure, by: npt.NDArray[Any], method: int, border: int = cv2.BORDER_REFLECT_101) -> Structure:
    size, flags = (PORTRAIT_SIDE, PORTRAIT_SIDE), method | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, by, size, flags=flags, borderMode=border), np.float32)


def _structure(picture: Structure) -> Structure:
    """What lies between the finest grain, which interpolation changes, and a 5 x 5 blur."""
    smooth = cv2.GaussianBlur(picture, (0, 0), _SMOOTHING)
    return np.asarray(smooth - cv2.blur(smooth, (5, 5), borderType=cv2.BORDER_REFLECT_101), np.float32)


def _cells(picture: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Shape (number of cells, pixels of a cell)."""
    count = PORTRAIT_SIDE // _CELL
    return picture.reshape(count, _CELL, count, _CELL).swapaxes(1, 2).reshape(count**2, _CELL**2)


def _strengths(cells: Structure) -> npt.NDArray[np.float64]:
    strengths: npt.NDArray[np.float64] = np.sqrt(np.square(cells, dtype=np.float64).mean(axis=1))
    return strengths
