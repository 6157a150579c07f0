"""Object stores (S3, Google Cloud Storage, Azure) through Arrow's file systems; each process opens them for itself.

Credentials are found by the stores' own libraries, in the environment, their files, or the machine's role: nothing
here holds one.
"""

import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
from pyarrow import fs

from pipeline.errors import ParamsError
from pipeline.sources.object_errors import VAGUE, object_error
from pipeline.sources.urls import url_problem

# Tries of a request: of the first one to a store, where an error is most often of the params, and of all others, with
# waits that double up to half a minute in all.
FEW_TRIES, TRIES = 3, 6
CONNECT_SECONDS, STALL_SECONDS = 5, 15
# Requests of one process at the same time, at most.
CONNECTIONS = 64
# Google's store says it without a number.
NOT_FOUND = "No such file or directory"
# Prefixes that are listed at the same time.
LISTINGS = 8


class ObjectStat(NamedTuple):
    """Size and time of change of an object, as the store lists them."""

    st_size: int
    st_mtime_ns: int
    st_ino: int = 0


@dataclass(frozen=True)
class ObjectPlace:
    """An object, or all whose names begin so; as text, its URL.

    path: bucket/prefix. account: of Azure, "" for the one of the environment.
    """

    scheme: str
    path: str
    account: str = ""
    folder: bool = False
    """Its URL ends in a slash, so that it is no object."""

    @staticmethod
    def parse(url: str) -> "ObjectPlace":
        """The place of a URL.

        Raises:
            ParamsError: it breaks a rule.
        """
        if (problem := url_problem(url)) is not None:
            raise ParamsError(problem)
        scheme, rest = url.split("://", 1)
        first, slash, prefix = rest.partition("/")
        bucket, _, account = first.partition("@")
        path = f"{bucket}{slash}{prefix}".removesuffix("/")
        return ObjectPlace(scheme, path, account, folder=rest.endswith("/"))

    def __str__(self) -> str:
        bucket, slash, prefix = self.path.partition("/")
        at = f"@{self.account}" if self.account else ""
        return f"{self.scheme}://{bucket}{at}{slash}{prefix}"

    def __truediv__(self, inside: str) -> "ObjectPlace":
        path = f"{self.path}/{inside}" if inside else self.path
        return ObjectPlace(self.scheme, path, self.account, self.folder or bool(inside))

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]

    def is_file(self) -> bool:
        """Whether it is one object.

        Raises:
            StorageError: the store refuses to say, or cannot be reached.
        """
        return not self.folder and "/" in self.path and self._info().type == fs.FileType.File

    def is_dir(self) -> bool:
        """Whether it is a bucket, or the names of some objects begin so."""
        return not self.is_file()

    def stat(self) -> ObjectStat:
        """Its size, and the time of its last change."""
        return stat_of(self._info())

    def open(self, mode: str = "rb", /) -> BinaryIO:
        """Read it in large parts, ahead of their turn."""
        from pipeline.sources.object_file import open_object  # noqa: PLC0415 - it knows this module

        return open_object(self)

    def store(self, tries: int | None = None) -> Any:
        """Arrow's file system for it; with TRIES, if no other number is given."""
        with self.refusals():
            return _store(self.scheme, self.path.partition("/")[0], self.account, tries or TRIES)

    @contextmanager
    def refusals(self, inside: str = "", but: str | None = None) -> Iterator[None]:
        """Turn errors of the store into errors that name the object, or one inside; `but`: words of one that stays."""
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            if but is not None and but in str(error):
                raise
            cause = error if isinstance(error, OSError) else OSError(str(error))
            more = self._asked_again() if VAGUE.search(str(error)) else ""
            raise object_error(self / inside, cause, more) from None  # its words may hold a signed address

    def _info(self) -> Any:
        store = self.store(FEW_TRIES)
        with self.refusals():
            return store.get_file_info(self.path)

    def _asked_again(self) -> str:
        """What the store says where its answer has room for a reason."""
        nothing = f"{self.path.partition('/')[0]}/no-object-begins-so"
        try:
            _store(self.scheme, self.path.partition("/")[0], self.account, 1).get_file_info(fs.FileSelector(nothing))
        except FileNotFoundError:
            return ""
        except OSError as error:
            return str(error)
        return ""


