"""`pipeline params` prints what it checked, as it stands or with presets as lists, to be pasted back."""

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from pipeline import cli
from pipeline.errors import ParamsError
from pipeline.project.params_file import Params, load_params
from pipeline.project.params_text import params_text
from pipeline.transforms.params import expand
from pipeline.transforms.presets import PRESETS
from tests.examples import REPOSITORY

TEXT = (REPOSITORY / "params.yaml").read_text(encoding="utf-8")
START = TEXT.index("  transforms:")
END = TEXT.index("\n", TEXT.index("- {name: Affine")) + 1
# Items as people write them, with comments around them.
ITEMS = [
    "    - {preset: light} # a little\n",
    "    - preset: photo\n",
    "    # for the corners\n    - {preset: digits}\n",
    "    - {name: 'Blur', blur_limit: [3, 5], p: 0.5} # soft\n",
    "    - name: Affine # turned\n      rotate: [-5, 5]\n",
]


def write(folder: Path, items: str) -> Path:
    (folder / "params.yaml").write_text(TEXT[:START] + f"  transforms: # mine\n{items}" + TEXT[END:], encoding="utf-8")
    return folder / "params.yaml"


def printed(path: Path, *options: str) -> str:
    result = CliRunner().invoke(cli.app, ["params", *options])
    assert result.exit_code == 0, result.output
    return result.stdout


def without_transforms(params: Params) -> Params:
    return params.model_copy(update={"augment": params.augment.model_copy(update={"transforms": ()})})


def test_the_repositorys_file_is_printed_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    assert printed(REPOSITORY / "params.yaml") == printed(REPOSITORY / "params.yaml", "--expanded") == TEXT


@given(items=st.lists(st.sampled_from(ITEMS), min_size=1, max_size=4))
@example(items=[ITEMS[4], ITEMS[2]])  # a remark between a list in brackets and a preset
@settings(max_examples=25, deadline=None)
def test_expanded_text_means_the_same_and_names_no_preset(
    items: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write(tmp_path_factory.mktemp("params"), "".join(items))
    before = load_params(path)
    lists = {
        place: [transform.model_dump() for transform in expand([item])]
        for place, item in enumerate(before.augment.transforms)
        if hasattr(item, "preset")
    }
    text = params_text(path, lists)
    path.write_text(text, encoding="utf-8")
    after = load_params(path)
    assert after.augment.transforms == expand(before.augment.transforms)
    assert without_transforms(after) == without_transforms(before)
    assert params_text(path, {}) == text
    for remark in ("# a little", "# for the corners", "# soft", "# turned"):
        assert text.count(remark) == sum(remark in item for item in items)
    assert text.count("'Blur'") == sum("'Blur'" in item for item in items)
    assert text.startswith(TEXT[:START] + "  transforms: # mine\n")
    assert text.endswith(TEXT[END:])


def test_the_command_expands_presets_and_passes_remarks_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, "    - {preset: light}\n    - {name: Blur, blur_limit: 4}\n")
    assert printed(path) == path.read_text(encoding="utf-8")
    result = CliRunner().invoke(cli.app, ["params", "--expanded"])
    assert "- {preset: light}" not in result.stdout
    assert result.stdout.count("\n    - {name: ") == len(PRESETS["light"].transforms) + 1
    assert result.stderr.startswith("note: augment.transforms.1: blur_limit: Non-zero kernel sizes must be odd.")


def test_transforms_that_cannot_be_used_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "    - {name: CenterCrop, height: 20, width: 20}\n")
    result = CliRunner().invoke(cli.app, ["params"])
    assert isinstance(result.exception, ParamsError)
    assert "CenterCrop turns (28, 28, 3) uint8 pixels into (20, 20, 3) uint8" in str(result.exception)
    assert result.stdout == ""
