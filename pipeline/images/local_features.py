"""Whether two pictures show one scene: whether enough of their local features agree under one homography.

Features are SIFT's (Lowe, 2004), compared as RootSIFT (Arandjelovic and Zisserman, 2012). Two pictures agree if enough
of their features match, turn and grow alike, and fit one homography (MAGSAC++, Barath et al., 2020) that bends a
picture no more than a camera does that moved a step; and if these features are spread over both pictures, not
in one label or logo. A mirrored picture is compared by its features, mirrored: it is not looked at again.
"""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.images.pixels import Pixels

Points = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

# Pixels of the longer side at which features are found; SIFT doubles it. Measured on photos: 224 finds no more scenes
# and takes twice as long; with a contrast of .02 instead of .005, 128 loses 3 to 6 copies in 100.
SIDE = 128
# Fewer pixels of the shorter side, as it was normalised, have too few features to tell scenes apart.
MIN_SIDE = 96
MAX_FEATURES = 300
# Places in which features must agree. Measured on photos of fruit: 169 pairs of different classes or sources have 6 at
# most but for a true copy; of 136 pairs with 10 to 20 that were looked at, 2 show different scenes.
MIN_AGREEING = 10
# Two features less than this share of SIDE apart are one place: one corner is found at several scales.
_PLACE = 6
# Of 8 x 8 cells of a picture, so many have agreeing features; most labels have fewer. Measured: of 40 pairs that share
# a printed code alone, at any place, 28 have 5, 8 have 7; with 8, 1 in 50 pairs of photos of one scene is lost.
_GRID, _MIN_CELLS = 8, 7
# Of a descriptor.
_LENGTH = 255
# The nearest descriptor is nearer than the second by this factor (Lowe's ratio, wide: geometry decides).
_RATIO = 0.85
# Degrees, and octaves, by which matches of one movement may differ.
_TURN, _GROWTH = 35.0, 1.0
_TOLERANCE, _DRAWS, _CONFIDENCE = 3.0, 500, 0.999
# Area that a part may gain or lose, and between parts of one picture.
_MAX_ZOOM, _MAX_BEND = 9.0, 6.0
_CONTRAST = 0.005
# A descriptor is 4 x 4 cells of 8 directions: mirrored, rows change places and directions turn back.
_MIRRORED = np.arange(128).reshape(4, 4, 8)[::-1][:, :, -np.arange(8) % 8].ravel()


@dataclass(frozen=True)
class Features:
    """Local features of a picture, strongest first; at most MAX_FEATURES.

    points: shape (n, 2), x and y at SIDE pixels of the longer side. angles: degrees. sizes: pixels.
    descriptors: RootSIFT, shape (n, 128), whole numbers of length 255, in 38 kB per picture.
    width: of the picture, at SIDE.
    """

    points: Points
    angles: Points
    sizes: Points
    descriptors: Pixels
    width: float

    def __len__(self) -> int:
        return len(self.points)

    def mirrored(self) -> "Features":
        """The features of the mirrored picture."""
        points = self.points * np.array([-1, 1], np.float32) + np.array([self.width - 1, 0], np.float32)
        return replace(self, points=points, angles=180 - self.angles, descriptors=self.descriptors[:, _MIRRORED])

    def without(self, numbers: Numbers) -> "Features":
        """All but some of them and what lies beside these: a corner is found at a pixel more or less each time."""
        if not len(numbers):
            return self
        apart = np.abs(self.points[:, None] - self.points[numbers]).max(axis=2)
        left = np.flatnonzero(apart.min(axis=1) > _PLACE)
        return Features(self.points[left], self.angles[left], self.sizes[left], self.descriptors[left], self.width)


@dataclass(frozen=True)
class Agreement:
    """How two pictures agree: in how many places, and by which features of each."""

    places: int
    one: Numbers
    other: Numbers
    mirrored: bool

    @property
    def confirmed(self) -> bool:
        """Whether they show one scene."""
        return self.places >= MIN_AGREEING


NONE = Agreement(0, np.empty(0, np.int64), np.empty(0, np.int64), False)


def can_tell(pixels: Pixels) -> bool:
    """Whether a normalised picture without bars is large enough for local features."""
    return bool(min(pixels.shape[:2]) >= MIN_SIDE)


