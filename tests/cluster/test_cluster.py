"""A real Ray cluster of two nodes on this machine: the same bytes as processes give, whatever ends in the middle.

`make test-cluster` runs these; they need the extra [ray].
"""

import hashlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.examples import encoded, write_source
from tests.hostile import slow_jpeg
from tests.images.pictures import smooth
from tests.running import environment, write_params

# Ray leaves log files of its own open.
pytestmark = [pytest.mark.cluster, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]
ray = pytest.importorskip("ray")

SERVERS = ("raylet", "gcs_server")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of one source with photos that take a while to decode, one of which ends its decoder."""
    folder = tmp_path / "project"
    photo = encoded(smooth(3000, 2000), "JPEG")
    for number in range(60):
        # Equal pixels in files that differ, so that each is read and decoded.
        (folder / "images/web/a").mkdir(parents=True, exist_ok=True)
        (folder / f"images/web/a/{number:02}.jpg").write_bytes(photo + number.to_bytes(2, "big"))
    write_source(folder / "images/web", {"b": 20, "c": 10}, seed=1)
    (folder / "images/web/b/slow.jpg").write_bytes(slow_jpeg())
    write_params(folder, **{"ingest.max_seconds": 1})
    return folder


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator["Cluster"]:
    """Two nodes, one processor each, on 127.0.0.1."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    made = Cluster()
    try:
        yield made
    finally:
        made.stop()


class Cluster:
    """A head without processors, so that its death is another matter, and two nodes of one processor each."""

    def __init__(self, *processors: int) -> None:
        from ray.cluster_utils import Cluster as Nodes

        self._nodes = Nodes(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "node_ip_address": "127.0.0.1", "include_dashboard": False},
        )
        # Addresses of their own: a run joins the node of its own address, the head, which no test kills.
        self.nodes = [
            self._nodes.add_node(num_cpus=count, node_ip_address=f"127.0.0.{number}", object_store_memory=100_000_000)
            for number, count in enumerate(processors or (1, 1), 2)
        ]
        self.address = self._nodes.address

    def kill(self, number: int) -> None:
        self._nodes.remove_node(self.nodes[number], allow_graceful=False)

    def stop(self) -> None:
        self._nodes.shutdown()


def start(folder: Path, *arguments: str, address: str | None = None) -> "subprocess.Popen[str]":
    settings = {**environment(folder), "RAY_USAGE_STATS_ENABLED": "0"}
    settings["RAY_ADDRESS"] = address or "local"
    command = [sys.executable, "-m", "pipeline", *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def run(folder: Path, *arguments: str, address: str | None = None, code: int = 0) -> str:
    process = start(folder, *arguments, address=address)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == code, out
    return out


def digests(folder: Path) -> dict[str, str]:
    place = folder / "data/ingest/web"
    return {
        path.relative_to(place).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(place.rglob("*"))
        if path.is_file()
    }


def by_processes(folder: Path) -> dict[str, str]:
    """What processes of this machine write; then all of it is removed."""
    (folder / "images/phone").mkdir(exist_ok=True)
    run(folder, "ingest", "web", "--workers", "2")
    found = digests(folder)
    assert any(name.startswith("shards/") for name in found)
    shutil.rmtree(folder / "data/ingest/web")
    return found


def when_a_shard_is_there(folder: Path, process: "subprocess.Popen[str]") -> None:
    while not [*(folder / "data/ingest/web/shards").glob("*.arrow")]:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)


def servers() -> set[int]:
    """Processes of clusters that run on this machine."""
    return {process.pid for process in psutil.process_iter(["name"]) if process.info["name"] in SERVERS}


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.1)


def test_two_nodes_write_the_same_bytes_as_processes_here(project: Path, cluster: Cluster) -> None:
    expected = by_processes(project)
    out = run(project, "ingest", "web", "--engine", "ray", address=cluster.address)
    assert digests(project) == expected
    assert "1 rejected" in out  # the guard ends its own process on the node, not the node's


def test_a_node_that_is_killed_costs_its_shards_alone(project: Path, cluster: Cluster) -> None:
    expected = by_processes(project)
    process = start(project, "ingest", "web", "--engine", "ray", address=cluster.address)
    when_a_shard_is_there(project, process)
    cluster.kill(0)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    assert digests(project) == expected


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_no_process_of_a_cluster_of_its_own_outlives_a_run(project: Path, number: int, code: int) -> None:
    expected = by_processes(project)
    before = servers()
    process = start(project, "ingest", "web", "--engine", "ray", "--workers", "2")
    when_a_shard_is_there(project, process)
    assert servers() - before
    kept = {path.name for path in (project / "data/ingest/web/shards").glob("*.arrow")}
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in out
    wait_until(lambda: servers() <= before)
    assert kept <= {path.name for path in (project / "data/ingest/web/shards").glob("*.arrow")}
    run(project, "ingest", "web", "--engine", "ray", "--workers", "2")
    assert digests(project) == expected
    assert servers() <= before


def test_a_cluster_without_a_processor_is_told(project: Path) -> None:
    made = Cluster(0)
    try:
        out = run(project, "ingest", "web", "--engine", "ray", address=made.address, code=7)
    finally:
        made.stop()
    assert "no node of the cluster at 127.0.0.1" in out


def test_an_address_that_nobody_answers_is_told_at_once(project: Path) -> None:
    begun = time.monotonic()
    out = run(project, "ingest", "web", "--engine", "ray://127.0.0.1:9", code=7)
    assert "no Ray cluster answers at ray://127.0.0.1:9" in out
    assert time.monotonic() - begun < 30


def test_a_client_joins_a_cluster_of_other_machines(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # for a head on the loopback interface alone
    expected = by_processes(project)
    ports = {"ray_client_server_port": 23011}
    from ray.cluster_utils import Cluster as Nodes

    nodes = Nodes(
        initialize_head=True,
        head_node_args={"num_cpus": 2, "node_ip_address": "127.0.0.1", "include_dashboard": False, **ports},
    )
    try:
        run(project, "ingest", "web", "--engine", "ray://127.0.0.1:23011")
    finally:
        nodes.shutdown()
    assert digests(project) == expected


def test_embeddings_variants_and_predictions_are_the_same_bytes(tmp_path: Path, cluster: Cluster) -> None:
    folder = tmp_path / "project"
    write_source(folder / "images/web", {"a": 900, "b": 300}, seed=1)
    write_source(folder / "images/phone", {"a": 120, "b": 90}, seed=2, noise=100)
    write_params(folder, **{"embed.backbone": {"name": "efficientnet_lite0", "side": 64}, "train.epochs": 1})
    spread = ("embed", "curate", "augment", "evaluate")
    stages = ["ingest web", "ingest phone", "embed", "curate", "split", "balance", "augment", "train", "evaluate"]
    made: dict[str, dict[str, str]] = {}
    for engine, address in (("processes", None), ("ray", cluster.address)):
        run(folder, "inventory")
        for stage in stages:
            chosen = engine if stage in spread else "processes"
            run(folder, *stage.split(), "--engine", chosen, address=address)
        made[engine] = {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for name in spread
            for path in sorted((folder / "data" / name).rglob("*"))
            if path.is_file()
        }
        shutil.rmtree(folder / "data")
    assert made["ray"] == made["processes"]
    assert len(made["ray"]) > 10
