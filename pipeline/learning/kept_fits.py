"""What finished fits say of dev, on disk: a command that makes many, and was killed, goes on from there.

Each lies under a digest of all that shaped it (`fitting.fit_key`), so that a stale one is never found; those of one
training set, dev, params and code lie in a folder of their own.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.catalogue import predictions_file
from pipeline.core.manifest import PREDICTIONS
from pipeline.errors import PipelineError
from pipeline.files.storage import remove, replacing


@dataclass(frozen=True)
class KeptFits:
    """The predictions of dev by each fit.

    Args:
        folder: of all runs. run: a digest of what its fits have in common.
    """

    folder: Path
    run: str

    def read(self, key: str) -> pd.DataFrame | None:
        """The predictions under this key; None if there are none, or the file is damaged."""
        place = self._place(key)
        try:
            found: pd.DataFrame = predictions_file(str(place), PREDICTIONS).read(place)
        except PipelineError:
            return None
        return found

    def keep(self, key: str, predictions: pd.DataFrame) -> None:
        """Write them down; a kill leaves all of them or none."""
        place = self._place(key)
        with replacing(place) as half:
            predictions_file(str(place), PREDICTIONS).write(predictions, half)

    def drop_stale(self) -> None:
        """Remove the fits of other runs, and what a killed one left half-written."""
        for entry in sorted(self.folder.glob("*")):
            if entry.name != self.run:
                remove(entry)
        for half in self.folder.glob("*/.*.partial"):
            remove(half)

    def _place(self, key: str) -> Path:
        return self.folder / self.run / f"{key}.arrow"
