"""Of a registry that code asks for rows by name, a version has the rows that params choose."""

from pathlib import Path

import pytest

from tests.versions.toys import toy

REGISTRY = """
class Registry(dict):
    def of(self, params):
        return self[params.name]


class Row:
    pass


def one_of(*registries):
    return registries
"""
OPTIMIZERS = """
from typing import Literal
from pipeline.registry import Registry, Row

class Base:
    pass

class Sgd(Base):
    name: Literal["sgd"]
    momentum: Annotated[float, Field(ge=0)]

class Adam(Base):
    name: Literal["adam"]

class AdamW(Adam):
    pass

def sgd(params):
    return "sgd", 1

def adam(params):
    return "adam", 1

OPTIMIZERS: Registry[Row] = Registry([Row(Sgd, sgd), Row(params=Adam, function=adam)], "facts")
PRESETS = Registry({"light": [1], "heavy": [2]})
MARKED: Registry[int] = {"light": 3, "heavy": 4}
"""
STAGE = """
from typing import Annotated
from pipeline.optimizers import MARKED, OPTIMIZERS, PRESETS, Base
from pipeline.registry import one_of

class TrainParams:
    optimizer: Annotated[Base, one_of(OPTIMIZERS)]
    other: Annotated[Base, one_of(*(row.params for row in OPTIMIZERS.values() if row.fast))]

class Outputs:
    model: bytes
    @property
    def summary(self):
        return "printed"

def train(params: TrainParams) -> Outputs:
    return OPTIMIZERS.of(params.optimizer), PRESETS.get(params.preset), MARKED[params.preset]

STAGE = Stage(name="train", function=train, params={"params": "train"}, writes={"model": 1})
"""
FILES = {
    "registry.py": REGISTRY,
    "optimizers.py": OPTIMIZERS,
    "stage.py": 'NAMES = ("split", "train", "evaluate")\n',
    "stages/train/stage.py": STAGE,
    "stages/split/stage.py": 'STAGE = Stage(name="split", params={"params": "split"})\n',
    "stages/evaluate/stage.py": 'STAGE = Stage(name="evaluate", params={"params": "evaluate"})\n',
}
PARAMS = {
    "split": {"seed": 1},
    "train": {"optimizer": {"name": "sgd"}, "preset": ["light"]},
    "evaluate": {"kind": "adam"},
}


def of_train(folder: Path, params: object = PARAMS, **changes: tuple[str, str]) -> str:
    """The version of train, with texts in files that are others."""
    files = dict(FILES)
    for name, (old, new) in changes.items():
        file = {"optimizers": "optimizers.py", "stage": "stages/train/stage.py"}[name]
        assert files[file].count(old) == 1, old
        files[file] = files[file].replace(old, new)
    return toy(folder, files).reached("train", params).version  # type: ignore[arg-type]


OF_A_ROW_THAT_IS_CHOSEN = {
    "its function": ('"sgd", 1', '"sgd", 2'),
    "a rule of its params": ("ge=0", "ge=1"),
    "a fact in its row": ("Row(Sgd, sgd)", "Row(Sgd, sgd, fast=True)"),
    "what is no row": ('"facts"', '"other facts"'),
    "a row of texts": ("[1]", "[9]"),
    "a row of a marked mapping": ("3,", "9,"),
}
OF_ANOTHER_ROW = {
    "its function": ('"adam", 1', '"adam", 2'),
    "its params": ('name: Literal["adam"]', 'name: Literal["adam"]\n    beta: float'),
    "a fact in its row": ("function=adam)", "function=adam, fast=True)"),
    "that it is there": (", Row(params=Adam, function=adam)", ""),
    "a new one": ("function=adam)", "function=adam), Row(AdamW, adam)"),
    "a row of texts": ("[2]", "[9]"),
    "a row of a marked mapping": ("4}", "9}"),
}


@pytest.mark.parametrize("change", OF_A_ROW_THAT_IS_CHOSEN.values(), ids=OF_A_ROW_THAT_IS_CHOSEN)
def test_what_params_choose_is_in_the_version(change: tuple[str, str], tmp_path: Path) -> None:
    assert of_train(tmp_path, optimizers=change) != of_train(tmp_path)


@pytest.mark.parametrize("change", OF_ANOTHER_ROW.values(), ids=OF_ANOTHER_ROW)
def test_what_they_do_not_choose_is_not(change: tuple[str, str], tmp_path: Path) -> None:
    assert of_train(tmp_path, optimizers=change) == of_train(tmp_path)
    assert of_train(tmp_path, None, optimizers=change) != of_train(tmp_path, None)  # without params all rows count


@pytest.mark.parametrize("section", ["split", "train"])
def test_params_of_stages_before_it_choose_because_their_outs_may(section: str, tmp_path: Path) -> None:
    params = {**PARAMS, section: {"of": PARAMS[section], "also": "adam"}}
    change = OF_ANOTHER_ROW["its function"]
    assert of_train(tmp_path, params, optimizers=change) != of_train(tmp_path, params)


@pytest.mark.parametrize(
    "use",
    [
        'OPTIMIZERS["adam"]',
        "[OPTIMIZERS[name] for name in ('adam', 'x')]",
        "[*OPTIMIZERS]",
        "len(OPTIMIZERS)",
        "do(OPTIMIZERS)",
    ],
)
def test_rows_that_the_code_itself_may_use_count(use: str, tmp_path: Path) -> None:
    used = ("return OPTIMIZERS.of", f"return {use}, OPTIMIZERS.of")
    for change in (OF_ANOTHER_ROW["its function"], OF_ANOTHER_ROW["a fact in its row"]):
        assert of_train(tmp_path, stage=used, optimizers=change) != of_train(tmp_path, stage=used)


def test_the_line_that_sums_a_stage_up_is_in_no_version(tmp_path: Path) -> None:
    assert of_train(tmp_path, stage=('"printed"', '"other"')) == of_train(tmp_path)
    given = ("    return OPTIMIZERS", '    Outputs(1, summary="words")\n    return OPTIMIZERS')
    assert of_train(tmp_path, stage=given) == of_train(tmp_path, stage=(given[0], given[1].replace("words", "others")))
    written = ('"model": 1', '"model": 1, "summary": 2')
    both = STAGE.replace(*written).replace('"printed"', '"other"')
    whole = toy(tmp_path, {**FILES, "stages/train/stage.py": STAGE.replace(*written)}).reached("train", PARAMS).version
    assert toy(tmp_path, {**FILES, "stages/train/stage.py": both}).reached("train", PARAMS).version != whole
