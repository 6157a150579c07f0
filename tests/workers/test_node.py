"""What a process on a node of a cluster does, without the cluster: it says what it sees, and does jobs."""

import os
import pickle
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from pipeline.errors import ParamsError
from pipeline.store.shard_files import writer
from pipeline.workers.cluster.node import Node, NodeReport, Workspace, contents, versions
from pipeline.workers.cluster.settings import configure, host_and_port, is_loopback, named_address
from pipeline.workers.engine import Engine, choose_engine
from pipeline.workers.serving import Guard, Job, Work

HERE = {"python": "3.11", "code": "abc", "pillow": "12.0.0"}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A marked folder, the current one, which the test may leave."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIPELINE_WRITER", "")
    (tmp_path / ".marker").write_text("token")
    return Workspace(str(tmp_path), ".marker", "token", (str(tmp_path),))


def _write(text: str, path: str) -> str:
    Path(path).write_text(text)
    return path


def _fail(_: object) -> None:
    raise ValueError("no such thing")


def test_a_node_that_sees_the_workspace_works_in_it(workspace: Workspace) -> None:
    node = Node(workspace, "one")
    assert node.report().refusal(versions(), workspace) is None
    done = node.do("key", _pickled(Work(partial(_write, "text"))), Job(0, "made.txt"), {})
    assert (done.result, done.error, done.files) == ("made.txt", None, None)
    assert Path(workspace.folder, "made.txt").read_text() == "text"
    assert writer() == "-one"


def test_a_node_that_does_not_see_it_sends_its_files_back(workspace: Workspace, tmp_path: Path) -> None:
    elsewhere = replace(workspace, token="another", reads=())
    node = Node(elsewhere, "two")
    (tmp_path / "given.txt").write_text("read")
    assert Path.cwd() != tmp_path
    done = node.do("key", _pickled(Work(_copied)), Job(0, "a/given.txt"), {"a/given.txt": b"read"})
    assert done.error is None
    assert done.files == {"a/given.txt": b"read", "copy.txt": b"READ"}
    assert [*Path.cwd().rglob("*.txt")] == []
    assert node.report().refusal(versions(), elsewhere) is None


def _copied(path: str) -> None:
    Path("copy.txt").write_text(Path(path).read_text().upper())


def test_an_error_comes_back_and_the_next_job_is_done(workspace: Workspace) -> None:
    node = Node(workspace, "one")
    failed = node.do("key", _pickled(Work(_fail)), Job(0, 1), {})
    with pytest.raises(ValueError, match="no such thing"):  # as it comes out of another process
        raise pickle.loads(pickle.dumps(failed.error))
    assert node.do("other", _pickled(Work(abs)), Job(1, -3), {}).result == 3


def test_an_item_that_ends_its_process_costs_itself_on_a_node_too(workspace: Workspace) -> None:
    node = Node(workspace, "one")
    work = Work(_collected, Guard(_unless_zero, _refused, seconds=10, megabytes=1000))
    done = node.do("key", _pickled(work), Job(7, "task", [1, 0, 2]), {})
    assert done.result == [1, "decoder_crashed", 2]


def _collected(_: str, made: Iterator[object]) -> list[object]:
    return list(made)


def _unless_zero(item: int) -> int:
    if item == 0:
        os._exit(3)
    return item


def _refused(_: int, reason: str, __: str) -> str:
    return reason


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"versions": {**HERE, "pillow": "11.0.0"}}, "it has pillow 11.0.0 instead of 12.0.0"),
        ({"versions": {"python": "3.11", "code": "abc"}}, "it has pillow missing instead of 12.0.0"),
        ({"sees_workspace": False}, "it cannot read the workspace /project"),
        ({"missing": ("/photos",)}, "it cannot read /photos: mount it at the same path"),
    ],
)
def test_a_node_is_refused_with_the_reason_and_the_next_step(changes: dict[str, object], wanted: str) -> None:
    report = NodeReport("host", HERE, sees_workspace=True, missing=())
    project = Workspace("/project", ".marker", "token", ("/project",))
    assert report.refusal(HERE, project) is None
    reason = replace(report, **changes).refusal(HERE, project)  # type: ignore[arg-type]
    assert reason is not None
    assert reason.startswith(wanted)


def test_tasks_that_read_elsewhere_do_without_the_workspace() -> None:
    report = NodeReport("host", HERE, sees_workspace=False, missing=())
    assert report.refusal(HERE, Workspace("/project", ".marker", "token", ("/photos",))) is None


def test_files_for_a_node_go_by_their_path_in_the_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("data/x.arrow").write_bytes(b"x")
    assert contents([Path("data/x.arrow")]) == {"data/x.arrow": b"x"}


def test_the_engine_is_that_of_the_option_then_of_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_engine(3) == Engine(3)
    monkeypatch.setenv("PIPELINE_ENGINE", "spark")
    with pytest.raises(ParamsError, match=r"--engine and PIPELINE_ENGINE name an engine: .*got 'spark'"):
        choose_engine(3)
    assert choose_engine(3, "processes") == Engine(3)
    assert choose_engine(3, "processes").reading([Path("x")]) == Engine(3)


def test_an_engine_whose_package_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "pipeline.workers.cluster.engine", raising=False)
    monkeypatch.delitem(sys.modules, "pipeline.workers.cluster.connection", raising=False)
    with pytest.raises(ParamsError, match=r"pip install 'image-data-pipeline\[ray\]'"):
        choose_engine(2, "ray")


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("ray://10.0.0.1:10001", ("10.0.0.1", 10001)),
        ("127.0.0.1:6379", ("127.0.0.1", 6379)),
        ("ray://host", None),
        ("ray://host:port", None),
    ],
)
def test_an_address_is_a_host_and_a_port(address: str, place: tuple[str, int] | None) -> None:
    assert host_and_port(address) == place
    assert is_loopback(address) == (place is not None and place[0] == "127.0.0.1")


def test_ray_is_told_of_loopback_before_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setenv(name, "before")
    monkeypatch.delenv(name)
    configure(None)
    assert name not in os.environ
    assert named_address(None) == "10.0.0.1:6379"
    monkeypatch.setenv("RAY_ADDRESS", "local")
    configure(None)
    assert os.environ[name] == "0"
    assert named_address(None) is None


def _pickled(work: Work) -> bytes:
    return pickle.dumps(work)
