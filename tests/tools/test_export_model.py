"""export-model: a file that agrees with the model on dev, or none."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline import catalogue
from pipeline.cli.models import ModelFormatName
from pipeline.models import export
from pipeline.models.files import save_model
from pipeline.registry import Registry
from pipeline.tools import export_model
from tests.examples import encoded, picture
from tests.running import Ended, pipeline_alone
from tests.stored import IMAGES, stored
from tests.tools.test_predict import trained

MODEL = "data/train/model.safetensors"
Command = Callable[..., Ended]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a model and dev, as the current folder."""
    monkeypatch.chdir(tmp_path)
    rows = stored(tmp_path / "data/ingest/web/shards", IMAGES)
    Path("data/split").mkdir()
    catalogue.SPLIT.write(rows, Path(catalogue.SPLIT.path))
    Path(MODEL).parent.mkdir()
    Path(MODEL).write_bytes(save_model(trained()))
    return tmp_path


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return lambda *arguments: pipeline_alone(capsys, monkeypatch, *arguments)


def test_an_onnx_file_predicts_as_the_model_does(command: Command) -> None:
    Path("photo.png").write_bytes(encoded(picture(1, 40, 50)))
    ended = command("export-model", "out/model.onnx")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("out/model.onnx: onnx, 3 classes, ")
    assert ended.out.endswith(" on 20 images of dev\n")
    assert command("predict", "out/model.onnx", "photo.png").out == command("predict", MODEL, "photo.png").out


def test_every_format_is_offered() -> None:
    assert [name.value for name in ModelFormatName] == list(export.MODEL_FORMATS)


def test_a_file_that_differs_is_not_written(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx = export.MODEL_FORMATS["onnx"]

    def off(data: bytes) -> export.Run:
        run = onnx.run(data)
        return lambda pixels: run(pixels) + np.float32(2e-5)

    changed = export.ModelFormat("onnx", ".onnx", onnx.write, off, onnx.check)
    monkeypatch.setattr(export_model, "MODEL_FORMATS", Registry((changed,)))
    before = sorted(Path().rglob("*"))
    ended = command("export-model", "model.onnx")
    assert ended.code == 5
    assert ended.err.startswith(
        "error: web/0000.png: the onnx file gives probabilities that differ from the model's by 2"
    )
    assert sorted(Path().rglob("*")) == before


def test_a_graph_of_a_fixed_number_of_images_is_not_written(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx = export.MODEL_FORMATS["onnx"]
    frozen = export.ModelFormat("onnx", ".onnx", onnx.write, lambda data: lambda _: onnx.run(data)(
        np.zeros((2, 3, 16, 16), np.uint8)), onnx.check)  # fmt: skip
    monkeypatch.setattr(export_model, "MODEL_FORMATS", Registry((frozen,)))
    assert (
        "gives probabilities of shape (2, 3), not (1, 3): nothing was written" in command("export-model", "m.onnx").err
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["model.bin"], 3, "model.bin: the endings are .onnx (onnx), .pt2 (torch)"),
        (["model.onnx", "--format", "torch"], 3, "model.onnx: a file of the format torch ends in .pt2"),
        (["model.onnx", "--model", "gone.safetensors"], 4, "gone.safetensors is missing: name a model"),
        (["folder.onnx"], 3, "folder.onnx is a folder: name a file"),
    ],
)
def test_a_wrong_name_is_refused(command: Command, arguments: list[str], code: int, message: str) -> None:
    Path("folder.onnx").mkdir()
    ended = command("export-model", *arguments)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith(f"error: {message}")


def test_without_the_extra_the_command_says_what_to_install(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    for arguments in (["export-model", "model.onnx"], ["predict", "any.onnx", "photo.png"]):
        Path("any.onnx").write_bytes(b"")
        ended = command(*arguments)
        assert ended.code == 4
        assert "ONNX files need onnxruntime: run `pip install 'image-data-pipeline[onnx]'`" in ended.err


def test_without_a_split_the_next_step_is_named(command: Command) -> None:
    Path(catalogue.SPLIT.path).unlink()
    ended = command("export-model", "model.pt2")
    assert (ended.code, ended.err) == (4, f"error: {catalogue.SPLIT.path} is missing: run `dvc repro split`\n")


def test_predict_without_its_metadata_names_the_file(command: Command) -> None:
    Path("noise.onnx").write_bytes(b"\x08\x07noise")
    Path("photo.png").write_bytes(encoded(picture(1)))
    ended = command("predict", "noise.onnx", "photo.png")
    assert ended.code == 5
    assert ended.err.startswith("error: noise.onnx: it is not an ONNX file, or it is damaged")
