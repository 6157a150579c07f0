"""Every file of the pipeline, named once: its path, and how it is read and written.

data/<stage>/ holds what DVC caches. reports/<stage>/ holds reports for people, `dvc metrics` and
`dvc plots`. Each folder is named after the stage that writes it.
"""

from functools import partial

import pyarrow as pa

from pipeline import manifest, report_schemas
from pipeline.metrics.predictions import LABEL_PROBABILITY, NUMBER, PROBABILITY
from pipeline.sources.scan import images_in_class_folders
from pipeline.store.artifacts import (
    binary,
    folder_of_folders,
    metrics,
    plotted,
    read_only,
    report,
    spreadsheet,
    table,
    text,
    texts,
    uncached,
)
from pipeline.store.checked import checked_folder, checked_report, memo
from pipeline.store.curves import curves
from pipeline.store.decisions import LABELS
from pipeline.store.feedback import feedback
from pipeline.store.ledger import ledger
from pipeline.store.manifests import lasting, manifest_rows, manifest_slice, manifest_stream, remembered
from pipeline.store.manifests import manifest as any_manifest
from pipeline.store.pair_decisions import PAIRS
from pipeline.store.shards import ShardReader
from pipeline.store.vectors import Embeddings
from pipeline.store.verified import picture, verified

manifest_file = partial(any_manifest, extra_columns=manifest.EXTRA_COLUMNS)
predictions_file = partial(any_manifest, extra_columns=(PROBABILITY, LABEL_PROBABILITY, NUMBER), kind=pa.float32())

# How long stages took on this machine; no out of DVC, as times differ from run to run.
TIMING = "reports/timing.jsonl"

# The version of each stage's code, a file a stage: what DVC knows of code.
CODE = texts("data/code")
CODE_FILE = f"{CODE.path}/{{name}}.txt"
# What `code` computed last, beside the hash of what that depends on; no out of DVC.
CODE_MEMO = memo("data/code-memo/reached.json")

SAMPLE_WEB = uncached(images_in_class_folders("data/sample/web"))
SAMPLE_PHONE = uncached(images_in_class_folders("data/sample/phone"))
SAMPLE_METRICS = verified(metrics("reports/sample/metrics.json"))

# A file a source; what is remembered of their files lies beside, and is no out.
INVENTORY = texts("data/inventory/files")
INVENTORY_MEMORY = "data/inventory/memory/{name}.arrow"
CHECKED_TRANSFORMS = "data/inventory/memory/transforms.txt"

INGEST_SHARDS = "data/ingest/{name}/shards"
INGESTED = manifest_file("data/ingest/{name}/manifest.arrow", manifest.INGESTED)
INGESTED_STREAM = manifest_stream(INGESTED.path, manifest.INGESTED, extra_columns=manifest.EXTRA_COLUMNS)
INGEST_REJECTED = verified(spreadsheet("data/ingest/{name}/rejected.csv"))
# Beside the metrics: what is ignored changes nothing that curate reads.
INGEST_IGNORED = verified(spreadsheet("reports/ingest/{name}/ignored.csv"))
INGEST_METRICS = verified(metrics("reports/ingest/{name}/metrics.json"))
# All sources at once: the folder above theirs.
INGESTED_SOURCES = folder_of_folders("data/ingest", INGESTED, INGEST_REJECTED)
ORIGINALS = read_only("data/ingest", ShardReader)

EMBED_SHARDS = "data/embed/shards"
EMBEDDED = any_manifest("data/embed/manifest.arrow", manifest.EMBEDDED)
EMBED_METRICS = verified(metrics("reports/embed/metrics.json"))
# The table and its vectors; nothing is read before it is asked for.
EMBEDDINGS = read_only("data/embed", partial(Embeddings, table=EMBEDDED))

CURATED = manifest_file("data/curate/manifest.arrow", manifest.CURATED)
CURATED_TABLE = manifest_slice(CURATED.path, manifest.CURATED, extra_columns=manifest.EXTRA_COLUMNS)
CURATED_ROWS = manifest_rows(CURATED.path, manifest.CURATED, extra_columns=manifest.EXTRA_COLUMNS)
CURATE_REMOVED = verified(spreadsheet("data/curate/removed.csv"))
CURATE_NEAR = verified(spreadsheet("data/curate/near_duplicates.csv"))
CURATE_SCENES = verified(spreadsheet("data/curate/scenes.csv"))
CURATE_PARTED = verified(spreadsheet("data/curate/parted.csv"))
CURATE_SCENE_PAIRS = remembered("data/curate/scene_pairs.arrow", manifest.SCENE_PAIRS)
CURATE_GROUPS = lasting("data/curate/groups.arrow", manifest.GROUPS)
CURATE_SCENES_SHEET = picture("reports/curate/scenes.png")
CURATE_CONFOUNDING = verified(spreadsheet("reports/curate/confounding.csv"))
CURATE_CONFOUNDING_SHEET = picture("reports/curate/confounding.png")
CURATE_METRICS = verified(metrics("reports/curate/metrics.json"))
CURATE_ISSUES = picture("reports/curate/issues.png")
CURATE_COPIES = picture("reports/curate/copies.png")

