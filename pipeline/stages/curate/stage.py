"""Join the sources into one manifest: remove duplicates, resolve labels, group near copies, mark issues."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from pipeline import catalogue
from pipeline.errors import MissingInputError, listing
from pipeline.images import local_features
from pipeline.images.perceptual import views
from pipeline.images.pixels import decode
from pipeline.manifest import HASHES, INGESTED, MARKS, NO_LABEL, check_manifest
from pipeline.metrics.confounding import measure_confounding
from pipeline.names import one_group
from pipeline.problem.params import Problem
from pipeline.problem.problem import PROBLEMS, is_multi_label, is_regression
from pipeline.sources.params import SourceParams
from pipeline.stage import Stage
from pipeline.stages.curate.alignment import portrait
from pipeline.stages.curate.cannot_links import NEAR_COPY, SCENE, group_images, measured_links
from pipeline.stages.curate.confounders import (
    check_fact_names,
    confounding_metrics,
    confounding_sheet,
    confounding_table,
)
from pipeline.stages.curate.corrections import DROPPED, correct
from pipeline.stages.curate.duplicates import also_removed, join_sources, remove_duplicates
from pipeline.stages.curate.groups import (
    NO_COPIES,
    contents_of,
    is_compared,
    joined_groups,
    near_copies,
    near_counts,
    near_table,
)
from pipeline.stages.curate.issues import issue_counts, with_issues
from pipeline.stages.curate.outputs import CurateOutputs
from pipeline.stages.curate.pairing import pairing, parted_table
from pipeline.stages.curate.params import CurateParams
from pipeline.stages.curate.pictures import measure_pictures, picture
from pipeline.stages.curate.scenes import NO_SCENES_FOUND, PAIR_COLUMNS, find_scenes
from pipeline.stages.curate.sheets import copies_sheet, issues_sheet, scenes_sheet
from pipeline.stages.curate.steady import GROUP_COLUMNS, JOINS
from pipeline.stages.curate.values import NOT_A_NUMBER, with_numbers, with_values
from pipeline.store.decisions import Decision
from pipeline.store.pair_decisions import PairDecision
from pipeline.store.shard_plan import digest
from pipeline.store.shards import ShardReader, fingerprint
from pipeline.store.vectors import Embeddings
from pipeline.versions.stages import version_of
from pipeline.workers.engine import Engine

NOT_CONFOUNDING = "facts that give the class away are not looked for, because {}"
SEVERAL_LABELS = NOT_CONFOUNDING.format("an image may have several labels (problem multi_label)")
NUMBERS = NOT_CONFOUNDING.format("images have a number instead of a class (problem regression)")


@dataclass(frozen=True)
class Earlier:
    """What an earlier run left, from which this one goes on; empty tables at first.

    scene_pairs: pairs that it compared, with the columns of manifest.SCENE_PAIRS.
    groups: with the columns of manifest.GROUPS.
    """

    scene_pairs: pd.DataFrame
    groups: pd.DataFrame


@dataclass(frozen=True)
class Origin:
    """Where images come from, what people decided on their labels and on pairs, and what the labels stand for."""

    sources: Mapping[str, SourceParams]
    problem: Problem
    decisions: Sequence[Decision] = ()
    pair_decisions: Sequence[PairDecision] = ()


def curate(
    ingested: Mapping[str, Callable[[], tuple[pd.DataFrame, pd.DataFrame]]],
    originals: ShardReader,
    embeddings: Embeddings,
    earlier: Earlier,
    origin: Origin,
    params: CurateParams,
    fit: str,
    engine: Engine,
) -> CurateOutputs:
    """Join all sources into one manifest.

    Raises:
        MissingInputError: a source of params.yaml was not ingested, or a shard is missing.
        DataError: labels of the sources and `problem` do not fit.
    """
    missing = [name for name in origin.sources if name not in ingested]
    if missing:
        raise MissingInputError(f"sources not ingested yet: {listing(missing)}; run `dvc repro ingest`")
    # Folders of sources that params no longer name may still stand on disk: they do not count.
    images, sizes = _joined(ingested, sorted(origin.sources))
    check_manifest(images, INGESTED)
    problem = PROBLEMS.of(origin.problem)
    column, measures = problem.column(origin.problem), is_regression(origin.problem)
    images = with_values(images, column, each=not measures)
    # Before labels become classes: people decide on what the sources say.
    corrections = correct(images, origin.decisions)
    images = corrections.images
    becomes = problem.relabel(origin.problem, images["label"].astype(str).unique().tolist())
    relabelled = class_counts(images, becomes)
    # Before anything is compared: two labels of one class are no conflict.
    images = images.assign(label=images["label"].astype(str).replace(becomes)) if becomes else images
    numbers = with_numbers(images, measures)
    images = numbers.images
    contents = contents_of(images)
    wanted = params.near_duplicates == "group"
    measures_of = partial(measure_pictures, contents=contents, reader=originals, fit=fit, engine=engine)
    seen = partial(measures_of, measure=views), partial(measures_of, measure=portrait)
    pairs = near_copies(contents, *seen) if wanted else NO_COPIES
    written = one_group(images["user_group"].unique())
    found, remembered = NO_SCENES_FOUND, earlier.scene_pairs
    rule = "" if params.scenes == "ignore" else _scene_rule(originals, contents, fit)
    if rule:
        known = remembered.loc[remembered["rule"] == rule, PAIR_COLUMNS]
        ordered = contents.sort_values("sha256")
        vectors = embeddings.of(ordered["sha256"].tolist())
        found = find_scenes(ordered, vectors, ordered[HASHES[0]].to_numpy(np.uint64), known, originals, fit, engine)
        remembered = found.decided.assign(rule=rule)
    grouped = params.scenes == "group"
    decided = pairing(images, origin.pair_decisions)
    links = measured_links(pairs, found.pairs if grouped else found.pairs[:0])
    grouping = digest(params.near_duplicates, params.scenes, rule if grouped else "")
    ruled = earlier.groups[earlier.groups["rule"] == grouping]
    groups = group_images(images, links, decided.same, decided.apart, ruled)
    images = images.drop(columns=MARKS.names).assign(group=groups.groups)
    kept, removed = _kept(images, groups.joins, params)
    removed = also_removed(removed, corrections.dropped, DROPPED, corrections.details)
    removed = also_removed(removed, numbers.without, NOT_A_NUMBER, numbers.details)
    near, joined = near_table(kept, images, groups.found_as(NEAR_COPY)), joined_groups(images)
    scenes = near_table(kept, images, groups.found_as(SCENE) if grouped else found.pairs[["one", "other"]])
    parted = parted_table(images, groups.cut, decided.apart)
    kept = with_issues(kept, params.issues)
    named = check_fact_names([*params.not_confounding, *([] if column is None else [column])], kept)
    left_out = [SEVERAL_LABELS] if is_multi_label(origin.problem) else [NUMBERS] if measures else []
    strengths = () if left_out else measure_confounding(kept, named)
    counts = {
        name: {
            "files": accepted + rejected,
            "rejected": rejected,
            "removed": int((removed["source"] == name).sum()),
            "kept": int((kept["source"] == name).sum()),
            "unlabelled": int(((kept["source"] == name) & (kept["label"] == NO_LABEL)).sum()),
        }
        for name, (accepted, rejected) in sizes.items()
    }
    metrics = {
        "sources": counts,
        "decisions": dict(corrections.counts),
        "pair_decisions": {**decided.counts, "links_cut": len(parted)},
        "issues": issue_counts(kept),
        "near_duplicates": near_counts(near),
        "scenes": {
            **near_counts(scenes),
            "grouped": int(grouped),
            "pairs": len(found.pairs),
            "crowds": len(found.crowds),
        },
        "joined_groups": len(joined),
        "confounding": confounding_metrics(strengths),
        "relabelled": sum(count for _, _, count in relabelled),
    }
    show = partial(picture, reader=originals)
    return CurateOutputs(
        manifest=kept,
        removed=removed,
        near=near,
        parted=parted,
        metrics=metrics,
        issues=issues_sheet(kept, params.issues, show),
        copies=copies_sheet(images, near, removed, show),
        scenes=scenes,
        scene_pairs=remembered,
        groups=kept[GROUP_COLUMNS].drop_duplicates("sha256").assign(rule=grouping),
        confounding=confounding_table(strengths),
        confounding_sheet=confounding_sheet(kept, strengths, show),
        strengths=strengths,
        scenes_sheet=scenes_sheet(images, scenes, found.crowds, grouped, show),
        found=found,
        joined=joined,
        uncompared=int((~is_compared(contents)).sum()) if wanted else 0,
        decided=[*corrections.notes, *decided.notes, *left_out],
        one_group=written,
        relabelled=[] if measures else relabelled,
    )


def _kept(images: pd.DataFrame, joins: "pd.Series[Any]", params: CurateParams) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The images that stay, and those that go: newcomers that would join earlier groups, and duplicates."""
    stays = joins == ""
    kept, removed = remove_duplicates(images if stays.all() else images[stays], params)
    return kept, also_removed(removed, images[~stays], JOINS, joins[~stays])