def local_features(pixels: Pixels) -> Features:
    """The local features of a picture, shape (height, width, 3)."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    factor = SIDE / max(grey.shape)
    size = (max(1, round(grey.shape[1] * factor)), max(1, round(grey.shape[0] * factor)))
    scaled = cv2.resize(grey, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    found, descriptors = _detector().detectAndCompute(scaled, None)
    if descriptors is None:
        return _features(np.empty((0, 4), np.float32), np.empty((0, 128), np.uint8), size[0])
    # SIFT gives more where several are equally strong.
    values = np.array([(*key.pt, key.angle, key.size) for key in found[:MAX_FEATURES]], np.float32)
    return _features(values, _roots(descriptors[:MAX_FEATURES]), size[0])


def agreement(one: Features, other: Features) -> Agreement:
    """How two pictures agree; NONE if chance could explain it."""
    straight = _agreement(one, other)
    if straight.confirmed:
        return straight
    turned = _agreement(one, other.mirrored())
    return replace(turned, mirrored=True) if turned.confirmed else straight


def _roots(descriptors: Points) -> Pixels:
    """RootSIFT: the roots of a descriptor's shares, rounded to whole numbers."""
    roots = np.sqrt(descriptors / np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-6))
    whole: Pixels = np.rint(_LENGTH * roots).astype(np.uint8)
    return whole


def _features(values: Points, descriptors: Pixels, width: float) -> Features:
    return Features(values[:, :2], values[:, 2], values[:, 3], descriptors, width)


def _agreement(one: Features, other: Features) -> Agreement:
    left, right = _matches(one.descriptors, other.descriptors)
    if len(left) < MIN_AGREEING:
        return NONE
    alike = _moved_alike(one, other, left, right)
    left, right = left[alike], right[alike]
    if len(left) < MIN_AGREEING:
        return NONE
    here, there = one.points[left], other.points[right]
    found, mask = cv2.findHomography(here, there, cv2.USAC_MAGSAC, _TOLERANCE, None, _DRAWS, _CONFIDENCE)
    # Its stub says that there always is one.
    if found is None:  # type: ignore[redundant-expr,unused-ignore]
        return NONE
    inside = mask.ravel() > 0
    here, there = here[inside], there[inside]
    places = min(_places(here), _places(there))
    spread = min(_cells(here), _cells(there)) >= _MIN_CELLS
    if places < MIN_AGREEING or not spread or not _is_camera(found, here):
        return NONE
    return Agreement(places, left[inside], right[inside], False)


def _matches(one: Pixels, other: Pixels) -> tuple[Numbers, Numbers]:
    """Features that are each other's nearest, and clearly nearer than the second."""
    if min(len(one), len(other)) < MIN_AGREEING:
        return NONE.one, NONE.other
    # Sums of whole numbers below 2^24 are exact in any order.
    likeness = one.astype(np.float32) @ other.astype(np.float32).T
    best = likeness.argmax(axis=1)
    rows = np.arange(len(one))
    first = likeness[rows, best]
    likeness[rows, best] = -1
    second = likeness.max(axis=1)
    likeness[rows, best] = first
    # Half of the squared distances of vectors of this length.
    chosen = np.flatnonzero(_LENGTH**2 - first < _RATIO**2 * (_LENGTH**2 - second))
    mutual = likeness[:, best[chosen]].argmax(axis=0) == chosen
    return chosen[mutual], best[chosen[mutual]]


def _moved_alike(one: Features, other: Features, left: Numbers, right: Numbers) -> Numbers:
    """Those of the matches that turn and grow as most others do."""
    turns = other.angles[right] - one.angles[left]
    apart = np.abs((turns[:, None] - turns + 180) % 360 - 180)
    growth = np.log2(other.sizes[right] / one.sizes[left])
    together = (apart <= _TURN) & (np.abs(growth[:, None] - growth) <= _GROWTH)
    return np.flatnonzero(together[together.sum(axis=1).argmax()])


def _places(points: Points) -> int:
    return len(np.unique(points.astype(np.int64) // _PLACE, axis=0))


def _cells(points: Points) -> int:
    return len(np.unique((points * _GRID).astype(np.int64) // SIDE, axis=0))


def _is_camera(homography: npt.NDArray[Any], points: Points) -> bool:
    """Whether a camera that moved can see the points so: no fold, no mirror, no extreme zoom or tilt."""
    depth = points @ homography[2, :2] + homography[2, 2]
    determinant = np.linalg.det(homography)
    if not np.isfinite(determinant) or (depth * np.sign(homography[2, 2]) <= 0).any():
        return False
    area = determinant / depth**3
    return bool(
        (area > 0).all()
        and area.min() > 1 / _MAX_ZOOM
        and area.max() < _MAX_ZOOM
        and area.max() < _MAX_BEND * area.min()
    )


@cache
def _detector() -> Any:
    return cv2.SIFT.create(nfeatures=MAX_FEATURES, contrastThreshold=_CONTRAST)
