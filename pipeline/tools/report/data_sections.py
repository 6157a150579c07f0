"""Sections of the page on the data: sources, splits, the training set, classes, and whether dev matches production."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline import catalogue
from pipeline.manifest import SPLITS
from pipeline.project.params_file import Params
from pipeline.tools.report import plots
from pipeline.tools.report.sheets import read


def sources(params: Params) -> Sequence[Mapping[str, Any]]:
    """Each source with what became of its files."""
    curated = read(catalogue.CURATE_METRICS)["sources"]
    rows = []
    for name, source in params.sources.items():
        ingested = read(catalogue.INGEST_METRICS.named(name=name))
        counts = {column: ingested[column] for column in ("files", "rejected", "ignored", "accepted")}
        about = {column: curated.get(name, {}).get(column, 0) for column in ("removed", "kept", "unlabelled")}
        rows.append({"name": name, "role": source.role, **counts, **about})
    return rows


def splits(_: Params) -> Mapping[str, Any]:
    """Images of each split."""
    metrics = read(catalogue.SPLIT_METRICS)
    return {
        "rows": [{"name": split, **metrics[split]} for split in SPLITS if split in metrics],
        "excluded": metrics["excluded"],
        "unlabelled": metrics["unlabelled"],
    }


def training(_: Params) -> list[tuple[str, int]]:
    """How the training set came to its rows."""
    balance, augment = read(catalogue.BALANCE_METRICS), read(catalogue.AUGMENT_METRICS)
    return [
        ("train, as split", balance["before"]["rows"]),
        ("after balance", balance["after"]["rows"]),
        ("distinct images", augment["originals"]),
        ("variants of them", augment["variants"]),
    ]


# What embeddings still tell apart once raw images are degraded (stages/augment/content_gap.py) -> what that means.
REST = {
    "nothing": "By embedding, no difference beyond chance is left.",
    "content": "What is left is content: what the images show, or how they are framed. No degradation closes that gap.",
    "unclear": "It cannot be told whether what is left is content or a trace of the camera.",
}
# Of the keys of an AUC and of the ends of its interval.
ENDS = ("", "_low", "_high")
NOT_EMBEDDED = "What the images show is not compared, because embed.backbone is null."


def match_production(_: Params) -> Mapping[str, Any] | None:
    """How well raw images are told from production's before and after degrading; None where they are not degraded."""
    found = read(catalogue.AUGMENT_METRICS).get("match_production")
    if found is None:
        return None
    embedded = found.get("embedding")
    rows = [("how they were taken", found), *([] if embedded is None else [("embedding", embedded)])]
    return {
        "rows": [
            {"by": by, **{when: [numbers.get(f"auc_{when}{end}") for end in ENDS] for when in ("before", "after")}}
            for by, numbers in rows
        ],
        "said": NOT_EMBEDDED if embedded is None else REST[embedded["rest"]],
    }


def proof(_: Params) -> Mapping[str, Any]:
    """Do dev and test match production: a row for each comparison."""
    table = read(catalogue.SPLIT_MATCHING)
    # Where a side has fewer than two groups nothing was measured (metrics/matching.py): neither yes nor no is true.
    table = table[(table["groups"] >= 2) & (table["others"] >= 2)]
    tests = list(dict.fromkeys(table["test"].astype(str)))
    rows = []
    for comparison, part in table.groupby("comparison", sort=False):
        by_test = part.set_index("test").to_dict("index")
        domain = by_test.get("domain")
        rows.append(
            {
                "name": str(comparison).replace("_vs_", " and "),
                "must": str(comparison).startswith(("dev", "test")),
                "matched": [bool(by_test[test]["matched"]) if test in by_test else None for test in tests],
                "p": [float(by_test[test]["p_holm"]) if test in by_test else None for test in tests],
                "auc": None if domain is None else [float(domain[name]) for name in ("statistic", "low", "high")],
            }
        )
    return {"tests": tests, "rows": rows}


def classes(_: Params) -> Mapping[str, Any]:
    """Images of each class before and after balance."""
    table = read(catalogue.BALANCE_COUNTS)
    # The bar's name keeps a class such as 007 as it is called.
    names = table["bar"].astype(str).str.rpartition(", ")[0]
    counts = {
        when: dict(
            zip(names[table["when"] == when], table.loc[table["when"] == when, "weight"].astype(float), strict=True)
        )
        for when in ("before", "after")
    }
    plot = plots.classes_plot(counts["before"], counts["after"])
    return {"plot": plot, "classes": len(counts["before"]), "shown": min(len(counts["before"]), plots.MAX_CLASSES)}
