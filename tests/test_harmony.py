"""One name everywhere: what the stages declare, what DVC's files say, and what the CLI offers agree."""

import ast
import dataclasses
import inspect
import typing
from pathlib import PurePosixPath
from typing import Any

import pytest
from ruamel.yaml import YAML

from docs.generate import generated
from pipeline import catalogue, cli
from pipeline.images.rejection import IGNORED, REASONS
from pipeline.project.dvc_files import all_outs
from pipeline.project.params_file import Params
from pipeline.stage import NAMES, command_of, load_stage
from pipeline.store.artifacts import Artifact, maker
from tests.examples import REPOSITORY


def stages_in(file: str) -> dict[str, Any]:
    """The stages of one dvc.yaml as it stands."""
    stages: dict[str, Any] = YAML(typ="safe", pure=True).load((REPOSITORY / file).read_text(encoding="utf-8"))["stages"]
    return stages


DVC_FILES = {file: stages_in(file) for file in ("dvc.yaml", "data/dvc.yaml", "final/dvc.yaml")}


@pytest.mark.parametrize("path", sorted(generated()))
def test_derived_files_are_as_the_code_writes_them(path: str) -> None:
    assert (REPOSITORY / path).read_text(encoding="utf-8") == generated()[path], "run `make generated`"


def test_stages_are_the_same_in_folder_dvc_and_command_line() -> None:
    folders = {path.parent.name for path in (REPOSITORY / "pipeline/stages").glob("*/stage.py")}
    commands = {command.name for command in cli.app.registered_commands}
    assert set(NAMES) == folders == {name for stages in DVC_FILES.values() for name in stages} - {"code"}
    assert {command_of(name) for name in NAMES} <= commands


def test_each_params_section_belongs_to_a_stage() -> None:
    sections = set(Params.model_fields) - {"sources"}
    assert sections < set(NAMES)
    # What training sees is settled by augment and train.
    # Which files there are is no choice. What is asked of test is what was asked of dev.
    assert set(NAMES) - sections == {"previews", "inventory", "final_diagnosis"}


@pytest.mark.parametrize("name", NAMES)
def test_the_function_takes_what_the_stage_declares(name: str) -> None:
    stage = load_stage(name)
    assert stage.name == stage.function.__name__ == name
    declared = {*stage.params, *stage.reads, *stage.keeps, *stage.builds, *stage.resumes}
    declared |= {"name"} if stage.each else set()
    assert set(inspect.signature(stage.function).parameters) - {"engine"} == declared


@pytest.mark.parametrize("name", NAMES)
def test_the_function_returns_what_the_stage_writes(name: str) -> None:
    stage = load_stage(name)
    returned = typing.get_type_hints(stage.function)["return"]
    fields = {field.name for field in dataclasses.fields(returned)}
    assert [name for name in (*stage.writes, *stage.keeps) if name not in fields and not hasattr(returned, name)] == []
    assert hasattr(returned, "summary") or "summary" in {field.name for field in dataclasses.fields(returned)}


@pytest.mark.parametrize("name", NAMES)
def test_outs_lie_in_the_folder_of_their_stage(name: str) -> None:
    for path in all_outs(load_stage(name)):
        assert path.startswith((f"data/{name}/", f"reports/{name}/")) or path == f"reports/{name}"


@pytest.mark.parametrize("name", NAMES)
def test_messages_name_the_command_that_dvc_understands(name: str) -> None:
    file = next(file for file, stages in DVC_FILES.items() if name in stages)
    address = name if file == "dvc.yaml" else f"{file}:{name}"
    assert maker(PurePosixPath(f"reports/{name}/metrics.json")) == f"dvc repro {address}"


def test_no_file_is_written_by_two_stages() -> None:
    outs = [path for name in NAMES for path in all_outs(load_stage(name))]
    nested = [(a, b) for a in outs for b in outs if a != b and PurePosixPath(b).is_relative_to(a)]
    assert len(set(outs)) == len(outs)
    assert nested == []


def test_every_artifact_of_the_catalogue_is_used() -> None:
    named = {value.path for value in vars(catalogue).values() if isinstance(value, Artifact)}
    stages = [load_stage(name) for name in NAMES]
    files = [file for stage in stages for file in (stage.reads, stage.writes, stage.keeps)]
    used = {artifact.path for mapping in files for artifact in mapping.values()}
    assert named - {catalogue.CODE.path} == used


def test_only_the_test_stage_reads_the_rows_of_test() -> None:
    readers = [name for name in NAMES if catalogue.SPLIT_TEST in load_stage(name).reads.values()]
    assert readers == ["final_evaluation"]


def test_the_readme_links_every_guide_and_a_guide_has_every_reason() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    guide = (REPOSITORY / "docs/ingest.md").read_text(encoding="utf-8")
    reasons = [f"| `{reason}` | {meaning} |" for reason, meaning in {**REASONS, **IGNORED}.items()]
    assert [row for row in reasons if row not in guide] == []
    linked = [f"docs/{path.name}" for path in (REPOSITORY / "docs").glob("*.md")]
    assert [path for path in linked if f"({path})" not in readme] == []


def test_code_has_no_second_copy_of_a_path() -> None:
    """Only catalogue.py spells paths of outs; the rest of the code uses its names. DVC's own files are no outs."""
    for path in (REPOSITORY / "pipeline").rglob("*.py"):
        texts = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
        spelled = [text for text in texts if isinstance(text, str) and text.startswith(("data/", "reports/"))]
        spelled = [text for text in spelled if "\n" not in text and not text.endswith(("dvc.yaml", "dvc.lock"))]
        assert path.name == "catalogue.py" or spelled == []
