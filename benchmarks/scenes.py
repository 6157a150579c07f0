"""Scenes: recall and precision on pairs that were judged by eye, on generated copies, and the time of each part.

    OPENBLAS_NUM_THREADS=1 python benchmarks/scenes.py FRUIT [OTHER...]

FRUIT: a folder with web/ and phone/, each with class folders; scene_pairs.csv beside this file names pairs of it.
OTHER: folders of class folders, of which the scenes are counted.

The 300 pairs were drawn by the places in which an earlier version of the rule found them to agree, from 0 to more than
60, and from beyond the 8 nearest neighbours (scene_pairs.csv has each one's stratum and weight). They were judged
without a score: first side by side, then with one laid over the other by the best homography that was found,
good or bad. "other" means that nothing showed both to be one place; "unsure" counts for neither side.
"""

import hashlib
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from pipeline.images.local_features import agreement, local_features
from pipeline.images.perceptual import perceptual_hash, views_of
from pipeline.images.pixels import Pixels, encode
from pipeline.models.backbones import Embedder
from pipeline.stages.curate.candidates import MAX_BITS, NEAREST_HASHES, NEIGHBOURS
from pipeline.stages.curate.neighbours import nearest, nearest_hashes
from pipeline.stages.curate.scenes import NO_SCENES, find_scenes
from pipeline.stages.curate.similarity import linked
from pipeline.stages.embed.params import EfficientNetLite0Backbone
from pipeline.stages.ingest.params import JpegEncoding
from pipeline.store.shards import ShardReader
from pipeline.workers.engine import Engine

SIDE = 224
JUDGED = Path(__file__).with_name("scene_pairs.csv")
JPEG = JpegEncoding(name="jpeg", quality=90)


class Memory(ShardReader):
    """Shards in memory."""

    def __init__(self, files: list[bytes]) -> None:
        super().__init__()
        self.files = files

    def __reduce__(self) -> tuple[Any, ...]:
        return Memory, (self.files,)

    def image(self, shard: str, row: int) -> bytes:
        return self.files[row]


def pictures(folder: Path) -> tuple[list[str], list[Pixels]]:
    """Names and centre crops of all different files."""
    names, found, seen = [], list[Pixels](), set()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
        if picture is None or hashlib.sha256(data).digest() in seen:
            continue
        seen.add(hashlib.sha256(data).digest())
        height, width = picture.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        crop = picture[top : top + side, left : left + side]
        names.append(path.relative_to(folder).as_posix())
        found.append(np.asarray(cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8))
    return names, found


def vectors_of(shown: list[Pixels]) -> Any:
    embed = Embedder(EfficientNetLite0Backbone(name="efficientnet_lite0", side=160))
    return np.stack([*embed.many(shown)])


def hashes_of(shown: list[Pixels]) -> Any:
    return perceptual_hash(views_of(shown))[:, 0].astype(np.uint64)


def families(folder: Path) -> tuple[list[str], Any, Any, pd.DataFrame]:
    """Names, pictures, the family of each, and the confirmed pairs; what each part took is printed."""
    names, shown = pictures(folder)
    begun = time.perf_counter()
    vectors = vectors_of(shown)
    embedded = time.perf_counter()
    table = pd.DataFrame({"id": names, "sha256": names, "source": "", "shard": "x", "row": range(len(names))})
    table = table.assign(captured_at=pd.Series(pd.NaT, index=table.index), width=SIDE, height=SIDE)
    hashes = hashes_of(shown)
    found = find_scenes(
        table, vectors, hashes, NO_SCENES, Memory([encode(each, JPEG) for each in shown]), "crop", Engine(2)
    )
    ended = time.perf_counter()
    numbers = pd.Index(names)
    ends = [numbers.get_indexer(pd.Index(found.pairs[name])) for name in ("one", "other")]
    family = linked(np.arange(len(names)), *ends)
    sizes = np.bincount(family)
    print(
        f"{folder.name}: {len(names):,} photos, {found.compared:,} pairs compared, {len(found.pairs):,} confirmed; "
        f"{(sizes > 1).sum()} scenes of {sizes[sizes > 1].sum()} photos, up to {sizes.max()}; crowds: {found.crowds}; "
        f"embedding {embedded - begun:.0f} s on one core, scenes {ended - embedded:.0f} s on two"
    )
    return names, shown, family, found.pairs


def judged(names: list[str], family: Any, pairs: pd.DataFrame) -> None:
    """Recall and precision on the judged pairs, weighted, with 95 % intervals by resampling within strata."""
    table = pd.read_csv(JUDGED)
    numbers = pd.Index(names)
    ends = [numbers.get_indexer(pd.Index(table[name])) for name in ("one", "other")]
    confirmed = {*zip(pairs["one"], pairs["other"], strict=True)}
    rules = {
        "confirmed as a pair": np.array(
            [tuple(sorted(pair)) in confirmed for pair in zip(table["one"], table["other"], strict=True)]
        ),
        "in one group": family[ends[0]] == family[ends[1]],
    }
    draw = np.random.default_rng(1)
    for name, found in rules.items():
        rows = table.assign(found=found)
        resampled = [
            rates(
                pd.concat(
                    [part.sample(len(part), replace=True, random_state=draw) for _, part in rows.groupby("stratum")]
                )
            )
            for _ in range(500)
        ]
        low, high = np.percentile(resampled, [2.5, 97.5], axis=0)
        recall, precision = rates(rows)
        counts = ", ".join(f"{count} {word}" for word, count in rows["judged"].value_counts().items())
        print(
            f"  {name}: recall {recall:.3f} [{low[0]:.3f}, {high[0]:.3f}], precision {precision:.4f} "
            f"[{low[1]:.4f}, {high[1]:.4f}]; {counts}"
        )


