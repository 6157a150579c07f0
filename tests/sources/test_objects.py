"""objects: sources on a real S3 server, with faults on the way."""

import pickle
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipeline.errors import DataError, MissingInputError, PipelineError, StorageError
from pipeline.images.rejection import Rejection
from pipeline.sources import object_store, objects, read_ahead
from pipeline.sources.files import open_files
from pipeline.sources.objects import Objects
from pipeline.sources.params import SourceParams
from pipeline.sources.read_ahead import Listed, ReadAhead
from pipeline.workers.engine import Engine
from tests.object_server import Answer, Bucket, Cut, Seen, bucket_for_tests, no_fault

MOST = 1_000_000


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setattr(objects, "YOUNG", 0)
    with bucket_for_tests(monkeypatch) as made:
        yield made


def opened(bucket: Bucket, path: str = "raw", **more: Any) -> Any:
    return open_files(SourceParams(role="production", path=f"s3://{bucket.name}/{path}", **more), 200)


def digests(files: Objects, *paths: str) -> list[str]:
    found = files.hashes(paths, MOST, Engine(1), "")
    return [found.sha256(number) for number in range(len(paths))]


def test_objects_are_listed_by_their_path_and_odd_names_are_refused(bucket: Bucket) -> None:
    for key in ("a/1.png", "a/b/é +%.png", "a//2.png", "a/../3.png", ".h/4.png", "a/Thumbs.db", "5.png", "folder/"):
        bucket.put(f"raw/{key}", b"x")
    bucket.put("raw2/6.png", b"x")
    found = opened(bucket).scan()
    assert found.files == ("5.png", "a/1.png", "a/b/é +%.png")
    assert found.refused == (("a/../3.png", "path_leaves_source"), ("a//2.png", "empty_name"))
    assert found.ignored == ((".h/4.png", "hidden"), ("a/Thumbs.db", "system_file"))
    assert opened(bucket, "raw/", inside="a").scan().files == ("1.png", "b/é +%.png")


def test_an_object_is_read_by_what_was_listed_of_it_in_another_process_too(bucket: Bucket) -> None:
    bucket.put("raw/a/1.png", b"content")
    files = opened(bucket)
    files.scan()
    [listed] = digests(files, "a/1.png")
    worker = pickle.loads(pickle.dumps(files))
    assert worker.read("a/1.png", MOST, listed) == b"content"
    assert files.read("a/1.png", MOST) == b"content"
    assert worker.read("a/1.png", 3, listed) == Rejection("too_many_bytes", "7 bytes, the limit is 3")
    assert bucket.faults.count("GET", "a/1.png") == 2
    found = files.hashes(["a/1.png"], 3, Engine(1), "")
    assert found.refused[0].reason == "too_many_bytes"


def test_an_objects_digest_changes_with_its_size_and_time_alone(bucket: Bucket) -> None:
    bucket.put("raw/1.png", b"content")
    files = opened(bucket)
    files.scan()
    before = digests(files, "1.png")
    files.scan()
    assert digests(files, "1.png") == before
    bucket.put("raw/1.png", b"contents")
    files.scan()
    assert digests(files, "1.png") != before
    assert not files.hashes_content


def test_an_object_that_changed_a_moment_ago_is_looked_at_again(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "YOUNG", 10**12)
    waited: list[float] = []
    bucket.put("raw/1.png", b"content")

    def wait(seconds: float) -> None:
        waited.append(seconds)
        bucket.put("raw/1.png", b"other content")

    monkeypatch.setattr(objects, "sleep", wait)
    files = opened(bucket)
    files.scan()
    assert waited == [1000]
    assert files.read("1.png", MOST) == b"other content"


