"""The manifest: one row per image, from curate to train, and the values that each column may have.

id          <source>/<path>, unique among originals          source, role, label   categories; label "" = none
path        inside the source, with /                        sha256                of the file
width, height   pixels of the upright original               bytes, format         of the file
range_used  largest value of a file of more than 8 bits per channel, as share of what it can hold or `value_range` says;
            1 for others
brightness, contrast, sharpness, saturation, luma_1, luma_5, luma_99, colour_99, information, blur
            facts of what the picture shows, see images/facts.py
pixels      digest of all that shaped the normalised image   shard, row   where it lies
user_group  from the source's table, or ""               captured_at   from there too or from EXIF, UTC, or empty
hash_0, hash_1, hash_2   perceptual hashes of the whole picture and two crops, see images/perceptual.py (until curate)
fine_detail              strength of its fine detail, >= 0, in grey levels of 255 (until curate)
codec_warning            what the codec complained of, or "" (until curate)
meta_*      further columns of these tables, "" where a source has none; meta_camera is from EXIF if no table has it
group       never split apart (from curate on)
blurry, dark, light, blank, low_information, odd_aspect_ratio, odd_size, grayscale
            issues, true or false, see issues.py (from curate on)
split       train, train_dev, dev or test (from split on); in data/split/unused.arrow, why it is in none
copy        0 = the image itself, else a variant         weight      of the row's loss, 1 on average (from balance on)
"""

from collections.abc import Collection, Mapping, Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import DataError, listing
from pipeline.issues import ISSUES
from pipeline.store.row_parts import RowParts

RAW, PRODUCTION = "raw", "production"
TRAIN, TRAIN_DEV, DEV, TEST = "train", "train_dev", "dev", "test"
SPLITS = (TRAIN, TRAIN_DEV, DEV, TEST)
# A text column holds 2 GiB (Arrow's 32-bit offsets): 107 bytes in so many rows.
MAX_ROWS = 20_000_000
# Why an image without a label is in no split; training may take the former alone (train.unlabelled).
UNLABELLED, UNLABELLED_HELD_OUT = "unlabelled", "unlabelled_in_a_held_out_group"
# Splits that are looked at while a model is made; test is not.
SEEN_SPLITS = (TRAIN, TRAIN_DEV, DEV)

_CATEGORY = pa.dictionary(pa.int32(), pa.string())

FACTS = pa.schema(
    [
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("bytes", pa.int64()),
        ("format", _CATEGORY),
        ("range_used", pa.float32()),
        ("brightness", pa.float32()),
        ("contrast", pa.float32()),
        ("sharpness", pa.float32()),
        ("saturation", pa.float32()),
        ("luma_1", pa.uint8()),
        ("luma_5", pa.uint8()),
        ("luma_99", pa.uint8()),
        ("colour_99", pa.uint8()),
        ("information", pa.float32()),
        ("blur", pa.float32()),
    ]
)
# What finds near copies; later manifests do without.
HASHES = ("hash_0", "hash_1", "hash_2")
MARKS = pa.schema([*((name, pa.uint64()) for name in HASHES), ("fine_detail", pa.float32())])
_IMAGE = pa.schema(
    [
        ("id", pa.string()),
        ("source", _CATEGORY),
        ("role", _CATEGORY),
        ("label", _CATEGORY),
        ("path", pa.string()),
        ("sha256", pa.string()),
        ("user_group", pa.string()),
        ("captured_at", pa.timestamp("us", tz="UTC")),
        *FACTS,
        ("pixels", pa.string()),
        ("shard", _CATEGORY),
        ("row", pa.int32()),
    ]
)
INGESTED = pa.schema([*_IMAGE, *MARKS, ("codec_warning", pa.string())])
# Where the vector of a content lies.
EMBEDDED = pa.schema([("sha256", pa.string()), ("shard", _CATEGORY), ("row", pa.int32())])
# The group of each content as a run left it, and by what rule.
GROUPS = pa.schema([("sha256", pa.string()), ("group", pa.string()), ("rule", pa.string())])
# Pairs of contents that were compared, in how many places they agree, whether they show one scene, and by what rule.
SCENE_PAIRS = pa.schema(
    [("one", _CATEGORY), ("other", _CATEGORY), ("places", pa.int32()), ("scene", pa.bool_()), ("rule", _CATEGORY)]
)
# Where each image lies on a map of the data, in the order of ids, and what decided that.
MAP_PLACES = pa.schema([("x", pa.float32()), ("y", pa.float32()), ("rule", pa.string())])
CURATED = pa.schema([*_IMAGE, ("group", pa.string()), *((name, pa.bool_()) for name in ISSUES)])
SPLIT = pa.schema([*CURATED, ("split", _CATEGORY)])
BALANCED = pa.schema([*SPLIT, ("copy", pa.int32()), ("weight", pa.float32())])
# What a model says of an image: the class it names, and the probability that it gives it.
PREDICTIONS = pa.schema(
    [
        ("id", pa.string()),
        ("group", pa.string()),
        ("split", _CATEGORY),
        ("label", _CATEGORY),
        ("predicted", _CATEGORY),
        ("confidence", pa.float32()),
    ]
)


