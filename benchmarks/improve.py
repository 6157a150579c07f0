"""Does `pipeline improve` do what a careful engineer would? The same loop, in memory, on planted diseases.

    python benchmarks/improve.py --results FILE                  # one seed: about 5 minutes on one core
    python benchmarks/improve.py --seeds 5 --healthy 20 --runs 8 # as large as the bars ask for: hours
    python benchmarks/improve.py --rates pipeline/tools/improve/hit_rates.csv --first-seed 500

A run has one planted disease and a seed: digits for even seeds, letters for odd ones. The loop sees dev; what it claims
is held against test, which it never sees. Beside it stand the best single advice of the first diagnosis (by test), as
many advices drawn at random from the whole table of advice, and as many models of a random search (what `tune` does)
with the same keep rule. Where only people can help, the loop must try nothing. --rates follows each advice by itself,
and counts how often it raises dev beyond noise: what promise.py reads.
"""

import argparse
import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from diseases import Case
from planted import acts, diagnosis_of, fitted, followable, paired, seeded, sick
from scipy.stats import binomtest, ttest_1samp

from pipeline.diagnosis.param_changes import allowed, changed, values_of
from pipeline.diagnosis.recommendations import TABLE
from pipeline.diagnosis.rendering import report
from pipeline.diagnosis.run import Run
from pipeline.errors import DataError, PipelineError
from pipeline.manifest import DEV, TEST
from pipeline.metrics.comparison import Result
from pipeline.randomness import keyed_generator
from pipeline.tools.improve.bench import Budget, Search, State
from pipeline.tools.improve.log import Entry
from pipeline.tools.improve.loop import Progress, begin, improve, take
from pipeline.tools.improve.moves import Move, as_key, differences, moves_of, settings_of
from pipeline.tools.improve.outcome import outcome_of
from pipeline.tuning.ranges import RANGES, value_of

# A dose of each, and whether an experiment can mend it: of the others only people can.
DOSES = {
    "few epochs": 1, "early stop": 1, "small model": 0, "little data": 1, "blur": 1, "dark": 1, "rescaled": 1,
    "low rate": 0, "imbalance": 1, "label noise": 1, "production labels": 1, "dev in train": 1, "class missing": 0,
    "harder production": 1,
}  # fmt: skip
PEOPLE = {"label noise", "production labels", "dev in train", "class missing", "harder production"}
CLOSE = 2.0


@dataclass
class InMemory:
    """Runs moves by fitting the planted case anew; nothing is fitted twice."""

    case: Case
    seed: int
    frames: dict[str, Mapping[str, pd.DataFrame]] = field(default_factory=dict)
    fits: int = 0

    def run(self, name: str, values: Mapping[str, Any]) -> State:
        key = as_key(values)
        case = replace(self.case, values=dict(values))
        changes = differences(self.case.values, values)
        if changes and not followable(changes, self.case):
            raise DataError("this cannot be followed in memory")
        if key in self.frames:
            frames, found = self.frames[key], self.said[key]
        else:
            self.fits += 1
            frames, curves = fitted(case, self.seed)
            found = report(diagnosis_of(case, self.seed, frames, curves, closed=(TEST,)))
            steps = [one for one in found["steps"] if self._can(one, case)]
            found = {**found, "steps": steps}
            self.frames[key], self.said[key] = frames, found
        predictions = pd.concat([frames[split] for split in frames if split != TEST], ignore_index=True)
        return State(Result(name, "experiment", None, {"accepted": True}, predictions), found, values)

    said: dict[str, Any] = field(default_factory=dict)

    def _can(self, step: Mapping[str, Any], case: Case) -> bool:
        """Whether a step can be followed here; what only people can do stays."""
        if step["command"] is None or not step["command"].startswith("dvc exp run"):
            return True
        return followable(settings_of(step["command"]), case) and acts(step["command"], case)

    def test(self, values: Mapping[str, Any]) -> float:
        """Points of accuracy on test."""
        frame = self.frames[as_key(values)][TEST]
        return 100 * float((frame["label"] == frame["predicted"]).mean())

    def minutes(self, values: Mapping[str, Any], after: Mapping[str, Any], diagnosed: State) -> float | None:
        return None

    def search(self, state: State, name: str, minutes: float | None) -> Search | None:
        return None

    def ensembles(self, state: State) -> Sequence[Move]:
        return ()

    def command(self, values: Mapping[str, Any], name: str) -> str:
        return name


