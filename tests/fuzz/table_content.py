"""Content that is nearly right, as hypothesis draws it: tables, Label Studio exports, decisions, names of folders."""

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from pipeline.manifest import PRODUCTION, RAW
from pipeline.sources.params import Columns
from pipeline.sources.scan import Scan
from pipeline.store.decisions import KINDS, Decision

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


def as_csv(table: tuple[list[str], list[list[str]]]) -> bytes:
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
def table_rows(draw: st.DrawFn, cells: st.SearchStrategy[Any]) -> tuple[list[str], list[list[Any]]]:
    """Names of columns, and rows of cells that mostly are what such a column has."""
    names = [*draw(st.sampled_from(_HEADS)), *draw(st.lists(NAMES, max_size=2))]
    usual = draw(st.integers(0, 3)) > 0
    row = st.tuples(*(_LIKELY.get(name, cells) if usual else cells for name in names)).map(list)
    return names, draw(st.lists(row, max_size=5))


@st.composite
def _objects(draw: st.DrawFn) -> list[Any]:
    """The same as objects, some with further keys."""
    names, rows = draw(table_rows(JSON))
    more = draw(st.lists(st.dictionaries(NAMES, JSON, max_size=2), min_size=len(rows), max_size=len(rows)))
    return [dict(zip(names, row, strict=True)) | extra for row, extra in zip(rows, more, strict=True)]


def _jsonl(rows: list[Any]) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


TABLES = st.one_of(
    st.tuples(st.just("t.csv"), damaged(table_rows(TEXTS).map(as_csv))),
    st.tuples(st.just("t.jsonl"), damaged(_objects().map(_jsonl))),
    st.tuples(st.just("t.parquet"), damaged(table_rows(st.one_of(TEXTS, st.none())).map(_parquet))),
    st.tuples(st.just("t.parquet"), damaged(table_rows(st.one_of(st.floats(), st.none())).map(_parquet))),
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
