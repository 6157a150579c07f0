"""Images and embeddings of projects in which embed and curate ran, for benchmarks of what rests on them."""

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline import catalogue
from pipeline.data.vectors import unit


def curated(project: Path) -> tuple[pd.DataFrame, npt.NDArray[np.float32]]:
    """Labelled rows of a project by id, texts as strings; and their embeddings, shape (n, d), of length 1."""
    here = Path.cwd()
    os.chdir(project)
    try:
        images = catalogue.CURATED.read(Path(catalogue.CURATED.path)).sort_values("id")
        images = images[images["label"].astype(str) != ""].reset_index(drop=True)
        found = catalogue.EMBEDDINGS.read(Path(catalogue.EMBEDDINGS.path)).of(images["sha256"].astype(str).tolist())
    finally:
        os.chdir(here)
    if found is None:
        raise SystemExit(f"{project} has no embeddings: set embed.backbone")
    return images.astype({"label": "str", "source": "str", "role": "str", "group": "str"}), unit(
        found.astype("float32")
    )