def main() -> None:
    """Print a line for each run, and the figures of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(DOSES), action="append")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--healthy", type=int, default=4)
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--rates", type=Path)
    parser.add_argument("--results", type=Path)
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    cases = [(name, seed) for name in options.only or DOSES for seed in seeds]
    if options.rates is not None:
        found: list[dict[str, Any]] = []
        for name, seed in cases:
            found += followed(name, seed) if name not in PEOPLE else ()
            write_rates(found, options.rates)
        return
    done = [json.loads(line) for line in options.results.read_text().splitlines()] if _there(options.results) else []
    known = {(one["disease"], one["seed"]) for one in done}
    healthy = [("healthy", seed) for seed in range(options.first_seed, options.first_seed + options.healthy)]
    for name, seed in [*cases, *healthy]:
        if (name, seed) in known:
            continue
        done.append(one_run(name, seed, options.runs))
        print(json.dumps(done[-1]), flush=True)
        if options.results is not None:
            with options.results.open("a") as file:
                file.write(json.dumps(done[-1]) + "\n")
    tell(pd.DataFrame(done))


def one_run(name: str, seed: int, runs: int) -> dict[str, Any]:
    """What came of a planted case: points of accuracy on test, unless said otherwise."""
    case = sick(name, DOSES.get(name, 0), seed)
    # The seed of the fit belongs to the params, as in a project.
    case = replace(case, values=seeded(case.values, seed).model_dump(mode="json"))
    bench = InMemory(case, seed)
    today = bench.run("today", case.values)
    progress = begin(today, seeded(case.values, seed).evaluate)
    ending = improve(progress, bench, Budget(runs, None), "x", lambda _: None)
    found = outcome_of(progress, ending)
    claimed = 0.0 if found.gain is None else 100 * (found.gain.difference - found.choosing)
    before, after = bench.test(case.values), bench.test(progress.incumbent.values)
    result: dict[str, Any] = {
        "disease": name, "seed": seed, "tries": len(progress.entries), "reason": ending.reason,
        "kept": sum(entry.kept for entry in progress.entries), "before": round(before, 2),
        "gain": round(after - before, 2), "claimed": round(claimed, 2),
        "dev says": 0.0 if found.gain is None else round(100 * found.gain.difference, 2),
    }  # fmt: skip
    if name in PEOPLE or name == "healthy":
        return result
    singles = [bench.run("one", move.target(case.values)) for move in moves_of(today.diagnosis, case.values)[0]]
    result["best single"] = round(max([bench.test(state.values) - before for state in singles], default=0.0), 2)
    count = max(len(progress.entries), 1)
    result["random"] = round(beside(bench, today, list(random_advice(case, today, seed, count))) - before, 2)
    result["search"] = round(beside(bench, today, list(random_search(case, seed, count))) - before, 2)
    return result


def beside(bench: InMemory, today: State, targets: Sequence[Mapping[str, Any]]) -> float:
    """Points on test of what the same rule keeps of these params."""
    progress: Progress = begin(today, seeded(bench.case.values, bench.seed).evaluate)
    for number, target in enumerate(targets):
        entry = Entry("x", f"{number}", "random", "", "", {})
        try:
            state: State | None = bench.run(str(number), target)
        except PipelineError:
            state = None
        take(progress, entry, target, state)
    return bench.test(progress.incumbent.values)


def random_advice(case: Case, today: State, seed: int, count: int) -> Iterator[dict[str, Any]]:
    """As many advices from the whole table, one by one on top of today's params."""
    params = seeded(case.values, seed)
    run = Run(params.curate, params.split, params.balance, params.augment, params.train, params.evaluate)
    every = [advice.change(run) for rows in TABLE.values() for advice in rows if advice.change is not None]
    found = {
        as_key(changed(case.values, changes)): changed(case.values, changes)
        for changes in every
        if changes and followable(changes, case) and allowed(values_of(run), changes, run)
    }
    order = keyed_generator(seed, "random advice").permutation(len(found))
    yield from [list(found.values())[place] for place in order[:count]]


