"""How true is what label_issues says? Plants wrong labels and poor images in photos, digits and letters, many times.

    python benchmarks/label_issues.py --data DIR                     # DIR has fruit, trash and cifar10n
    ... --first-seed 100 --seeds 4 --results FILE                    # goes on where it was stopped
    ... --only digits --only letters                                 # these need no photos
    ... --keep FOLDER                                                # another rule on the same runs takes seconds
    ... --whole                                                      # instead: up to 2,000 images of sets as they are
    ... --compare                                                    # instead: which models agree with more labels

Each run draws 500 or 1,200 images of a set, plants one thing, checks labels in five folds by group, as the stage does
(on embeddings, or by the forest on pixels where it agrees with more), and asks the diagnosis. Features are computed
once and kept in --cache. Which images, labels and views, keys and the seed say.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from judged_images import SETS, Images, images_of
from label_issue_plants import NONE, PEOPLE, ROLES, SIZES, Plant, plants_of, similar_classes

from pipeline.diagnosis.error_levels import ALPHA, wilson
from pipeline.diagnosis.findings import LABEL_NOISE
from pipeline.diagnosis.wrong_labels import wrong_labels
from pipeline.manifest import DEV, PRODUCTION, TRAIN
from pipeline.metrics.predictions import class_codes
from pipeline.models.baseline_fits import Rows as BaselineRows
from pipeline.project.params_file import load_params
from pipeline.randomness import keyed_generator
from pipeline.stages.label_issues.models import LinearOnEmbeddings
from pipeline.stages.label_issues.table import Disagreements, label_issues_table, metrics_of
from pipeline.training.baselines import class_probabilities, fitted
from pipeline.training.embedded import EMBEDDED_MODELS, Rows, best_out_of_fold, mean_out_of_fold
from pipeline.training.folds import folds_of

FOLDS = 5
# A gap that is worth work, as in params.yaml.
RELEVANT = 0.02


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--cache", type=Path, default=Path("/tmp/label_issues_features"))
    parser.add_argument("--only", choices=list(SETS), action="append")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--results", type=Path)
    parser.add_argument("--size", type=int, action="append", help=f"images of a run; {SIZES} unless said")
    parser.add_argument(
        "--keep", type=Path, help="what models said is kept there, to try another rule on it in seconds"
    )
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--whole", action="store_true")
    options = parser.parse_args()
    if options.whole:
        for name in options.only or list(SETS):
            images = images_of(name, options.data, options.cache)
            print(name, json.dumps(run(images, PEOPLE, min(2000, len(images.labels)), options.first_seed)), flush=True)
        return
    if options.compare:
        compare(options.only or list(SETS), options.data, options.cache)
        return
    done = [json.loads(line) for line in options.results.read_text().splitlines()] if _there(options.results) else []
    keys = {key_of(one) for one in done}
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for name in options.only or list(SETS):
            images = images_of(name, options.data, options.cache)
            for plant, size in plants_of(images, options.size or SIZES):
                if (name, plant.name, size, seed) in keys:
                    continue
                made = run(images, plant, size, seed, options.keep)
                done.append({"set": name, "plant": plant.name, "size": size, "seed": seed, **made})
                print(json.dumps(done[-1]), flush=True)
                if options.results is not None:
                    with options.results.open("a") as file:
                        file.write(json.dumps(done[-1]) + "\n")
    report(pd.DataFrame(done))


def key_of(one: dict[str, Any]) -> tuple[str, str, int, int]:
    return one["set"], one["plant"], one["size"], one["seed"]


def _there(file: Path | None) -> bool:
    return file is not None and file.exists()


@dataclass(frozen=True)
class Checked:
    """The images of a run: what models say of them out of fold, (n, k), the labels they have, the classes they are of,
    their roles and groups, and whether each is of dev, (n,) each.
    """

    found: Any
    labels: Any
    truth: Any
    roles: Any
    groups: Any
    in_dev: Any


def run(images: Images, plant: Plant, size: int, seed: int, keep: Path | None = None) -> dict[str, Any]:
    """One run: of each role the share of wrong labels, what is said of it, and how good the list is."""
    begun = time.process_time()
    file = keep / f"{images.name} {plant.name} {size} {seed}.npz" if keep is not None else None
    if file is not None and file.exists():
        with np.load(file) as stored:
            one = Checked(**stored)
    else:
        one = checked_images(images, plant, size, seed)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(file, **vars(one))
    return {**said(one), "seconds": round(time.process_time() - begun, 1)}


def checked_images(images: Images, plant: Plant, size: int, seed: int) -> Checked:
    """Images of the set with what is planted, and what the model says of them."""
    generator = keyed_generator(seed, "label issues", plant.name, str(size))
    chosen = np.sort(generator.permutation(len(images.labels))[:size])
    classes = tuple(sorted({*images.labels.tolist()}))
    truth, roles = class_codes(images.labels[chosen], classes), images.roles[chosen]
    labels = truth.copy()
    if plant is PEOPLE:
        labels = class_codes(images.given[chosen], classes)
    wrong = (generator.random(size) < plant.share) & np.isin(roles, plant.roles)
    moved = generator.integers(1, len(classes), size)
    poor = (roles == PRODUCTION) & (generator.random(size) < plant.part)
    plain, seen = images.views["plain"], images.views[plant.view]
    features, small = (
        np.where(poor[:, None], there[chosen], here[chosen]) for there, here in zip(seen, plain, strict=True)
    )
    if plant.similar:
        nearest = similar_classes(plain[0][chosen], truth, len(classes))
        labels[wrong] = nearest[truth[wrong]]
    else:
        labels[wrong] = ((truth + moved) % len(classes))[wrong]
    groups = images.groups[chosen].astype(str)
    names = np.array(classes)[labels]
    found = checked(features, small, labels, groups, folds_of(names, groups, FOLDS, seed))
    # A third of production is dev, whole groups.
    order = keyed_generator(seed, "dev").permutation(len(np.unique(groups)))
    in_dev = (roles == PRODUCTION) & (order[np.unique(groups, return_inverse=True)[1]] % 3 == 0)
    return Checked(found, labels, truth, roles, groups, in_dev)


def said(one: Checked) -> dict[str, Any]:
    """What the stage and the diagnosis say of the images of a run."""
    size, found, labels = len(one.labels), one.found, one.labels
    classes = tuple(f"{number:03}" for number in range(found.shape[1]))
    ids, wrong = np.array([f"{number:05}" for number in range(size)]), labels != one.truth
    about = {"role": one.roles, "label": np.array(classes)[labels], "source": one.roles}
    rows = pd.DataFrame({"id": ids, "group": one.groups, **about})
    doubts = [
        Disagreements(split, rows[inside].reset_index(drop=True), labels[inside], [found[inside]])
        for split, inside in ((DEV, one.in_dev), (TRAIN, ~one.in_dev))
    ]
    table = label_issues_table(doubts, rows, classes)
    metrics = metrics_of(doubts, table)
    findings = {one.subject: one.name for one in wrong_labels(metrics, RELEVANT)}
    listed = np.isin(ids, table["id"])
    return {
        "right": float((found.argmax(axis=1) == one.truth).mean()),
        "listed": int(listed.sum()),
        "listed_wrong": int((listed & wrong).sum()),
        "wrong": int(wrong.sum()),
        "roles": {
            role: {
                "truth": float(wrong[one.roles == role].mean()),
                **{key: metrics["together"]["roles"][role][key] for key in ("wrong_share", "low", "high", "at_least")},
                "finding": findings.get(role, ""),
            }
            for role in ROLES
        },
    }


def checked(features: Any, small: Any, labels: Any, groups: Any, folds: Any) -> Any:
    """Probabilities out of fold, (n, k), as the stage has them: of the model that agrees with more labels."""
    rows = Rows(features, labels, np.ones(len(labels), np.float32), groups, int(labels.max()) + 1)
    found, other = mean_out_of_fold(rows, folds, 1), by_forest(small, labels, folds)
    return other if _agreed(other, labels) > _agreed(found, labels) else found


def _agreed(found: Any, labels: Any) -> float:
    return float((found.argmax(axis=1) == labels).mean())


def by_forest(small: Any, labels: Any, folds: Any) -> Any:
    """Probabilities out of fold, (n, k), of the forest on pixels in params.yaml."""
    model = load_params().label_issues.model
    if not isinstance(model, LinearOnEmbeddings):
        raise SystemExit("label_issues.model in params.yaml is no linear_on_embeddings")
    found = np.zeros((len(labels), int(labels.max()) + 1))
    for fold in np.unique(folds):
        outside = folds != fold
        present, numbers = np.unique(labels[outside], return_inverse=True)
        ones = np.ones(int(outside.sum()), np.float32)
        training = BaselineRows(small[outside], numbers, ones, ones.astype(np.bool_))
        network = fitted(model.otherwise, training, len(present), 1, 1)
        found[np.ix_(~outside, present)] = class_probabilities(network, small[~outside])
    return found


def compare(names: list[str], data: Path, cache: Path) -> None:
    """Print how many labels agree with models on embeddings, and with the forest on pixels of params."""
    print("| set | images | linear | nearest neighbours | their mean | forest on pixels |\n|---|---|---|---|---|---|")
    for name in names:
        images = images_of(name, data, cache)
        for size in (200, 500, 1200, 4000):
            if size > len(images.labels):
                continue
            chosen = np.sort(keyed_generator(1, "compare").permutation(len(images.labels))[:size])
            labels = class_codes(images.given[chosen], tuple(sorted({*images.labels.tolist()})))
            features, small = (values[chosen] for values in images.views["plain"])
            groups = images.groups[chosen].astype(str)
            folds = folds_of(labels.astype(str), groups, FOLDS, 1)
            rows = Rows(features, labels, np.ones(size, np.float32), groups, int(labels.max()) + 1)
            each = [best_out_of_fold(model, rows, folds, 1)[0] for model in EMBEDDED_MODELS.values()]
            found = [*each, np.mean(each, axis=0), by_forest(small, labels, folds)]
            print(f"| {name} | {size:,} | {' | '.join(f'{_agreed(one, labels):.1%}' for one in found)} |", flush=True)


def report(found: pd.DataFrame) -> None:
    """Print a row for each set and plant, and the rates of the whole."""
    print(
        "\n| set | planted | runs | model right | of its runs, claimed | interval holds the truth | its width "
        "| list precision | recall |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    roles = pd.DataFrame(
        [
            {**{key: one[key] for key in ("set", "plant", "size", "seed")}, "role": role, **of}
            for one in found.to_dict("records")
            for role, of in one["roles"].items()
        ]
    )
    roles["claimed"] = roles["finding"] == LABEL_NOISE
    roles["held"] = (roles["low"] <= roles["truth"]) & (roles["truth"] <= roles["high"])
    found["claimed"] = [any(of["finding"] == LABEL_NOISE for of in one.values()) for one in found["roles"]]
    found["false"] = [
        any(of["finding"] == LABEL_NOISE and of["truth"] == 0 for of in one.values()) for one in found["roles"]
    ]
    for (name, plant), part in found.groupby(["set", "plant"], sort=False):
        of = roles[(roles["set"] == name) & (roles["plant"] == plant)]
        precision = part["listed_wrong"].sum() / max(part["listed"].sum(), 1)
        recall = f"{part['listed_wrong'].sum() / part['wrong'].sum():.0%}" if part["wrong"].sum() else ""
        print(
            f"| {name} | {plant} | {len(part)} | {part['right'].mean():.0%} | {part['claimed'].mean():.0%} "
            f"| {of['held'].mean():.0%} of {len(of)} roles | {100 * (of['high'] - of['low']).mean():.0f} points "
            f"| {f'{precision:.0%}' if recall else ''} of {part['listed'].sum()} | {recall} |"
        )
    clean = found[found["wrong"] == 0]
    _rate("Runs without wrong labels in which they are claimed", clean["claimed"])
    _rate("... of these, images as they are", clean.loc[clean["plant"] == NONE, "claimed"])
    _rate("... of these, harder or blurred production", clean.loc[clean["plant"] != NONE, "claimed"])
    planted = roles[(roles["truth"] > 0) & (roles["plant"] != PEOPLE.name)]
    for share in (0.05, 0.1, 0.2):
        part = planted[planted["plant"].str.startswith(f"{share:.0%}")]
        _rate(f"Intervals that hold the truth, {share:.0%} planted", part["held"])
        _rate(f"Roles that are claimed, {share:.0%} planted", part["claimed"])
    one_role = roles[roles["plant"].str.contains(" alone") & (roles["truth"] == 0)]
    _rate("Roles without wrong labels that are claimed where the other has them", one_role["claimed"])
    good = found[(found["right"] >= 0.9) & (found["wrong"] > 0)]
    hits, listed = int(good["listed_wrong"].sum()), int(good["listed"].sum())
    _rate("Listed labels that are wrong, where the model is right on 90 %", np.arange(listed) < hits)


def _rate(name: str, hits: Any) -> None:
    hits = np.asarray(hits, np.bool_)
    if len(hits):
        low, high = wilson(float(hits.mean()), len(hits), ALPHA)
        print(f"{name}: {hits.mean():.1%} of {len(hits):,} (95 % interval {low:.1%} to {high:.1%})")


if __name__ == "__main__":
    main()
