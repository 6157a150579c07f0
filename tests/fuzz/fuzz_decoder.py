"""Fuzzing of the decoder's own logic: laws that hold of any bytes, tried on mutated files in processes that may die.

    python -m tests.fuzz.fuzz_decoder --minutes 10

What breaks a law, crashes, hangs or takes too much memory is written to --keep with the law's name.
"""

import argparse
import hashlib
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from unittest.mock import patch

import numpy as np

from pipeline.images import decoding
from pipeline.images.decoding import Decoded, decode_file, is_plain_png
from pipeline.images.exif import MAX_CAMERA
from pipeline.images.jpeg_decoding import PREMATURE
from pipeline.images.jpegs import END
from pipeline.images.normalising import Picture, normalise, unheard
from pipeline.images.rejection import REASONS, Rejection
from pipeline.stages.ingest.params import IngestParams
from pipeline.workers.codec_messages import codec_messages
from tests.fuzz.mutations import corpus, mutated
from tests.images.pictures import ingest

Outcome = Decoded | Rejection
SECONDS = 20
MEGABYTES = 3000
# What one process tries before the next one begins.
BATCH = 250
MAX_DETAIL = 3000
LARGE, SMALL = ingest(size=512), ingest(size=16, fit="crop")
LENIENT = ingest(size=512, max_missing=1.0)
RANGED = ingest(size=512, value_range=(0, 4095))


def same(one: Outcome, other: Outcome) -> bool:
    """Whether two outcomes are equal, pixel by pixel."""
    if isinstance(one, Rejection) or isinstance(other, Rejection):
        return one == other
    return np.array_equal(one.pixels, other.pixels) and vars(one) | {"pixels": 0} == vars(other) | {"pixels": 0}


def decoded(data: bytes, params: IngestParams = LARGE) -> Outcome:
    """The outcome, with what codecs say."""
    return decode_file(data, params, codec_messages)


def broken_laws(data: bytes) -> Iterator[str]:
    """What is wrong with the decoder's outcome of some bytes, in words."""
    with codec_messages() as leaked:
        found = decoded(data)
        again = decoded(data)
    if leaked:
        yield f"it writes to the terminal: {leaked}"
    if not same(found, again):
        yield "it has another outcome when it is repeated"
    if isinstance(found, Rejection):
        yield from _of_rejection(found)
    else:
        yield from _of_picture(found)
    yield from _of_scales(data, found)
    yield from _of_plain_png(data, found)
    yield from _of_jpeg(data, found)
    if isinstance(decoded(data, RANGED), Rejection) and isinstance(found, Decoded):
        yield "it is refused with a value_range alone"


def _of_rejection(found: Rejection) -> Iterator[str]:
    if found.reason not in REASONS:
        yield f"the reason {found.reason} is none"
    if not found.detail or len(found.detail) > MAX_DETAIL:
        yield f"its detail has {len(found.detail)} letters"
    if "MAX_" in found.detail:
        yield "its detail names a constant of Python"


def _of_picture(found: Decoded) -> Iterator[str]:
    height, width = found.pixels.shape[:2]
    if found.pixels.dtype != np.uint8 or found.pixels.shape[2:] != (3,):
        yield f"its pixels are {found.pixels.dtype} {found.pixels.shape}"
    if (
        height > found.height
        or width > found.width
        or abs(width / found.width - height / found.height) * max(height, width) > max(found.height, found.width)
    ):
        yield f"{width} x {height} pixels are no scale of {found.width} x {found.height}"
    if not 0 <= found.range_used <= 1:
        yield f"range_used is {found.range_used}"
    if not found.camera.isprintable() or len(found.camera) > MAX_CAMERA:
        yield f"its camera is {found.camera!r}"
    if len(found.warning) > MAX_DETAIL:
        yield f"its warning has {len(found.warning)} letters"


def _of_scales(data: bytes, found: Outcome) -> Iterator[str]:
    """Whether a picture is shrunk while it is decoded decides nothing."""
    small = decoded(data, SMALL)
    kinds = [one.reason if isinstance(one, Rejection) else "accepted" for one in (found, small)]
    if kinds[0] != kinds[1]:
        yield f"it is {kinds[0]} at a large size, {kinds[1]} at a small one"
    whole = normalise(data, SMALL, codec_messages)
    if isinstance(whole, Picture) != isinstance(small, Decoded):
        yield "what is decoded is not normalised"
    # What nobody listens to is no other picture.
    with codec_messages():
        deaf = decode_file(data, LARGE, unheard)
    if isinstance(found, Decoded) and not (isinstance(deaf, Decoded) and np.array_equal(deaf.pixels, found.pixels)):
        yield "it is another picture when nobody listens"


