"""What label_issues finds of wrong labels that are planted in the sample's train, and what it accuses falsely.

After `dvc repro`: `python benchmarks/label_issues.py [MODEL …]` with names that `label_issues.model` takes, each with
the arguments that `pipeline spot-check` gives it, or two (logistic_regression+random_forest) of which the second must
disagree as well; without any, the models of params.yaml. Which labels are wrong, and how, keys say.
"""

import sys
import time
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from pipeline import catalogue
from pipeline.diagnosis.wrong_labels import wrong_labels
from pipeline.manifest import TRAIN
from pipeline.project.params_file import load_params
from pipeline.randomness import keyed_generator, keyed_uniform
from pipeline.stages.label_issues.params import AnyNoiseModel, OwnModel
from pipeline.stages.label_issues.table import Disagreements, metrics_of
from pipeline.tools.spot_check.candidates import CANDIDATES
from pipeline.training.folds import folds_of
from pipeline.training.out_of_fold import FoldedRows, by_baseline
from pipeline.workers.engine import Engine, choose_workers

SHARES = (0.0, 0.01, 0.02, 0.05, 0.1)


def main(names: list[str]) -> None:
    """Print a Markdown table."""
    params = load_params()
    adapter = TypeAdapter(AnyNoiseModel)
    doubters = [
        [adapter.validate_python({"name": name, **CANDIDATES[name]}) for name in pair.split("+")] for pair in names
    ] or [[model for model in (params.label_issues.model, params.label_issues.second) if model is not None]]
    manifest = catalogue.SPLIT.read(Path(catalogue.SPLIT.path))
    rows = manifest[manifest["split"] == TRAIN].sort_values("id", ignore_index=True)
    images = catalogue.ORIGINALS.read(Path(catalogue.ORIGINALS.path))
    classes = tuple(sorted(rows["label"].astype(str).unique()))
    truth = np.array([classes.index(label) for label in rows["label"].astype(str)])
    keys = keyed_uniform(1, "wrong label", rows["id"])
    moves = keyed_generator(1, "which wrong label").integers(1, len(classes), len(rows))
    print(
        "| model | its accuracy | wrong labels | suspects | wrong ones among them | found of all wrong "
        "| contradicted where surest | estimated share | named | seconds |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for models in doubters:
        baselines = [model for model in models if not isinstance(model, OwnModel)]
        if len(baselines) < len(models):
            raise SystemExit("the model of train takes a training a fold: run `pipeline label_issues` for it")
        for share in SHARES:
            wrong = keys < share
            labels = np.where(wrong, (truth + moves) % len(classes), truth)
            noisy = rows.assign(label=np.array(classes)[labels])
            begun = time.perf_counter()
            count = params.label_issues.folds or 5
            folds = folds_of(noisy["label"].to_numpy(str), rows["group"].to_numpy(str), count, params.label_issues.seed)
            folded = FoldedRows(noisy, folds, images, classes, params.ingest)
            here = Engine(choose_workers(None))
            found, *others = (
                by_baseline(model, folded, params.label_issues.seed, params.train.threads, here) for model in baselines
            )
            doubts = Disagreements(TRAIN, noisy, labels, found, others)
            noise = doubts.noise
            table = noisy.iloc[np.flatnonzero(doubts.checked_predictions)[noise.suspect]]
            named = wrong_labels(metrics_of([doubts], table, noisy), params.diagnose.relevant_gap)
            seconds = time.perf_counter() - begun
            right = int((noise.suspect & wrong).sum())
            precision = f"{right / noise.suspect.sum():.0%}" if noise.suspect.any() and share else ""
            recall = f"{right / wrong.sum():.0%}" if share else ""
            print(
                f"| {'+'.join(model.name for model in models)} | {noise.accuracy:.1%} "
                f"| {wrong.mean():.1%} ({wrong.sum()}) | {noise.suspect.sum()} "
                f"| {precision} | {recall} | {noise.disagreeing:.1%} of {noise.most_confident} "
                f"| {noise.wrong_share:.1%} "
                f"| {'yes' if named else 'no'} | {seconds:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
