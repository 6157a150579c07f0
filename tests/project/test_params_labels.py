"""Labels in params.yaml are read by one rule, as ingest takes them."""

import functools
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ParamsError
from pipeline.project.params_file import load_params
from tests.examples import REPOSITORY, params_values
from tests.project.test_params_file import PHONE, problems

LABELS: dict[str, tuple[str, str]] = {
    "train.class_weights": ("class_weights: {{{}: 2.0}}", "class_weights: {}"),
    "augment.copies.counts": ("{{name: per_class, counts: {{{}: 2}}, otherwise: 1}}", "{name: per_image, count: 1}"),
    "evaluate.optimizing.label": ("optimizing: {{name: class_recall, label: {}}}", "optimizing: accuracy"),
    "evaluate.optimizing.costs": (
        "optimizing: {{name: mean_cost, costs: {{{0}: {{{0}: 1.0}}}}, otherwise: 1.0}}",
        "optimizing: accuracy",
    ),
}


def loaded_with(place: str, label: str, tmp_path: Path) -> Any:
    """The params of the repository with a label written at a place."""
    written, before = LABELS[place]
    text = (REPOSITORY / "params.yaml").read_text()
    assert before in text
    (tmp_path / "params.yaml").write_text(text.replace(before, written.format(label), 1))
    return load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("place", LABELS)
def test_a_label_is_read_by_one_rule_wherever_it_stands(place: str, tmp_path: Path) -> None:
    for written, label in (("7", "7"), ("'007'", "007"), ("cat", "cat"), ("'cafe\u0301 '", "caf\u00e9"), ("0", "0")):
        found = functools.reduce(getattr, place.split("."), loaded_with(place, written, tmp_path))
        assert label in ([found] if isinstance(found, str) else found)
    for written in ("007", "-07", "00"):
        with pytest.raises(
            ParamsError, match=r"YAML reads this as the number -?\d, without its zeros: put it in quotes"
        ):
            loaded_with(place, written, tmp_path)
    for written in ("7.0", "true", "1e3", "2026-05-31"):
        with pytest.raises(ParamsError, match=r"must be text, got .*: put it in quotes"):
            loaded_with(place, written, tmp_path)
    for written in ('"a\\0b"', '"\\e[2J"', '"\\u200B"'):
        with pytest.raises(ParamsError, match=r"the label .* has (control|no visible) character") as caught:
            loaded_with(place, written, tmp_path)
        assert str(caught.value).replace("\n", "").isprintable()


def test_numbers_with_zeros_in_front_are_numbers_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text((REPOSITORY / "params.yaml").read_text().replace("size: 28", "size: 028", 1))
    assert load_params(tmp_path / "params.yaml").ingest.size == 28


@pytest.mark.parametrize("weights", [{7: 1.0, "7": 2.0}, {"cat": 1.0, "cat ": 2.0}])
def test_one_class_twice_is_refused(weights: dict[Any, float]) -> None:
    [problem] = problems(params_values(**{"train.class_weights": weights}))
    assert problem.startswith("train.class_weights: a class is listed twice")


def test_a_layout_is_of_class_folders() -> None:
    source = {**PHONE, "labels": {"name": "none"}, "layout": "split/class"}
    [problem] = problems(params_values(**{"sources.phone": source}))
    assert problem == "sources.phone: layout applies to class folders, but labels come from none: remove it"