def _of_plain_png(data: bytes, found: Outcome) -> Iterator[str]:
    if is_plain_png(data):
        with patch.object(decoding, "is_plain_png", lambda _: False):
            slow = decoded(data)
        if not same(found, slow):
            yield f"as a plain PNG it is {str(found)[:200]}, by Pillow {str(slow)[:200]}"


def _of_jpeg(data: bytes, found: Outcome) -> Iterator[str]:
    """The end marker is no part of the picture."""
    if not (isinstance(found, Decoded) and found.file_format == "JPEG" and not found.warning):
        return
    if not data.endswith(END):
        return
    cut = decoded(data[: -len(END)], LENIENT)
    if isinstance(cut, Rejection):
        yield f"without its end marker it is {cut}"
    elif data.count(END) == 1 and not np.array_equal(cut.pixels, found.pixels):
        yield f"without its end marker it is another picture: {cut.warning}"
    elif PREMATURE in cut.warning:
        yield "a line of a picture that was let in says that it ends too soon"


@dataclass
class Tally:
    """Executions so far, outcomes of them, and findings: law -> the inputs that break it."""

    executions: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    findings: dict[str, list[bytes]] = field(default_factory=dict)

    def add(self, law: str, data: bytes) -> None:
        self.findings.setdefault(law, []).append(data)


def try_all(first: int, count: int, seed: int, tell: Callable[[str, bytes], object]) -> Counter[str]:
    """The outcomes of so many mutated files.

    Args:
        tell: gets the bytes of each before it is tried, with "", and with the words of each law that it breaks.
    """
    outcomes: Counter[str] = Counter()
    for number in range(first, first + count):
        _, data = mutated(number, seed)
        tell("", data)
        try:
            for law in broken_laws(data):
                tell(law, data)
            found = decoded(data)
            outcomes[found.reason if isinstance(found, Rejection) else "accepted"] += 1
        except Exception as error:  # noqa: BLE001 - which is the finding
            tell(f"it raises {type(error).__name__}: {str(error)[:200]}", data)
    return outcomes


def _serve(connection: Connection, first: int, count: int, seed: int) -> None:
    """In a process: the system ends it when a file takes too long or too much."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (MEGABYTES * 1_000_000, MEGABYTES * 1_000_000))

    def tell(law: str, data: bytes) -> None:
        signal.alarm(SECONDS)
        connection.send((law, data))

    connection.send(("done", try_all(first, count, seed, tell)))


def fuzz(seconds: float, seed: int) -> Tally:
    """Mutated files for so long, in one process after another."""
    corpus()  # once, for all processes
    tally, first, end = Tally(), 0, time.monotonic() + seconds
    context = multiprocessing.get_context("fork")
    while time.monotonic() < end:
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=_serve, args=(there, first, BATCH, seed))
        process.start()
        there.close()
        current, done = b"", 0
        try:
            while True:
                law, content = here.recv()
                if law == "done":
                    tally.outcomes += content
                elif law:
                    tally.add(law, content)
                else:
                    current, done = content, done + 1
        except EOFError:
            process.join()
        if process.exitcode:
            tally.add(f"its process ends with {process.exitcode}", current)
        tally.executions += done
        first += done
    return tally


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 1 if a law was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings/decoder"))
    asked = parser.parse_args(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    begun = time.monotonic()
    tally = fuzz(60 * asked.minutes, asked.seed)
    rate = tally.executions / max(time.monotonic() - begun, 1e-9)
    print(f"decoder, seed {asked.seed}: {tally.executions} executions ({rate:.0f} a second)")
    print("  " + ", ".join(f"{count} {outcome}" for outcome, count in tally.outcomes.most_common()))
    for law, inputs in sorted(tally.findings.items()):
        asked.keep.mkdir(parents=True, exist_ok=True)
        shortest = min(inputs, key=len)
        file = asked.keep / hashlib.sha256(shortest).hexdigest()[:16]
        file.write_bytes(shortest)
        print(f"  {len(inputs)} times: {law}: {file}")
    print(f"  findings: {len(tally.findings)}")
    return 1 if tally.findings else 0


if __name__ == "__main__":
    sys.exit(main())
