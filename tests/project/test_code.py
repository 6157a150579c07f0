"""The files with versions of code: what `pipeline code` says, and a stage that starts over a stale one."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline import catalogue
from pipeline.errors import DataError, ParamsError
from pipeline.project import code as code_files
from pipeline.project.code import OLDER, check_version, write_versions
from pipeline.stage import NAMES
from pipeline.versions.reach import Reached
from pipeline.versions.stages import Versions
from tests.examples import REPOSITORY, params
from tests.running import pipeline_alone, write_params

FOLDER = Path("data/code")


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_STAGE", raising=False)


def lock(**other_hashes: str) -> None:
    """dvc.lock as DVC writes it after a run with the files that are there."""
    hashes = {name: hashlib.md5((FOLDER / f"{name}.txt").read_bytes()).hexdigest() for name in NAMES} | other_hashes
    stages = {
        f"{name}@web" if name == "ingest" else name: {"deps": [{"path": f"data/code/{name}.txt", "md5": md5}]}
        for name, md5 in hashes.items()
    }
    with Path("dvc.lock").open("w") as file:
        YAML().dump({"schema": "2.0", "stages": stages}, file)


def stale(name: str) -> None:
    """Another version, because of another module."""
    file = FOLDER / f"{name}.txt"
    _, first, *rest = file.read_text().splitlines()
    file.write_text("\n".join(["0" * 32, f"00000000 {first.split()[1]}", *rest]) + "\n")


def test_each_stage_has_a_file_and_the_same_code_gives_the_same(tmp_path: Path) -> None:
    write_versions(params())
    before = {file.name: file.read_bytes() for file in FOLDER.iterdir()}
    assert set(before) == {f"{name}.txt" for name in NAMES}
    assert len({text.split(b"\n")[0] for text in before.values()}) == len(NAMES)
    (FOLDER / "gone.txt").write_text("of a stage that is no more")
    write_versions(params())
    assert {file.name: file.read_bytes() for file in FOLDER.iterdir()} == before
    assert sorted(path.name for path in Path("data").iterdir()) == ["code", "code-memo"]


def test_what_was_computed_is_used_until_an_input_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "copy/pipeline"
    shutil.copytree(REPOSITORY / "pipeline", package, ignore=shutil.ignore_patterns("__pycache__"))
    stages, computed = ["split", "diagnose"], list[str]()

    class Counting(Versions):
        def reached(self, name: str, params: Mapping[str, Any] | None = None) -> Reached:
            computed.append(name)
            return super().reached(name, params)

    def use() -> None:
        """The package as it is now: its files are read once in a process."""
        counting = Counting(package)
        monkeypatch.setattr(code_files, "installed_versions", lambda: counting)

    def written(*expected: str, **changes: Any) -> dict[str, bytes]:
        """What `code` writes for such params, after it computed the versions of these stages."""
        computed.clear()
        write_versions(params(**changes))
        assert computed == [*expected]
        return {file.stem: file.read_bytes() for file in FOLDER.iterdir()}

    monkeypatch.setattr(code_files, "NAMES", stages)
    use()
    first = written(*stages)
    assert written() == first
    assert check_version("diagnose", params()) is None
    assert written(**{"train.learning_rate": 0.5}) == first  # a number chooses no row
    written(*stages, **{"train.loss": {"name": "focal", "gamma": 2.0}})
    assert written(*stages) == first
    damage(Path(catalogue.CODE_MEMO.path))
    assert written(*stages) == first
    change = package / "diagnosis/rendering.py"
    change.write_text(change.read_text().replace("    return", "    abs(1)\n    return", 1))
    use()
    assert check_version("split", params()) is None
    assert "diagnose runs other code" in str(check_version("diagnose", params()))
    again = written(*stages)
    assert [name for name in stages if again[name] != first[name]] == ["diagnose"]


def damage(file: Path) -> None:
    """Another byte in the middle."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_it_says_which_stages_run_again_and_why() -> None:
    assert write_versions(params()) == f"code: {len(NAMES)} stages; none of them has run yet"
    lock()
    assert write_versions(params()) == f"code: {len(NAMES)} stages, no code changed since dvc.lock"
    lock(train="0" * 32)
    assert write_versions(params()) == "code: changed since dvc.lock; these stages run again: train"
    stale("train")
    said = write_versions(params())
    assert said == "code: changed since dvc.lock, because of catalogue; these stages run again: train"


