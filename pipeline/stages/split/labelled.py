"""How many images of each class there are among some rows; where an image may have several labels, of each label."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.problem.label_sets import LabelNames, all_names, membership

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Labelled:
    """What each row is labelled.

    names: of classes, or of labels. codes: shape (n,), positions among the names, or among sets of them. sets: which
    names each set has, shape (sets, names); None: the codes are of names.
    """

    names: tuple[str, ...]
    codes: npt.NDArray[Any]
    sets: Flags | None = None

    @classmethod
    def of(cls, labels: "pd.Series[Any]", several: bool) -> Self:
        """Of rows' labels, shape (n,)."""
        values = labels.astype("category").cat
        texts, codes = values.categories.astype(str), values.codes.to_numpy()
        if not several:
            return cls(tuple(texts), codes)
        names = all_names(texts)
        return cls(names, codes, membership(texts.to_numpy(), names))

    def counts(self, rows: Flags) -> npt.NDArray[np.int64]:
        """How many of some rows, a mask (n,), have each name; shape (names,)."""
        if self.sets is None:
            return np.bincount(self.codes[rows], minlength=len(self.names))
        return np.asarray(np.bincount(self.codes[rows], minlength=len(self.sets)) @ self.sets)

    def having(self, flags: Flags) -> Flags:
        """Which rows have one of the names that are flagged, (names,) -> (n,)."""
        return np.asarray(flags[self.codes] if self.sets is None else (self.sets @ flags)[self.codes])

    def rarest(self) -> "pd.Series[Any] | None":
        """The name of each row's rarest label, "" of none; None where rows have one class each.

        Whoever deals out images by it deals out the rarest labels first, as iterative stratification does (Sechidis,
        Tsoumakas and Vlahavas, 2011).
        """
        if self.sets is None:
            return None
        everywhere = self.counts(np.ones(len(self.codes), bool))
        order = np.argsort(everywhere, kind="stable")
        first = self.sets[:, order].argmax(axis=1)
        names = np.array([*self.names, ""], object)
        chosen = np.where(self.sets.any(axis=1), order[first], len(self.names))
        return pd.Series(names[chosen][self.codes]).astype("category")

    def members(self, rows: npt.NDArray[np.intp]) -> list[npt.NDArray[np.intp]]:
        """Of labels: those of some rows that have each, the rarest label first."""
        assert isinstance(self.names, LabelNames) and self.sets is not None  # noqa: S101, PT018
        by_name = [rows[self.sets[self.codes[rows], number]] for number in range(len(self.names))]
        return sorted((each for each in by_name if len(each)), key=len)