def random_search(case: Case, seed: int, count: int) -> Iterator[dict[str, Any]]:
    """As many draws from the section tune of params.yaml, as `pipeline tune` with the method random makes them."""
    generator = keyed_generator(seed, "random search")
    space = seeded(case.values, seed).tune.space
    for _ in range(count):
        drawn = {place: generator.choice(RANGES.of(one).grid(one, 65)) for place, one in space.items()}
        yield changed(case.values, {place: value_of(space[place], float(value)) for place, value in drawn.items()})


def followed(name: str, seed: int) -> Iterator[dict[str, Any]]:
    """Each advice of the first diagnosis, followed by itself."""
    case = sick(name, DOSES[name], seed)
    case = replace(case, values=seeded(case.values, seed).model_dump(mode="json"))
    bench = InMemory(case, seed)
    today = bench.run("today", case.values)
    for move in moves_of(today.diagnosis, case.values)[0]:
        after = bench.run("one", move.target(case.values))
        gain, low = paired(bench.frames[as_key(after.values)][DEV], bench.frames[as_key(case.values)][DEV])
        one = {"disease": name, "seed": seed, "finding": move.finding, "advice": move.words}
        print(json.dumps(one | {"gain": round(100 * gain, 1), "helped": low > 0}), flush=True)
        yield {"finding": move.finding, "gain": 100 * gain, "helped": low > 0}


def write_rates(found: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Of each finding: how often advice for it was followed, how often it helped, and the mean gain where it did."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["finding", "tried", "helped", "points"])
        for name in sorted({one["finding"] for one in found}):
            of_it = [one for one in found if one["finding"] == name]
            helped = [one["gain"] for one in of_it if one["helped"]]
            writer.writerow([name, len(of_it), len(helped), round(float(np.mean(helped)), 1) if helped else 0.0])


def tell(found: pd.DataFrame) -> None:
    """Print the table and what the bars ask for, with 95 % intervals: Wilson's of shares, Student's of means."""
    print(found.to_markdown(index=False) if hasattr(found, "to_markdown") else found.to_string())
    moved = found[~found["disease"].isin([*PEOPLE, "healthy"])]
    people, healthy = found[found["disease"].isin(PEOPLE)], found[found["disease"] == "healthy"]
    print(f"kept nothing where only people can help: {share(people['kept'] == 0)}")
    print(f"kept nothing on healthy runs: {share(healthy['kept'] == 0)}")
    if moved.empty:
        return
    kept = moved[moved["kept"] > 0]
    close = share(moved["gain"] >= moved["best single"] - CLOSE)
    print(f"within {CLOSE:g} points of the best single advice, by test: {close}")
    print(f"gain on test, over the gain claimed: {kept['gain'].sum():.1f} of {kept['claimed'].sum():.1f} points")
    print(f"mean gain on test: {moved['gain'].mean():.1f}")
    for name in ("random", "search"):
        more = moved["gain"] - moved[name]
        low, high = ttest_1samp(more, 0).confidence_interval() if len(more) > 1 else (np.nan, np.nan)
        beside = f"{more.mean():+.1f} ({low:+.1f} to {high:+.1f})"
        print(f"{name}: {moved[name].mean():.1f}; improve beside it: {beside}")


def share(held: "pd.Series[bool]") -> str:
    """How many of all, with an interval."""
    if held.empty:
        return "0 of 0"
    ends = binomtest(int(held.sum()), len(held)).proportion_ci(method="wilson")
    return f"{held.sum()} of {len(held)} ({ends.low:.0%} to {ends.high:.0%})"


def _there(path: Path | None) -> bool:
    return path is not None and path.exists()


if __name__ == "__main__":
    main()
