"""Is the diagnosis right? Plants known diseases in data, and counts how often they are named first.

    python benchmarks/diagnosis.py                         # all, ten seeds: about 20 minutes on one core
    python benchmarks/diagnosis.py --only blur --seeds 2   # a look at one
    ... --first-seed 100                                   # other data, models and doses of chance
    ... --web DIR --phone DIR                              # also photos, trained on those of the web alone
    ... --photos FILE.npz                                  # also photos: embeddings that photo_features.py made
    ... --results FILE                                     # goes on where a run that was stopped had come to

A disease has three doses, the last the strongest. For each the table has the share of runs in which it is named first,
by its own name or as the finding that says why (too few epochs, say), the share in which it is named at all, and, where
the first advice is a command that can be followed here, the share of runs in which following it raised dev's accuracy
beyond noise (the 95 % interval of the paired bootstrap difference lies above 0). Of healthy runs it has the share in
which anything was named; notes that the diagnosis never says first are counted apart. Beside it stands what a reader of
the plain numbers would say: the largest gap, if it is worth work.
"""

import argparse
import itertools
import json
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from diseases import ALONE
from photo_diseases import PHOTO_DISEASES
from planted import EVERY, run_one

from pipeline.diagnosis.error_levels import ALPHA, wilson
from pipeline.workers.engine import Engine, choose_workers

# Runs whose results are written down together.
BATCH = 12


def main() -> None:
    """Print a Markdown table, and the figures of the whole."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(EVERY), action="append")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--web", type=Path, help="raw photos, a folder a class; needs --phone")
    parser.add_argument("--phone", type=Path, help="production photos, a folder a class")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--healthy", type=int, help="seeds of healthy runs; as many as the others unless said")
    parser.add_argument("--results", type=Path)
    options = parser.parse_args()
    if (options.web is None) != (options.phone is None):
        parser.error("give both of --web and --phone, or neither")
    folders = (options.web, options.phone) if options.web is not None else None
    if folders is None and ALONE in (options.only or []):
        parser.error(f"{ALONE} needs --web and --phone")
    diseases = options.only or [
        name
        for name in EVERY
        if (folders is not None or name != ALONE) and (options.photos is not None or name not in PHOTO_DISEASES)
    ]
    runs = [run for name in diseases for run in itertools.product([name], (0, 1, 2), seeds_of(name, options))]
    done = {key_of(one): one for one in read_lines(options.results)}
    left = [key for key in runs if key not in done]
    work = partial(run_one, folders=folders, features=options.photos)
    engine = Engine(choose_workers(options.workers))
    for start in range(0, len(left), BATCH):
        made = engine.map(work, left[start : start + BATCH], "planted")
        done |= {key_of(one): one for one in made}
        if options.results is not None:
            with options.results.open("a") as file:
                file.writelines(json.dumps(one) + "\n" for one in made)
    report(pd.DataFrame([done[key] for key in runs]))


def seeds_of(name: str, options: argparse.Namespace) -> range:
    """The seeds of a disease."""
    count = options.healthy if name.endswith("healthy") and options.healthy else options.seeds
    return range(options.first_seed, options.first_seed + count)


def key_of(one: dict[str, Any]) -> tuple[str, int, int]:
    return one["disease"], one["dose"], one["seed"]


def read_lines(file: Path | None) -> list[dict[str, Any]]:
    """What earlier runs found."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file is not None and file.exists() else []


def report(found: pd.DataFrame) -> None:
    """Print the table."""
    found = found.reindex(columns=[*found, *({"gain", "helped", "among", "noted"} - {*found})])
    print(
        "| planted | dose | runs | named first | named at all | by plain numbers | first instead | advice followed "
        "| raised dev beyond noise | gain |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for (name, dose), part in found.groupby(["disease", "dose"], sort=False):
        others = part.loc[~part["first"], "named"].map(lambda names: names[0] if names else "nothing").value_counts()
        instead = ", ".join(f"{other} {count}" for other, count in others.items())
        helped = part["helped"].dropna()
        gain = (
            [f"{len(helped)}", f"{helped.mean():.0%}", f"{100 * part['gain'].mean():+.1f}"] if len(helped) else [""] * 3
        )
        shown = EVERY[str(name)].doses[int(str(dose))]
        rates = [f"{part[column].mean():.0%}" for column in ("first", "among", "plain")]
        cells = [name, shown, len(part), *rates, instead, *gain]
        print(f"| {' | '.join(map(str, cells))} |")
    sound = found["disease"].str.endswith("healthy")
    well, ill = found[sound], found[~sound]
    print()
    for words, cases in (
        ("False alarms on healthy runs", well["named"].str.len() > 0),
        ("Healthy runs with a note of harder images", well["noted"].str.len() > 0),
        ("Strong doses named first", ill.loc[ill["dose"] == 2, "first"]),
        ("All doses named first", ill["first"]),
        ("Strong doses that plain numbers name", ill.loc[ill["dose"] == 2, "plain"]),
        ("Runs with advice that cannot act", found["dead"].str.len() > 0),
        ("First advice that helped, of what could be followed", ill["helped"].dropna()),
    ):
        if len(cases):
            share = float(cases.mean())
            low, high = wilson(share, len(cases), ALPHA)
            print(f"{words}: {share:.1%} of {len(cases)} (95 % interval {100 * low:.1f} to {100 * high:.1f})")


if __name__ == "__main__":
    main()
