"""augment: variants of train's images, each a function of its image and number alone."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline import catalogue
from pipeline.core.imaging import decode
from pipeline.core.manifest import BALANCED, check_manifest
from pipeline.engine import Engine
from pipeline.errors import DataError, ParamsError
from pipeline.runner import run_stage
from pipeline.shards import ShardReader, ShardStore
from pipeline.stages.augment import augment
from pipeline.stages.ingest import ingest
from tests.examples import params, with_columns, write_source

RUNS = count()
TURN = {"name": "Rotate", "limit": [-40, 40], "p": 1.0}
NOISE = {"name": "GaussNoise", "p": 1.0}


@dataclass(frozen=True)
class Originals:
    """Ingested images, as rows of train."""

    rows: pd.DataFrame
    folder: Path


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Originals:
    base = tmp_path_factory.mktemp("augment")
    write_source(base / "web", {"cat": 3, "dog": 2, "emu": 1})
    chosen = params(**{"sources.web.path": str(base / "web"), "ingest.size": 16})
    store = ShardStore(base / "ingest")
    rows = ingest("web", chosen.sources["web"], chosen.ingest, store, Engine(1)).manifest
    return Originals(with_columns(rows.assign(group=rows["id"], split="train", copy=0), BALANCED), base / "ingest")


@dataclass(frozen=True)
class Run:
    """What one run of augment gave, and all images that its rows can point at."""

    manifest: pd.DataFrame
    folder: Path
    reader: ShardReader

    def images(self) -> dict[tuple[str, int], bytes]:
        rows = self.manifest[["id", "copy", "shard", "row"]].itertuples(index=False)
        return {(image, copy): self.reader.image(shard, row) for image, copy, shard, row in rows}

    def content(self) -> dict[str, bytes]:
        """The bytes of the shards, and of the manifest as the runner writes it."""
        catalogue.AUGMENTED.write(self.manifest, self.folder / "manifest")
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}


def run(
    originals: Originals,
    *,
    rows: pd.DataFrame | None = None,
    copies: int = 1,
    transforms: Sequence[dict[str, Any]] = (TURN, NOISE),
    workers: int = 1,
    seed: int = 1,
    folder: Path | None = None,
) -> Run:
    folder = folder or originals.folder.with_name(f"run-{next(RUNS)}")
    chosen = params(**{"augment.seed": seed, "augment.copies.count": copies, "augment.transforms": list(transforms)})
    reader, store = ShardReader(originals.folder), ShardStore(folder)
    rows = originals.rows if rows is None else rows
    outputs = augment(rows, reader, chosen.augment, chosen.ingest.encoding, store, Engine(workers))
    store.drop_stale()
    return Run(outputs.manifest, folder, ShardReader(originals.folder, folder))


def test_each_image_gets_its_copies_and_keeps_its_own_pixels(originals: Originals) -> None:
    done = run(originals, copies=2)
    rows = check_manifest(done.manifest, BALANCED, unique=("id", "copy"))
    assert rows["copy"].tolist() == [0, 1, 2] * 6
    assert rows["id"].tolist() == originals.rows["id"].repeat(3).tolist()
    pd.testing.assert_frame_equal(rows[rows["copy"] == 0].reset_index(drop=True), originals.rows, check_dtype=False)
    copied = rows[rows["copy"] > 0].drop(columns=["copy", "pixels", "shard", "row"]).drop_duplicates()
    pd.testing.assert_frame_equal(copied.reset_index(drop=True), originals.rows[copied.columns], check_dtype=False)
    images = done.images()
    assert {decode(image).shape for image in images.values()} == {(16, 16, 3)}
    assert len(set(images.values())) == 18
    assert rows["pixels"].nunique() == 18


def test_images_that_are_not_among_the_rows_get_no_copies(originals: Originals) -> None:
    train = originals.rows.iloc[[0, 3]]
    assert set(run(originals, rows=train).manifest["id"]) == set(train["id"])


@pytest.mark.parametrize("transforms", [(), (TURN,)])
def test_no_copies_leave_the_manifest_as_it_is(transforms: Sequence[dict[str, Any]], originals: Originals) -> None:
    done = run(originals, copies=0, transforms=transforms)
    pd.testing.assert_frame_equal(done.manifest, originals.rows, check_dtype=False)


def oversampled(originals: Originals) -> pd.DataFrame:
    """The rows, the only emu three times, as balance numbers them."""
    emu = originals.rows[originals.rows["label"] == "emu"]
    return pd.concat([originals.rows, emu.assign(copy=1), emu.assign(copy=2)], ignore_index=True)


def test_rows_that_balancing_repeated_become_pictures_of_their_own(originals: Originals) -> None:
    done = run(originals, rows=oversampled(originals), copies=0)
    emu = {copy: image for (name, copy), image in done.images().items() if "/emu/" in name}
    assert sorted(emu) == [0, 1, 2]
    assert len(set(emu.values())) == 3
    twice = run(originals, rows=oversampled(originals), copies=1).images()
    assert len(set(twice.values())) == len(twice) == 2 * 8


def test_the_index_of_the_rows_does_not_count(originals: Originals) -> None:
    rows = oversampled(originals)
    as_balance_returns_them = rows.set_axis([0, 1, 2, 3, 4, 5, 5, 5])
    pd.testing.assert_frame_equal(
        run(originals, rows=as_balance_returns_them).manifest, run(originals, rows=rows).manifest
    )


def test_without_transforms_repeated_rows_show_the_original(originals: Originals) -> None:
    done = run(originals, rows=oversampled(originals), copies=0, transforms=())
    emu = [image for (name, _), image in done.images().items() if "/emu/" in name]
    assert len(emu) == 3
    assert len(set(emu)) == 1


def test_more_copies_keep_the_earlier_pictures(originals: Originals) -> None:
    few, many = run(originals, copies=1), run(originals, copies=3)
    assert few.images().items() < many.images().items()
    assert set(few.manifest["pixels"]) < set(many.manifest["pixels"])
    warm = run(originals, copies=3, folder=few.folder)
    assert warm.content() == many.content()


def test_a_picture_does_not_depend_on_what_other_rows_there_are(originals: Originals) -> None:
    alone = run(originals, rows=originals.rows.iloc[[4]])
    assert alone.images().items() < run(originals).images().items()


def test_any_number_of_workers_and_any_order_of_rows_give_the_same_bytes(originals: Originals) -> None:
    # More rows than one shard holds, so that there is work for two processes.
    rows = pd.concat([originals.rows.assign(copy=copy) for copy in range(40)], ignore_index=True)
    one = run(originals, rows=rows, transforms=[TURN])
    assert len(list(one.folder.glob("*.arrow"))) > 1
    shuffled = rows.sample(frac=1, random_state=1)
    assert run(originals, rows=shuffled, transforms=[TURN], workers=2).content() == one.content()


@pytest.mark.parametrize("change", [{"seed": 2}, {"transforms": [TURN]}, {"transforms": [NOISE, TURN]}])
def test_another_seed_or_other_transforms_give_other_pictures(change: dict[str, Any], originals: Originals) -> None:
    plain, other = run(originals).images(), run(originals, **change).images()
    assert {key for key in plain if plain[key] == other[key]} == {key for key in plain if key[1] == 0}


@pytest.mark.parametrize(
    ("transforms", "message"),
    [
        (
            [{"name": "Rotat"}, {"name": "Blur", "blur": 3}],
            r"(?s)transforms\.0\.name: .* mean Rotate\?.*transforms\.1\.blur: Blur has no",
        ),
        (
            [{"name": "CenterCrop", "height": 8, "width": 8}],
            r"^augment\.transforms turn \(16, 16, 3\) .* into \(8, 8, 3\)",
        ),
    ],
)
def test_transforms_that_cannot_be_used_are_said_in_words(
    transforms: Sequence[dict[str, Any]], message: str, originals: Originals
) -> None:
    with pytest.raises(ParamsError, match=message):
        run(originals, transforms=transforms)


def test_a_misspelt_transform_is_said_even_where_no_copy_is_made(originals: Originals) -> None:
    with pytest.raises(
        ParamsError, match=r"augment\.transforms\.0\.name: albumentations has no transform 'Rotat', did you mean"
    ):
        run(originals, copies=0, transforms=[{"name": "Rotat"}])


def test_a_row_that_stands_twice_is_refused(originals: Originals) -> None:
    rows = pd.concat([originals.rows, originals.rows.head(1)])
    with pytest.raises(DataError, match=r"^the manifest is not usable: 1 rows stand twice: web/cat/000\.png$"):
        run(originals, rows=rows)


@pytest.mark.parametrize(("copies", "transforms"), [(0, []), (0, [TURN]), (1, [TURN])])
def test_the_stage_leaves_a_folder_of_shards_whatever_params_say(
    copies: int, transforms: list[dict[str, Any]], originals: Originals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("data/balance", "data/ingest"):
        Path(folder).mkdir(parents=True)
    catalogue.BALANCED.write(originals.rows, Path(catalogue.BALANCED.path))
    shutil.copytree(originals.folder, "data/ingest/web")
    chosen = params(**{"augment.copies.count": copies, "augment.transforms": transforms})
    summary = run_stage("augment", chosen, Engine(1))
    assert summary.startswith(f"augment: 6 originals and {6 * copies} variants (")
    # DVC takes an output that is not there for a stage that failed.
    assert len(list(Path("data/augment/shards").iterdir())) == copies