def stat_of(info: Any) -> ObjectStat:
    """The stat of an entry in Arrow's list."""
    return ObjectStat(info.size or 0, info.mtime_ns or 0)


def list_objects(place: ObjectPlace) -> Iterator[Sequence[Any]]:
    """Arrow's entries of all objects under a place, in any order; folders of it at the same time, a page a request.

    Raises:
        MissingInputError: there is no such bucket.
        StorageError: the store refuses, or cannot be reached.
    """
    # Asked with few tries first, where nothing else was: wrong params need not wait.
    place.stat()
    # Arrow lists no folders of Google's store but those that have an object of their own.
    at_once = place.scheme == "gs"
    with place.refusals():
        try:
            # Told that it may be missing, Arrow would not say so of the bucket either.
            top = place.store().get_file_info(fs.FileSelector(place.path, recursive=at_once))
        except OSError as error:
            if isinstance(error, FileNotFoundError) or NOT_FOUND in str(error):
                return
            raise
    yield [info for info in top if info.type == fs.FileType.File]
    if at_once:
        return
    # Arrow cannot ask for a name with an empty part.
    folders = [info.path for info in top if info.type == fs.FileType.Directory and info.base_name]
    yield [info for info in top if info.type == fs.FileType.Directory and not info.base_name]
    store = place.store()
    pool = ThreadPoolExecutor(LISTINGS)
    try:
        yield from pool.map(lambda folder: _listed(place, store, folder), folders)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _listed(place: ObjectPlace, store: Any, folder: str) -> list[Any]:
    with place.refusals(folder.removeprefix(f"{place.path}/")):
        infos = store.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True))
    return [info for info in infos if info.type == fs.FileType.File]


# A process has few stores, and each keeps its connections.
@lru_cache(maxsize=16)
def _store(scheme: str, bucket: str, account: str, tries: int) -> Any:
    if pa.io_thread_count() < CONNECTIONS:
        # So many connections has a store, too.
        pa.set_io_thread_count(CONNECTIONS)
    match scheme:
        case "s3":
            return _s3(bucket, tries)
        case "gs":
            return _gcs(timedelta(seconds=5 * tries))
        case _:
            return _azure(account)


def _s3(bucket: str, tries: int) -> Any:
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    # Of another service than Amazon's, any. To ask a machine's role for its region takes seconds where there is none.
    named = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    region = named if endpoint else fs.resolve_s3_region(bucket)
    return fs.S3FileSystem(
        region=region,
        endpoint_override=endpoint,
        connect_timeout=CONNECT_SECONDS,
        request_timeout=STALL_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=tries),
    )


def _gcs(limit: timedelta) -> Any:
    # Google's own libraries know this variable; an emulator has no credentials.
    if host := os.environ.get("STORAGE_EMULATOR_HOST"):
        scheme, _, address = host.rpartition("://")
        return fs.GcsFileSystem(
            endpoint_override=address, scheme=scheme or "http", anonymous=True, retry_time_limit=limit
        )
    return fs.GcsFileSystem(retry_time_limit=limit)


def _azure(account: str) -> Any:
    """By the variables that Azure's own command line reads, else by its default credentials."""
    said = dict(re.findall(r"(\w+)=([^;]+)", os.environ.get("AZURE_STORAGE_CONNECTION_STRING", "")))
    name = account.partition(".")[0] or said.get("AccountName") or os.environ.get("AZURE_STORAGE_ACCOUNT")
    if not name:
        raise ParamsError("no account for abfs://: write abfs://container@account/prefix, or set AZURE_STORAGE_ACCOUNT")
    key = said.get("AccountKey") or os.environ.get("AZURE_STORAGE_KEY")
    token = None if key else said.get("SharedAccessSignature") or os.environ.get("AZURE_STORAGE_SAS_TOKEN")
    endpoint: dict[str, Any] = {}
    if found := re.match(r"(https?)://([^/]+)", said.get("BlobEndpoint", "")):
        scheme, authority = found.groups()
        for kind in ("blob", "dfs"):
            endpoint |= {f"{kind}_storage_authority": authority, f"{kind}_storage_scheme": scheme}
    return fs.AzureFileSystem(name, account_key=key, sas_token=token, **endpoint)
