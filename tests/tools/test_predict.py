"""predict: the probabilities of evaluation from the model's file alone, and a reason for each file that has none."""

import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from pipeline import cli
from pipeline.data.predictions import predict_rows, prediction_table
from pipeline.errors import MissingInputError
from pipeline.models.building import build_model
from pipeline.models.files import TrainedModel, save_model
from pipeline.models.network import Network
from pipeline.problem.framing import Ranked
from pipeline.stages.ingest.stage import ingest
from pipeline.store.shards import ShardReader, ShardStore
from pipeline.tools.image_files import find_files
from pipeline.tools.predict import answers
from pipeline.workers.engine import Engine
from tests.examples import encoded, params, picture, write_source
from tests.running import Ended

CLASSES = ("apple", "fig", "pear")
Command = Callable[..., Ended]


def trained(**changes: Any) -> TrainedModel:
    """A model of random weights, for pictures of 16 pixels."""
    chosen = params(**{"ingest.size": 16, "train.model.width": 4, **changes})
    assert isinstance(chosen.train.model, Network)
    network = build_model(chosen.train.model, 3, 16, np.full(3, 0.4), np.full(3, 0.1), seed=3)
    return TrainedModel(network.eval(), CLASSES, chosen.ingest, chosen.train.model)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model's file and nothing of a project, as the current one."""
    monkeypatch.chdir(tmp_path)
    Path("model.safetensors").write_bytes(save_model(trained()))
    return tmp_path


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    def run(*arguments: str, lines: str = "") -> Ended:
        monkeypatch.setattr(sys, "argv", ["pipeline", "predict", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return Ended(ended.value.code if isinstance(ended.value.code, int) else 0, captured.out, captured.err)

    return run


def write_image(path: str, seed: int = 1, side: int = 40) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(encoded(picture(seed, side, side)))
    return path


def test_of_an_order_the_median_class_comes_first_as_in_evaluation() -> None:
    classes, framing = ("a", "b", "c"), Ranked(name="ranked", output="softmax")
    model = TrainedModel(_Always().eval(), classes, params(**{"ingest.size": 16}).ingest, None, framing)
    [answer] = answers(model, find_files([write_image("one.png")], []), 3, Engine(1))
    assert [name for name, _ in answer.likeliest] == ["b", "a", "c"]
    assert answer.as_json()["probability"] == pytest.approx(0.25)
    frame = pd.DataFrame({"id": ["x"], "group": ["x"], "split": ["dev"], "label": ["a"]})
    row = prediction_table(frame, classes, np.array([[0.4, 0.25, 0.35]], np.float32), framing).iloc[0]
    assert (row["predicted"], row["confidence"]) == ("b", np.float32(0.25))


class _Always(nn.Module):
    """The same logits for each picture."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.tensor([0.4, 0.25, 0.35]).log().expand(len(pixels), 3)


@pytest.mark.parametrize(
    "ingested",
    [{}, {"ingest.fit": "crop"}, {"ingest.encoding": {"name": "jpeg", "quality": 50}}],
    ids=["pad", "crop", "jpeg"],
)
def test_an_image_gets_the_probabilities_of_evaluation(folder: Path, ingested: dict[str, Any]) -> None:
    model = trained(**ingested)
    write_source(folder / "source", {"apple": 4, "fig": 3, "pear": 2}, seed=1)
    source = params(**{"sources": {"s": {"role": "production", "path": "source"}}}).sources["s"]
    store = ShardStore(folder / "shards")
    rows = ingest("s", source, model.ingest, store, Engine(1)).manifest.to_pandas().assign(group="g", split="dev")
    expected = predict_rows(model, rows, ShardReader(folder / "shards"), 1, Engine(1), "test")
    found = list(answers(model, find_files(["source"], []), 3, Engine(1)))
    assert [answer.path for answer in found] == [f"source/{path}" for path in rows["path"]]
    for answer, (_, row) in zip(found, expected.iterrows(), strict=True):
        for name, probability in answer.likeliest:
            assert probability == pytest.approx(row[f"probability_{name}"], rel=1e-4)
        assert answer.likeliest[0][0] == row["predicted"]


def test_a_table_names_the_likeliest_classes_in_order(command: Command) -> None:
    ended = command("model.safetensors", write_image("photo.png"), "--top", "2")
    path, first, one, second, two = ended.out.split()
    assert (ended.code, ended.err, path) == (0, "", "photo.png")
    assert {first, second} < set(CLASSES)
    assert float(one) >= float(two)


def test_json_lines_have_all_there_is(command: Command) -> None:
    Path("broken.jpg").write_text("no image")
    ended = command("model.safetensors", write_image("süß/photo.png"), "broken.jpg", "--json")
    good, bad = map(json.loads, ended.out.splitlines())
    assert good["path"] == "süß/photo.png"
    assert good["class"] == good["top"][0]["class"]
    assert sum(each["probability"] for each in good["top"]) == pytest.approx(1, abs=1e-4)
    assert bad == {"path": "broken.jpg", "refused": "not_an_image", "detail": bad["detail"]}
    assert ended.code == 5


def test_every_refused_file_has_a_line_and_the_others_go_on(command: Command, folder: Path) -> None:
    names = [write_image(f"images/{number}.png", number) for number in range(3)]
    Path("images/empty.png").touch()
    Path("images/cut.png").write_bytes(Path(names[0]).read_bytes()[:200])
    Path("images/text.png").write_text("no image")
    os.mkfifo("images/pipe.png")
    Path("images/away.png").symlink_to("/etc/hostname")
    Path(os.fsdecode(b"images/\xff.png")).write_bytes(b"x")
    os.mkfifo("named.png")
    ended = command("model.safetensors", "images", "gone.png", "named.png", "none*.png")
    lines = {line.split()[0]: line for line in ended.out.splitlines()}
    reasons = {
        "images/empty.png": "empty",
        "images/cut.png": "truncated",
        "images/text.png": "not_an_image",
        "images/pipe.png": "not_a_regular_file",
        "images/away.png": "link_leaves_source",
        "images/\\udcff.png": "name_not_utf8",
        "gone.png": "missing",
        "named.png": "not_a_regular_file",
        "none*.png": "missing",
    }
    assert [name for name, reason in reasons.items() if f"refused: {reason}" not in lines[name]] == []
    assert [name for name in names if "refused" in lines[name]] == []
    assert len(lines) == len(reasons) + len(names)
    assert ended.code == 5
    assert ended.err == "error: 9 of 12 files could not be used: their lines say why\n"


def test_files_are_found_by_folder_pattern_and_list() -> None:
    for name in ("b/2.png", "a/1.png", "a/deep/3.png", "4.png"):
        write_image(name)

    def found(*targets: str, lines: str = "") -> list[str]:
        return [path for path, _ in find_files(targets, io.StringIO(lines))]

    assert found("a") == ["a/1.png", "a/deep/3.png"]
    assert found("b", "a") == ["b/2.png", "a/1.png", "a/deep/3.png"]
    assert found("**/*.png") == ["4.png", "a/1.png", "a/deep/3.png", "b/2.png"]
    assert found("4.png", "-", lines="a/1.png\n\nb\r\n") == ["4.png", "a/1.png", "b/2.png"]
    Path("odd[1].png").write_bytes(b"")
    assert found("odd[1].png") == ["odd[1].png"]


def test_workers_and_parts_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(7):
        write_image(f"images/{number}.png", number)
    Path("images/3.png").write_text("no image")
    files = find_files(["images"], [])
    whole = list(answers(trained(), files, 3, Engine(1)))
    monkeypatch.setattr("pipeline.tools.predict.PART", 3)
    monkeypatch.setattr("pipeline.tools.image_files.TASK", 1)
    parts = list(answers(trained(), files, 3, Engine(2)))
    assert [answer.path for answer in parts] == [answer.path for answer in whole]
    assert [answer.refused for answer in parts] == [answer.refused for answer in whole]
    assert [answer.as_json().get("class") for answer in parts] == [answer.as_json().get("class") for answer in whole]


@pytest.mark.parametrize(
    ("model", "code", "message"),
    [
        ("gone.safetensors", 4, "gone.safetensors is missing: name a model"),
        (".", 5, ". is not a file: name a model"),
        ("photo.png", 5, "photo.png: the model file is damaged or of another version"),
        ("pickle.pt", 5, "pickle.pt: the model file is damaged or of another version"),
        ("cut.safetensors", 5, "cut.safetensors: the model file is damaged or of another version"),
    ],
)
def test_a_model_that_is_none_is_refused(command: Command, model: str, code: int, message: str) -> None:
    write_image("photo.png")
    Path("pickle.pt").write_bytes(b"\x80\x04cos\nsystem\n(S'touch hacked'\ntR.")
    Path("cut.safetensors").write_bytes(Path("model.safetensors").read_bytes()[:-9])
    ended = command(model, "photo.png")
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith(f"error: {message}")
    assert not Path("hacked").exists()


def test_nothing_to_look_at_is_an_error(command: Command) -> None:
    Path("empty").mkdir()
    assert command("model.safetensors", "empty").err == (
        "error: no files in empty: name images, or folders that contain some\n"
    )
    with pytest.raises(MissingInputError, match="no files in -"):
        find_files(["-"], [])