FAULTS: dict[str, tuple[Callable[[Seen], Answer | Cut | None], str | None]] = {
    "throttled twice": (lambda seen: Answer(503, "SlowDown") if seen.number < 3 else None, None),
    "throttled for good": (lambda _: Answer(503, "SlowDown"), "asks to slow down"),
    "broken twice": (lambda seen: Cut(2) if seen.method == "GET" and seen.number < 3 else None, None),
    "broken for good": (lambda seen: Cut(2) if seen.method == "GET" else None, "connection fails"),
    "stalled": (lambda seen: Cut(2, 4) if seen.method == "GET" else None, "too slow or has stopped"),
    "denied": (lambda seen: Answer(403, "AccessDenied") if "1.png" in seen.path else None, "access is denied"),
    "expired": (lambda _: Answer(400, "ExpiredToken"), "credentials have expired"),
    "gone": (
        lambda seen: Answer(404, "NoSuchKey") if seen.method == "GET" or seen.number > 1 else None,
        "no longer exists",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_tried_again_and_then_named(name: str, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    fault, words = FAULTS[name]
    monkeypatch.setattr(object_store, "TRIES", 3 if words is None else 2 if name == "gone" else 1)
    monkeypatch.setattr(object_store, "STALL_SECONDS", 1)
    monkeypatch.setattr(objects, "SHORTEST_WAIT", 0.01)
    # The store's words are longer than the shorter one.
    for content in (b"content" * 100, b"content"):
        bucket.put("raw/1.png", content)
        bucket.faults.fault = no_fault
        files = opened(bucket)
        files.scan()
        bucket.faults.fault = fault
        bucket.restart()
        _read_with_faults(files, words, bucket, content)


def _read_with_faults(files: Objects, words: str | None, bucket: Bucket, content: bytes) -> None:
    if words is None:
        assert files.read("1.png", MOST) == content
        return
    with pytest.raises(PipelineError, match=words) as refused:
        files.read("1.png", MOST)
    assert str(refused.value).startswith(f"s3://{bucket.name}/raw/1.png")
    assert "finished work is kept" in str(refused.value)


def test_a_changed_object_is_named(bucket: Bucket) -> None:
    bucket.put("raw/1.png", b"content")
    files = opened(bucket)
    files.scan()
    bucket.put("raw/1.png", b"other content")
    with pytest.raises(DataError, match=r"raw/1\.png has changed since it was listed: run `dvc repro` again"):
        files.read("1.png", MOST)
    bucket.client.delete_object(Bucket=bucket.name, Key="raw/1.png")
    with pytest.raises(MissingInputError, match="no longer exists: run `dvc repro` again"):
        files.read("1.png", MOST)


def test_a_bucket_or_prefix_that_is_not_there_and_a_missing_network_are_named(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MissingInputError, match="s3://no-such-bucket/raw: the bucket does not exist"):
        open_files(SourceParams(role="raw", path="s3://no-such-bucket/raw"), 200).scan()
    with pytest.raises(MissingInputError, match=f"no objects under s3://{bucket.name}/nothing: correct the path"):
        opened(bucket, "nothing").scan()
    bucket.faults.fault = lambda _: Answer(403, "InvalidAccessKeyId")
    with pytest.raises(StorageError, match="does not know the access key"):
        opened(bucket)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    object_store._store.cache_clear()
    with pytest.raises(StorageError, match="the connection fails, after several tries"):
        opened(bucket)


def test_read_ahead_is_bounded_and_keeps_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_ahead, "MAX_BYTES", 100)
    begun: list[Listed] = []

    def load(one: Listed) -> bytes:
        begun.append(one)
        return one.path.encode()

    ahead = ReadAhead(load, str)
    coming = [Listed(str(number), 40, 0) for number in range(6)]
    ahead.expect(coming)
    assert ahead.take(coming[0]) == b"0"
    assert ahead.take(coming[1]) == b"1"
    assert {one.path for one in begun} <= {"0", "1", "2", "3"}
    # One that nobody expected, and one that is larger than all may be.
    assert ahead.take(Listed("other", 1, 0)) == b"other"
    ahead.expect([Listed("large", 1000, 0)])
    assert ahead.take(Listed("large", 1000, 0)) == b"large"


def test_an_error_of_an_object_ahead_is_raised_when_its_turn_comes() -> None:
    def load(one: Listed) -> bytes:
        if one.path == "1":
            raise DataError("damaged")
        return b"good"

    ahead = ReadAhead(load, str)
    coming = [Listed(str(number), 1, 0) for number in range(3)]
    ahead.expect(coming)
    assert ahead.take(coming[0]) == b"good"
    with pytest.raises(DataError, match="damaged"):
        ahead.take(coming[1])
    assert ahead.take(coming[2]) == b"good"


def test_an_object_that_does_not_arrive_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_ahead, "SECONDS", 0)
    forever = threading.Event()
    ahead = ReadAhead(lambda _: bytes(forever.wait(5)), lambda path: f"s3://b/{path}")
    with pytest.raises(StorageError, match=re.escape("s3://b/1: 7 bytes did not arrive within 0 seconds")):
        ahead.take(Listed("1", 7, 0))
    forever.set()


def test_nothing_of_the_credentials_is_in_what_workers_get(bucket: Bucket) -> None:
    bucket.put("raw/1.png", b"content")
    files = opened(bucket)
    files.scan()
    files.read("1.png", MOST)
    assert b"test-secret" not in pickle.dumps(files)
