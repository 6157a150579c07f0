"""urls: which URLs a source may have; no message shows a secret."""

import pytest
from pydantic import ValidationError

from pipeline.sources.object_store import ObjectPlace
from pipeline.sources.params import SourceParams
from pipeline.sources.urls import is_url, url_problem


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket",
        "s3://bucket/",
        "s3://my.bucket-1/photos/2026 June/",
        "gs://bucket/photos",
        "abfs://container/photos",
        "abfss://container@account.dfs.core.windows.net/photos",
        "abfs://container@account",
    ],
)
def test_valid_urls_are_places_that_are_shown_as_they_were_written(url: str) -> None:
    assert is_url(url)
    assert url_problem(url) is None
    assert str(ObjectPlace.parse(url)) == url.rstrip("/")


@pytest.mark.parametrize("path", ["images", "/data/images", "../s3", "C:/images", "s3:/bucket", "a:b//c"])
def test_paths_are_no_urls(path: str) -> None:
    assert not is_url(path)
    assert url_problem(path) is None


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("https://host/photos", "a URL of s3://, gs:// or abfs://"),
        ("s3a://bucket/photos", "did you mean s3://?"),
        ("gcs://bucket/photos", "did you mean gs://?"),
        ("s3://", "has no valid bucket"),
        ("s3:///photos", "has no valid bucket"),
        ("s3://b_ü/photos", "has no valid bucket"),
        ("abfs://Container/x", "has no valid container"),
        ("s3://bucket//photos", "empty parts"),
        ("s3://bucket/photos/../x", "empty parts, . or .."),
        ("s3://key:SECRET@bucket/photos", "a user or a key"),
        ("s3://bucket/photos?endpoint_override=host&secret_key=SECRET", "must not hold ? or #"),
        ("abfs://container/photos?sig=SECRET", "must not hold ? or #"),
        ("https://key:SECRET@host/photos", "a URL of s3://"),
    ],
)
def test_others_are_refused_by_params_with_the_next_step(url: str, what: str) -> None:
    with pytest.raises(ValidationError) as refused:
        SourceParams(role="raw", path=url)
    message = refused.value.errors()[0]["msg"]
    assert what in message
    assert "SECRET" not in message
    if not url.startswith(("https", "s3a", "gcs")):
        assert "docs/storage.md" in message
