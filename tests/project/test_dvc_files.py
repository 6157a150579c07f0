"""DVC's files: what the stages declare, and nothing of this repository's own."""

from pathlib import PurePosixPath
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.project.dvc_files import all_outs, render
from pipeline.stage import NAMES, load_stage


def stages(demonstration: bool) -> dict[str, dict[str, Any]]:
    """Every stage as DVC reads it; the body of `do` for those with `foreach`."""
    texts = render(demonstration).values()
    read = [YAML(typ="safe", pure=True).load(text)["stages"] for text in texts]
    return {name: body.get("do", body) for each in read for name, body in each.items()}


def paths(entries: list[Any]) -> dict[str, dict[str, bool]]:
    """Path -> flags."""
    pairs = [next(iter(entry.items())) if isinstance(entry, dict) else (entry, {}) for entry in entries]
    return {path.replace("${key}", "{name}"): flags for path, flags in pairs}


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_depends_on_the_version_of_its_code_and_on_no_source_file(name: str) -> None:
    body = stages(demonstration=True)[name]
    assert body["deps"][0] == f"data/code/{name}.txt"
    assert not [dep for dep in body["deps"] if dep.endswith(".py") or dep.startswith("pipeline")]


@pytest.mark.parametrize("name", NAMES)
def test_dvc_reads_what_the_stage_declares(name: str) -> None:
    stage, body = load_stage(name), stages(demonstration=True)[name]
    outs = {**paths(body.get("outs", [])), **paths(body.get("metrics", []))}
    assert set(outs) == set(all_outs(stage))
    kept = {path for path, flags in outs.items() if flags.get("persist")}
    assert kept == {*stage.builds.values(), *(artifact.path for artifact in stage.keeps.values())}
    deps = [*paths(body["deps"])]
    # Of a folder above other stages' outs these are the dependencies.
    for path in (artifact.path for artifact in stage.reads.values()):
        assert [dep for dep in deps if dep == path or dep.startswith(f"{path}/")], path
    assert sorted(param.replace("${key}", "{name}") for param in body["params"]) == sorted({*stage.places})


def test_versions_of_code_depend_on_nothing_and_are_written_each_time() -> None:
    code = stages(demonstration=False)["code"]
    assert code.keys() == {"desc", "wdir", "cmd", "always_changed", "outs"}
    assert code["always_changed"] is True
    assert paths(code["outs"]) == {"data/code": {"persist": True}}


def test_another_project_has_nothing_of_the_demonstration() -> None:
    texts = "".join(render(demonstration=False).values())
    assert "sample" not in texts
    assert stages(demonstration=True).keys() - stages(demonstration=False).keys() == {"sample"}
    first = {"reports/sample/metrics.json"}
    assert first <= {*stages(demonstration=True)["inventory"]["deps"]}


def test_what_git_keeps_is_small_and_named() -> None:
    found = {
        path
        for body in stages(demonstration=False).values()
        for path, flags in {**paths(body.get("outs", [])), **paths(body.get("metrics", []))}.items()
        if flags.get("cache") is False and "final" not in path
    }
    names = {"metrics.json", "checksums.json", "diagnosis.json", "diagnosis.md"}
    assert {PurePosixPath(path).name for path in found} == names
