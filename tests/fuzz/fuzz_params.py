"""Params files and model files that nobody would write: `python -m tests.fuzz.fuzz_params --minutes 5`.

Each is read as it would be from disk. What is right: it loads, or it is refused as an error of the project's own, in
few words, within seconds. Whatever else is raised is a finding; the smallest input that shows it is printed.
"""

import argparse
import contextlib
import resource
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from pipeline.errors import DataError, ParamsError
from pipeline.models.files import load_model
from pipeline.project.params_file import check_params, load_params
from tests.examples import REPOSITORY, params_values
from tests.fuzz.model_content import ABOUT, VALUES, claiming_models, flipped_models

MAX_MESSAGE, MAX_SECONDS, MAX_MEGABYTES = 40_000, 20.0, 1500
EXAMPLES = 200
TEXT = (REPOSITORY / "params.yaml").read_text(encoding="utf-8")

TOKENS = [
    *(
        "[",
        "]",
        "{",
        "}",
        "- ",
        "? ",
        ": ",
        "&a ",
        "*a",
        "<<: *a",
        "!!int ",
        "!!binary ",
        "!!set ",
        "!!omap ",
        "|",
        ">",
    ),
    *("'", '"', "\t", "---", "...", "%YAML 1.1", "#", "@", "`", "\n", "\n  ", "0x", "1e999", ".nan", ".inf", "~"),
    *("2024-02-30", "\\e", "\\ud800", "0b1", "1_0"),
]


@st.composite
def cut_texts(draw: st.DrawFn) -> str:
    """params.yaml with pieces cut out, doubled, moved or put in."""
    text = TEXT if draw(st.booleans()) else TEXT[: draw(st.integers(0, len(TEXT)))]
    for _ in range(draw(st.integers(1, 6))):
        begin = draw(st.integers(0, len(text)))
        end = min(len(text), begin + draw(st.integers(0, 200)))
        piece = draw(st.sampled_from(TOKENS) | st.text(max_size=10)) * draw(st.sampled_from([1, 1, 1, 2, 60, 3000]))
        text = draw(
            st.sampled_from([text[:begin] + piece + text[end:], text[:end] + text[begin:], text[:begin] + piece])
        )
    return text


@st.composite
def edited_values(draw: st.DrawFn) -> dict[str, Any]:
    """The params with some values, keys or choices replaced by anything."""
    values = params_values()
    for _ in range(draw(st.integers(1, 4))):
        holder: Any = values
        while True:
            key = (
                draw(st.sampled_from(sorted(holder, key=repr)))
                if isinstance(holder, dict)
                else draw(st.integers(0, len(holder) - 1))
            )
            inner = holder[key]
            if isinstance(inner, dict | list) and inner and draw(st.integers(0, 3)):
                holder = inner
                continue
            break
        how = draw(st.integers(0, 3))
        if how == 0 and isinstance(holder, dict):
            holder[draw(st.text(max_size=10) | st.integers())] = holder.pop(key)
            if not all(isinstance(one, str) for one in holder):
                break
        elif how == 1 and isinstance(inner, str):
            holder[key] = inner + draw(st.text(max_size=5))
        else:
            holder[key] = draw(VALUES)
    return values


# As versions wrote it that knew no checksums, or somebody who means harm: with one, all that is changed is refused.
del ABOUT["checksum"]


def read_text(text: str, folder: Path) -> None:
    path = folder / "params.yaml"
    path.write_bytes(text.encode(errors="surrogatepass"))
    with refused(ParamsError):
        load_params(path)


def read_values(values: dict[str, Any], folder: Path) -> None:
    with refused(ParamsError):
        check_params(values)
    # Not all that Python can hold is YAML.
    with contextlib.suppress(Exception), (folder / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(values, file)
    if (folder / "params.yaml").exists():
        with refused(ParamsError):
            load_params(folder / "params.yaml")


def read_model(data: bytes, _: Path) -> None:
    with refused(DataError):
        model = load_model(data)
        pixels = torch.zeros((4, 3, model.size, model.size), dtype=torch.uint8)
        assert model.network(pixels).shape == (4, len(model.classes))
        "".join(model.classes).encode()


@contextlib.contextmanager
def refused(error: type[Exception]) -> Any:
    """Inside, nothing is raised but this error, in few words, and soon."""
    begun, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        yield
    except error as told:
        words = str(told)
        assert len(words) <= MAX_MESSAGE, f"a message of {len(words)} characters"
        assert words.encode(), "an empty message"
        assert "\x1b" not in words, "an escape sequence in the message"
    assert time.process_time() - begun < MAX_SECONDS, "it took too long"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < MAX_MEGABYTES, f"{grown:.0f} MB more"


FUZZERS: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any, Path], None]]] = {
    "params as text": (cut_texts(), read_text),
    "params as values": (edited_values(), read_values),
    "models, bytes changed": (flipped_models(), read_model),
    "models that claim anything": (claiming_models(), read_model),
}


def fuzz(name: str, until: float, folder: Path) -> tuple[int, list[str]]:
    """Executions, and findings as tracebacks that hypothesis has made small, each kind once."""
    strategy, check = FUZZERS[name]
    count = 0
    found: dict[tuple[Any, ...], str] = {}

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink], report_multiple_bugs=False,
    )  # fmt: skip
    @given(strategy)
    def execute(value: Any) -> None:
        nonlocal count
        count += 1
        (folder / "params.yaml").unlink(missing_ok=True)
        check(value, folder)

    while time.monotonic() < until:
        try:
            execute()
        except Exception as error:  # noqa: BLE001
            place = traceback.extract_tb(error.__traceback__)[-1]
            found.setdefault((type(error), place.filename, place.lineno), "".join(traceback.format_exception(error)))
    return count, list(found.values())


def main() -> None:
    """Fuzz each kind for its share of the time; print executions and findings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    minutes = parser.parse_args().minutes
    total, findings = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for name in FUZZERS:
            count, found = fuzz(name, time.monotonic() + 60 * minutes / len(FUZZERS), Path(folder))
            print(f"{name}: {count:,} executions, {len(found)} findings", flush=True)
            for text in found:
                print(text, flush=True)
            total, findings = total + count, findings + len(found)
    print(f"in all: {total:,} executions, {findings} findings")
    raise SystemExit(1 if findings else 0)


if __name__ == "__main__":
    main()
