"""Does the trial of `pipeline init` choose the model that learns more? What it says of parts of folders of images.

    python benchmarks/pretrained_trial.py cifar10n=DIR:32 digits=DIR trash=DIR:48 …    a minute per folder and size

Each set is a name, a folder with one folder per class, and the sides that its images are scaled down to, if any. Parts
are runs of neighbouring names of each class, so that a part may have whole bursts, as the folder of a user has.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.project.pretrained_trial import MAX_IMAGES, Trial, pretrained_trial

ENDINGS = (".jpg", ".jpeg", ".png")


def part_of(folder: Path, side: int | None, seed: int, images: int) -> list[tuple[np.ndarray, str]]:
    """Pictures and labels, in the order of their names."""
    generator = np.random.default_rng(seed)
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    pictures = []
    for path in classes:
        names = sorted(name for name in path.rglob("*") if name.suffix.lower() in ENDINGS)
        count = min(len(names), images // len(classes))
        first = int(generator.integers(0, len(names) - count + 1))
        for name in names[first : first + count]:
            with Image.open(name) as image:
                whole = image.convert("RGB")
            if side is not None:
                whole = whole.resize((side, side), Image.Resampling.BOX)
            pictures.append((np.asarray(whole), path.name))
    return pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", metavar="NAME=DIR[:SIDE]")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--images", type=int, default=MAX_IMAGES, help="of a part")
    asked = parser.parse_args()
    print("| images | parts | features | pixels | features clearly better | clearly worse |\n|---|---|---|---|---|---|")
    for each in asked.sets:
        name, _, place = each.partition("=")
        place, _, side = place.partition(":")
        parts = [part_of(Path(place), int(side) if side else None, seed, asked.images) for seed in range(asked.seeds)]
        found = [trial for trial in (pretrained_trial([part]) for part in parts) if isinstance(trial, Trial)]
        features, pixels = (np.mean([getattr(one, what) for one in found]) for what in ("features", "pixels"))
        better, worse = (sum(getattr(one, what) for one in found) for what in ("gains", "loses"))
        size = f", {side} pixels" if side else ""
        print(f"| {name}{size} | {len(found)} | {features:.2f} | {pixels:.2f} | {better} | {worse} |", flush=True)


if __name__ == "__main__":
    main()
