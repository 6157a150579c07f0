"""Tables, Label Studio exports and metadata of any content: labels, or an error of the project's own.

    python -m tests.fuzz.fuzz_tables --minutes 10

Each target draws content that is nearly right, and damages its bytes. Allowed is a PipelineError whose message has an
end and steers no terminal; what is let through must keep the laws of names and files. A finding is printed with the
smallest example that hypothesis comes to; the exit code is then 1.
"""

import argparse
import io
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
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.manifest import PRODUCTION, RAW
from pipeline.names import clean, fault, key, printable, shown
from pipeline.sources.label_studio import labels_of, notes_of
from pipeline.sources.listing import Listing, by_folders, by_statements, by_table
from pipeline.sources.metadata import attach_metadata, check_groups
from pipeline.sources.params import Columns, LabelStudioLabels, TableLabels
from pipeline.sources.scan import Scan
from pipeline.sources.texts import read_texts
from pipeline.store.decisions import KINDS, Decision, parse
from pipeline.store.decisions import render as render_decisions
from pipeline.store.spreadsheets import read_spreadsheet
from pipeline.tools.audit.leaks import audit_report, check_splits
from pipeline.tools.audit.rendering import render
from pipeline.tools.audit.tables import read_tables

# Executions of a target before the next one has its turn.
TURN = 200
MAX_MESSAGE = 20_000
NOW = pd.Timestamp("2026-06-01T12:00:00Z")
FILES = ("a.png", "cat/1.png", "cat/é.png", "dog/deep/1.png", "train/cat/1.png")
REFUSED = (("cat/out.png", "link_leaves_source"), ("up", "linked_folder"))
FOUND = Scan(FILES, REFUSED, (("a", "hidden"), ("b", "hidden")))
PREFIX = "/data/local-files/?d=x/"

# Words that mean something somewhere, odd letters, and any text.
_ODD = st.text(
    st.sampled_from("aA1.0 e\u0301é\u200b\u200d\u00a0\ufeff\u00ad\U000e0067İß\x1b\x00\t\n\r\u0085|;,\"'\\/=+@"),
    max_size=6,
)
_LABELS = ("", " ", "cat", "Cat", "cat ", "dog", "cat|dog", "nan", "None", "12", "12.0", "012", "1e5", "2.1E+14")
_TIMES = ("", "2026-05-31", "2026-05-31T14:00:00Z", "2099-01-01", "now", "24:00", "0000-00-00")
_PATHS = (*FILES, *FILES, "../a.png", "a", "1", "..", "/", "cat/2.png", "CAT/1.PNG", "cat/out.png", "up/1")
_WORDS = st.sampled_from((*_PATHS, *_LABELS, *_TIMES))
TEXTS = _WORDS | _ODD | st.text(max_size=5)
NAMES = st.sampled_from(["path", "label", "group", "taken", "file_name", "captured_at", "split", "x"]) | _ODD
SCALARS = TEXTS | st.none() | st.booleans() | st.integers() | st.floats() | st.integers(-(2**70), 2**70)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3))


@st.composite
def damaged(draw: st.DrawFn, content: st.SearchStrategy[bytes]) -> bytes:
    """Some content, mostly as it is, or with bytes changed, cut or doubled."""
    data = bytearray(draw(content))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2, 5]))):
        if not data:
            break
        at = draw(st.integers(0, len(data) - 1))
        match draw(st.sampled_from(["set", "cut", "insert", "double", "end"])):
            case "set":
                data[at] = draw(st.integers(0, 255))
            case "cut":
                del data[at : at + draw(st.integers(1, 8))]
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=4))
            case "double":
                data[at:at] = data[at : at + 16]
            case "end":
                del data[at:]
    return bytes(data)


def _csv(table: tuple[list[str], list[list[str]]]) -> bytes:
    def quoted(cell: str) -> str:
        return '"' + cell.replace('"', '""') + '"' if set(cell) & set(',"\r\n') else cell

    return "\n".join(",".join(map(quoted, row)) for row in (table[0], *table[1])).encode(errors="surrogatepass")


def _parquet(table: tuple[list[str], list[list[Any]]]) -> bytes:
    buffer = io.BytesIO()
    names, rows = table
    try:
        columns = [pa.array([row[number] for row in rows]) for number in range(len(names))]
        pq.write_table(pa.Table.from_arrays(columns, names=names), buffer)
    except (pa.ArrowException, UnicodeError, OverflowError, ValueError, TypeError):
        return b"PAR1"
    return buffer.getvalue()


