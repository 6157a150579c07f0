"""The table of formats."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.data.formats.croissant import write_croissant
from pipeline.data.formats.imagefolder import write_imagefolder, write_linked_imagefolder
from pipeline.data.formats.parquet import write_parquet
from pipeline.data.formats.rows import Exported
from pipeline.data.formats.webdataset import write_webdataset
from pipeline.registry import Registry

Write = Callable[[Sequence[Exported], Sequence[str], Path, Callable[[int], None]], None]


@dataclass(frozen=True)
class DataFormat:
    """A format.

    write: (splits, names of the classes in the order of their numbers, an empty folder, called with the number of rows
        that are done) -> puts the files into the folder: the same bytes for the same rows.
    opens: what opens the folder, for the message.
    several: whether it has a place for several labels of an image, and for its number.
    link: writes the same with one file for all rows that show a picture; None: it does not write a file a picture.
    """

    name: str
    write: Write
    opens: str
    link: Write | None = None
    several: bool = False


DATA_FORMATS: Registry[DataFormat] = Registry(
    (
        DataFormat(
            "imagefolder",
            write_imagefolder,
            "torchvision.datasets.ImageFolder('{folder}/train')",
            write_linked_imagefolder,
        ),
        DataFormat("webdataset", write_webdataset, "webdataset.WebDataset('{folder}/train-000000.tar')", several=True),
        DataFormat("parquet", write_parquet, "datasets.load_dataset('{folder}')", several=True),
        DataFormat("croissant", write_croissant, "mlcroissant.Dataset('{folder}/croissant.json')"),
    )
)
