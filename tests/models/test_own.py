"""Networks that a function of the project builds: what it may be, what its errors say, and that no file names it."""

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from pipeline import read_weights
from pipeline.errors import DataError, MissingInputError, ParamsError
from pipeline.models.building import build_model
from pipeline.models.export import MODEL_FORMATS, export_model
from pipeline.models.files import TrainedModel, load_model, needs_own_code, save_model
from pipeline.models.networks import Factory
from pipeline.models.onnx_files import load_onnx
from pipeline.tools.predict import read_model
from tests import own_networks
from tests.examples import params

CLASSES = ("apple", "fig", "pear")
SIZE = 16
GOOD = Path(own_networks.__file__).read_text()
PIXELS = torch.arange(4 * 3 * SIZE * SIZE).reshape(4, 3, SIZE, SIZE).remainder(251).to(torch.uint8)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with mymodels.py, which no other test has imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("mymodels.py").write_text(GOOD)
    yield tmp_path
    forget()


def forget() -> None:
    """What was imported, so that the next import reads the file again."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ("mymodels", "nets")]:
        del sys.modules[name]
    shutil.rmtree("__pycache__", ignore_errors=True)


def factory(place: str = "mymodels:build", normalise: str = "train", **arguments: Any) -> Factory:
    values = {"name": "factory", "factory": place, "arguments": arguments, "normalise": normalise}
    return Factory.model_validate(values)


def built(chosen: Factory, seed: int = 1) -> nn.Module:
    return build_model(chosen, len(CLASSES), SIZE, np.full(3, 0.4), np.full(3, 0.1), seed).eval()


def trained(chosen: Factory) -> TrainedModel:
    return TrainedModel(built(chosen), CLASSES, params(**{"ingest.size": SIZE}).ingest, chosen)


def code(body: str, before: str = "") -> None:
    """mymodels.py with another function."""
    forget()
    Path("mymodels.py").write_text(
        f"import torch\nfrom torch import nn\n{before}\ndef build(classes, size):\n    {body}\n"
    )


def test_weights_are_drawn_by_the_seed_and_trying_it_out_changes_nothing() -> None:
    one, same, other = (built(factory(width=8), seed) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), same.state_dict().values(), strict=True))
    assert not torch.equal(one(PIXELS), other(PIXELS))
    assert torch.equal(one[1][1].running_mean, torch.zeros(8))  # type: ignore[index]
    assert int(one[1][1].num_batches_tracked) == 0  # type: ignore[index]


@pytest.mark.parametrize(
    ("normalise", "mean"), [("train", 0.4), ("imagenet", 0.485), ("none", 0.0)], ids=["train", "imagenet", "none"]
)
def test_pixels_are_normalised_as_params_say(normalise: str, mean: float) -> None:
    network = built(factory(normalise=normalise))
    assert float(network[0].mean.flatten()[0]) == pytest.approx(mean)  # type: ignore[index]
    assert network(PIXELS).shape == (4, 3)


def test_a_package_and_lazy_and_shared_layers_work() -> None:
    Path("nets").mkdir()
    Path("nets/__init__.py").write_text("")
    Path("nets/deep.py").write_text(
        "from torch import nn\nfrom . import parts\n"
        "def build(classes, size):\n"
        "    return nn.Sequential(nn.Flatten(), nn.LazyLinear(8), parts.twice(), nn.Linear(8, classes))\n"
    )
    Path("nets/parts.py").write_text(
        "from torch import nn\ndef twice():\n    one = nn.Linear(8, 8)\n    return nn.Sequential(one, one)\n"
    )
    model = trained(factory("nets.deep:build"))
    loaded = load_model(save_model(model), model.params)  # type: ignore[arg-type]
    assert torch.equal(loaded.network(PIXELS), model.network(PIXELS))


ERRORS = {
    "no module": ("nomodels:build", None, r"no module nomodels; there are mymodels\. Write nomodels\.py beside params"),
    "no function": ("mymodels:make", None, r"mymodels\.py defines no make; it has build\. Write `def make\(classes"),
    "not a function": ("mymodels:build", "build = 3", r"mymodels\.py is a value of the type int, not a function"),
    "the package itself": ("pipeline:build", None, "the name pipeline is this package's"),
    "a library": ("torch.nn:Linear", None, r"no module torch\.nn.*a function of a library is called from there"),
    "no Python": ("mymodels:build", "def build(:\n", "mymodels.py, line 1 is not Python code: "),
    "not installed": (
        "mymodels:build", "import no_such_library\nbuild = 1",
        r"importing mymodels raised ModuleNotFoundError: .*'no_such_library' \(mymodels\.py, line 1\); ins",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_a_function_that_is_not_there_is_an_error_with_the_next_step(case: str) -> None:
    place, text, message = ERRORS[case]
    if text is not None:
        Path("mymodels.py").write_text(text)
    with pytest.raises(ParamsError, match=message):
        built(factory(place))


BODIES = {
    "raises": ("return nn.Linear(classes, size, colour=1)",
               r"called as \(classes=3, size=16\) raised TypeError: .*colour.*\(mymodels\.py, line 5\)"),
    "no module": ("return [classes]", "returned a value of the type list: it must return a torch.nn.Module"),
    "nothing": ("pass", "returned None: it must return"),
    "nothing to train": ("return nn.Flatten()", "a network without trainable parameters"),
    "classes forgotten": ("return nn.Sequential(nn.Flatten(), nn.Linear(768, 10))",
                          r"gives shape \[2, 10\] in a prediction for 2 images: it must give logits of shape "
                          r"\(images, classes\), here \[2, 3\]"),
    "a pair": ("return Pair(classes)", "gives a value of the type tuple in training: it must give logits"),
    "wrong inside": ("return nn.Sequential(nn.Flatten(), nn.Linear(5, classes))", r"in a prediction with pixels "
                     r"\[2, 3, 16, 16\], raised RuntimeError: mat1 and mat2"),
}  # fmt: skip
PAIR = """
class Pair(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.layer = nn.LazyLinear(classes)
    def forward(self, pixels):
        found = self.layer(pixels.flatten(1))
        return (found, found) if self.training else found
"""


@pytest.mark.parametrize("case", BODIES)
def test_what_a_function_gives_is_tried_before_training(case: str) -> None:
    body, message = BODIES[case]
    code(body, PAIR if "Pair" in body else "")
    with pytest.raises(ParamsError, match=message):
        built(factory())


def test_arguments_that_do_not_fit_are_named_with_those_that_it_takes() -> None:
    with pytest.raises(
        ParamsError, match=r"unexpected keyword argument 'wide'.*it takes \(classes: int, size: int, width"
    ):
        built(factory(wide=3))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"factory": "mymodels.py"}, "String should match pattern"),
        ({"factory": "../mymodels:build"}, "String should match pattern"),
        (
            {"factory": "m:b", "arguments": {"size": 3}},
            "size: the pipeline gives classes and size to the function by itself",
        ),
    ],
)
def test_params_that_cannot_be_meant(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Factory.model_validate({"name": "factory", **values})


def test_a_model_file_names_no_code_and_is_used_with_the_function_that_made_it() -> None:
    model = trained(factory(width=8))
    file = save_model(model)
    assert b"mymodels" not in file
    assert b"width" not in file
    assert needs_own_code(file)
    assert torch.equal(load_model(file, factory(width=8)).network(PIXELS), model.network(PIXELS))
    assert save_model(load_model(file, factory(width=8))) == file


def test_a_file_of_other_code_or_arguments_or_without_a_project_is_refused() -> None:
    file = save_model(trained(factory(width=8)))
    with pytest.raises(DataError, match="a function of a project built this network, and no model file names code"):
        load_model(file)
    with pytest.raises(
        DataError, match=r"by other code, or with other arguments, than mymodels:build.*dvc repro train"
    ):
        load_model(file, factory(width=9))
    Path("mymodels.py").write_text(GOOD.replace("nn.ReLU()", "nn.Tanh()"))
    with pytest.raises(DataError, match="by other code"):
        load_model(file, factory(width=8))
    Path("mymodels.py").write_text(f"# A comment.\n{GOOD}")
    assert load_model(file, factory(width=8)).classes == CLASSES


def test_a_file_with_tensors_of_another_network_is_refused() -> None:
    file = save_model(trained(factory(width=8)))
    header = json.loads(file[8 : 8 + int.from_bytes(file[:8], "little")])
    about = json.loads(header["__metadata__"]["pipeline"])
    other = json.loads(json.dumps(about))
    del other["checksum"]
    text = json.dumps({**header, "__metadata__": {"pipeline": json.dumps({**other, "classes": ["a", "b"]})}}).encode()
    with pytest.raises(DataError, match="its tensors are not those of the network"):
        load_model(
            len(text).to_bytes(8, "little") + text + file[8 + int.from_bytes(file[:8], "little") :], factory(width=8)
        )


def test_predict_takes_the_function_from_params_alone(project: Path) -> None:
    model = trained(factory(width=8))
    Path("model.safetensors").write_bytes(save_model(model))
    with pytest.raises(DataError, match="use it in the folder of its project"):
        read_model(Path("model.safetensors"))


def test_a_weights_file_is_read_only_if_it_is_the_one_that_is_meant() -> None:
    network = built(factory())
    torch.save(network.state_dict(), "w.pth")
    sha256 = hashlib.sha256(Path("w.pth").read_bytes()).hexdigest()
    tensors = read_weights("w.pth", sha256)
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in tensors.items())
    code("from pipeline import read_weights; return read_weights('w.pth', '0' * 64)")
    with pytest.raises(DataError, match=r"w\.pth has SHA-256 .*, but params\.yaml says 000"):
        built(factory())
    with pytest.raises(MissingInputError, match=r"v\.pth is missing"):
        read_weights("v.pth", sha256)


def test_an_onnx_file_of_it_needs_no_code() -> None:
    model = trained(factory(width=8))
    data = export_model(model, MODEL_FORMATS["onnx"])
    Path("mymodels.py").unlink()
    loaded = load_onnx(data)
    assert torch.allclose(loaded.network(PIXELS).softmax(1), model.network(PIXELS).softmax(1), atol=1e-5)
    assert loaded.params is None