def _joined(
    ingested: Mapping[str, Callable[[], tuple[pd.DataFrame, pd.DataFrame]]], names: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, tuple[int, int]]]:
    """The rows of all sources, and how many images each has and how many rejected files; the tables are let go."""
    sizes: dict[str, tuple[int, int]] = {}

    def manifests() -> Iterator[pd.DataFrame]:
        for name in names:
            manifest, rejected = ingested[name]()
            sizes[name] = len(manifest), len(rejected)
            yield manifest

    return join_sources(manifests()), sizes


def class_counts(images: pd.DataFrame, becomes: Mapping[str, str]) -> list[tuple[str, str, int]]:
    """Label of the sources, its class, and how many images have it; for labels that change."""
    counts = images["label"].astype(str).value_counts()
    return [(label, name, int(counts[label])) for label, name in sorted(becomes.items())]


def _scene_rule(reader: ShardReader, contents: pd.DataFrame, fit: str) -> str:
    """A digest of what decides whether a pair shows one scene: pairs of another rule are confirmed anew."""
    shape = [] if contents.empty else decode(reader.image(*contents[["shard", "row"]].iloc[0])).shape[:1]
    code = version_of(local_features.local_features, local_features.agreement, local_features.can_tell)
    return fingerprint(code, ["opencv-python-headless", "numpy"], {"fit": fit, "side": [*shape]})


