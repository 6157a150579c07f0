"""Embeddings of photos, as they are and as another camera would take them, computed once for benchmarks/diagnosis.py.

    python benchmarks/photo_features.py OUT.npz fruit=DIR[,DIR] trash=DIR [--classes cardboard,glass,paper]

Each set is one or several folders of a folder a class. Of each class at most 400 photos are taken. OUT.npz has
`SET/labels` and, for each change, `SET/CHANGE`: an embedding a photo, of EfficientNet-Lite0 at 160 pixels. Takes some
five minutes of one core.
"""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np

from pipeline.images.pixels import Pixels
from pipeline.models.backbones import Embedder
from pipeline.stages.embed.params import EfficientNetLite0Backbone

MOST = 400
SIDE = 160


def drawing(pixels: Pixels, share: float) -> Pixels:
    """Another domain: so much of a line drawing laid over the photo."""
    grey = cv2.GaussianBlur(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), (0, 0), 1.0)
    lines = cv2.adaptiveThreshold(grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 9, 4)
    return np.asarray((1 - share) * pixels + share * lines[..., None], np.uint8)


def blurred(pixels: Pixels, sigma: float) -> Pixels:
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8)


def darkened(pixels: Pixels, factor: float) -> Pixels:
    """Few photons: dark, and noisy."""
    noise = np.random.default_rng(1).normal(0, 6, pixels.shape)
    return np.clip(pixels * factor + noise, 0, 255).astype(np.uint8)


CHANGES: Mapping[str, tuple[Callable[[Pixels, float], Pixels], tuple[float, float, float]]] = {
    "blur": (blurred, (2.0, 4.0, 8.0)),
    "dark": (darkened, (0.3, 0.15, 0.06)),
    "drawing": (drawing, (0.4, 0.7, 1.0)),
}


def photos_of(folders: list[Path], classes: list[str]) -> tuple[list[Pixels], list[int]]:
    """Photos of SIDE pixels, and their class numbers; of each class some from each folder."""
    names = classes or sorted(path.name for path in folders[0].iterdir() if path.is_dir())
    found, labels = [], []
    for label, name in enumerate(names):
        files = [file for folder in folders for file in sorted((folder / name).iterdir())]
        chosen = np.random.default_rng(label).permutation(len(files))[:MOST]
        for place in sorted(chosen.tolist()):
            large = cv2.imread(str(files[place]))
            if large is not None:
                small = cv2.resize(large, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
                found.append(np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGB), np.uint8))
                labels.append(label)
    return found, labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--classes", default="", help="of sets that have them all; others have all of theirs")
    options = parser.parse_args()
    embed = Embedder(EfficientNetLite0Backbone(name="efficientnet_lite0", side=SIDE))
    values = {}
    for one in options.sets:
        name, _, folders = one.partition("=")
        roots = [Path(folder) for folder in folders.split(",")]
        wanted = [each for each in options.classes.split(",") if each and (roots[0] / each).is_dir()]
        photos, labels = photos_of(roots, wanted)
        values[f"{name}/labels"] = np.array(labels)
        values[f"{name}/as it is"] = np.stack(list(embed.many(photos)))
        for change, (function, doses) in CHANGES.items():
            for dose, value in enumerate(doses):
                values[f"{name}/{change} {dose}"] = np.stack(list(embed.many(function(each, value) for each in photos)))
                print(name, change, dose, flush=True)
    np.savez(options.out, **values)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
