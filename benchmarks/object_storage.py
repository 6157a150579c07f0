"""How close photos from object storage come to the same photos from disk, with 50 ms of latency a request.

    python benchmarks/object_storage.py [--photos 2000] [--size 500x375 | 4000x3000] [--server plain | moto]

Measures inventory and ingest together, two workers, of a folder and of a bucket with the same generated photos, in
turns, workers started before the clock. The bucket is on a server of this machine, a process of its own, which takes
CPU from the workers; its CPU is shown apart. `moto` is the S3 server that the tests use, some milliseconds a request.
`plain` answers the requests that Arrow makes, and little else, from memory. Each request waits for the latency first.
The images of both are compared. `list` shows seconds to list the bucket.
"""

import argparse
import asyncio
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from pipeline.workers.libraries import SETTINGS

os.environ.update(SETTINGS)
PORT = 39_117
BUCKET, PREFIX = "bench", "photos"
MODIFIED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PAGE = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--size", default="500x375")
    parser.add_argument("--server", choices=["plain", "moto"], default="plain")
    parser.add_argument("--latency", type=float, default=0.05, help="seconds a request")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--serve", metavar="FOLDER", help="for the server's own process")
    options = parser.parse_args()
    if options.serve:
        (serve_moto if options.server == "moto" else serve_plain)(Path(options.serve), options.latency)
        return
    measure(options)