STAGE = Stage(
    name="curate",
    function=curate,
    params={"sources": "sources", "problem": "problem", "params": "curate", "fit": "ingest.fit"},
    reads={
        "ingested": catalogue.INGESTED_SOURCES,
        "originals": catalogue.ORIGINALS,
        "embeddings": catalogue.EMBEDDINGS,
        "decisions": catalogue.DECISIONS,
        "pair_decisions": catalogue.PAIR_DECISIONS,
    },
    together={"earlier": Earlier, "origin": Origin},
    keeps={"scene_pairs": catalogue.CURATE_SCENE_PAIRS, "groups": catalogue.CURATE_GROUPS},
    writes={
        "manifest": catalogue.CURATED,
        "removed": catalogue.CURATE_REMOVED,
        "near": catalogue.CURATE_NEAR,
        "parted": catalogue.CURATE_PARTED,
        "metrics": catalogue.CURATE_METRICS,
        "issues": catalogue.CURATE_ISSUES,
        "copies": catalogue.CURATE_COPIES,
        "scenes": catalogue.CURATE_SCENES,
        "scenes_sheet": catalogue.CURATE_SCENES_SHEET,
        "confounding": catalogue.CURATE_CONFOUNDING,
        "confounding_sheet": catalogue.CURATE_CONFOUNDING_SHEET,
    },
)
