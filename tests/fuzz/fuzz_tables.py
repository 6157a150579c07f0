"""Tables, Label Studio exports and metadata of any content: labels, or an error of the project's own.

    python -m tests.fuzz.fuzz_tables --minutes 10

Each target draws content that is nearly right, and damages its bytes. Allowed is a PipelineError whose message has an
end and steers no terminal; what is let through must keep the laws of names and files. A finding is printed with the
smallest example that hypothesis comes to; the exit code is then 1.
"""

import argparse
import json
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.manifest import RAW
from pipeline.names import clean, fault, key, printable, shown
from pipeline.sources.label_studio import labels_of, notes_of
from pipeline.sources.listing import Listing, by_folders, by_statements, by_table
from pipeline.sources.metadata import attach_metadata, check_groups
from pipeline.sources.params import Columns, LabelStudioLabels, TableLabels
from pipeline.sources.scan import Scan
from pipeline.sources.texts import read_texts
from pipeline.store.decisions import LABELS
from pipeline.store.spreadsheets import read_spreadsheet
from pipeline.tools.audit.leaks import audit_report, check_splits
from pipeline.tools.audit.rendering import render
from pipeline.tools.audit.tables import read_tables
from tests.fuzz.table_content import (
    COLUMNS,
    DECISIONS,
    FILES,
    FOLDERS,
    FOUND,
    PREFIX,
    REFUSED,
    ROLES,
    SOUND,
    TABLES,
    TASKS,
    TEXTS,
    UNLISTED,
    as_csv,
    damaged,
    table_rows,
)

# Executions of a target before the next one has its turn.
TURN = 200
MAX_MESSAGE = 20_000
NOW = pd.Timestamp("2026-06-01T12:00:00Z")


def _table_of_labels(table: tuple[str, bytes], columns: Columns, role: str, unlisted: Any, separator: Any) -> None:
    name, data = table
    texts = read_texts(data, name, {one for one in columns.model_dump().values() if one})
    labels = TableLabels(name="table", file=name, columns=columns, unlisted=unlisted, separator=separator)
    _keeps_laws(by_table(FOUND, texts, labels, role, NOW, name), role, unlisted == "ignore")


def _metadata(table: tuple[str, bytes]) -> None:
    name, data = table
    images = pd.DataFrame({"path": list(FILES), "label": "x"}, dtype="str")
    known = {*FILES, *dict(REFUSED)}
    found = attach_metadata(images, read_texts(data, name, ()), known, NOW, name)
    assert found["path"].tolist() == list(FILES)
    assert all(clean(group) == group for group in found["user_group"])
    check_groups(found, name)


def _export(tasks: Any, disagreement: str, strip: bool, role: str, unlisted: Any) -> None:
    # As a file has it: what JSON cannot hold does not come.
    content = json.loads(json.dumps(tasks))
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return
    values = {"image": "image", "prefix": PREFIX, "choice": "fruit", "disagreement": disagreement}
    params = LabelStudioLabels.model_validate(
        {"name": "label_studio", "file": "e.json", "unlisted": unlisted, "strip_hash": strip, **values}
    )
    said = labels_of(content, params, "e.json")
    assert len(said) == len(content)
    assert all(len(note) < MAX_MESSAGE for note in notes_of(content, params))
    _keeps_laws(by_statements(FOUND, said, role, unlisted, (), "task"), role, unlisted == "ignore")


def _folders(paths: list[str], role: str, layout: Any) -> None:
    # No system has such names.
    files = [path for path in paths if not set(path.split("/")) & {"", ".", ".."} and "\0" not in path]
    files = [path for path in files if path.isprintable() or path.encode(errors="replace").decode() == path]
    found = by_folders(Scan(tuple(sorted(files)), (), ()), role, layout, "/data")
    assert len(found.images) + len(found.refused) == len(files)
    _keeps_laws(found, role, True)


def _audited(table: tuple[str, bytes]) -> None:
    name, data = table
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_bytes(data)
        rows, places = read_tables([file], None)
    assert len(rows) == len(places)
    rows = check_splits(rows).assign(content=rows["sha256"], family=None)
    report = audit_report(rows, rows[:0].assign(reason=""), 5, False, 0)
    assert printable(render(report)) == render(report)
    json.dumps(report)


