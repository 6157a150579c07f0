"""balance: only rows of train, with copies and weights, and the counts before and after."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from pipeline import catalogue
from pipeline.errors import DataError, ParamsError
from pipeline.images.pixels import encode
from pipeline.manifest import BALANCED, SPLIT, check_manifest, counts_per_label
from pipeline.stages.augment.copies import PerImage, plan_copies
from pipeline.stages.balance.stage import balance
from pipeline.stages.ingest.params import PngEncoding
from pipeline.store.manifests import arrow_table
from pipeline.store.row_parts import RowParts
from pipeline.store.shard_plan import Row
from pipeline.store.shards import ShardReader, ShardStore
from pipeline.workers.engine import Engine
from tests.examples import curated, params, striped, with_columns
from tests.stages.balance.choosing import CLEANERS, OTHERS, each_strategy

RAW, PRODUCTION = {"cat": 6, "dog": 2, "emu": 3}, {"cat": 1, "dog": 1, "emu": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shards")


@pytest.fixture(scope="module")
def manifest(folder: Path) -> pd.DataFrame:
    """Pictures in shards: so many of each label and role in train, and two more in train_dev and in dev."""
    frame = curated(*({label: count + 4 for label, count in counts.items()} for counts in (RAW, PRODUCTION)))
    place = frame.groupby(["label", "role"]).cumcount()
    frame["split"] = place.map({0: "dev", 1: "dev", 2: "train_dev", 3: "train_dev"}).fillna("train")
    numbers = {label: number for number, label in enumerate(RAW)}
    rows = [
        Row(image, image, encode(striped(numbers[label], seed), PngEncoding(name="png")))
        for seed, (image, label) in enumerate(zip(frame["id"], frame["label"], strict=True))
    ]
    store = ShardStore(folder)
    schema = pa.schema([("image", pa.binary())])
    places = store.build(rows, lambda data: {"image": data}, schema, Engine(1), "test").table()
    return with_columns(frame.assign(shard=places["shard"].to_pandas(), row=places["row"].to_pandas()), SPLIT)


def balanced(
    manifest: pd.DataFrame,
    folder: Path,
    strategy: str,
    workers: int = 1,
    production_weight: float = 1.0,
    **others: Any,
) -> Any:
    """The outputs, their manifest as a data frame."""
    chosen = {"name": strategy, **OTHERS[strategy], **others}
    section = params(**{"balance.strategy": chosen, "balance.production_weight": production_weight})
    outputs = balance(rows_of(manifest), ShardReader(folder), section.balance, section.problem, Engine(workers))
    return replace(outputs, manifest=outputs.manifest.part(0, len(outputs.manifest.rows)).to_pandas())


def rows_of(manifest: pd.DataFrame) -> RowParts:
    return RowParts.of(table_of(manifest))


def table_of(manifest: pd.DataFrame) -> pa.Table:
    return arrow_table(manifest, pa.schema([field for field in SPLIT if field.name in manifest.columns]))


@each_strategy
def test_rows_are_rows_of_train_with_copy_and_weight(manifest: pd.DataFrame, folder: Path, strategy: str) -> None:
    rows = balanced(manifest, folder, strategy, production_weight=2.0).manifest
    check_manifest(rows, BALANCED, unique=("id", "copy"))
    train = table_of(manifest).to_pandas().query("split == 'train'").set_index("id")
    pd.testing.assert_frame_equal(rows.set_index("id").drop(columns=["copy", "weight"]), train.loc[rows["id"]])
    for _, copies in rows.groupby("id")["copy"]:
        assert copies.tolist() == list(range(len(copies)))


@each_strategy
def test_the_file_is_the_same_in_any_order_of_rows(
    manifest: pd.DataFrame, folder: Path, tmp_path: Path, strategy: str
) -> None:
    shuffled = manifest.sample(frac=1, random_state=1)
    for number, rows in enumerate((manifest, shuffled)):
        section = params(**{"balance.strategy": {"name": strategy, **OTHERS[strategy]}}).balance
        outputs = balance(rows_of(rows), ShardReader(folder), section, params().problem, Engine(1))
        catalogue.BALANCED_TABLE.write(outputs.manifest, tmp_path / str(number))
    assert (tmp_path / "0").read_bytes() == (tmp_path / "1").read_bytes()
    rows = catalogue.BALANCED.read(tmp_path / "0")
    for name in ("label", "role", "split"):
        assert rows[name].cat.categories.tolist() == sorted(set(rows[name]))


@pytest.mark.parametrize("strategy", CLEANERS)
def test_the_number_of_workers_does_not_count(
    manifest: pd.DataFrame, folder: Path, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.stages.balance.stage.PICTURES", 4)
    one, two = (balanced(manifest, folder, strategy, workers).manifest for workers in (1, 2))
    pd.testing.assert_frame_equal(one, two)


def test_cleaners_compare_pictures(manifest: pd.DataFrame, folder: Path) -> None:
    """An emu that shows a cat has cats for neighbours."""
    cats = manifest[(manifest["label"] == "cat") & (manifest["split"] == "train")]
    emus = manifest[(manifest["label"] == "emu") & (manifest["split"] == "train")].index
    mistaken = manifest.copy()
    mistaken.loc[emus[0], ["shard", "row"]] = cats.iloc[0][["shard", "row"]].to_numpy()
    kept = balanced(mistaken, folder, "edited_nearest_neighbours", neighbours=2, drop_if="most").manifest
    assert set(manifest.loc[manifest["split"] == "train", "id"]) - set(kept["id"]) == {manifest.loc[emus[0], "id"]}


def test_strategies_without_pictures_read_none(manifest: pd.DataFrame, tmp_path: Path) -> None:
    for strategy in set(OTHERS) - set(CLEANERS):
        assert len(balanced(manifest, tmp_path / "nothing here", strategy).manifest)


def test_counts_and_metrics_are_given_before_and_after(manifest: pd.DataFrame, folder: Path) -> None:
    outputs = balanced(manifest, folder, "oversample")
    assert counts_per_label(outputs.manifest) == {"cat": 7, "dog": 7, "emu": 7}
    assert outputs.metrics == {
        "before": {"rows": 15, "imbalance": 7 / 3, "weighted_imbalance": 7 / 3, "production_share": 4 / 15},
        "after": {"rows": 21, "imbalance": 1.0, "weighted_imbalance": 1.0, "production_share": 6 / 21},
    }
    assert outputs.counts.to_dict("records") == [
        {"label": label, "when": when, "rows": rows, "weight": rows, "bar": f"{label}, {place} {when}"}
        for label, before in (("cat", 7), ("dog", 3), ("emu", 5))
        for place, when, rows in ((1, "before", before), (2, "after", 7))
    ]
    assert outputs.summary == (
        "15 rows -> 21, all classes weigh the same, 29% of it production"
    )  # fmt: skip


def test_weights_leave_rows_alone_and_show_in_the_metrics(manifest: pd.DataFrame, folder: Path) -> None:
    outputs = balanced(manifest, folder, "weights")
    assert outputs.manifest["id"].tolist() == sorted(manifest.loc[manifest["split"] == "train", "id"])
    after = outputs.metrics["after"]
    assert after["rows"] == 15
    assert after["imbalance"] == 7 / 3
    assert after["weighted_imbalance"] == pytest.approx(1)
    assert outputs.counts.loc[outputs.counts["when"] == "after", "weight"].tolist() == pytest.approx([5.0] * 3)


def test_weights_within_take_columns_that_say_of_what_kind_an_image_is(manifest: pd.DataFrame, folder: Path) -> None:
    assert len(balanced(manifest, folder, "weights_within", column="role").manifest) == 15
    assert len(balanced(manifest, folder, "weights_within", column="blurry").manifest) == 15
    for column in ("brightness", "id", "shop"):
        with pytest.raises(
            ParamsError, match=rf"names the column '{column}', which does not group images into kinds; you can use "
        ):
            balanced(manifest, folder, "weights_within", column=column)


@each_strategy
def test_augmented_copies_keep_the_balance_of_weights(manifest: pd.DataFrame, folder: Path, strategy: str) -> None:
    rows = balanced(manifest, folder, strategy).manifest
    planned = plan_copies(rows, PerImage(name="per_image", count=3), seed=1)
    assert planned["weight"].mean() == pytest.approx(1)
    before, after = (frame.groupby("label")["weight"].sum() / frame["weight"].sum() for frame in (rows, planned))
    assert after.to_dict() == pytest.approx(before.to_dict(), rel=1e-5)


def test_a_manifest_without_splits_is_refused(manifest: pd.DataFrame, folder: Path) -> None:
    with pytest.raises(DataError, match=r"^the manifest lacks the columns split: make it again with `dvc repro`$"):
        balanced(manifest.drop(columns="split"), folder, "none")


def test_a_file_written_in_parts_reads_as_one(
    manifest: pd.DataFrame, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = params(**{"balance.strategy": {"name": "oversample", **OTHERS["oversample"]}}).balance
    taken = balance(rows_of(manifest), ShardReader(folder), section, params().problem, Engine(1)).manifest
    catalogue.BALANCED_TABLE.write(taken, tmp_path / "whole")
    monkeypatch.setattr("pipeline.store.manifests.PART", 4)
    catalogue.BALANCED_TABLE.write(taken, tmp_path / "parts")
    assert (tmp_path / "parts").read_bytes() != (tmp_path / "whole").read_bytes()
    parts, whole = (catalogue.BALANCED.read(tmp_path / name) for name in ("parts", "whole"))
    pd.testing.assert_frame_equal(parts, whole)
    two = PerImage(name="per_image", count=2)
    pd.testing.assert_frame_equal(plan_copies(parts, two, seed=1), plan_copies(whole, two, seed=1))
    assert len(check_manifest(parts, BALANCED, unique=("id", "copy"))) == 21