def measure(options: argparse.Namespace) -> None:
    import psutil

    width, height = map(int, options.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        total = write(Path("photos"), options.photos, width, height)
        print(f"{options.photos:,} photos of {options.size}, {total / options.photos / 1000:,.0f} kB each", flush=True)
        command = [sys.executable, __file__, "--serve", folder, "--server", options.server]
        command += ["--latency", str(options.latency)]
        os.environ |= {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{PORT}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                print(server.stdout.readline().strip(), flush=True)
                serving = psutil.Process(server.pid)
                places = {"disk": "photos", "bucket": f"s3://{BUCKET}/{PREFIX}"}
                for place in places.values():
                    run(place, "warm", include=("/class0/*0.jpg",))
                found: dict[str, list[dict[str, float]]] = {place: [] for place in places}
                for _ in range(options.rounds):
                    for name, place in places.items():
                        before = sum(serving.cpu_times()[:2])
                        cost = run(place, name)
                        cost["server"] = sum(serving.cpu_times()[:2]) - before
                        found[name].append(cost)
                        print(f"{name:8}", *(f"{key} {value:7.2f}" for key, value in cost.items()), flush=True)
                best = {name: min(one["wall"] for one in costs) for name, costs in found.items()}
                cpu = {name: min(one["cpu"] for one in costs) for name, costs in found.items()}
                print(f"bucket at {best['disk'] / best['bucket']:.0%} of the disk's speed by the clock,", end=" ")
                print(f"at {cpu['disk'] / cpu['bucket']:.0%} by CPU (server's not counted)")
                print("same images" if content("disk") == content("bucket") else "OTHER IMAGES")
            finally:
                server.terminate()
        os.chdir("/")


def run(place: str, name: str, **source: object) -> dict[str, float]:
    """Inventory and ingest of a source of which nothing is known; seconds."""
    import psutil
    from photos import PHOTOS

    from pipeline.sources.params import SourceParams
    from pipeline.stages.ingest.stage import ingest
    from pipeline.stages.inventory.stage import inventory
    from pipeline.store.shards import ShardStore
    from pipeline.workers.engine import Engine

    shutil.rmtree(name, ignore_errors=True)
    shutil.rmtree("data", ignore_errors=True)
    params = SourceParams.model_validate({"role": "raw", "path": place, **source})
    process = psutil.Process()

    def cpu() -> float:
        return sum(sum(one.cpu_times()[:2]) for one in [process, *process.children()] if "--serve" not in one.cmdline())

    cpu_before, begun = cpu(), time.perf_counter()
    inventory({name: params}, 10**9, Engine(2))
    listed = time.perf_counter() - begun
    ingest(name, params, PHOTOS, ShardStore(Path(name)), Engine(2))
    return {"wall": time.perf_counter() - begun, "cpu": cpu() - cpu_before, "list": listed}


def content(folder: str) -> str:
    """A digest of all pictures in shards, by path."""
    import pyarrow as pa

    tables = [pa.ipc.open_file(path).read_all().select(["path", "sha256", "image"]) for path in Path(folder).glob("*")]
    rows = sorted(
        zip(*(pa.concat_tables(tables)[name].to_pylist() for name in ("path", "sha256", "image")), strict=True)
    )
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def write(root: Path, count: int, width: int, height: int) -> int:
    from photos import encoded, generated

    made = [encoded(generated(seed, width, height), "JPEG", quality=90) for seed in range(min(count, 20))]
    for number in range(count):
        path = root / f"class{number % 10}" / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        # Bytes behind the picture, so that no two files are equal.
        path.write_bytes(made[number % len(made)] + number.to_bytes(4, "big"))
    return sum(path.stat().st_size for path in root.rglob("*.jpg"))


def serve_moto(folder: Path, latency: float) -> None:
    """moto's server, filled with all photos."""
    import logging

    import boto3
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    inner = DomainDispatcherApplication(create_backend_app)
    wait = [0.0]

    def app(environ: Any, start: Any) -> Any:
        time.sleep(wait[0])
        return inner(environ, start)

    import threading

    server = make_server("127.0.0.1", PORT, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = boto3.client("s3", region_name="us-east-1", endpoint_url=f"http://127.0.0.1:{PORT}")
    client.create_bucket(Bucket=BUCKET)
    for path in sorted((folder / "photos").rglob("*.jpg")):
        key = f"{PREFIX}/{path.relative_to(folder / 'photos').as_posix()}"
        client.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())
    wait[0] = latency
    print("moto serves", flush=True)
    threading.Event().wait()


def serve_plain(folder: Path, latency: float) -> None:
    """A server of the few requests that Arrow makes."""
    root = folder / "photos"
    objects = {
        f"{PREFIX}/{path.relative_to(root).as_posix()}": path.read_bytes() for path in sorted(root.rglob("*.jpg"))
    }
    asyncio.run(_serve(objects, sorted(objects), latency))


async def _serve(objects: dict[str, bytes], keys: list[str], latency: float) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(latency)
                writer.write(_answer(head.decode("latin-1"), objects, keys))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", PORT, backlog=512)
    print("a plain server serves", flush=True)
    async with server:
        await server.serve_forever()


def _answer(head: str, objects: dict[str, bytes], keys: list[str]) -> bytes:
    request, *lines = head.split("\r\n")
    method, target, _ = request.split(" ")
    url = urlsplit(target)
    key = unquote(url.path).removeprefix(f"/{BUCKET}").removeprefix("/")
    if not key:
        return _made(200, _list(parse_qs(url.query), keys, objects), method, "application/xml")
    if key not in objects:
        return _made(404, b"", method, "application/xml")
    content = objects[key]
    for line in lines:
        name, _, value = line.partition(": ")
        if name.lower() == "range":
            first, _, last = value.removeprefix("bytes=").partition("-")
            content = content[int(first) : int(last) + 1]
            return _made(206, content, method, "image/jpeg")
    return _made(200, content, method, "image/jpeg")


def _made(status: int, body: bytes, method: str, kind: str) -> bytes:
    head = (
        f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nContent-Type: {kind}\r\n"
        f'ETag: "0"\r\nLast-Modified: {MODIFIED:%a, %d %b %Y %H:%M:%S} GMT\r\n\r\n'
    ).encode()
    return head if method == "HEAD" else head + body


def _list(query: dict[str, list[str]], keys: list[str], objects: dict[str, bytes]) -> bytes:
    prefix = query.get("prefix", [""])[0]
    after = query.get("continuation-token", [""])[0]
    delimiter = query.get("delimiter", [""])[0]
    found = [key for key in keys if key.startswith(prefix) and key > after]
    folders: list[str] = []
    if delimiter:
        folders = sorted({prefix + key[len(prefix) :].split(delimiter)[0] + delimiter for key in found})
        found = []
    page, more = found[:PAGE], len(found) > PAGE
    rows = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>{MODIFIED:%Y-%m-%dT%H:%M:%S}.000Z</LastModified>"
        f"<Size>{len(objects[key])}</Size></Contents>"
        for key in page
    ) + "".join(f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in folders)
    token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
    return (
        f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated><KeyCount>{len(page)}</KeyCount>"
        f"{token}{rows}</ListBucketResult>"
    ).encode()


if __name__ == "__main__":
    main()