# The label of an image without one: production's alone, to show what production looks like.
NO_LABEL = ""
# Columns that start so are the user's.
EXTRA_COLUMNS = "meta_"
MAY_BE_EMPTY = frozenset({"captured_at"})


def check_manifest(manifest: pd.DataFrame, schema: pa.Schema, unique: Sequence[str] = ("id",)) -> pd.DataFrame:
    """Return the manifest if it has the schema's columns, no empty cells and no duplicate rows.

    Raises:
        DataError: with every broken rule.
    """
    missing = [name for name in schema.names if name not in manifest.columns]
    _check(missing, {}, ())
    # Hashing 10,000,000 ids takes ten seconds, and seeing that they are in order a tenth of one.
    twice = () if is_sorted_by_id(manifest) else manifest.loc[manifest.duplicated(list(unique)), "id"]
    _check([], manifest[schema.names].isna().sum().to_dict(), twice)
    return manifest


def select_columns(rows: RowParts, schema: pa.Schema, names: Sequence[str], stay: Collection[str] = ()) -> pd.DataFrame:
    """Some columns of a manifest, checked; the rest stays where it is.

    Args:
        schema: of the whole manifest.
        names: columns of the schema, and any of EXTRA_COLUMNS, which may be missing.
        stay: those of them that are checked alone: texts of which all take more memory than all other columns.

    Raises:
        DataError: with every broken rule.
    """
    present = [name for name in names if name in rows.schema.names]
    required = [schema.field(name).name for name in names if not name.startswith(EXTRA_COLUMNS)]
    counts = rows.empty_cells([name for name in required if name in present])
    unique = "id" not in required or "id" not in present or rows.ascending("id")
    _check(
        [name for name in required if name not in present],
        counts,
        () if unique else (ids := rows.select(["id"])["id"].to_pandas())[ids.duplicated()],
    )
    frame: pd.DataFrame = rows.select([name for name in present if name not in stay]).to_pandas()
    return frame


def _check(missing: Sequence[str], empty: Mapping[str, int], twice: Collection[str]) -> None:
    """Raise DataError if columns are missing, cells empty that must not be, or rows duplicates, given by id."""
    if missing:
        raise DataError(f"the manifest lacks the columns {listing(missing)}: make it again with `dvc repro`")
    problems = [
        f"column {name} is empty in {count} row{'s' if count > 1 else ''}"
        for name, count in empty.items()
        if count and name not in MAY_BE_EMPTY
    ]
    if len(twice):
        problems.append(f"{len(twice)} rows are duplicates: {listing(twice)}")
    if problems:
        raise DataError("the manifest is not usable: " + "; ".join(problems))


def may_teach(unused: pd.DataFrame) -> pd.DataFrame:
    """Of the images in no split, those that training may learn from although they have no label.

    No image of their group is in train_dev, dev or test.
    """
    return unused[unused["split"].astype(str) == UNLABELLED].reset_index(drop=True)


def is_sorted_by_id(manifest: pd.DataFrame) -> bool:
    """Whether each id is greater than the one before it, so that none stands twice."""
    ids = pa.array(manifest["id"], from_pandas=True)
    return pc.all(pc.less(ids.slice(0, max(len(ids) - 1, 0)), ids.slice(1)), skip_nulls=False).as_py() is True


def counts_per_label(manifest: pd.DataFrame) -> dict[str, int]:
    """Rows per label, labels sorted."""
    counts = manifest["label"].astype(str).value_counts()
    return {str(label): int(counts[label]) for label in sorted(counts.index)}