_LIKELY = {
    **dict.fromkeys(("path", "file_name"), st.sampled_from(_PATHS)),
    **dict.fromkeys(("label", "group"), st.sampled_from(("cat", "dog", "dog", "owl", *_LABELS))),
    **dict.fromkeys(("taken", "captured_at"), st.sampled_from(_TIMES)),
    "split": st.sampled_from(("train", "test", "Train", "dev ")),
}
_HEADS = (["path", "label"], ["path", "label", "taken"], ["file_name", "group"], ["path", "label", "split", "group"])


@st.composite
def _rows(draw: st.DrawFn, cells: st.SearchStrategy[Any]) -> tuple[list[str], list[list[Any]]]:
    """Names of columns, and rows of cells that mostly are what such a column has."""
    names = [*draw(st.sampled_from(_HEADS)), *draw(st.lists(NAMES, max_size=2))]
    usual = draw(st.integers(0, 3)) > 0
    row = st.tuples(*(_LIKELY.get(name, cells) if usual else cells for name in names)).map(list)
    return names, draw(st.lists(row, max_size=5))


@st.composite
def _objects(draw: st.DrawFn) -> list[Any]:
    """The same as objects, some with further keys."""
    names, rows = draw(_rows(JSON))
    more = draw(st.lists(st.dictionaries(NAMES, JSON, max_size=2), min_size=len(rows), max_size=len(rows)))
    return [dict(zip(names, row, strict=True)) | extra for row, extra in zip(rows, more, strict=True)]


def _jsonl(rows: list[Any]) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


TABLES = st.one_of(
    st.tuples(st.just("t.csv"), damaged(_rows(TEXTS).map(_csv))),
    st.tuples(st.just("t.jsonl"), damaged(_objects().map(_jsonl))),
    st.tuples(st.just("t.parquet"), damaged(_rows(st.one_of(TEXTS, st.none())).map(_parquet))),
    st.tuples(st.just("t.parquet"), damaged(_rows(st.one_of(st.floats(), st.none())).map(_parquet))),
)
COLUMNS = st.builds(
    Columns,
    path=st.just("path"),
    label=st.sampled_from(["label", None]),
    group=st.sampled_from([None, None, "group", "label"]),
    captured_at=st.sampled_from([None, None, "taken"]),
)
ROLES = st.sampled_from([RAW, PRODUCTION])
UNLISTED = st.sampled_from(["ignore", "unlabelled"])


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


ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["choices", "taxonomy", "rating", "relation"]) | JSON,
        "from_name": st.sampled_from(["fruit", "label"]) | JSON,
        "value": st.dictionaries(st.sampled_from(["choices", "taxonomy"]), st.lists(TEXTS, max_size=3) | JSON) | JSON,
    },
)
PEOPLE = st.integers(1, 3) | st.fixed_dictionaries({"id": st.integers(1, 3)}) | JSON
ANNOTATIONS = st.fixed_dictionaries(
    {"result": st.lists(ANSWERS, max_size=3)}, optional={"was_cancelled": st.booleans(), "completed_by": PEOPLE}
)
IMAGES = st.sampled_from([*FILES, "0a1b2c3d-1.png", "cat%2F1.png", "%ff%00"]).map(lambda path: PREFIX + path) | TEXTS
TASKS = st.lists(
    st.fixed_dictionaries(
        {
            "data": st.fixed_dictionaries({"image": IMAGES | JSON}) | JSON,
            "annotations": st.lists(ANNOTATIONS | JSON, max_size=3),
        },
        optional={"id": st.integers() | JSON},
    )
    | JSON,
    max_size=4,
)
SOUND = st.lists(
    st.builds(
        lambda image, people: {
            "data": {"image": image},
            "annotations": [
                {
                    "completed_by": who,
                    "result": [{"type": "choices", "from_name": name, "value": {"choices": chosen}}],
                }
                for who, name, chosen in people
            ],
        },
        IMAGES,
        st.lists(
            st.tuples(PEOPLE, st.sampled_from(["fruit", "fruit", "label"]), st.lists(TEXTS, max_size=2)), max_size=3
        ),
    ),
    max_size=4,
)


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


DECISIONS = st.lists(
    st.builds(
        Decision,
        sha256=st.sampled_from(["a" * 64, "b" * 64]),
        decision=st.sampled_from(KINDS),
        before=TEXTS,
        after=TEXTS,
        who=TEXTS,
        when=st.sampled_from(["2026-01-31T09:30:00Z", "2026-01-31T09:30:00.5+01:00"]),
        why=TEXTS,
        id=TEXTS,
    ),
    max_size=4,
)
FOLDERS = st.lists(st.lists(TEXTS.filter(bool), min_size=1, max_size=3).map("/".join), unique=True, max_size=6)


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
    found = parse(data, "t.csv")
    assert parse(render_decisions(found), "t.csv") == found


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
    "feedback": (_feedback, (damaged(_rows(TEXTS).map(_csv)),)),
    "decisions": (_decisions, (damaged(DECISIONS.map(render_decisions)),)),
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