def test_a_lock_file_of_an_older_version_gets_one_line() -> None:
    with Path("dvc.lock").open("w") as file:
        YAML().dump(
            {"stages": {"ingest@web": {"deps": [{"path": "pipeline/core/imaging.py", "md5": "0"}]}, "other": {}}}, file
        )
    assert write_versions(params()) == f"code: {OLDER}"
    assert "\n" not in OLDER


@pytest.mark.parametrize("text", ["<<<<<<< HEAD\n", "stages: [1]\n", "- 1\n", "", "stages: {train: {deps: [1]}}\n"])
def test_a_lock_file_that_cannot_be_read_is_left_to_dvc(text: str) -> None:
    Path("dvc.lock").write_text(text)
    assert "no code changed" in write_versions(params())


OWN = {"name": "factory", "factory": "mymodels:build"}


def test_code_of_the_project_counts_for_the_stages_that_run_it() -> None:
    Path("mymodels.py").write_text("from layers import block\ndef build(classes, size):\n    return block(classes)\n")
    Path("layers.py").write_text("def block(classes):\n    return classes\n")
    chosen = params(**{"train.model": OWN})
    write_versions(chosen)
    before = {name: (FOLDER / f"{name}.txt").read_text() for name in NAMES}
    run_it = {name for name, text in before.items() if " mymodels\n" in text and " layers\n" in text}
    assert {"train", "evaluate", "label_issues", "final_evaluation"} <= run_it
    assert run_it.isdisjoint({"inventory", "ingest", "embed", "curate", "split", "balance", "augment", "previews"})
    lock()
    Path("layers.py").write_text("def block(classes):\n    return classes + 1\n")
    assert write_versions(chosen).startswith(
        "code: changed since dvc.lock, because of layers; these stages run again: "
    )
    changed = {name for name in NAMES if (FOLDER / f"{name}.txt").read_text() != before[name]}
    assert changed == run_it


def test_code_of_the_project_that_is_not_there_is_said_before_any_stage_runs() -> None:
    with pytest.raises(ParamsError, match="this project has no module mymodels"):
        write_versions(params(**{"train.model": OWN}))


def test_a_stage_over_a_stale_file_stops_under_dvc_and_says_so_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_version("split", params()) is None  # nobody asked for files
    write_versions(params())
    assert check_version("split", params()) is None
    stale("split")
    assert check_version("train", params()) is None
    note = check_version("split", params())
    assert (
        note == "note: split runs other code than at the last `dvc repro`, because the package changed, or params that "
        "choose code, such as a model; the next `dvc repro` runs this stage again"
    )
    monkeypatch.setenv("DVC_STAGE", "split")
    with pytest.raises(
        DataError, match=r"data/code/split.txt does not match the code of split:.*`dvc repro data/dvc.yaml:code`"
    ):
        check_version("split", params())


def test_the_commands_do(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    write_params(Path())
    assert pipeline_alone(capsys, monkeypatch, "code").out.startswith("code: ")
    stale("curate")
    ended = pipeline_alone(capsys, monkeypatch, "curate")
    assert ended.err.startswith("note: curate runs other code than at the last `dvc repro`")
    monkeypatch.setenv("DVC_STAGE", "curate")
    ended = pipeline_alone(capsys, monkeypatch, "curate")
    assert (ended.code, ended.err[:42]) == (DataError.exit_code, "error: data/code/curate.txt does not match")
    assert code_files.COMMAND in ended.err