def rates(rows: pd.DataFrame) -> tuple[float, float]:
    weight, found = rows["weight"].to_numpy(), rows["found"].to_numpy(bool)
    same, other = (rows["judged"] == "same").to_numpy(), (rows["judged"] == "other").to_numpy()
    right = weight[same & found].sum()
    return right / max(weight[same].sum(), 1e-9), right / max(weight[(same | other) & found].sum(), 1e-9)


def across(names: list[str], family: Any) -> None:
    """Groups that hold photos of both sources or of two classes, and those of the web alone."""
    table = pd.DataFrame(
        {"family": family, "source": [n.split("/")[0] for n in names], "label": [n.split("/")[1] for n in names]}
    )
    counts = table.groupby("family").agg(
        photos=("label", "size"), sources=("source", "nunique"), labels=("label", "nunique")
    )
    groups = counts[counts["photos"] > 1]
    web = table[table["source"] == "web"].groupby("family").size()
    print(
        f"  {(groups['sources'] > 1).sum()} groups across sources, {(groups['labels'] > 1).sum()} across classes; "
        f"of the web: {(web > 1).sum()} groups of {web[web > 1].sum()} photos"
    )


def changes(pixels: Pixels, draw: np.random.Generator) -> dict[str, Pixels]:
    """Copies as they come about."""

    def warped(corners: Any) -> Pixels:
        before = np.array([[0, 0], [SIDE, 0], [SIDE, SIDE], [0, SIDE]], np.float32)
        matrix = cv2.getPerspectiveTransform(before, np.asarray(corners, np.float32))
        return np.asarray(cv2.warpPerspective(pixels, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT_101))

    def cropped(share: float) -> Pixels:
        inside = pixels[int(SIDE * share) :, int(SIDE * share) :]
        return np.asarray(cv2.resize(inside, (SIDE, SIDE)))

    turn = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), 10, 1.0)
    hue = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    hue[..., 0] = (hue[..., 0].astype(int) + 25) % 180
    logo = pixels.copy()
    logo[10:60, 150:215] = 255
    corners = np.array([[0, 0], [SIDE, 0], [SIDE, SIDE], [0, SIDE]]) + draw.uniform(-0.18, 0.18, (4, 2)) * SIDE
    return {
        "mirrored": np.ascontiguousarray(pixels[:, ::-1]),
        "cropped by 10 %": cropped(0.1),
        "cropped by 20 %": cropped(0.2),
        "turned by 10 degrees": np.asarray(
            cv2.warpAffine(pixels, turn, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT_101)
        ),
        "a word across": np.asarray(cv2.putText(pixels.copy(), "SAMPLE", (6, 130), 0, 1.7, (255, 255, 255), 6)),
        "a logo": np.asarray(cv2.putText(logo, "LOGO", (152, 44), 0, 0.7, (200, 0, 0), 2)),
        "hue shifted": np.asarray(cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)),
        "a step aside": warped(corners),
    }


def generated(shown: list[Pixels], count: int = 250) -> None:
    """Of generated copies: how many are among the nearest, are confirmed, and both."""
    draw = np.random.default_rng(3)
    chosen = draw.choice(len(shown), count, replace=False).tolist()
    base = vectors_of(shown)
    copies = [changes(shown[number], draw) for number in chosen]
    for name in copies[0]:
        made = [each[name] for each in copies]
        numbers, _ = nearest(np.concatenate([base, vectors_of(made)]), NEIGHBOURS, Engine(1))
        by_hash, _ = nearest_hashes(hashes_of([*shown, *made]), NEAREST_HASHES, MAX_BITS)
        numbers = np.concatenate([numbers, by_hash], axis=1)
        near = np.array(
            [
                number in numbers[len(base) + place] or len(base) + place in numbers[number]
                for place, number in enumerate(chosen)
            ]
        )
        agreed = np.array(
            [
                agreement(local_features(shown[number]), local_features(copy)).confirmed
                for number, copy in zip(chosen, made, strict=True)
            ]
        )
        print(f"  {name:22} near {near.mean():.2f}, confirmed {agreed.mean():.2f}, found {(near & agreed).mean():.2f}")


def main(fruit: str, *others: str) -> None:
    names, shown, family, pairs = families(Path(fruit))
    judged(names, family, pairs)
    across(names, family)
    generated(shown)
    for other in others:
        families(Path(other))


if __name__ == "__main__":
    main(*sys.argv[1:])
