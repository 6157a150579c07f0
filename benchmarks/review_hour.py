"""What an hour of `pipeline review labels` brings where a tenth of the labels are wrong: decided by truth, by keyboard.

    python benchmarks/review_hour.py PHOTOS FOLDER [--rounds 1]

PHOTOS: one folder of right labels per class, such as TrashNet. 30 % of the photos become production images: darker,
blurred, and encoded anew. 10 % of the labels are replaced by another one. In FOLDER a project is made and run; a real
browser opens the review and presses a key for each image; the project runs again. Each round does so once more. Needs
the extras review and browser, and a Chromium (CHROMIUM=/path/to/it).
"""

import argparse
import hashlib
import io
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageEnhance, ImageFilter
from playwright.sync_api import sync_playwright

from pipeline import catalogue

SEED, PRODUCTION, WRONG, RESAMPLES = 7, 0.3, 0.1, 4000
PIPELINE = [sys.executable, "-m", "pipeline"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    folder = options.folder.resolve()
    truth = planted(options.photos, folder / "sources")
    project = folder / "project"
    sources = ["--raw", str(folder / "sources/web"), "--production", str(folder / "sources/phone")]
    subprocess.run([*PIPELINE, "init", str(project), *sources], check=True)
    os.chdir(project)
    before = ran(truth)
    for _ in range(options.rounds):
        reviewed(truth)
        after = ran(truth)
        print(*(compared(before, after, split) for split in ("dev", "train_dev")), sep="\n", flush=True)


def planted(photos: Path, sources: Path) -> dict[str, str]:
    """Write both sources; SHA-256 -> the right label."""
    draw = random.Random(SEED)
    classes = sorted(path.name for path in photos.iterdir() if path.is_dir())
    truth = {}
    for name in classes:
        for path in sorted((photos / name).iterdir()):
            production, data = draw.random() < PRODUCTION, path.read_bytes()
            if production:
                image = Image.open(path).convert("RGB")
                darker = ImageEnhance.Brightness(image).enhance(1 - draw.uniform(0.35, 0.7))
                encoded = io.BytesIO()
                blurred = darker.filter(ImageFilter.GaussianBlur(draw.uniform(0.5, 1.2)))
                blurred.save(encoded, "JPEG", quality=draw.randint(25, 50))
                data = encoded.getvalue()
            label = draw.choice([other for other in classes if other != name]) if draw.random() < WRONG else name
            place = sources / ("phone" if production else "web") / label / f"{draw.randrange(10**9):09d}{path.suffix}"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
            truth[hashlib.sha256(data).hexdigest()] = name
    return truth


def ran(truth: dict[str, str]) -> pd.DataFrame:
    """Run the project; the predictions on train_dev and dev, with the right labels in the column truth."""
    subprocess.run(["dvc", "repro", "--quiet"], check=True)
    images = catalogue.SPLIT.read(Path(catalogue.SPLIT.path)).astype({"split": str, "label": str})
    right = images["sha256"].map(truth)
    told = catalogue.PREDICTIONS.read(Path(catalogue.PREDICTIONS.path)).astype({"split": str, "predicted": str})
    told = told.astype({"label": str}).assign(truth=told["id"].map(dict(zip(images["id"], right, strict=True))))
    for split in ("train", "train_dev", "dev"):
        of = images["split"] == split
        print(f"{split}: {int((images['label'] != right)[of].sum())} of {int(of.sum())} labels are wrong", end="")
        said = told[told["split"] == split]
        measured, true = ((said["predicted"] == said[column]).mean() for column in ("label", "truth"))
        print(f"; accuracy {measured:.4f} by the labels, {true:.4f} by truth", flush=True)
    by_id: pd.DataFrame = told.set_index("id")
    return by_id


def compared(before: pd.DataFrame, after: pd.DataFrame, split: str) -> str:
    """The change of accuracy by truth on images of both, with a bootstrap of groups."""
    both = before.index[before["split"] == split].intersection(after.index[after["split"] == split])
    gain = sum(
        sign * (frame.loc[both, "predicted"] == frame.loc[both, "truth"]).to_numpy(float)
        for sign, frame in ((1, after), (-1, before))
    )
    _, group = np.unique(before.loc[both, "group"].to_numpy(str), return_inverse=True)
    sums, sizes = np.bincount(group, gain), np.bincount(group)
    drawn = np.random.default_rng(SEED).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), RESAMPLES)
    low, high = 100 * np.quantile((drawn @ sums) / (drawn @ sizes), [0.025, 0.975])
    return f"{split}: {100 * gain.mean():+.1f} points by truth ({low:+.1f} to {high:+.1f}), {len(both)} images"


def reviewed(truth: dict[str, str]) -> None:
    """Decide on all images that the review lists and nobody decided on."""
    command = [*PIPELINE, "review", "labels", "--who", "ann"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, sync_playwright() as playwright:
        assert server.stdout is not None
        found = re.search(r"http://\S+", server.stdout.readline())
        if found is None:
            raise SystemExit("the review did not start")
        chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(found.group())
        page.locator("#progress", has_text="decided").wait_for()
        begun, counts = time.monotonic(), pressed(page, page.request.get(found.group() + "state").json(), truth)
        print(f"{counts}, {time.monotonic() - begun:.0f} seconds by a machine", flush=True)
        browser.close()
        server.send_signal(signal.SIGINT)


def pressed(page: Any, state: dict[str, Any], truth: dict[str, str]) -> dict[str, int]:
    """How many labels were kept and changed."""
    counts, done = {"kept": 0, "changed": 0}, len(state["decided"])
    wanted: Sequence[dict[str, Any]] = [one for one in state["items"] if one["sha256"] not in state["decided"]]
    for one in wanted:
        while not page.inner_text("#place").startswith(one["id"]):
            page.keyboard.press("ArrowRight")
        right = truth[one["sha256"]]
        others = [label for label in state["labels"] if label != one["label"]]
        page.keyboard.press("k" if right == one["label"] else str(others.index(right) + 1))
        counts["kept" if right == one["label"] else "changed"] += 1
        done += 1
        page.locator("#progress", has_text=f"{done} of {len(state['items'])} decided").wait_for()
    return counts


if __name__ == "__main__":
    main()
