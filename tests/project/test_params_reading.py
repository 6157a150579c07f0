"""Reading params.yaml: numbers as DVC reads them, and files that are no params file."""

from pathlib import Path

import pytest

from pipeline.errors import MissingInputError, ParamsError
from pipeline.project.params_file import check_params, load_params
from tests.examples import REPOSITORY


def write_params(folder: Path, old: str = "", new: str = "") -> Path:
    """A copy of the repository's params.yaml, one text replaced."""
    text = (REPOSITORY / "params.yaml").read_text()
    assert old in text
    (folder / "params.yaml").write_text(text.replace(old, new, 1))
    return folder / "params.yaml"


def test_numbers_are_read_as_dvc_reads_them(tmp_path: Path) -> None:
    path = write_params(tmp_path, "learning_rate: 0.003", "learning_rate: 1e-3")
    assert load_params(path).train.learning_rate == 0.001


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [("  phone:", "  web:", "web"), ("  size: 28", "  fit: crop", "fit"), ("curate:", "ingest:", "ingest")],
)
def test_a_repeated_key_is_an_error(tmp_path: Path, old: str, new: str, key: str) -> None:
    with pytest.raises(ParamsError) as caught:
        load_params(write_params(tmp_path, old, new))
    assert "params.yaml is not valid YAML: while constructing a mapping\n" in str(caught.value)
    assert f'\nfound duplicate key "{key}" with value' in str(caught.value)
    # ruamel goes on with advice to programmers.
    assert str(caught.value).endswith(")")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"seed: \xff", r"params\.yaml is not UTF-8 text: .*0xff in position 6"),
        ("größe: 1".encode("latin-1"), r"params\.yaml is not UTF-8 text"),
        (b"train: [1", r"params\.yaml is not valid YAML"),
        (b"train: a: b", r"params\.yaml is not valid YAML: mapping values are not allowed here"),
        (b"a: 1\n---\nb: 2\n", r"params\.yaml is not valid YAML: expected a single document"),
        (b"a: !!python/name:os.system", r"params\.yaml is not valid YAML: could not determine a constructor"),
        (b"path: 2024-02-30", r"params\.yaml is not valid YAML: day is out of range for month"),
        (b"seed: !!int one", r"params\.yaml is not valid YAML: .*'one'"),
        (b"- train\n- test\n", r"params\.yaml must be a mapping of sections, got list"),
        (b"", r"params\.yaml must be a mapping of sections, got NoneType"),
    ],
    ids=["byte", "latin-1", "bracket", "colons", "documents", "code", "impossible date", "tag", "list", "empty"],
)
def test_a_file_that_is_no_params_file_is_an_error(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(ParamsError, match=message):
        load_params(path)


def test_a_missing_file_says_where_to_run() -> None:
    rule = r"^nowhere/params\.yaml is missing: run this command in the folder that holds"
    with pytest.raises(MissingInputError, match=rule):
        load_params(Path("nowhere/params.yaml"))


def test_a_folder_is_no_params_file(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").mkdir()
    with pytest.raises(ParamsError, match=r"params\.yaml cannot be read: Is a directory"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("values", [[], "text", None, 3])
def test_params_hold_sections(values: object) -> None:
    with pytest.raises(ParamsError, match=f"^params must be a mapping of sections, got {type(values).__name__}$"):
        check_params(values)
