"""ImageDataset: the prepared images of a split, in programs of one's own."""

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader, WeightedRandomSampler

import pipeline
from pipeline import catalogue
from pipeline.data import ImageDataset
from pipeline.errors import DataError, FinalEvaluationError, MissingInputError, ParamsError
from pipeline.manifest import BALANCED, SPLIT
from tests.examples import REPOSITORY, with_columns
from tests.running import run, run_stages, write_params
from tests.stored import CLASSES, IMAGES, SIZE, stored, with_copies


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose train and dev are prepared, with two variants of each row, made online."""
    folder = tmp_path / "shop"
    rows = stored(folder / catalogue.ORIGINALS.path / "web/shards", IMAGES)
    rows = rows.assign(split=["train"] * 12 + ["dev"] * 5 + ["train_dev"] * 3, group=[f"g{n // 2}" for n in range(20)])
    train = with_copies(rows[rows["split"] == "train"], 2).assign(weight=np.linspace(0.5, 1.5, 36, dtype=np.float32))
    write(folder, rows, train)
    write_params(folder, **{"augment.mode": "online"})
    return folder


def write(folder: Path, rows: pd.DataFrame, train: pd.DataFrame) -> None:
    for artifact, frame, schema in ((catalogue.SPLIT, rows, SPLIT), (catalogue.AUGMENTED, train, BALANCED)):
        (folder / artifact.path).parent.mkdir(exist_ok=True)
        (folder / artifact.path).unlink(missing_ok=True)  # somebody may have it mapped
        artifact.write(with_columns(frame, schema), folder / artifact.path)


def test_an_item_is_a_tensor_and_a_class_number(project: Path) -> None:
    dev = ImageDataset("dev", project)
    picture, label = dev[1]
    assert (len(dev), dev.classes, dev.size) == (5, CLASSES, SIZE)
    assert (picture.dtype, picture.shape, type(label)) == (torch.uint8, (3, SIZE, SIZE), int)
    np.testing.assert_array_equal(picture.permute(1, 2, 0).numpy(), IMAGES[13])
    assert label == 13 % 3 == dev.labels[1]
    torch.testing.assert_close(dev[-5][0], dev[0][0])
    assert [label for _, label in dev] == dev.labels.tolist()  # type: ignore[attr-defined]
    with pytest.raises(IndexError):
        dev[5]


def test_rows_have_ids_weights_groups_and_roles(project: Path) -> None:
    train = ImageDataset(folder=project)
    assert train.ids[:4] == ["web/0000.png"] * 3 + ["web/0001.png"]
    assert train.groups[:7] == ["g0"] * 6 + ["g1"]
    assert (set(train.roles), set(train.sources)) == ({"x"}, {"x"})
    assert train.copies.tolist() == [0, 1, 2] * 12
    assert (train.weights[0], train.weights[-1]) == (0.5, 1.5)
    assert ImageDataset("train_dev", project).weights.tolist() == [1, 1, 1]


def test_a_picture_may_be_pils_and_transformed(project: Path) -> None:
    picture, _ = ImageDataset("dev", project, picture="pil")[0]
    assert (picture.mode, picture.size) == ("RGB", (SIZE, SIZE))
    np.testing.assert_array_equal(np.asarray(picture), IMAGES[12])
    darker, label = ImageDataset("dev", project, transform=half)[0]
    np.testing.assert_array_equal(darker.permute(1, 2, 0).numpy(), IMAGES[12] // 2)
    assert label == 0


def half(picture: torch.Tensor) -> torch.Tensor:
    return picture // 2


def test_online_variants_are_others_in_each_epoch_and_the_same_in_any_process(project: Path) -> None:
    train = ImageDataset("train", project)
    first = torch.stack([train[number][0] for number in range(6)])
    np.testing.assert_array_equal(first[0].permute(1, 2, 0).numpy(), IMAGES[0])
    assert not torch.equal(first[1], first[0])
    assert not torch.equal(first[1], first[2])
    copied = pickle.loads(pickle.dumps(train))
    torch.testing.assert_close(torch.stack([copied[number][0] for number in range(6)]), first)
    train.set_epoch(1)
    assert torch.equal(train[0][0], first[0])
    assert not torch.equal(train[1][0], first[1])


def test_a_folder_may_be_named_from_home(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(project.parent))
    assert len(ImageDataset("dev", "~/shop")) == len(pipeline.read_manifest("dev", "~/shop")) == 5


def test_variants_can_be_left_out(project: Path) -> None:
    train = ImageDataset("train", project, variants=False)
    assert train.ids == [f"web/{number:04}.png" for number in range(12)]


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_plain_loader_works_with_workers(project: Path, monkeypatch: pytest.MonkeyPatch, start: str) -> None:
    monkeypatch.chdir(project)
    train = ImageDataset("train")
    monkeypatch.chdir(project.parent)
    here = [(pictures.sum().item(), labels.tolist()) for pictures, labels in DataLoader(train, 8)]
    loader: DataLoader[Any] = DataLoader(train, 8, num_workers=2, multiprocessing_context=start)
    assert [(pictures.sum().item(), labels.tolist()) for pictures, labels in loader] == here
    assert sum(len(labels) for _, labels in DataLoader(train, 8, shuffle=True)) == 36
    sampler = WeightedRandomSampler(train.weights.tolist(), 50)
    assert sum(len(labels) for _, labels in DataLoader(train, 8, sampler=sampler)) == 50


def test_materialised_variants_are_those_of_training(workspace: Path) -> None:
    run_stages("inventory", "ingest", "curate", "split", "balance", "augment")
    train = ImageDataset("train")
    assert (train.copies > 0).any()
    manifest = pipeline.read_manifest("train")
    assert train.ids == manifest["id"].tolist()
    number = int(np.flatnonzero(train.copies)[0])
    original = train.ids.index(train.ids[number])
    assert not torch.equal(train[number][0], train[original][0])


def test_the_loop_of_the_guide_runs_as_it_stands(project: Path) -> None:
    text = (REPOSITORY / "docs/data.md").read_text(encoding="utf-8")
    (project / "loop.py").write_text(text.split("```python\n")[1].split("```")[0], encoding="utf-8")
    said = run(project, sys.executable, "loop.py", PYTHONPATH=str(REPOSITORY))
    assert [line.split(":")[0] for line in said.splitlines()] == [f"epoch {number}" for number in range(5)]


def test_test_stays_closed(project: Path) -> None:
    with pytest.raises(FinalEvaluationError, match=r"final/dvc.yaml.*pipeline export DIR --test"):
        ImageDataset("test", project)
    with pytest.raises(FinalEvaluationError):
        pipeline.read_manifest("test", project)


def test_what_is_missing_or_wrong_names_the_next_step(project: Path) -> None:
    with pytest.raises(ParamsError, match="there is no split val: name one of train, train_dev, dev"):
        ImageDataset("val", project)
    with pytest.raises(ParamsError, match="it may be 'tensor' or 'pil'"):
        ImageDataset("dev", project, picture="numpy")  # type: ignore[arg-type]
    with pytest.raises(MissingInputError, match="is missing: run `dvc repro split`"):
        ImageDataset("dev", project.parent)
    (project / "params.yaml").unlink()
    ImageDataset("dev", project)
    with pytest.raises(MissingInputError, match=r"params\.yaml is missing: it says how variants are made"):
        ImageDataset("train", project)


def test_train_of_another_run_is_refused(project: Path) -> None:
    rows, train = (one.read(project / one.path) for one in (catalogue.SPLIT, catalogue.AUGMENTED))
    write(project, rows.assign(split=["dev", *rows["split"][1:]]), train)
    with pytest.raises(DataError, match=r"1 of its images are not in train there \(web/0000.png\): run `dvc repro aug"):
        ImageDataset("dev", project)


def test_a_split_without_images_is_an_error(project: Path) -> None:
    rows, train = (one.read(project / one.path) for one in (catalogue.SPLIT, catalogue.AUGMENTED))
    write(project, rows[rows["split"] != "train_dev"], train)
    with pytest.raises(DataError, match="train_dev has no images"):
        ImageDataset("train_dev", project)


def test_the_public_names_are_loaded_on_demand() -> None:
    code = "import sys, pipeline, pipeline.data; assert 'torch' not in sys.modules; print(pipeline.load_model.__name__)"
    ended = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert ended.stdout == "read_model\n"
    assert {name for name in pipeline.__all__ if callable(getattr(pipeline, name))} == set(pipeline.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        pipeline.nonsense  # noqa: B018
