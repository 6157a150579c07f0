"""Sources and a DVC remote on a real S3 server, through real DVC and Git, as docs/storage.md says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dvc_projects import commit, copied_repository
from tests.object_server import KEY, SECRET, client, server_port, settings
from tests.running import run, write_params, write_tiny_sources

pytestmark = pytest.mark.storage
TARGET = "split"
SOURCES = {
    "web": {"role": "raw", "path": "s3://team-images/web"},
    "phone": {"role": "production", "path": "s3://team-images/phone"},
}


@pytest.fixture
def first(tmp_path: Path) -> Iterator[Path]:
    """A repository with its sources and its remote in buckets, and an origin to push to."""
    folder = copied_repository(tmp_path / "first")
    write_tiny_sources(tmp_path)
    write_params(folder, sources=SOURCES)
    s3 = client()
    for bucket in ("team-images", "team-results"):
        s3.create_bucket(Bucket=bucket)
    for path in sorted((tmp_path / "images").rglob("*.png")):
        key = path.relative_to(tmp_path / "images").as_posix()
        s3.put_object(Bucket="team-images", Key=key, Body=path.read_bytes())
    run(tmp_path, "git", "init", "--quiet", "--bare", "origin.git")
    run(folder, "git", "remote", "add", "origin", str(tmp_path / "origin.git"))
    run(folder, "dvc", "remote", "add", "--quiet", "--default", "team", "s3://team-results/dvc")
    run(folder, "dvc", "remote", "modify", "team", "endpointurl", f"http://127.0.0.1:{server_port()}")
    yield folder
    assert not [path for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()], (
        "a credential was written"
    )


def test_a_run_is_shared_through_a_bucket(first: Path, tmp_path: Path) -> None:
    online: Any = settings(server_port())
    # The remote has its endpoint in DVC's config; the sources are out of reach.
    offline: Any = {**settings(1), "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    printed = run(first, "dvc", "repro", TARGET, **online)
    assert "inventory: 145 files in 2 sources" in printed
    commit(first, "Run")
    run(first, "git", "push", "--quiet", "origin", "main")
    assert "pushed" in run(first, "dvc", "push", **online)

    run(tmp_path, "git", "clone", "--quiet", str(tmp_path / "origin.git"), "second", "--branch", "main")
    second = tmp_path / "second"
    run(second, "dvc", "pull", "--quiet", TARGET, "--with-deps", **offline)
    printed = run(second, "dvc", "repro", TARGET, **offline)
    assert "not here: phone, web; the results of the last run are used for them" in printed
    assert "s3://team-images/web: the connection fails" in printed
    assert "Running stage 'ingest" not in printed
    assert run(second, "git", "status", "--porcelain") == ""

    printed = run(first, "dvc", "exp", "run", "--name", "other-seed", "-S", "split.seed=9", TARGET, **online)
    assert "Running stage 'ingest" not in printed
    run(first, "dvc", "exp", "push", "origin", "other-seed", **online)
    assert "other-seed" in run(second, "dvc", "exp", "list", "origin")
    run(second, "dvc", "exp", "pull", "origin", "other-seed", **offline)
    # It ends with an error over the stages that this run left out; their outs are in no remote.
    run(second, "dvc", "exp", "apply", "other-seed", check=False, **offline)
    assert (second / "params.yaml").read_bytes() == (first / "params.yaml").read_bytes()
    run(second, "dvc", "checkout", "--quiet", "data/split/manifest.arrow", **offline)
    assert (second / "data/split/manifest.arrow").read_bytes() == (first / "data/split/manifest.arrow").read_bytes()