def _feedback(data: bytes) -> None:
    found = read_spreadsheet(data, "t.csv", "path")
    assert {len(cells) for cells in found.columns.values()} <= {len(found.rows)}


def _decisions(data: bytes) -> None:
    found = LABELS.parse(data, "t.csv")
    assert LABELS.parse(LABELS.render(found), "t.csv") == found


def _name(name: str) -> None:
    assert clean(clean(name)) == clean(name)
    assert key(clean(name)) == key(name) == key(key(name))
    assert shown(name).isprintable()
    assert fault(clean(name)) is None or not clean(name) or fault(name) is not None


def _keeps_laws(listed: Listing, role: str, ignores: bool) -> None:
    """Each file once; labels and groups are names; no raw image without a label."""
    paths = listed.images["path"].tolist()
    assert len(paths) == len(set(paths))
    for column in {"label", "user_group"} & {*listed.images.columns}:
        for name in listed.images[column].unique():
            assert name == clean(name)
            assert not name or fault(name) is None
    assert role != RAW or (listed.images["label"] != "").all() or not ignores
    assert all(len(note) < MAX_MESSAGE and printable(note) == note for note in listed.notes)
    "\n".join(f"{path} {reason} {detail}" for path, reason, detail in listed.refused).encode(errors="surrogateescape")


TARGETS: dict[str, tuple[Callable[..., None], tuple[st.SearchStrategy[Any], ...]]] = {
    "tables": (_table_of_labels, (TABLES, COLUMNS, ROLES, UNLISTED, st.sampled_from([None, "|", ","]))),
    "metadata": (_metadata, (TABLES,)),
    "label_studio": (
        _export,
        (SOUND | TASKS, st.sampled_from(["reject", "majority"]), st.booleans(), ROLES, UNLISTED),
    ),
    "folders": (_folders, (FOLDERS, ROLES, st.sampled_from([None, "class", "split/class"]))),
    "audit": (_audited, (TABLES,)),
    "feedback": (_feedback, (damaged(table_rows(TEXTS).map(as_csv)),)),
    "decisions": (_decisions, (damaged(DECISIONS.map(LABELS.render)),)),
    "names": (_name, (TEXTS,)),
}


class Fuzzer:
    """Runs targets in turns; counts executions, what was let through, and findings."""

    def __init__(self) -> None:
        self.executions: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()
        self.findings: dict[str, str] = {}

    def run(self, target: str, number: int, turn: int = TURN) -> None:
        """One turn of a target; a new finding is kept with its smallest example."""
        function, strategies = TARGETS[target]

        def execute(drawn: tuple[Any, ...]) -> None:
            self.executions[target] += 1
            try:
                function(*drawn)
            except PipelineError as error:
                message = str(error)
                assert len(message) < MAX_MESSAGE, f"a message of {len(message)} characters"
                printable(message).encode()
            else:
                self.accepted[target] += 1

        test = seed(number)(
            settings(
                max_examples=turn,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate, Phase.shrink],
            )(given(st.tuples(*strategies))(execute))
        )
        try:
            test()
        except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{target}: {type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
            if where not in self.findings:
                notes = "\n".join(getattr(error, "__notes__", []))
                self.findings[where] = f"{error}\n{notes}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1, help="Another one draws other content.")
    parser.add_argument("--target", choices=TARGETS, action="append", help="All if not given.")
    arguments = parser.parse_args()
    fuzzer, number = Fuzzer(), arguments.seed
    end = time.monotonic() + 60 * arguments.minutes
    while time.monotonic() < end:
        for target in arguments.target or TARGETS:
            fuzzer.run(target, number)
        number += 1
    for target in arguments.target or TARGETS:
        print(f"{target}: {fuzzer.executions[target]:,} executions, {fuzzer.accepted[target]:,} let through")
    print(f"{sum(fuzzer.executions.values()):,} executions, {len(fuzzer.findings)} findings")
    for where, example in fuzzer.findings.items():
        print(f"\n{where}\n{example[:2000]}")
    return 1 if fuzzer.findings else 0


if __name__ == "__main__":
    sys.exit(main())
