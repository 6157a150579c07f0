"""Serve the review page on this machine until Ctrl-C."""

import getpass
import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn

from pipeline import catalogue
from pipeline.errors import ParamsError
from pipeline.names import clean, fault, is_utf8, shown
from pipeline.store.decisions import LABELS
from pipeline.store.pair_decisions import PAIRS
from pipeline.store.shards import ShardReader
from pipeline.tools.review.items import classes_of_sources, items
from pipeline.tools.review.neighbours import neighbours
from pipeline.tools.review.saving import DecisionFile
from pipeline.tools.review.server import Review, application


def person(who: str | None) -> str:
    """The name under which decisions are saved, as feedback/labels.csv has it.

    Raises:
        ParamsError: it is empty, or has what is no text.
    """
    try:
        written = getpass.getuser() if who is None else who
    except (KeyError, OSError, ImportError) as error:  # of a container whose user has no entry
        raise ParamsError("this account has no name: give yours with --who") from error
    name = clean(written)
    if not name or fault(name) is not None or not is_utf8(name):
        raise ParamsError(f"--who {shown(written)!r} is not a name: write it with visible characters")
    return name


def listen(port: int) -> socket.socket:
    """A socket on a port of this machine; 0 takes a free one.

    Raises:
        ParamsError: the port is taken, or not for this account.
    """
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise ParamsError(
            f"--port {port} cannot be used ({os.strerror(error.errno or 0)}): name one above 1023, or 0 for a free one"
        ) from error


def serve(kind: str, who: str | None, port: int, seed: int, say: Callable[[str], None]) -> None:
    """Serve the images of a kind on 127.0.0.1.

    Args:
        who: the name under which decisions are saved; None: the name of the account.
        port: 0 takes a free one.

    Raises:
        ParamsError: the name is none that a line of the file can have.
        MissingInputError, DataError: as `items`; feedback/labels.csv or feedback/pairs.csv cannot be read.
    """
    name = person(who)
    file = DecisionFile(Path(catalogue.DECISIONS.path), name, LABELS)
    pair_file = DecisionFile(Path(catalogue.PAIR_DECISIONS.path), name, PAIRS)
    file.tidy()
    pair_file.tidy()
    found, labels = items(kind, seed)
    listening = listen(port)
    token, taken = secrets.token_urlsafe(24), listening.getsockname()[1]
    pictures, beside = ShardReader(Path(catalogue.ORIGINALS.path)), neighbours(labels)
    review = Review(found, classes_of_sources(labels), pictures, file, pair_file, beside)
    what, path = ("pairs", f"{pair_file.path} and {file.path}") if kind == "copies" else ("images", file.path)
    say(f"{len(found)} {what} to review as {name}: open http://127.0.0.1:{taken}/{token}/")
    say(f"Decisions go to {path}; stop with Ctrl-C, then run `dvc repro`")
    config = uvicorn.Config(application(review, token, taken), log_level="warning", access_log=False)
    try:
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        file.tidy()
        pair_file.tidy()
