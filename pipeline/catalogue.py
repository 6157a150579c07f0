"""Every file of the pipeline, named once: its path, and how it is read and written.

data/<stage>/ holds what DVC caches, reports/<stage>/ what people and `dvc metrics` and
`dvc plots` look at. The folder's name is the name of the stage that makes it.
"""

from functools import partial

import pyarrow as pa

from pipeline.core import manifest
from pipeline.core.evaluate.judged import PROBABILITY
from pipeline.files.arrow import manifest as any_manifest
from pipeline.files.arrow import streamed_manifest, taken_manifest
from pipeline.files.checked import checked_folder, checked_report, memo
from pipeline.files.curves import curves
from pipeline.files.feedback import feedback
from pipeline.files.scan import images_in_class_folders
from pipeline.files.shards import ShardReader
from pipeline.files.storage import binary, folder_of_folders, read_only, report, spreadsheet, table, text, texts
from pipeline.ledger import ledger

manifest_file = partial(any_manifest, further=manifest.FURTHER)
predictions_file = partial(any_manifest, further=PROBABILITY, kind=pa.float32())

SAMPLE_WEB = images_in_class_folders("data/sample/web")
SAMPLE_PHONE = images_in_class_folders("data/sample/phone")

# A file a source; what is remembered of their files lies beside, and is no out.
INVENTORY = texts("data/inventory/files")
INVENTORY_MEMORY = "data/inventory/memory/{name}.arrow"
CHECKED_TRANSFORMS = "data/inventory/memory/transforms.txt"

INGEST_SHARDS = "data/ingest/{name}/shards"
INGESTED = manifest_file("data/ingest/{name}/manifest.arrow", manifest.INGESTED)
INGESTED_STREAM = streamed_manifest(INGESTED.path, manifest.INGESTED, further=manifest.FURTHER)
INGEST_REJECTED = spreadsheet("data/ingest/{name}/rejected.csv")
INGEST_METRICS = report("reports/ingest/{name}/metrics.json")
# All sources at once: the folder above theirs.
INGESTED_SOURCES = folder_of_folders("data/ingest", INGESTED, INGEST_REJECTED)
ORIGINALS = read_only("data/ingest", ShardReader)

CURATED = manifest_file("data/curate/manifest.arrow", manifest.CURATED)
CURATED_TABLE = taken_manifest(CURATED.path, manifest.CURATED, further=manifest.FURTHER)
CURATE_REMOVED = spreadsheet("data/curate/removed.csv")
CURATE_NEAR = spreadsheet("data/curate/near_duplicates.csv")
CURATE_METRICS = report("reports/curate/metrics.json")
CURATE_ISSUES = binary("reports/curate/issues.png")
CURATE_COPIES = binary("reports/curate/copies.png")

SPLIT = manifest_file("data/split/manifest.arrow", manifest.SPLIT)
SPLIT_TABLE = taken_manifest(SPLIT.path, manifest.SPLIT, further=manifest.FURTHER)
# test's rows stand in a file of their own, which the test stage alone reads.
SPLIT_TEST = manifest_file("data/split/test.arrow", manifest.SPLIT)
SPLIT_TEST_TABLE = taken_manifest(SPLIT_TEST.path, manifest.SPLIT, further=manifest.FURTHER)
# Production images in no split: held back from train, or without a label.
SPLIT_UNUSED = manifest_file("data/split/unused.arrow", manifest.SPLIT)
SPLIT_UNUSED_TABLE = taken_manifest(SPLIT_UNUSED.path, manifest.SPLIT, further=manifest.FURTHER)
SPLIT_EXCLUDED = spreadsheet("data/split/excluded.csv")
SPLIT_MATCHING = table("reports/split/matching.csv")
SPLIT_METRICS = report("reports/split/metrics.json")

BALANCED = manifest_file("data/balance/manifest.arrow", manifest.BALANCED)
BALANCED_TABLE = taken_manifest(BALANCED.path, manifest.BALANCED, further=manifest.FURTHER)
BALANCE_COUNTS = table("reports/balance/counts.csv")
BALANCE_METRICS = report("reports/balance/metrics.json")

AUGMENT_SHARDS = "data/augment/shards"
AUGMENTED = manifest_file("data/augment/manifest.arrow", manifest.BALANCED)
COPIES = read_only(AUGMENT_SHARDS, ShardReader)
AUGMENT_METRICS = report("reports/augment/metrics.json")

LOOK_VARIANTS = binary("reports/look/variants.png")
LOOK_BATCH = binary("reports/look/batch.png")

MODEL = binary("data/train/model.safetensors")
# Of a training that was stopped, beside the outs of DVC; never in its cache.
CHECKPOINT = "data/train/checkpoint.pt"
CURVES = checked_folder(curves("reports/train"))
# Fits that `pipeline learning-curve` has finished; of no stage.
LEARNING_CURVE = "data/learning-curve"

PREDICTIONS = predictions_file("data/evaluate/predictions.arrow", manifest.PREDICTIONS)
EVALUATE_METRICS = report("reports/evaluate/metrics.json")
VERDICT = checked_report("data/evaluate/verdict.json")
LATENCY = memo("data/evaluate/latency.json")
CONFUSION = table("reports/evaluate/confusion.csv")
PER_CLASS = table("reports/evaluate/per_class.csv")
RELIABILITY = table("reports/evaluate/reliability.csv")
SLICES = table("reports/evaluate/slices.csv")

SUSPECTS = spreadsheet("reports/suspects/suspects.csv")
SUSPECTS_SHEET = binary("reports/suspects/suspects.png")
SUSPECTS_METRICS = report("reports/suspects/metrics.json")

# People's own: answers.csv and outcomes.csv.
FEEDBACK = feedback("feedback")
DIAGNOSIS = report("reports/diagnose/diagnosis.json")
DIAGNOSIS_METRICS = report("reports/diagnose/metrics.json")
DIAGNOSIS_GAPS = table("reports/diagnose/gaps.csv")
DIAGNOSIS_TEXT = text("reports/diagnose/diagnosis.md")

# Git alone keeps it.
LEDGER = ledger("reports/test/ledger.jsonl")
TEST_PREDICTIONS = predictions_file("data/test/predictions.arrow", manifest.PREDICTIONS)
TEST_METRICS = report("reports/test/metrics.json")
TEST_CONFUSION = table("reports/test/confusion.csv")
TEST_SLICES = table("reports/test/slices.csv")
CONCLUSION = report("reports/conclude/diagnosis.json")
CONCLUSION_TEXT = text("reports/conclude/diagnosis.md")
