"""One name everywhere: what the stages declare, what DVC's files say, and what the CLI offers agree."""

import ast
import dataclasses
import inspect
import itertools
import re
import signal
import tomllib
import typing
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from ruamel.yaml import YAML

from docs.generate import generated
from pipeline import catalogue, cli
from pipeline.errors import PipelineError
from pipeline.images.rejection import IGNORED, REASONS
from pipeline.project.dvc_files import all_outs
from pipeline.project.params_file import Params
from pipeline.stage import NAMES, command_of, load_stage
from pipeline.store.artifacts import Artifact
from pipeline.store.reading import maker
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
    # What images are and what their labels stand for is no stage's choice alone; a search is of no stage.
    sections = set(Params.model_fields) - {"sources", "problem", "tune"}
    assert sections < set(NAMES)
    # What training sees is settled by augment and train.
    # Which files there are is no choice. What is asked of test is what was asked of dev.
    assert set(NAMES) - sections == {"previews", "inventory", "final_diagnosis"}


@pytest.mark.parametrize("name", NAMES)
def test_the_function_takes_what_the_stage_declares(name: str) -> None:
    stage = load_stage(name)
    assert stage.name == stage.function.__name__ == name
    declared = {*stage.params, *stage.reads, *stage.keeps, *stage.builds, *stage.resumes, *stage.asks, *stage.caches}
    declared |= {"name"} if stage.each else set()
    for argument, value in stage.together.items():
        fields = {field.name for field in dataclasses.fields(value)}
        assert fields <= declared
        declared = declared - fields | {argument}
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
    # Commands keep them, and they are of no stage.
    assert named - {catalogue.CODE.path, catalogue.CODE_MEMO.path, catalogue.MAP_PLACES.path} == used


def test_only_the_test_stage_reads_the_rows_of_test() -> None:
    readers = [name for name in NAMES if catalogue.SPLIT_TEST in load_stage(name).reads.values()]
    assert readers == ["final_evaluation"]


def test_the_readme_links_every_guide_and_is_read_in_minutes() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    guides = [f"docs/{path.name}" for path in (REPOSITORY / "docs").glob("*.md")]
    assert [path for path in guides if f"({path})" not in readme] == []
    assert len(readme.splitlines()) <= 150


def test_the_reference_has_every_command_section_exit_code_and_reason() -> None:
    reference = (REPOSITORY / "docs/reference.md").read_text(encoding="utf-8")
    commands = [command.name or getattr(command.callback, "__name__", "") for command in cli.app.registered_commands]
    lines = [rf"### pipeline {name.replace('_', '-')}( .*)?" for name in commands]
    lines += [rf"### {section}" for section in Params.model_fields]
    lines += [rf"\| {error.exit_code} \| `{error.__name__}` \| .+ \|" for error in PipelineError.__subclasses__()]
    lines += [rf"\| {128 + number} \| \| .+ \|" for number in (signal.SIGINT, signal.SIGTERM)]
    lines += [rf"\| `{reason}` \| .+ \|" for reason in {**REASONS, **IGNORED}]
    assert [line for line in lines if not re.search(f"^{line}$", reference, re.MULTILINE)] == []


def test_each_param_has_a_comment() -> None:
    """But for seeds, which are all of one kind, and for names of choices, whose comment stands at the choice."""
    lines = (REPOSITORY / "params.yaml").read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("sample:"))
    bare = [
        line.strip()
        for before, line in itertools.pairwise(lines[start - 1 :])
        if re.match(r" +[a-z_0-9]+:", line) and " # " not in line and not before.lstrip().startswith("#")
    ]
    bare = [line for line in bare if not re.match(r"(seed|name): |(model|satisficing):$", line)]
    assert [line for line in bare if not line.startswith(("worst_class_recall: ", "model_megabytes: "))] == []


PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")])
PAGES += sorted([*(REPOSITORY / "benchmarks").glob("*.md"), *(REPOSITORY / "feedback").glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_between_pages_lead_to_a_file_and_a_heading(page: Path) -> None:
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    broken = []
    for target in re.findall(r"(?<!!)\[[^\]]*\]\(([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        if not target.startswith("http") and not (file.exists() and (not anchor or anchor in anchors(file))):
            broken.append(target)
    assert broken == []


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub links them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_map_of_the_code_names_modules_that_are_there() -> None:
    head, _, _ = (REPOSITORY / "docs/code.md").read_text(encoding="utf-8").partition("\n```\n")
    table = "".join(line for line in head.splitlines() if line.startswith("|"))
    named = re.findall(r"`([a-z_]+(?:/[a-zA-Z_]+)*\.py)`", table)
    assert len(named) > 10
    places = (f"pipeline/{name.replace('STAGE', 'train')}" for name in named)
    assert [place for place in places if not (REPOSITORY / place).is_file()] == []


def test_code_has_no_second_copy_of_a_path() -> None:
    """Only catalogue.py spells paths of outs; the rest of the code uses its names. DVC's own files are no outs."""
    for path in (REPOSITORY / "pipeline").rglob("*.py"):
        texts = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
        spelled = [text for text in texts if isinstance(text, str) and text.startswith(("data/", "reports/"))]
        spelled = [text for text in spelled if "\n" not in text and not text.endswith(("dvc.yaml", "dvc.lock"))]
        assert path.name == "catalogue.py" or spelled == []


def test_only_commands_take_more_arguments_than_the_linter_allows() -> None:
    """Typer makes one option of each argument, of a dataclass, too; so pipeline/cli is not linted for this."""
    limit = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]["pylint"]["max-args"]
    commands = {command.callback.__name__ for command in cli.app.registered_commands if command.callback}
    long = [
        function.name
        for path in (REPOSITORY / "pipeline/cli").glob("*.py")
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef) and len(function.args.args + function.args.kwonlyargs) > limit
    ]
    assert limit == 8
    assert [name for name in long if name not in commands] == []
