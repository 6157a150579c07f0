"""The fuzzing of the decoder finds nothing in its first files, and finds what is wrong when something is."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.images import decoding
from pipeline.images.rejection import Rejection
from tests.fuzz import fuzz_decoder
from tests.fuzz.fuzz_decoder import broken_laws, decoded, fuzz, main, try_all
from tests.fuzz.mutations import LONGEST, corpus, mutated

pytestmark = pytest.mark.filterwarnings("ignore")


def findings(count: int, seed: int = 5) -> list[str]:
    told: list[str] = []
    try_all(0, count, seed, lambda law, _: told.append(law) if law else None)
    return told


def test_the_files_that_are_mutated_are_small_whole_and_of_every_format() -> None:
    formats = set()
    for name, data in corpus().items():
        found = decoded(data)
        assert not isinstance(found, Rejection), name
        assert [*broken_laws(data)] == [], name
        formats.add(found.file_format)
    assert formats == {*decoding.FORMATS}
    assert sum(map(len, corpus().values())) < 1_000_000


def test_mutations_are_those_of_their_seed_and_change_files() -> None:
    found = [mutated(number, 1) for number in range(50)]
    assert found == [mutated(number, 1) for number in range(50)]
    assert found != [mutated(number, 2) for number in range(50)]
    assert max(len(data) for _, data in found) <= LONGEST
    assert sum(data != corpus()[name] for name, data in found) > 40


def test_no_law_is_broken_by_the_first_mutated_files() -> None:
    assert findings(150) == []


def test_a_law_that_does_not_hold_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = decoding.decode_file

    def planted(change: Any) -> set[str]:
        with monkeypatch.context() as patch:
            patch.setattr(fuzz_decoder, "decode_file", change)
            return set(findings(12))

    def by_size(data: bytes, params: Any, listen: Any) -> Any:
        return Rejection("undecodable", "small") if params.size < 100 else whole(data, params, listen)

    def loud(data: bytes, params: Any, listen: Any) -> Any:
        os.write(2, b"libfoo error\n")
        return whole(data, params, listen)

    def unlike(data: bytes, params: Any, listen: Any) -> Any:
        found = whole(data, params, listen)
        if not isinstance(found, Rejection):
            found.pixels.setflags(write=True)
            found.pixels[:] = np.random.default_rng().integers(0, 256)
        return found

    def failing(data: bytes, params: Any, listen: Any) -> Any:
        raise KeyError(data[:2])

    assert any("at a small one" in law for law in planted(by_size))
    assert any("writes to the terminal" in law for law in planted(loud))
    assert any("another outcome" in law for law in planted(unlike))
    assert any("raises KeyError" in law for law in planted(failing))
    assert any("MAX_" in law or "constant" in law for law in planted(lambda *_: Rejection("undecodable", "MAX_X")))


def _deadly(data: bytes) -> list[str]:
    if len(data) % 7 == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return []


def test_a_file_that_ends_or_halts_its_process_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fuzz_decoder, "broken_laws", _deadly)
    assert [*fuzz(1.5, 3).findings] == ["its process ends with -9"]
    assert main(["--minutes", "0.02", "--seed", "3", "--keep", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "times: its process ends with -9: " in out
    [kept] = tmp_path.iterdir()
    assert len(kept.read_bytes()) % 7 == 0
    monkeypatch.setattr(fuzz_decoder, "SECONDS", 1)
    monkeypatch.setattr(fuzz_decoder, "broken_laws", lambda _: time.sleep(9))
    assert [*fuzz(0.5, 3).findings] == ["its process ends with -14"]


def test_the_command_says_how_much_it_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--minutes", "0.02", "--seed", "4", "--keep", str(tmp_path / "none")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("decoder, seed 4: ")
    assert out.endswith("findings: 0\n")
    assert not (tmp_path / "none").exists()
