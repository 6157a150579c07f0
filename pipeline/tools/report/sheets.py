"""The contact sheets of the page, as data URLs; some are there only where they show something."""

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from pipeline import catalogue
from pipeline.diagnosis.clusters import CLUSTER
from pipeline.diagnosis.error_tags import SIZE, errors_of
from pipeline.diagnosis.wrong_labels import too_weak
from pipeline.errors import DataError
from pipeline.manifest import DEV
from pipeline.project.params_file import Params
from pipeline.store.artifacts import Artifact
from pipeline.tools.errors import errors_sheet

# Larger sheets are packed tighter, so that the page can be sent by mail.
MAX_PNG = 300_000


@dataclass(frozen=True)
class Sheet:
    """Pictures with a caption, as a data URL."""

    title: str
    url: str


def read(artifact: Artifact) -> Any:
    return artifact.read(Path(artifact.path))


def _errors(_: Params) -> Sheet:
    predictions: pd.DataFrame = read(catalogue.PREDICTIONS)
    errors = errors_of(predictions, DEV)
    title = "Errors of dev" if SIZE in errors else "Misclassified images of dev"
    return _sheet(title, errors_sheet(errors, DEV, int((predictions["split"] == DEV).sum())))


def _label_issues(_: Params) -> Mapping[str, Any]:
    counts = read(catalogue.LABEL_ISSUES_METRICS)
    if DEV not in counts:
        raise DataError(counts["model"]["why"])
    splits = {name: counts[name] for name in ("dev", "train") if name in counts}
    whole = counts.get("together", counts["dev"])
    return {
        "sheet": _sheet("Labels that may be wrong", read(catalogue.LABEL_ISSUES_SHEET)),
        "splits": splits,
        "model": counts["model"],
        "accuracy": whole["accuracy"],
        "too_weak": too_weak(whole),
    }


def _variants(_: Params) -> Sheet:
    return _sheet("Training images beside their variants", read(catalogue.PREVIEW_VARIANTS))


def _issues(_: Params) -> Sheet:
    return _sheet("Images with issues", read(catalogue.CURATE_ISSUES))


def _copies(_: Params) -> Sheet:
    return _sheet("Duplicates and near-duplicates", read(catalogue.CURATE_COPIES))


def _clusters(_: Params) -> Sheet | None:
    """Nothing where no cluster is named."""
    if not any(str(finding["subject"]).startswith(f"{CLUSTER}=") for finding in read(catalogue.DIAGNOSIS)["findings"]):
        return None
    return _sheet("Clusters on which the model fails", read(catalogue.DIAGNOSIS_CLUSTERS))


def _scenes(_: Params) -> Sheet | None:
    """Nothing where no images show one scene."""
    if not read(catalogue.CURATE_METRICS)["scenes"]["groups"]:
        return None
    return _sheet("Images of one scene", read(catalogue.CURATE_SCENES_SHEET))


def _confounding(_: Params) -> Sheet | None:
    """Nothing where no fact is named."""
    if not read(catalogue.CURATE_METRICS)["confounding"]["named"]:
        return None
    return _sheet("Facts that give classes away", read(catalogue.CURATE_CONFOUNDING_SHEET))


SHEETS: Mapping[str, Callable[[Params], Any]] = {
    "errors": _errors,
    "label_issues": _label_issues,
    "variants": _variants,
    "clusters": _clusters,
    "issues": _issues,
    "copies": _copies,
    "scenes": _scenes,
    "confounding": _confounding,
}


def _sheet(title: str, png: bytes) -> Sheet:
    kind, data = "png", png
    if len(png) > MAX_PNG:
        buffer = io.BytesIO()
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            image.convert("RGB").save(buffer, "JPEG", quality=80)
        kind, data = min([("png", png), ("jpeg", buffer.getvalue())], key=lambda one: len(one[1]))
    return Sheet(title, f"data:image/{kind};base64,{base64.b64encode(data).decode()}")
