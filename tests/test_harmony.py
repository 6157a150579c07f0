"""One name everywhere: what the stages declare, what DVC's files say, and what the CLI offers agree."""

import ast
import dataclasses
import inspect
import re
import typing
from pathlib import PurePosixPath
from typing import Any

import pytest
import typer.main
from ruamel.yaml import YAML

from pipeline import catalogue, cli
from pipeline.errors import PipelineError
from pipeline.images.rejection import REASONS
from pipeline.project.params_file import Params
from pipeline.stage import NAMES, Stage, command_of, load_stage
from pipeline.store.artifacts import Artifact, maker
from tests.examples import REPOSITORY

DVC_FILES = ("dvc.yaml", "data/dvc.yaml", "final/dvc.yaml")
# What a stage depends on and does not read itself: it comes first, and says whether a source has changed.
ORDER = {
    "inventory": {catalogue.SAMPLE_WEB.path, catalogue.SAMPLE_PHONE.path},
    "ingest": {f"{catalogue.INVENTORY.path}/${{key}}.jsonl"},
}


def dvc_stages() -> dict[str, dict[str, Any]]:
    """Every stage of every dvc.yaml; the body of `do` for those with `foreach`."""
    return {name: body.get("do", body) for file in DVC_FILES for name, body in stages_in(file).items()}


def stages_in(file: str) -> dict[str, dict[str, Any]]:
    """The stages of one dvc.yaml as it stands."""
    text = (REPOSITORY / file).read_text(encoding="utf-8")
    stages: dict[str, dict[str, Any]] = YAML(typ="safe", pure=True).load(text)["stages"]
    return stages


def outs_of(body: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Path -> options of all outs and metrics."""
    entries = [*body.get("outs", []), *body.get("metrics", [])]
    pairs = [next(iter(entry.items())) if isinstance(entry, dict) else (entry, {}) for entry in entries]
    return {path.replace("${key}", "{name}"): options for path, options in pairs}


def test_stages_are_the_same_in_folder_dvc_and_command_line() -> None:
    folders = {path.parent.name for path in (REPOSITORY / "pipeline/stages").glob("*/stage.py")}
    commands = {command.name for command in cli.app.registered_commands}
    assert set(NAMES) == folders == set(dvc_stages())
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
    assert {*stage.writes, *stage.keeps} <= {field.name for field in dataclasses.fields(returned)}
    assert hasattr(returned, "summary") or "summary" in {field.name for field in dataclasses.fields(returned)}


@pytest.mark.parametrize("name", NAMES)
def test_outs_lie_in_the_folder_of_their_stage(name: str) -> None:
    for path in all_outs(load_stage(name)):
        assert path.startswith((f"data/{name}/", f"reports/{name}/")) or path == f"reports/{name}"


@pytest.mark.parametrize("name", NAMES)
def test_dvc_runs_the_command_of_the_stage(name: str) -> None:
    stage = load_stage(name)
    assert dvc_stages()[name]["cmd"] == f"python -m pipeline {command_of(name)}" + (" ${key}" if stage.each else "")
    assert dvc_stages()[name]["desc"]


@pytest.mark.parametrize("name", NAMES)
def test_messages_name_the_command_that_dvc_understands(name: str) -> None:
    file = next(file for file in DVC_FILES if name in stages_in(file))
    address = name if file == "dvc.yaml" else f"{file}:{name}"
    assert maker(PurePosixPath(f"reports/{name}/metrics.json")) == f"dvc repro {address}"


@pytest.mark.parametrize("name", NAMES)
def test_dvc_knows_the_outs(name: str) -> None:
    stage = load_stage(name)
    outs = outs_of(dvc_stages()[name])
    assert set(outs) == set(all_outs(stage))
    kept = {path for path, options in outs.items() if options.get("persist")}
    assert kept == {*stage.builds.values(), *(artifact.path for artifact in stage.keeps.values())}


@pytest.mark.parametrize("name", NAMES)
def test_dvc_knows_the_params(name: str) -> None:
    declared = [param.replace("${key}", "{name}") for param in dvc_stages()[name]["params"]]
    assert sorted(declared) == sorted(load_stage(name).params.values())


@pytest.mark.parametrize("name", NAMES)
def test_dvc_knows_the_data_that_is_read(name: str) -> None:
    stage = load_stage(name)
    deps = {dep for dep in dvc_stages()[name].get("deps", []) if not dep.endswith(".py")}
    assert deps == {artifact.path for artifact in stage.reads.values()} | ORDER.get(name, set())


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
    assert named == used


def test_only_the_test_stage_reads_the_rows_of_test() -> None:
    readers = [name for name in NAMES if catalogue.SPLIT_TEST in load_stage(name).reads.values()]
    assert readers == ["final_evaluation"]


def test_the_readme_names_every_stage_param_section_exit_code_and_guide() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    commands = [f"pipeline {command}" for command in typer.main.get_group(cli.app).commands]
    sections = [f"`{section}`" for section in Params.model_fields]
    codes = [f"| {error.exit_code} | `{error.__name__}`" for error in PipelineError.__subclasses__()]
    assert [word for word in (*commands, *sections, *codes) if word not in readme] == []
    guide = (REPOSITORY / "docs/ingest.md").read_text(encoding="utf-8")
    reasons = [f"| `{reason}` | {meaning} |" for reason, meaning in REASONS.items()]
    assert [row for row in reasons if row not in guide] == []
    linked = [f"docs/{path.name}" for path in (REPOSITORY / "docs").glob("*.md")]
    assert [path for path in linked if f"({path})" not in readme] == []


def test_the_map_of_the_code_has_every_module_in_its_package() -> None:
    folders: list[str] = []
    mapped = []
    for bars, name in re.findall(
        r"(?m)^([│ ]*)[├└]── (\S+)", (REPOSITORY / "docs/code.md").read_text(encoding="utf-8")
    ):
        folders[len(bars) // 4 :] = [name]
        mapped.append("".join(folders))
    stages = {f"stages/{name}.py" for name in NAMES}
    code = {path.relative_to(REPOSITORY / "pipeline").as_posix() for path in (REPOSITORY / "pipeline").rglob("*.py")}
    modules = {path for path in code - stages if not path.endswith("__init__.py")}
    packages = {f"{path.removesuffix('__init__.py')}" for path in code if path.endswith("/__init__.py")}
    assert sorted(mapped) == sorted(modules | packages)


def test_code_has_no_second_copy_of_a_path() -> None:
    """Only catalogue.py spells paths of outs; the rest of the code uses its names."""
    for path in (REPOSITORY / "pipeline").rglob("*.py"):
        texts = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
        spelled = [text for text in texts if isinstance(text, str) and text.startswith(("data/", "reports/"))]
        assert path.name == "catalogue.py" or [text for text in spelled if "\n" not in text] == []


def all_outs(stage: Stage) -> list[str]:
    files = [*stage.writes.values(), *stage.keeps.values()]
    return [*(artifact.path for artifact in files), *stage.builds.values()]
