"""The file of decisions: a saved one lasts, whoever else writes and whatever ends the review."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import ParamsError, StorageError
from pipeline.store.decision_tables import DecisionTable
from pipeline.store.decisions import LABELS, Decision
from pipeline.tools.review.review import person
from pipeline.tools.review.saving import DecisionFile
from tests.examples import full_disk
from tests.tools.review.reviews import (
    SHAS,
    TOKEN,
    client,
    saved,
)

WRITER = """
import sys
from pathlib import Path
from pipeline.errors import StorageError
from pipeline.store.decisions import LABELS, Decision
from pipeline.tools.review.saving import DecisionFile
file = DecisionFile(Path(sys.argv[1]), sys.argv[2], LABELS)
for number in range(int(sys.argv[3])):
    sha256 = f"{number:064x}"
    file.put(sha256, Decision(sha256, "drop", "cat", "", sys.argv[2], "2026-01-31T09:30:00Z"))
    print(sha256, flush=True)
"""


def writer(folder: Path, who: str, count: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", WRITER, str(folder / "labels.csv"), who, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    both = [writer(tmp_path, who, 30) for who in ("ann", "bob")]
    assert [len(one.communicate()[0].split()) for one in both] == [30, 30]
    assert len(saved(tmp_path)) == 60


def test_a_kill_loses_nothing_that_was_shown_as_saved(tmp_path: Path) -> None:
    running = writer(tmp_path, "ann", 100_000)
    assert running.stdout is not None
    shown = [running.stdout.readline().strip() for _ in range(20)]
    os.kill(running.pid, signal.SIGKILL)
    shown += running.stdout.read().split()
    running.wait()
    running.stdout.close()
    assert {(sha256, "ann") for sha256 in shown if len(sha256) == 64} <= set(saved(tmp_path))


def decision(number: int, kind: str = "drop", when: int = 0, who: str = "ann") -> Decision:
    return Decision(f"{number:064x}", kind, "cat", "", who, f"2026-01-31T09:30:{when:02}Z")


def test_what_others_write_meanwhile_is_kept_whatever_wrote_it(tmp_path: Path) -> None:
    """A second process adds, a spreadsheet program saves anew with semicolons, Git puts another file there."""
    path = tmp_path / "labels.csv"
    ann, bob = DecisionFile(path, "ann", LABELS), DecisionFile(path, "bob", LABELS)
    ann.put(decision(1).sha256, decision(1))
    bob.put(decision(1).sha256, decision(1, "keep", who="bob"))
    ann.put(decision(2).sha256, decision(2))
    path.write_bytes(path.read_bytes().replace(b",", b";").replace(b"\n", b"\r\n"))
    ann.put(decision(3).sha256, decision(3))
    bob.put(decision(4).sha256, decision(4, who="bob"))
    assert set(LABELS.parse(path.read_bytes(), "x")) == {
        *(decision(number) for number in (1, 2, 3)),
        decision(1, "keep", who="bob"),
        decision(4, who="bob"),
    }
    path.write_bytes(LABELS.render([decision(9, who="eve")]).rstrip(b"\n"))
    ann.put(decision(5).sha256, decision(5))
    assert LABELS.parse(path.read_bytes(), "x") == (decision(5), decision(9, who="eve"))
    path.unlink()
    assert ann.own() == {}


def test_a_later_decision_counts_and_undo_takes_it_off_again(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    file, first, second = DecisionFile(path, "ann", LABELS), decision(1), decision(1, "keep", when=5)
    file.put(decision(0).sha256, decision(0))
    file.put(first.sha256, first)
    before = path.read_bytes()
    assert file.put(first.sha256, second) == first
    assert path.read_bytes() == before + LABELS.render([second]).partition(b"\n")[2]
    assert file.own()[first.sha256] == second
    assert file.put(first.sha256, first) == second
    assert path.read_bytes() == before
    # After somebody else has written, nothing is cut off.
    file.put(first.sha256, second)
    DecisionFile(path, "bob", LABELS).put(decision(7).sha256, decision(7, who="bob"))
    file.put(first.sha256, None)
    assert LABELS.parse(path.read_bytes(), "x") == (decision(0), decision(7, who="bob"))


def test_a_review_ends_with_the_file_in_order(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    twice = [decision(3, "keep", when=1), decision(3, "drop", when=1)]
    path.write_bytes(LABELS.render([decision(3), *twice]) + LABELS.render([decision(2, who="bob")]).partition(b"\n")[2])
    file = DecisionFile(path, "ann", LABELS)
    file.put(decision(1).sha256, decision(1))
    file.tidy()
    assert path.read_bytes() == LABELS.render([decision(1), decision(2, who="bob"), *twice])
    stamp = path.stat().st_mtime_ns
    file.tidy()
    assert path.stat().st_mtime_ns == stamp
    DecisionFile(tmp_path / "none.csv", "ann", LABELS).tidy()
    assert not (tmp_path / "none.csv").exists()


def test_saving_reads_nothing_again_while_nobody_else_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(LABELS.render(decision(number) for number in range(1000)))
    file = DecisionFile(path, "ann", LABELS)
    file.own()
    parsed: list[int] = []
    parse = DecisionTable.parse

    def noted(table: DecisionTable[Decision], data: bytes, name: str) -> tuple[Decision, ...]:
        parsed.append(len(data))
        return parse(table, data, name)

    monkeypatch.setattr(DecisionTable, "parse", noted)
    for number in range(1000, 1010):
        file.put(decision(number).sha256, decision(number))
    assert max(parsed) < 1000
    assert len(LABELS.parse(path.read_bytes(), "x")) == 1010


def test_half_a_row_on_a_full_disk_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(LABELS.render(decision(number) for number in range(100)))
    before = path.read_bytes()
    file = DecisionFile(path, "ann", LABELS)
    file.own()
    with full_disk(len(before) + 40), pytest.raises(StorageError, match=r"labels\.csv"):
        file.put(decision(500).sha256, decision(500))
    assert path.read_bytes() == before
    file.put(decision(500).sha256, decision(500))
    assert len(LABELS.parse(path.read_bytes(), "x")) == 101


@pytest.mark.parametrize("who", ["", " ", "a\nb\x1b", "M\udcfcller", "\u200b"])
def test_decisions_are_saved_under_a_name_that_a_line_can_have(who: str) -> None:
    with pytest.raises(ParamsError, match=r"--who .* is not a name"):
        person(who)
    assert person(" Zoe\u0308  M ") == "Zo\u00eb M"
    assert person(None)


def test_halves_of_characters_are_no_reason_and_no_class(tmp_path: Path) -> None:
    page = client(tmp_path)
    for values in ({"decision": "relabel", "to": "d\ud83d"}, {"decision": "keep", "why": "\udc00"}):
        answer = page.post(
            f"/{TOKEN}/decide",
            content=json.dumps({"sha256": SHAS[0], **values}),
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code == 400
    assert not (tmp_path / "labels.csv").exists()
