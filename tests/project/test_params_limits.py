"""Whatever stands in params.yaml: a short message, in bounded time and memory."""

import os
import tracemalloc
from pathlib import Path

import pytest

from pipeline.errors import ParamsError
from pipeline.project.params_file import load_params
from pipeline.yaml_values import quoted, shortened, yaml_values
from tests.examples import REPOSITORY, params_values

MAX_MESSAGE = 40_000


def refusal(folder: Path, text: str) -> str:
    """The message about a params file with this text, which is short."""
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ParamsError) as caught:
        load_params(path)
    assert len(str(caught.value)) < MAX_MESSAGE
    return str(caught.value)


def laughs(link: str) -> str:
    """A few hundred bytes that stand for 9 ** 10 values, by aliases in lists or by merged mappings."""
    lines = ["a0: &a0 {x: 1}"]
    for number in range(1, 11):
        aliases = ", ".join([f"*a{number - 1}"] * 9)
        lines.append(f"a{number}: &a{number} {link % aliases}")
    return "\n".join(lines)


@pytest.mark.parametrize("link", ["[%s]", "{<<: [%s]}"])
@pytest.mark.parametrize("place", ["ingest: *a10", "split: {stratify_by: *a10}", "sources: {web: {path: *a10}}", ""])
def test_aliases_of_aliases_are_counted_and_not_followed(tmp_path: Path, link: str, place: str) -> None:
    tracemalloc.start()
    try:
        message = refusal(tmp_path, f"{laughs(link)}\n{place}\n")
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert "values once its aliases are replaced: at most 200,000" in message


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
@pytest.mark.parametrize("levels", [60, 500])
def test_deep_nesting_is_one_short_line(tmp_path: Path, opening: str, levels: int) -> None:
    closing = {"[": "]", "{a: ": "}"}.get(opening, "")
    message = refusal(tmp_path, f"{opening * levels}1{closing * levels}")
    assert "is nested more than 50 levels deep" in message or "is not valid YAML" in message
    assert len(message) < 1500


def test_what_contains_itself_is_told(tmp_path: Path) -> None:
    assert "has a value that contains itself: &loop" in refusal(tmp_path, "a: &loop [1, {b: *loop}]")


def test_long_comments_are_not_read_to_the_end(tmp_path: Path) -> None:
    text = (REPOSITORY / "params.yaml").read_text(encoding="utf-8")
    assert "has more than 1,000,000 characters" in refusal(tmp_path, f"#{'x' * 50_000_000}\n{text}")
    assert "has more than 1,000,000 characters" in refusal(tmp_path, "# x\n" * 20_000_000)


@pytest.mark.parametrize(
    "text",
    [
        f"sources: {'x' * 900_000}",
        f"{'x' * 900_000}: 1",
        "".join(f"key{number}: 1\n" for number in range(5_000)),
        f"a: 1\na: {'x' * 900_000}",
        f"a: 0x{'f' * 900_000}",
        f"seed: {'9' * 900_000}",
        f"a: *{'x' * 900_000}",
        f"train: {{model: {{name: {'x' * 900_000}}}}}",
        "split: [" + "1, " * 10_000 + "]",
    ],
    ids=lambda text: text[:9],
)
def test_what_is_quoted_is_cut(tmp_path: Path, text: str) -> None:
    assert refusal(tmp_path, text)


def test_all_problems_are_counted_and_the_first_are_shown(tmp_path: Path) -> None:
    lines = refusal(tmp_path, "".join(f"key{number}: 1\n" for number in range(1000))).splitlines()
    needed = len(params_values().keys() - {"sample"})
    assert lines[0].endswith(f"breaks {1000 + needed} rules:")
    assert len(lines) == 52
    assert lines[-1].strip() == f"and {950 + needed} more"


def test_control_characters_do_not_reach_the_terminal(tmp_path: Path) -> None:
    message = refusal(tmp_path, r'"\e[31mred": 1' + "\n" + r'test: {max_test_evaluations: "\e]0;title\a"}')
    assert "\x1b" not in message
    assert r"\x1b[31mred: no such param" in message


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "params.yaml")
    with pytest.raises(ParamsError, match="is not a file"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    "text", ["!!timestamp x", "!!binary [1]", "!!omap {a: 1}", "!!set [1]", "!!float []", "%YAML x"]
)
def test_values_that_do_not_fit_their_tags_are_no_yaml(text: str) -> None:
    with pytest.raises(ValueError, match="is not valid YAML"):
        yaml_values(f"{text}\n")


def test_aliases_that_are_few_are_values_like_others() -> None:
    assert yaml_values("a: &a [1, 1e-3]\nb: *a\nc: {<<: {d: 1}}\n") == {"a": [1, 0.001], "b": [1, 0.001], "c": {"d": 1}}


def test_quotes_are_short_and_printable() -> None:
    assert quoted("cat") == "'cat'"
    assert len(quoted(["x" * 1000] * 1000)) < 250
    assert quoted(1 << 100_000) == "a whole number of 100001 bits"
    assert quoted([1 << 100_000]) == "a list with a very large number"
    assert shortened("a\x1bb\nc") == "a\\x1bb\nc"
