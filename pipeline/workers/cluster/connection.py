"""The connection of this process to a Ray cluster: one that runs somewhere, or one of its own."""

import os
import signal
import socket
import threading
from functools import cache
from typing import Any

import ray

from pipeline.errors import ParamsError, WorkerError
from pipeline.names import shown
from pipeline.workers.cluster.settings import ANSWER_SECONDS, host_and_port, named_address
from pipeline.workers.libraries import SETTINGS

# Of a cluster that this process starts. Jobs and results are small, because its workers write shards themselves.
OBJECT_STORE_BYTES = 256_000_000
LOOPBACK = "127.0.0.1"


@cache
def connect(address: str | None, workers: int) -> str:
    """Connect this process to a cluster, once; returns how messages name it.

    Args:
        address: `ray://HOST:PORT`; None: of the cluster that RAY_ADDRESS names, else one with `workers` processors
            starts on this machine, and ends with this process.

    Raises:
        WorkerError: nobody answers at the address, or what answers is no such cluster.
        ParamsError: the address has no host or no port.
    """
    named = named_address(address)
    common: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": "ERROR",
        # Before numpy is imported in a worker, as in any process of the pipeline.
        "runtime_env": {"env_vars": {name: os.environ.get(name, value) for name, value in SETTINGS.items()}},
    }
    if named is None:
        own = {"num_cpus": workers, "include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
        _join("a Ray cluster of this machine", _node_ip_address=LOOPBACK, address="local", **own, **common)
        return "the cluster of this machine"
    if named != "auto":
        _check_answers(named)
    name = f"the cluster at {shown(named)}"
    _join(name, address=named, **common)
    return name


def _join(name: str, **options: Any) -> None:
    # Ray takes SIGTERM for itself and would end with another code.
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError, ImportError, OSError) as error:
        said = str(error).strip().partition("\n")[0] or type(error).__name__
        raise WorkerError(
            f"cannot join {name}: {shown(said, 300)}. Check it with `ray status`, or use --engine processes"
        ) from error
    finally:
        if on_sigterm is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)


def _check_answers(address: str) -> None:
    """Raise WorkerError unless something listens there: Ray itself would try for a minute."""
    place = host_and_port(address)
    if place is None:
        raise ParamsError(
            f"{shown(address)} is not the address of a Ray cluster: write ray://HOST:PORT, with the port of Ray's "
            "client server (10001 by default)"
        )
    try:
        socket.create_connection(place, ANSWER_SECONDS).close()
    except OSError as error:
        raise WorkerError(
            f"no Ray cluster answers at {shown(address)} ({error.strerror or error}): start one with `ray start --head "
            "--ray-client-server-port 10001`, correct --engine, or use --engine processes"
        ) from error
