"""split: what it counts, what it says, and the proof; frozen splits are read from their files."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline import catalogue
from pipeline.errors import DataError, MissingInputError
from pipeline.manifest import (
    CURATED,
    DEV,
    PRODUCTION,
    RAW,
    SPLIT,
    TEST,
    UNLABELLED,
    UNLABELLED_HELD_OUT,
    check_manifest,
    may_teach,
)
from pipeline.metrics.matching import words
from pipeline.project.runner import run_stage
from pipeline.stages.split.splitting import HELD_BACK
from pipeline.stages.split.stage import SplitOutputs
from pipeline.workers.engine import Engine
from tests.examples import curated, params
from tests.splits import frame_of, split_params, stage_outputs

RAW_COUNTS, COUNTS = {"apple": 60, "fig": 60}, {"apple": 400, "fig": 20}
# Shares so small that fig needs topping up.
SMALL: dict[str, Any] = {"dev": 0.1, "test": 0.1, "least": 5}
MISMATCH = re.compile(r"(dev|test) (differs from|can be told from) (production|test) ")


def images(shift: float = 0.0) -> pd.DataFrame:
    """Images of random facts; those that the hash puts into test may be brighter by so much."""
    frame = curated(RAW_COUNTS, COUNTS)
    draw = np.random.default_rng(1)
    facts = {
        name: draw.normal(100, 10, len(frame)).astype(np.float32)
        for name in ("brightness", "contrast", "sharpness", "saturation")
    }
    frame = frame.assign(**facts, width=100, height=100)
    if shift:
        in_test = frame["id"].isin(ids_of_test(frame))
        frame["brightness"] = np.where(in_test, frame["brightness"] + shift, frame["brightness"]).astype(np.float32)
    return frame


def ids_of_test(rows: pd.DataFrame) -> list[str]:
    """Ids of test."""
    return list(frame_of(stage_outputs(rows, split_params(**SMALL)).test)["id"])


def notes(outputs: SplitOutputs) -> list[str]:
    return outputs.summary.split("\n  ")


def test_rows_are_counted_and_the_summary_says_what_happened() -> None:
    outputs = stage_outputs(images(), split_params(**SMALL, used=0.5))
    counts = {name: sum(outputs.metrics[name].values()) for name in ("train", "train_dev", "dev", "test")}
    seen, test = frame_of(outputs.manifest), frame_of(outputs.test)
    everything = pd.concat([seen, test])
    assert counts == {name: int((everything["split"] == name).sum()) for name in counts}
    assert outputs.metrics["excluded"] == len(outputs.excluded) > 0
    assert sum(counts.values()) + len(outputs.excluded) == 540
    assert set(test["split"]) == {TEST}
    assert TEST not in set(seen["split"])
    moved = outputs.metrics["topped_up"]
    assert moved > 0
    points = [100 * 1.96 * (2 * 0.95 * 0.05 / counts[name]) ** 0.5 for name in (DEV, TEST)]
    assert notes(outputs) == [
        f"{counts['train']} train, {counts['train_dev']} train_dev, {counts['dev']} dev, {counts['test']} test, "
        f"{len(outputs.excluded)} in no split",
        f"{moved} images of small classes were moved from train to dev or test to reach split.min_per_class; "
        "they may move back as these classes grow, unless split.frozen_from pins them",
        words("dev", counts["dev"], 0.95),
        words("test", counts["test"], 0.95),
    ]
    assert outputs.metrics["visible_difference"] == {
        name: pytest.approx(number / 100, rel=1e-4) for name, number in zip((DEV, TEST), points, strict=True)
    }


def test_production_images_that_are_held_back_stand_in_a_file_of_their_own() -> None:
    outputs = stage_outputs(images(), split_params(**SMALL, used=0.5))
    unused = frame_of(outputs.unused)
    assert set(unused["role"]) == {PRODUCTION}
    held_back = outputs.excluded[outputs.excluded["reason"] == HELD_BACK]
    assert unused["id"].tolist() == held_back["id"].tolist() != []
    assert set(unused["split"]) == {HELD_BACK}


def test_nothing_is_said_of_images_that_did_not_move() -> None:
    outputs = stage_outputs(images(), split_params())
    assert outputs.metrics["topped_up"] == 0
    assert len(notes(outputs)) == 3


def test_expected_accuracy_says_what_counts_as_noise() -> None:
    sure, unsure = (stage_outputs(images(), split_params(expected_accuracy=accuracy)) for accuracy in (0.99, 0.5))
    assert sure.metrics["visible_difference"][DEV] < unsure.metrics["visible_difference"][DEV]
    assert sure.metrics["matching"] == unsure.metrics["matching"]


def test_proof_is_in_table_and_metrics() -> None:
    outputs = stage_outputs(images(), split_params(**SMALL))
    assert set(outputs.metrics["matching"]) == set(outputs.matching["comparison"])
    assert all(outputs.metrics["matching"][name]["matched"] for name in ("dev_vs_production", "test_vs_production"))


def test_planted_mismatch_is_a_warning_and_changes_nothing_else() -> None:
    planted = images(shift=30)
    outputs = stage_outputs(planted, split_params(**SMALL))
    warnings = [note for note in notes(outputs) if note.startswith("warning: ")]
    assert len(warnings) > 1
    assert all(MISMATCH.match(note.removeprefix("warning: ")) for note in warnings)
    assert any(note.startswith("warning: test differs from production in brightness (Kolm") for note in warnings)
    assert notes(outputs)[-len(warnings) :] == warnings
    assert not outputs.metrics["matching"]["test_vs_production"]["matched"]
    assert frame_of(outputs.test)["id"].tolist() == ids_of_test(images())


def test_planted_mismatch_stops_the_stage_if_params_say_so() -> None:
    chosen = split_params(**SMALL, matching={"level": 0.001, "on_mismatch": "fail"})
    with pytest.raises(DataError, match=r"^dev or test do not match production:\n  ") as caught:
        stage_outputs(images(shift=30), chosen)
    lines = str(caught.value).split("\n  ")[1:]
    warned = notes(stage_outputs(images(shift=30), split_params(**SMALL)))
    assert lines == [note.removeprefix("warning: ") for note in warned if note.startswith("warning: ")]


def test_honest_split_passes_where_a_mismatch_would_stop_it() -> None:
    chosen = split_params(**SMALL, matching={"level": 0.001, "on_mismatch": "fail"})
    assert stage_outputs(images(), chosen).summary == stage_outputs(images(), split_params(**SMALL)).summary


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/curate").mkdir(parents=True)
    catalogue.CURATED.write(images().assign(meta_camera="old"), Path(catalogue.CURATED.path))
    return tmp_path


class Shown:
    """Vectors by content, as the stage embed leaves them."""

    available = True

    def __init__(self, vectors: dict[str, list[float]]) -> None:
        self.vectors = vectors

    def of(self, contents: Sequence[str]) -> "np.ndarray[Any, Any]":
        return np.array([self.vectors[content] for content in contents])


def test_splits_are_compared_by_what_images_show_where_they_have_vectors() -> None:
    rows = images()
    draw = np.random.default_rng(3)
    raw = (rows["role"] == RAW).to_numpy()
    shown = draw.random((len(rows), 12)) + raw[:, None]
    vectors = dict(zip(rows["sha256"], shown.tolist(), strict=True))
    outputs = stage_outputs(rows, split_params(**SMALL), Shown(vectors))
    matching = outputs.metrics["matching"]
    assert matching["raw_vs_production"]["embedding_auc"] > 0.95
    assert matching["dev_vs_test"]["embedding_low"] < 0.5 < matching["dev_vs_test"]["embedding_high"]
    (note,) = [line for line in notes(outputs) if line.startswith("raw and production images are told apart")]
    assert "by what an embedding shows" in note
    assert "embedding_auc" not in stage_outputs(rows, split_params(**SMALL)).metrics["matching"]["dev_vs_test"]


def run(**changes: Any) -> str:
    values: dict[str, Any] = {"split.min_per_class": 1, "split.train_dev": 0.2, **changes}
    return run_stage("split", params(**values), Engine(1))


def placed(folder: Path) -> dict[str, str]:
    files = [folder / Path(artifact.path).name for artifact in (catalogue.SPLIT, catalogue.SPLIT_TEST)]
    rows = pd.concat([catalogue.SPLIT.read(file)[["id", "split"]].astype(str) for file in files])
    return dict(zip(rows["id"], rows["split"], strict=True))


def test_frozen_split_is_read_from_its_folder(workspace: Path) -> None:
    run()
    (workspace / "data/split").rename(workspace / "frozen")
    old = placed(workspace / "frozen")
    more = curated({}, {"apple": 450, "fig": 40}).assign(meta_camera="old")
    catalogue.CURATED.write(
        pd.concat([images().assign(meta_camera="new"), more[~more["id"].isin(images()["id"])]]),
        Path(catalogue.CURATED.path),
    )
    said = run(**{"split.seed": 7, "split.frozen_from": "frozen"})
    new = placed(workspace / "data/split")
    assert {name: new[name] for name in old} == old
    assert len(new) == len(old) + 70
    assert said.startswith("split: ")


def test_columns_of_metadata_reach_both_manifests(workspace: Path) -> None:
    run()
    for artifact in (catalogue.SPLIT, catalogue.SPLIT_TEST):
        rows = check_manifest(artifact.read(workspace / artifact.path), SPLIT)
        assert set(rows["meta_camera"]) == {"old"}
        assert rows.columns.tolist() == [*SPLIT.names, "meta_camera"]


@pytest.mark.parametrize("left", [(), ("manifest.arrow",), ("test.arrow",)])
def test_folder_without_a_frozen_split_is_said(left: tuple[str, ...], workspace: Path) -> None:
    run()
    (workspace / "frozen").mkdir()
    for name in left:
        (workspace / "data/split" / name).rename(workspace / "frozen" / name)
    missing = ", ".join(name for name in ("manifest.arrow", "test.arrow") if name not in left)
    message = (
        rf"^split\.frozen_from names frozen, which has no {missing}: "
        r"copy both manifests of an earlier data/split there$"
    )
    with pytest.raises(MissingInputError, match=message):
        run(**{"split.frozen_from": "frozen"})


def test_gone_image_of_a_frozen_split_is_named_and_outputs_stay(workspace: Path) -> None:
    run()
    before = {path: path.read_bytes() for path in (workspace / "data/split").iterdir()}
    (workspace / "frozen").mkdir()
    for path, content in before.items():
        (workspace / "frozen" / path.name).write_bytes(content)
    rows = images()
    gone = rows.loc[rows["role"] == PRODUCTION, "id"].iloc[0]
    catalogue.CURATED.write(rows[rows["id"] != gone], Path(catalogue.CURATED.path))
    with pytest.raises(DataError, match=rf"no longer fits:\n  1 images are missing: {gone}\nRestore the images"):
        run(**{"split.frozen_from": "frozen"})
    assert {path: path.read_bytes() for path in before} == before


def test_manifest_of_another_stage_is_refused() -> None:
    with pytest.raises(DataError, match=r"^the manifest lacks the columns group: make it again with `dvc repro`$"):
        stage_outputs(images().drop(columns="group"), split_params())
    assert list(check_manifest(images(), CURATED).columns) == CURATED.names


def test_images_without_a_label_are_counted_and_stand_in_the_file_of_the_unused() -> None:
    rows = images()
    bare = rows[rows["role"] == PRODUCTION].iloc[::10]
    bare = bare.assign(id="phone/new/" + bare["id"], group="new " + bare["group"], label="")
    rows = pd.concat([rows, bare]).sort_values("id", ignore_index=True)
    outputs = stage_outputs(rows, split_params(**SMALL))
    assert outputs.metrics["unlabelled"] == len(bare) > 0
    assert notes(outputs)[0].endswith(f", {len(outputs.excluded)} in no split ({len(bare)} without a label)")
    assert sorted(frame_of(outputs.unused)["id"]) == sorted(bare["id"])
    assert "" not in set(frame_of(outputs.manifest)["label"])


def bare_images(rows: pd.DataFrame, groups: "pd.Series[str]") -> pd.DataFrame:
    """The images, and of each production one another one without a label, in the group that is named."""
    bare = rows[rows["role"] == PRODUCTION]
    bare = bare.assign(id="phone/new/" + bare["id"], group=groups[bare.index], label="")
    return pd.concat([rows, bare]).sort_values("id", ignore_index=True)


@pytest.mark.parametrize(
    "changes", [{}, {"production": {"dev": 60, "test": 60}}, {"folds": {"count": 3, "dev": 1}, "least": 1}], ids=str
)
def test_no_image_without_a_label_teaches_if_its_group_is_measured(changes: dict[str, Any]) -> None:
    """Whatever says where the others go: shares, counts or folds."""
    rows = images()
    outputs = stage_outputs(bare_images(rows, rows["group"]), split_params(**{**SMALL, **changes}))
    measured = pd.concat([frame_of(outputs.manifest), frame_of(outputs.test)])
    held_out = set(measured.loc[measured["split"] != "train", "group"])
    unused = frame_of(outputs.unused)
    teaching = unused[unused["split"] == UNLABELLED]
    others = unused[unused["split"] == UNLABELLED_HELD_OUT]
    assert set(teaching["group"]) & held_out == set()
    assert set(others["group"]) <= held_out
    assert min(len(teaching), len(others)) > 20
    assert len(teaching) + len(others) == (rows["role"] == PRODUCTION).sum() == outputs.metrics["unlabelled"]
    assert outputs.metrics["unlabelled_in_held_out_groups"] == len(others)
    assert f" without a label, {len(others)} of them in a group of train_dev, dev or test)" in notes(outputs)[0]
    assert may_teach(unused)["id"].tolist() == teaching["id"].tolist()
