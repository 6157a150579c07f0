"""A real S3 server on this machine (moto's server mode), and a proxy before it that injects faults."""

import http.client
import itertools
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from pipeline.sources import object_store
from pipeline.workers.pool import stop_all

KEY, SECRET = "test-key", "test-secret-that-no-file-may-hold"
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


@dataclass(frozen=True)
class Seen:
    """A request: method, path with its query, and which one it is of those to the same path, from 1."""

    method: str
    path: str
    number: int


@dataclass(frozen=True)
class Answer:
    """What the proxy answers in the server's place."""

    status: int
    code: str = ""

    @property
    def body(self) -> bytes:
        return f"<?xml version='1.0'?><Error><Code>{self.code}</Code><Message>{self.code}</Message></Error>".encode()


@dataclass(frozen=True)
class Cut:
    """The server's answer, of which so many bytes arrive before the connection breaks, or stalls for so long."""

    after: int
    stall: float = 0


Fault = Callable[[Seen], Answer | Cut | None]


def no_fault(_: Seen) -> None:
    """Everything goes through."""


@dataclass
class Faults:
    """What happens to requests on their way, and all that came."""

    fault: Fault = no_fault
    latency: float = 0
    seen: list[Seen] = field(default_factory=list)
    numbers: Counter[tuple[str, str]] = field(default_factory=Counter)

    def count(self, method: str, ending: str) -> int:
        """Requests of a method to a path with this ending."""
        return sum(one.method == method and one.path.split("?")[0].endswith(ending) for one in self.seen)


@cache
def server_port() -> int:
    """The port of one server for all tests of this process."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    return int(server.get_host_and_port()[1])


def client(port: int | None = None) -> Any:
    """boto3's, to put objects."""
    import boto3

    return boto3.client(
        "s3",
        region_name="us-east-1",
        endpoint_url=f"http://127.0.0.1:{port or server_port()}",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
    )


@contextmanager
def proxy(faults: Faults) -> Iterator[int]:
    """The port of a proxy before the server; faults may be changed at any time."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with lock:
                faults.numbers[self.command, self.path] += 1
                seen = Seen(self.command, self.path, faults.numbers[self.command, self.path])
                faults.seen.append(seen)
            time.sleep(faults.latency)
            fault = faults.fault(seen)
            if isinstance(fault, Answer):
                self.send_response(fault.status)
                self.send_header("Content-Type", "application/xml")
                self.send_header("Content-Length", "0" if self.command == "HEAD" else str(len(fault.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(fault.body)
                return
            self._forward(body, fault)

        def _forward(self, body: bytes, cut: Cut | None) -> None:
            upstream = http.client.HTTPConnection("127.0.0.1", server_port())
            upstream.request(self.command, self.path, body, {**self.headers, "Connection": "close"})
            answer = upstream.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") or "0" if self.command == "HEAD" else str(len(content))
            self.send_header("Content-Length", length)
            self.end_headers()
            if cut is None:
                self.wfile.write(content)
                return
            self.wfile.write(content[: cut.after])
            time.sleep(cut.stall)
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815 - http.server's names

        def log_message(self, *_: Any) -> None:
            pass

        def finish(self) -> None:
            try:
                super().finish()
            except OSError:
                self.close_connection = True

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

        def handle_error(self, *_: Any) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()


@dataclass(frozen=True)
class Bucket:
    """A new, empty bucket, with the client that fills it past the proxy, and what may happen on the way."""

    name: str
    client: Any
    faults: Faults

    def put(self, key: str, content: bytes) -> None:
        """Store an object."""
        self.client.put_object(Bucket=self.name, Key=key, Body=content)

    def restart(self) -> None:
        """Count requests from 1 again."""
        self.faults.seen.clear()
        self.faults.numbers.clear()


_buckets = itertools.count(1)


@contextmanager
def bucket_for_tests(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A bucket that the pipeline reaches through a proxy, by the variables of the environment."""
    made = Bucket(f"bucket-{next(_buckets)}", client(), Faults())
    made.client.create_bucket(Bucket=made.name)
    with proxy(made.faults) as port:
        for name, value in settings(port).items():
            monkeypatch.setenv(name, value)
        _forget()
        yield made
    _forget()


def settings(port: int) -> dict[str, str]:
    """The environment in which S3 is the server behind a port of this machine."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _forget() -> None:
    """Workers and stores know the environment in which they began."""
    stop_all()
    object_store._store.cache_clear()
