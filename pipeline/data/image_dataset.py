"""The prepared images of a split for your own training loop: what torch calls a map-style dataset."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from PIL import Image
from torch.utils.data import Dataset

from pipeline.data.dataset import RowDataset
from pipeline.data.prepared import (
    classes_of,
    online_variants_of,
    pictures_of_project,
    problem_of,
    read_manifest,
)
from pipeline.errors import DataError, ParamsError
from pipeline.images.pixels import decode
from pipeline.manifest import TRAIN

COLUMNS = ("id", "group", "role", "source")


class ImageDataset(Dataset[tuple[Any, int]]):
    """The images of a split with their class numbers, as the last run prepared them; train with balance and variants.

    `dataset[i]` is (picture, class number). A picture is a uint8 tensor (3, size, size), or what `transform` makes of
    it. It can be pickled, and works in torch's DataLoader with workers, `shuffle` and samplers. Reading is the same in
    any order and process.

    Args:
        split: train, train_dev or dev. (test is handed out by `pipeline export --test`, which notes it.)
        folder: of the project; no need to be there.
        picture: "tensor", or "pil" for a PIL image in RGB.
        transform: called with each picture; its result takes the picture's place.
        variants: False leaves out all rows but the images themselves, once each: for augmentation of one's own.

    Raises:
        MissingInputError: the split was not made yet.
        ParamsError: there is no such split, or no such kind of picture.
        DataError: the split is empty, has a class that train lacks, or is of another run than train.
        FinalEvaluationError: the split is test.
    """

    classes: tuple[str, ...]
    """Names of the classes, in the order of their numbers: those of train, sorted; or of labels (multi_label), or of
    what is measured (regression)."""
    labels: npt.NDArray[Any]
    """The class number of each row, shape (n,) int64; multi_label: 1.0 for each label that it has, (n, k) float32;
    regression: its number, (n,) float32."""
    weights: npt.NDArray[np.float32]
    """What each row weighs in the loss by `balance`, 1 on average in train; 1 in other splits."""
    copies: npt.NDArray[np.int32]
    """0 for the image itself, the number of the variant for others."""

    def __init__(
        self,
        split: str = TRAIN,
        folder: str | Path = ".",
        picture: Literal["tensor", "pil"] = "tensor",
        transform: Callable[[Any], Any] | None = None,
        variants: bool = True,
    ) -> None:
        if picture not in ("tensor", "pil"):
            raise ParamsError(f"picture is {picture!r}: it may be 'tensor' or 'pil'")
        folder = Path(folder).expanduser()
        train = read_manifest(TRAIN, folder)
        rows = train if split == TRAIN else read_manifest(split, folder)
        if not variants:
            rows = rows[rows["copy"] == 0].reset_index(drop=True)
        if rows.empty:
            raise DataError(f"{split} has no images: see what `pipeline split` says, and change its params")
        pictures = pictures_of_project(train, folder)
        makes = bool((rows["copy"] > 0).any()) and not pictures.variants_are_stored
        self.classes = classes_of(train, problem_of(folder))
        first = rows.iloc[0]
        size = _side(pictures.images.image(str(first["shard"]), int(first["row"])))
        online = online_variants_of(folder) if makes else None
        self._rows = RowDataset(rows, pictures.images, self.classes, size, online)
        self._columns = pa.table({name: pa.array(rows[name].astype(str), pa.string()) for name in COLUMNS})
        self.labels = self._rows.labels
        self.weights = rows["weight"].to_numpy(np.float32, copy=True)
        self.copies = rows["copy"].to_numpy(np.int32, copy=True)
        self.split = split
        self.size = size
        self.epoch = 0
        self._pil = picture == "pil"
        self._transform = transform

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> tuple[Any, Any]:
        """Picture and class number of a row, its labels as a tensor (k,), or its number; negative: from the end.

        Raises:
            IndexError: there is no such row.
            DataError: its picture is damaged; the message begins with its id.
        """
        place = range(len(self))[number]
        pixels = self._rows.pixels(place, self.epoch)
        # A copy: decoded pixels may be read-only memory, which torch takes unwillingly.
        picture: Any = Image.fromarray(pixels) if self._pil else torch.from_numpy(pixels.transpose(2, 0, 1).copy())
        label = torch.from_numpy(self.labels[place]) if self.labels.ndim > 1 else self.labels[place].item()
        return picture if self._transform is None else self._transform(picture), label

    def set_epoch(self, epoch: int) -> None:
        """Before each epoch where augment.mode is online: other variants in each. Persistent workers miss it."""
        self.epoch = epoch

    @property
    def ids(self) -> list[str]:
        """<source>/<path> of each row."""
        return self._column("id")

    @property
    def groups(self) -> list[str]:
        """The group of each row, for splits of one's own: a group must never be torn apart."""
        return self._column("group")

    @property
    def roles(self) -> list[str]:
        """Whether each row is raw or production."""
        return self._column("role")

    @property
    def sources(self) -> list[str]:
        """The name of each row's source in params.yaml."""
        return self._column("source")

    def __repr__(self) -> str:
        return f"ImageDataset({self.split!r}: {len(self)} rows, {len(self.classes)} classes, {self.size} pixels a side)"

    def _column(self, name: str) -> list[str]:
        found: list[str] = self._columns[name].to_pylist()
        return found


def _side(data: bytes) -> int:
    try:
        return len(decode(data))
    except Exception as error:  # as in dataset.py: a decoder raises anything
        raise DataError("the first picture is damaged: run `pipeline doctor --fix`, then `dvc repro`") from error