SPLIT = manifest_file("data/split/manifest.arrow", manifest.SPLIT)
SPLIT_TABLE = manifest_slice(SPLIT.path, manifest.SPLIT, extra_columns=manifest.EXTRA_COLUMNS)
SPLIT_ROWS = manifest_rows(SPLIT.path, manifest.SPLIT, extra_columns=manifest.EXTRA_COLUMNS)
# test's rows stand in a file of their own, which the test stage alone reads.
SPLIT_TEST = manifest_file("data/split/test.arrow", manifest.SPLIT)
SPLIT_TEST_TABLE = manifest_slice(SPLIT_TEST.path, manifest.SPLIT, extra_columns=manifest.EXTRA_COLUMNS)
# Production images in no split: held back from train, or without a label.
SPLIT_UNUSED = manifest_file("data/split/unused.arrow", manifest.SPLIT)
SPLIT_UNUSED_TABLE = manifest_slice(SPLIT_UNUSED.path, manifest.SPLIT, extra_columns=manifest.EXTRA_COLUMNS)
SPLIT_EXCLUDED = verified(spreadsheet("data/split/excluded.csv"))
SPLIT_MATCHING = verified(plotted("reports/split/matching.csv"))
SPLIT_METRICS = verified(metrics("reports/split/metrics.json"))

BALANCED = manifest_file("data/balance/manifest.arrow", manifest.BALANCED)
BALANCED_TABLE = manifest_slice(BALANCED.path, manifest.BALANCED, extra_columns=manifest.EXTRA_COLUMNS)
BALANCE_COUNTS = verified(plotted("reports/balance/counts.csv"))
BALANCE_METRICS = verified(metrics("reports/balance/metrics.json"))

AUGMENT_SHARDS = "data/augment/shards"
AUGMENTED = manifest_file("data/augment/manifest.arrow", manifest.BALANCED)
COPIES = read_only(AUGMENT_SHARDS, ShardReader)
# Images without a label that training learns from; none where train.unlabelled is off.
AUGMENT_UNLABELLED = manifest_file("data/augment/unlabelled.arrow", manifest.SPLIT)
AUGMENT_METRICS = verified(metrics("reports/augment/metrics.json"))

PREVIEW_VARIANTS = picture("reports/previews/variants.png")
PREVIEW_BATCH = picture("reports/previews/batch.png")

MODEL = binary("data/train/model.safetensors")
# Of a training that was stopped, beside the outs of DVC; never in its cache.
CHECKPOINT = "data/train/checkpoint.pt"
# Fits of an ensemble's members, which the next run takes over; no out of DVC.
MEMBERS = "data/train/members"
# What became of an ensemble.
ENSEMBLE = checked_report("data/train/ensemble.json", report_schemas.ENSEMBLE)
CURVES = checked_folder(curves("reports/train"))
# Fits that `pipeline learning-curve` has finished; of no stage.
LEARNING_CURVE = "data/learning-curve"
# Trials of `pipeline tune`, a folder a search; of no stage.
TUNE = "data/tune"
# Of the last map that `pipeline map` or the page drew; of no stage.
MAP_PLACES = remembered("data/map/places.arrow", manifest.MAP_PLACES)

PREDICTIONS = predictions_file("data/evaluate/predictions.arrow", manifest.PREDICTIONS)
EVALUATE_METRICS = verified(metrics("reports/evaluate/metrics.json"))
VERDICT = checked_report("data/evaluate/verdict.json", report_schemas.VERDICT)
LATENCY = memo("data/evaluate/latency.json", report_schemas.LATENCY)
CONFUSION = verified(plotted("reports/evaluate/confusion.csv"))
PER_CLASS = verified(plotted("reports/evaluate/per_class.csv"))
RELIABILITY = verified(table("reports/evaluate/reliability.csv"))
SLICES = verified(plotted("reports/evaluate/slices.csv"))

LABEL_ISSUES = verified(spreadsheet("reports/label_issues/label_issues.csv"))
LABEL_ISSUES_SHEET = picture("reports/label_issues/label_issues.png")
LABEL_ISSUES_METRICS = verified(metrics("reports/label_issues/metrics.json", report_schemas.LABEL_ISSUES))

# People's own. labels.csv and pairs.csv are curate's; the folder's answers.csv and outcomes.csv are the diagnosis's.
DECISIONS = LABELS.artifact("feedback/labels.csv")
PAIR_DECISIONS = PAIRS.artifact("feedback/pairs.csv")
FEEDBACK = feedback("feedback")
DIAGNOSIS = uncached(verified(report("reports/diagnose/diagnosis.json")))
DIAGNOSIS_METRICS = verified(metrics("reports/diagnose/metrics.json"))
DIAGNOSIS_GAPS = verified(table("reports/diagnose/gaps.csv"))
DIAGNOSIS_CLUSTERS = picture("reports/diagnose/clusters.png")
DIAGNOSIS_TEXT = uncached(verified(text("reports/diagnose/diagnosis.md")))

# Git alone keeps it. What an evaluation on test leaves is not cached: `dvc checkout` must not ask for what nobody made.
LEDGER = uncached(ledger("reports/final_evaluation/ledger.jsonl", older="reports/test/ledger.jsonl"))
TEST_PREDICTIONS = uncached(predictions_file("data/final_evaluation/predictions.arrow", manifest.PREDICTIONS))
TEST_METRICS = uncached(verified(report("reports/final_evaluation/metrics.json")))
TEST_CONFUSION = uncached(verified(spreadsheet("reports/final_evaluation/confusion.csv")))
TEST_SLICES = uncached(verified(spreadsheet("reports/final_evaluation/slices.csv")))
FINAL_DIAGNOSIS = uncached(verified(report("reports/final_diagnosis/diagnosis.json")))
FINAL_DIAGNOSIS_TEXT = uncached(verified(text("reports/final_diagnosis/diagnosis.md")))
