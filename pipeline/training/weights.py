"""Weights files for networks of one's own: their tensors by name, once the file is the one that params name."""

from pathlib import Path

from torch import Tensor

from pipeline.models.mobilenet import read_tensors
from pipeline.store.reading import hashed_file


def read_weights(file: str, sha256: str) -> dict[str, Tensor]:
    """The tensors of a weights file, torch's .pth or .safetensors, on the CPU; for `load_state_dict`.

    Only tensors are read: a pickle that asks for code to be run is refused.

    Args:
        file: path, from the project's folder on.
        sha256: of the file, which is not looked into before it fits.

    Raises:
        MissingInputError: there is no such file.
        DataError: it has another SHA-256, is damaged, would run code, or holds something else than named tensors.
    """
    return read_tensors(hashed_file(Path(file), sha256), file)
