"""Checkpoints: the progress of a stage or command on disk, from which a run continues after a kill.

A stage's stands beside its outs, where neither DVC nor Git looks, and goes once the outs are in place. A command that
makes many fits has a folder of them, one for each that is finished.
A checkpoint of other params, data or code is none.
"""

import hashlib
import importlib.metadata
import io
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from pipeline.store.checked import crc_of
from pipeline.store.reading import read_bytes
from pipeline.store.writing import partial_path, remove, replacing, write_bytes

# Of work that a kill may cost; to write a checkpoint takes some hundredths of a second.
MAX_SECONDS = 60.0
LIBRARIES = ("albumentations", "lightning-fabric", "numpy", "opencv-python-headless", "scikit-learn", "torch")


class Checkpoint:
    """One file with the state after the last finished step, under a key of everything that shapes it.

    Its first line is a checksum of the rest: a damaged state would shape a model as a right one does.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._saved = time.monotonic()

    def due(self) -> bool:
        """Whether so much time has passed since the last save that what was done is worth another."""
        return time.monotonic() - self._saved >= MAX_SECONDS

    def load(self, key: str) -> dict[str, Any] | None:
        """The state saved under this key; None if there is none, or it is damaged or of another key."""
        # Torch takes a second to import, and few stages keep anything.
        import torch

        if not self.path.exists():
            return None
        said, _, data = read_bytes(self.path).partition(b"\n")
        # Torch does not hold what it reads against the checksums that its files have.
        if said != crc_of(data).encode():
            return None
        try:
            with warnings.catch_warnings(action="ignore"):
                # Only tensors, numbers, texts and containers of them: no code in a pickle is run.
                found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        except Exception:
            return None  # what damage makes of a pickle may raise anything
        same = isinstance(found, dict) and found.get("key") == key
        return dict(found["state"]) if same else None

    def save(self, key: str, state: Mapping[str, Any]) -> None:
        """Write it down in place of what was kept before; a kill leaves the one or the other."""
        import torch

        buffer = io.BytesIO()
        torch.save({"key": key, "state": dict(state)}, buffer)
        data = buffer.getvalue()
        with replacing(self.path) as half:
            write_bytes(crc_of(data).encode() + b"\n" + data, half)
        self._saved = time.monotonic()

    def under(self, key: str) -> "KeyedCheckpoint":
        """The same for work of this key alone."""
        return KeyedCheckpoint(self, key)

    def drop(self) -> None:
        """Remove it: the work is finished."""
        remove(partial_path(self.path))
        remove(self.path)


class Progress(Protocol):
    """Where a fit goes on from, and whom it tells of its state."""

    def load(self) -> Any:
        """The state to go on from, or None."""

    def save(self, state: Mapping[str, Any]) -> None:
        """Called after each epoch, and in between when `due`."""

    def due(self) -> bool:
        """Whether a state between two epochs is worth a save."""


@dataclass(frozen=True)
class KeyedCheckpoint:
    """A checkpoint of work of one key."""

    checkpoint: Checkpoint
    key: str

    def load(self) -> Any:
        """The saved state, if it is of this key; else None."""
        return self.checkpoint.load(self.key)

    def save(self, state: Mapping[str, Any]) -> None:
        """Write it down in place of what was kept before."""
        self.checkpoint.save(self.key, state)

    def due(self) -> bool:
        """Whether what was done since the last time is worth another save."""
        return self.checkpoint.due()


def library_versions() -> list[str]:
    """Those of the libraries that shape a model."""
    return [f"{name}=={importlib.metadata.version(name)}" for name in LIBRARIES]


def table_digest(frame: pd.DataFrame, columns: Sequence[str]) -> str:
    """A digest of some columns of a table, in its order of rows."""
    parts = [pd.util.hash_pandas_object(frame[name], index=False).to_numpy().tobytes() for name in columns]
    return hashlib.sha256(b"".join(parts)).hexdigest()
