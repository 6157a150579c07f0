"""A model's file may claim anything: it is refused before it costs more than its own size, in words."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save as save_tensors

from pipeline.errors import DataError
from pipeline.models.files import load_model
from tests.examples import REPOSITORY, params

INGEST = params(**{"ingest.size": 16}).ingest.model_dump()
DROPOUT = {"blocks": 0.0, "head": 0.0}
CNN = {
    "name": "cnn",
    "depth": 1,
    "width": 1,
    "kernel": 3,
    "activation": "relu",
    "batch_norm": False,
    "dense": [],
    "dropout": DROPOUT,
}
PIXELS = {"name": "pixels", "side": 64}
WIDTH = 3 * 64**2
# Address space; torch itself takes most of it.
MAX_BYTES = 500_000_000


def file(model: dict[str, Any], classes: Any, **tensors: torch.Tensor) -> bytes:
    about = json.dumps({"classes": classes, "ingest": INGEST, "model": model})
    named = {name.replace("_", ".", 1) if name[:1].isdigit() else f"1.{name}": each for name, each in tensors.items()}
    return save_tensors(named, metadata={"pipeline": about})


def names(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def tables(trees: int, nodes: int, classes: int, **changes: Any) -> dict[str, torch.Tensor]:
    """A forest's."""
    ints = {name: torch.zeros(nodes, dtype=torch.int32) for name in ("feature", "left", "right")}
    return {
        **ints,
        "roots": torch.arange(trees, dtype=torch.int32),
        "threshold": torch.zeros(nodes, dtype=torch.float64),
        "values": torch.zeros(nodes, classes),
        "of_class": torch.empty(0, dtype=torch.int64),
        "start": torch.empty(0, dtype=torch.float64),
        "depth": torch.tensor(0),
        **changes,
    }


FOREST = {"name": "random_forest", "features": PIXELS, "n_estimators": 10, "min_samples_leaf": 1}
CENTROID = {"name": "nearest_centroid", "features": PIXELS}
LINEAR = {"name": "logistic_regression", "features": PIXELS, "c": 1.0}
MAJORITY = {"name": "majority_class"}
LARGE: dict[str, bytes] = {
    # 20,000 centroids of one number each, stretched over 12,288 features: a gigabyte for one picture.
    "centroids that torch would stretch": file(
        CENTROID, names(20_000), centroids=torch.zeros(20_000, 1), variance=torch.tensor(1.0)
    ),
    "a variance that torch would stretch": file(
        CENTROID, names(2), centroids=torch.zeros(2, WIDTH), variance=torch.zeros(20_000, 1)
    ),
    "weights that torch would stretch": file(
        LINEAR, names(2), weights=torch.zeros(2, WIDTH), intercepts=torch.zeros(20_000, 1)
    ),
    "trees that share their root": file(
        FOREST, names(2_000), **tables(10, 10, 2_000, roots=torch.zeros(20_000, dtype=torch.int32))
    ),
    "a wide perceptron": file(
        {"name": "mlp", "depth": 8, "width": 4096, "activation": "relu", "batch_norm": False, "dropout": DROPOUT},
        names(2),
        weight=torch.zeros(1),
    ),
    "a wide cnn": file({**CNN, "depth": 4, "width": 256}, names(2), weight=torch.zeros(1)),
}
ODD: dict[str, bytes] = {
    "logits of one class": file(MAJORITY, names(2), logits=torch.zeros(1)),
    "whole numbers for logits": file(MAJORITY, names(2), logits=torch.zeros(2, dtype=torch.int64)),
    "trees of no such class": file(
        {"name": "gradient_boosting", "features": PIXELS, "max_iter": 1, "max_leaf_nodes": 2, "learning_rate": 0.1},
        names(2),
        **tables(
            1,
            1,
            0,
            values=torch.zeros(1, dtype=torch.float64),
            of_class=torch.tensor([7]),
            start=torch.zeros(2, dtype=torch.float64),
        ),
    ),
    "votes for other classes": file(FOREST, names(3), **tables(1, 1, 2)),
    "no classes": file(MAJORITY, [], logits=torch.zeros(0)),
    "half of a character": file(MAJORITY, ["\ud800", "b"], logits=torch.zeros(2)),
    "a class without a name": file(MAJORITY, ["", "b"], logits=torch.zeros(2)),
    "NUL in a class": file(MAJORITY, ["a\0", "b"], logits=torch.zeros(2)),
    "a header that nests": (200_000).to_bytes(8, "little") + b"[" * 200_000,
    "an endless class": file(MAJORITY, ["\ud800" + "x" * 1_000_000, "b"], logits=torch.zeros(2)),
}
LOAD = """
import resource, sys
from pipeline.models.files import load_model
from pipeline.errors import DataError
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[1]),) * 2)
for path in sys.argv[2:]:
    try:
        load_model(open(path, "rb").read())
    except DataError:
        print(path)
"""


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in {**LARGE, **ODD}.items()])
def test_it_is_refused_in_few_words(data: bytes) -> None:
    with pytest.raises(DataError, match=r"^the model file is damaged or of another version") as caught:
        load_model(data)
    assert len(str(caught.value)) < 1000
    str(caught.value).encode()


def test_what_it_claims_takes_no_memory(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in LARGE]
    for path in paths:
        path.write_bytes(LARGE[path.name])
    ended = subprocess.run(
        [sys.executable, "-c", LOAD, str(MAX_BYTES), *map(str, paths)],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=False,
    )
    assert max(path.stat().st_size for path in paths) < 1_500_000
    assert ended.stdout.splitlines() == [str(path) for path in paths], ended.stderr[-500:]


def test_control_characters_of_classes_reach_no_terminal() -> None:
    from pipeline.tools.predict import Answer

    line = Answer("a.png", (("\x1b[31mred", 1.0),)).as_line(5)
    assert line == r"a.png  \x1b[31mred 1.0000"
