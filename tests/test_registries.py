"""Every table of levers keeps its contract: rows are written out, explained, and offered in params.yaml."""

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_type_hints

import pytest
from pydantic import TypeAdapter, ValidationError

from pipeline.registry import Choice, NameOf, Registry, one_of
from pipeline.section import Section
from pipeline.transforms.presets import PRESETS
from tests.examples import REPOSITORY
from tests.levers import EXAMPLES, TABLES, example

HEAVY = ("albumentations", "cv2", "dvclive", "imblearn", "lightning", "matplotlib", "scipy", "sklearn", "torch")
CHOICES = {place: table for place, table in TABLES.items() if isinstance(next(iter(table.values())), Choice)}
ROWS = [
    pytest.param(table[name], id=f"{place.rpartition('.')[2]}: {name}")
    for place, table in TABLES.items()
    for name in table
]
ROWS_WITH_PARAMS = [
    pytest.param(row, id=f"{place.rpartition('.')[2]}: {row.name}")
    for place, table in CHOICES.items()
    for row in table.values()
]


# Tables


def assignments() -> Iterator[tuple[str, ast.Call]]:
    """The place and the value of every registry in the package, as its source has it."""
    for path in sorted((REPOSITORY / "pipeline").rglob("*.py")):
        module = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.Assign | ast.AnnAssign):
                continue
            target, value = node.targets[0] if isinstance(node, ast.Assign) else node.target, node.value
            if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "Registry":
                yield f"{module}.{ast.unparse(target)}", value


def test_every_registry_of_the_package_is_tried_here() -> None:
    found = dict(assignments())
    assert sorted(found) == sorted(TABLES)
    for place, table in TABLES.items():
        module, _, name = place.rpartition(".")
        assert getattr(importlib.import_module(module), name) is table


@pytest.mark.parametrize(("place", "call"), [pytest.param(*each, id=each[0]) for each in assignments()])
def test_rows_are_written_out_and_name_their_functions(place: str, call: ast.Call) -> None:
    """So that the version of a stage's code can take in the rows that params choose, and no others."""
    [rows] = call.args
    assert isinstance(rows, ast.Tuple)
    assert len(rows.elts) == len(TABLES[place])
    for row in rows.elts:
        assert isinstance(row, ast.Call)
        assert not any(isinstance(node, ast.Lambda | ast.Starred | ast.Attribute) for node in ast.walk(row))


def test_two_rows_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^two rows have one name: \['light', 'light'\]$"):
        Registry([PRESETS["light"], PRESETS["light"]])


def test_reading_params_imports_nothing_that_takes_a_second() -> None:
    code = (
        "import sys; from pipeline.project.params_file import load_params; load_params(); "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Rows


@pytest.mark.parametrize("row", ROWS_WITH_PARAMS)
def test_params_of_a_row_can_be_built_and_are_explained(row: Choice[Any]) -> None:
    assert example(row).name == row.name
    assert get_args(row.params.model_fields["name"].annotation) == (row.name,)
    assert "__doc__" in vars(row.params)
    assert str(row.params.__doc__).strip().split("\n")[0].endswith(".")
    assert set(row.params.model_fields) == {"name", *EXAMPLES.get(row.name, {})}


@pytest.mark.parametrize("row", ROWS)
def test_params_yaml_or_a_guide_names_each_row(row: Any) -> None:
    texts = [(REPOSITORY / "params.yaml").read_text(encoding="utf-8")]
    texts += [
        path.read_text(encoding="utf-8")
        for path in (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md")))
    ]
    assert any(re.search(rf"(?<![\w-]){re.escape(row.name)}(?![\w-])", text) for text in texts)


@pytest.mark.parametrize("table", CHOICES.values(), ids=CHOICES)
def test_a_row_that_is_not_there_is_answered_with_those_that_are(table: Registry[Any]) -> None:
    choice = TypeAdapter(Annotated[Section, one_of(table)])
    for row in table.values():
        assert choice.validate_python(example(row).model_dump(mode="json")) == example(row)
        assert choice.dump_python(example(row)) == example(row).model_dump()
        assert table.of(example(row)) is row
    with pytest.raises(ValidationError) as caught:
        choice.validate_python({"name": "best"})
    [error] = caught.value.errors()
    assert error["type"] == "union_tag_invalid"
    assert error["ctx"]["expected_tags"] == ", ".join(map(repr, table))


def test_a_field_by_a_table_keeps_its_type_and_its_order() -> None:
    class Row(Section):
        name: str

    class One(Row):
        name: Literal["one"]
        size: int

    class Holder(Section):
        item: Annotated[Row, one_of(Registry([Choice(One)]), OwnChoice)] | None

    assert get_type_hints(Holder)["item"] == Row | None
    assert Holder.model_validate({"item": None}).item is None
    assert Holder.model_validate({"item": {"name": "own"}}).model_dump()["item"] == {"name": "own"}
    assert list(Holder.model_validate({"item": {"size": 1, "name": "one"}}).model_dump()["item"]) == ["name", "size"]


class OwnChoice(Section):
    """A choice beside those of a table."""

    name: Literal["own"]


def test_a_name_of_a_table_is_answered_like_a_literal() -> None:
    literal: Any = Literal[tuple(PRESETS)]
    by_table, by_hand = TypeAdapter[Any](Annotated[str, NameOf(PRESETS)]), TypeAdapter[Any](literal)
    problems = []
    for choice in (by_table, by_hand):
        assert choice.validate_python("light") == "light"
        with pytest.raises(ValidationError) as caught:
            choice.validate_python("foto")
        problems.append(caught.value.errors(include_url=False))
    assert problems[0] == problems[1]
