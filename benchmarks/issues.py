"""How many planted issues are marked, and how many good photos: this pipeline, and CleanVision.

    python benchmarks/issues.py FOLDER [--peers PYTHON] [--photos 200] [--size 224]

Photos of a folder, drawn by chance, are stored as they are and with each issue planted; each set is examined with the
others, as one source. Levels are those of params.yaml, but 3.5 bits for low information, as it says for photos.
"""

import argparse
import json
import random
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from pipeline.images.normalising import Picture, normalise
from pipeline.images.pixels import Pixels
from pipeline.issues import ISSUES
from pipeline.project.params_file import load_params
from pipeline.stages.curate.issues import with_issues
from pipeline.stages.curate.params import IssueParams
from pipeline.stages.ingest.params import IngestParams, JpegEncoding

# CleanVision's name of an issue; it has none for pictures of one brightness but low information.
NAMES = {
    "blurry": "blurry",
    "dark": "dark",
    "light": "light",
    "blank": "low_information",
    "low_information": "low_information",
    "odd_aspect_ratio": "odd_aspect_ratio",
    "odd_size": "odd_size",
    "grayscale": "grayscale",
}


def noise(pixels: Pixels, size: int = 3) -> Pixels:
    return np.random.default_rng(len(pixels)).integers(0, size, pixels.shape, dtype=np.uint8)


def out_of_focus(pixels: Pixels, share: float) -> Pixels:
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), share * min(pixels.shape[:2])), np.uint8)


def shaken(pixels: Pixels) -> Pixels:
    return np.asarray(cv2.blur(pixels, (max(3, pixels.shape[1] // 20), 1)), np.uint8)


def washed_out(pixels: Pixels) -> Pixels:
    return (255 - (255 - pixels) // 20).astype(np.uint8)


def plain(pixels: Pixels) -> Pixels:
    return np.full_like(pixels, pixels.mean(axis=(0, 1)).astype(np.uint8)) + noise(pixels)


def in_two_shades(pixels: Pixels) -> Pixels:
    grey = cv2.cvtColor(cv2.GaussianBlur(pixels, (0, 0), 3), cv2.COLOR_RGB2GRAY)
    return np.stack([np.where(grey > np.median(grey), 200, 50).astype(np.uint8)] * 3, axis=2)


def strip(pixels: Pixels) -> Pixels:
    return pixels[: max(1, pixels.shape[1] // 4)]


def shrunk(pixels: Pixels) -> Pixels:
    return np.asarray(cv2.resize(pixels, None, fx=1 / 8, fy=1 / 8, interpolation=cv2.INTER_AREA), np.uint8)


def grey(pixels: Pixels) -> Pixels:
    return np.stack([cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)] * 3, axis=2)


PLANTED: dict[str, tuple[str, Callable[[Pixels], Pixels]]] = {
    "out of focus, 1 % of the side": ("blurry", lambda pixels: out_of_focus(pixels, 0.01)),
    "out of focus, 2 % of the side": ("blurry", lambda pixels: out_of_focus(pixels, 0.02)),
    "shaken sideways by 5 %": ("blurry", shaken),
    "a fifth of the light": ("dark", lambda pixels: (pixels // 5).astype(np.uint8)),
    "washed out": ("light", washed_out),
    "one colour and grain": ("blank", plain),
    "two shades": ("low_information", in_two_shades),
    "a strip of 1 to 4": ("odd_aspect_ratio", strip),
    "an eighth of the side": ("odd_size", shrunk),
    "grey, stored in colour": ("grayscale", grey),
}
# Odd is what few are: of these as many as one in twenty of the photos.
FEW = {"odd_size"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peers", metavar="PYTHON")
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--size", type=int, default=224)
    options = parser.parse_args()
    photos = drawn(options.folder, options.photos)
    loaded = load_params(Path("params.yaml"))
    levels = loaded.curate.issues.model_copy(update={"low_information": 3.5})
    shape = loaded.ingest.model_copy(
        update={"size": options.size, "fit": "crop", "encoding": JpegEncoding(name="jpeg", quality=90)}
    )
    with tempfile.TemporaryDirectory() as scratch:
        good = stored(Path(scratch) / "good", photos)
        ours, theirs = examined(good, shape, levels), examined_by_cleanvision(good, options.peers)
        print(
            f"{len(photos)} photos as they are, marked by this pipeline: {words(ours)}; by CleanVision: {words(theirs)}"
        )
        for number, (name, (issue, change)) in enumerate(PLANTED.items()):
            few = photos[: max(1, len(photos) // 20)] if issue in FEW else photos
            rest = photos[len(few) :] if issue in FEW else []
            folder = stored(Path(scratch) / str(number), [change(pixels) for pixels in few], rest)
            ours, theirs = examined(folder, shape, levels), examined_by_cleanvision(folder, options.peers)
            found = theirs[NAMES[issue]] if theirs is not None else "-"
            print(
                f"{name:32} {issue:16} of {len(few):4}: {ours[issue]:4} by this pipeline, {found:>4} by CleanVision",
                flush=True,
            )


def words(counts: "Counter[str] | None") -> str:
    return ", ".join(f"{count} {name}" for name, count in (counts or {}).items() if count) or "none"


def drawn(folder: Path, count: int) -> list[Pixels]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    random.Random(0).shuffle(paths)
    photos: list[Pixels] = []
    for path in paths:
        try:
            with Image.open(path) as image:
                image.thumbnail((1200, 1200))
                photos.append(np.asarray(image.convert("RGB")))
        except OSError:
            continue
        if len(photos) == count:
            break
    return photos


def stored(folder: Path, photos: list[Pixels], rest: list[Pixels] | None = None) -> Path:
    folder.mkdir()
    for kind, some in (("planted", photos), ("rest", rest or [])):
        for number, pixels in enumerate(some):
            Image.fromarray(pixels).save(folder / f"{kind}-{number:04}.jpg", quality=92)
    return folder


def examined(folder: Path, shape: IngestParams, levels: IssueParams) -> "Counter[str]":
    rows = []
    for path in sorted(folder.iterdir()):
        made = normalise(path.read_bytes(), shape)
        assert isinstance(made, Picture)
        rows.append({"id": path.name, "source": "photos", **made.facts})
    images = with_issues(pd.DataFrame(rows), levels)
    planted = images[images["id"].str.startswith("planted")]
    return Counter({name: int(planted[name].sum()) for name in ISSUES})


def examined_by_cleanvision(folder: Path, python: str | None) -> "Counter[str] | None":
    if python is None:
        return None
    command = [python, str(Path(__file__).with_name("peers.py")), "cleanvision-issues", str(folder)]
    row = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    counts = {name: sum(file.startswith("planted") for file in files) for name, files in row["found"].items()}
    return Counter(counts)


if __name__ == "__main__":
    main()
