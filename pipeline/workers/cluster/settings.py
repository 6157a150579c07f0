"""Ray's own settings, which it reads when it is imported: environment variables, which its processes inherit."""

import os
from urllib.parse import urlsplit

ADDRESS_VARIABLE = "RAY_ADDRESS"
# Seconds until an address counts as one that nobody answers.
ANSWER_SECONDS = 5
SETTINGS = {
    # No reports to its makers.
    "RAY_USAGE_STATS_ENABLED": "0",
    # It would try a head that is gone for a minute.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "20",
    "RAY_DEDUP_LOGS": "0",
}
# Off, Ray takes 127.0.0.1 for an address like others; on, it asks at the machine's own address, where a head that
# listens on the loopback interface alone does not answer.
OWN_ADDRESS_VARIABLE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


def named_address(address: str | None) -> str | None:
    """The address of a cluster that an option or RAY_ADDRESS names; None: one of its own is started."""
    named = address or os.environ.get(ADDRESS_VARIABLE) or None
    return None if named == "local" else named


def configure(address: str | None) -> None:
    """Set what the user has not; to be called before Ray is imported."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    named = named_address(address)
    if named is None or is_loopback(named):
        os.environ.setdefault(OWN_ADDRESS_VARIABLE, "0")


def host_and_port(address: str) -> tuple[str, int] | None:
    """Of `ray://HOST:PORT` or `HOST:PORT`; None: it is neither."""
    parts = urlsplit(address if "://" in address else f"ray://{address}")
    try:
        return (parts.hostname, parts.port) if parts.hostname and parts.port else None
    except ValueError:
        return None


def is_loopback(address: str) -> bool:
    place = host_and_port(address)
    return place is not None and (place[0] in ("localhost", "::1") or place[0].startswith("127."))
