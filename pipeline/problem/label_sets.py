"""Sets of labels of images that may have several, written as one text in manifests and tables.

The text has the names in order, with a bar between: `cat|dog`. An image that surely shows none of them has NONE; one
that nobody looked at has no label at all (manifest.NO_LABEL), as everywhere.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.errors import DataError, listing

SEPARATOR = "|"
NONE = "(none)"


class LabelNames(tuple[str, ...]):
    """Names of labels, of which an image may have any number; of classes, a plain tuple, it has exactly one."""

    __slots__ = ()


def joined(names: Iterable[str]) -> str:
    """The text of a set."""
    return SEPARATOR.join(sorted(set(names))) or NONE


def names_in(text: str) -> tuple[str, ...]:
    """The names in the text of a set, in order; () for NONE and for no label."""
    return () if text in {"", NONE} else tuple(text.split(SEPARATOR))


def all_names(texts: Iterable[str]) -> LabelNames:
    """All names that occur in some of these sets, sorted."""
    return LabelNames(sorted({name for text in set(texts) for name in names_in(text)}))


def membership(texts: npt.NDArray[Any], names: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    """Whether each set (n,) has each label, shape (n, k).

    Raises:
        DataError: a set has a label that is none of the names.
    """
    codes, sets = pd.factorize(texts.astype(str), sort=True)
    places = {name: number for number, name in enumerate(names)}
    if unknown := sorted({name for text in sets for name in names_in(text)} - {*places}):
        raise DataError(
            f"the model does not know the labels {listing(unknown)}: it was trained on {listing(names, 20)}. Train it "
            "on images with all labels (`dvc repro train`), or remove those labels from the sources"
        )
    table = np.zeros((len(sets), len(names)), np.bool_)
    for row, text in enumerate(sets):
        table[row, [places[name] for name in names_in(text)]] = True
    return np.asarray(table[codes].reshape(len(texts), len(names)))


def texts_of(chosen: npt.NDArray[np.bool_], names: tuple[str, ...]) -> npt.NDArray[np.object_]:
    """The texts of sets (n, k), shape (n,); the names are sorted."""
    if not len(chosen):
        return np.empty(0, object)
    sets, places = np.unique(chosen, axis=0, return_inverse=True)
    texts = [joined(name for name, there in zip(names, row, strict=True) if there) for row in sets]
    return np.array(texts, object)[places.reshape(-1)]
