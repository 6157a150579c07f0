"""What accidents do to a run: kills, signals, full, failing and read-only disks, flipped bits, two runs at once.

Each accident happens to a stage, or to `dvc repro`, of a small project that is made for it; afterwards the same runs
once more. What counts is how that ends:

same bytes     the outs are those of a run to which nothing happened
clear error    it ends with a message that names the file and the next step, and one more round of what it says helps
wrong          damaged or other bytes stand as outs, and nothing was said

    python benchmarks/chaos.py --folder DIR      an hour of one core; what was printed is kept in DIR, and not run again
    python benchmarks/chaos.py --only flips --flips 200 --flips-of-repro 20
    python benchmarks/chaos.py --moments 5 --stages train "dvc repro"

Flips: one bit of one out, files by turns, half of them as a write leaves them (a new time), half as a failing disk does
(the old one). Each is used by the command that reads it, run by hand; some by `dvc repro`, too, which has to make the
stages after split again. What a command does not need of a damaged file, `pipeline doctor` must find.

A full disk is a limit on the size of files where the user may mount nothing; a failing one is a library that is loaded
in front of the system's (with a C compiler; left out without). Root is refused nothing: it mounts folders read-only.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from accident_projects import ERROR, REPRO, SAME, WRONG, Project, preload
from accidents import (
    compiled,
    failing_disk,
    full_disk,
    read_only,
    seconds_of,
    signalled,
    two_at_once,
)
from flips import flipped_by_hand, flipped_repro, read_after_flips

from pipeline.store.writing import alone

STAGES = ["inventory", "ingest web", "embed", "curate", "split", "balance", "augment", "previews", "train", "evaluate"]
STAGES += ["label-issues", "diagnose", "final-evaluation", "final-diagnosis"]
HEAD = "| accident | runs | how it ended | after the next run | silently wrong |\n|---|---|---|---|---|"
# The accident, what names this one of its kind, and a function that lets it happen.
Accident = tuple[str, str, Callable[[], tuple[str, str]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="for the project and the outcomes so far")
    parser.add_argument("--flips", type=int, default=200, help="used by stages that are run by hand")
    parser.add_argument("--flips-of-repro", type=int, default=20, help="so many of them also used by `dvc repro`")
    parser.add_argument("--flips-read", type=int, default=50, help="of each out, read as commands read it")
    parser.add_argument("--moments", type=int, default=1, help="of each stage, at which each signal comes")
    parser.add_argument("--writes", type=int, nargs="*", default=[2], help="the first write that fails")
    parser.add_argument("--stages", nargs="*", default=[*STAGES, REPRO])
    parser.add_argument("--only", nargs="*", choices=[*KINDS], default=[*KINDS])
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    preload()
    if asked.folder:
        asked.folder.mkdir(parents=True, exist_ok=True)
        with alone(asked.folder, "benchmarks/chaos.py"):
            happen(asked, asked.folder.resolve())
    else:
        with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
            happen(asked, Path(folder))


def happen(asked: argparse.Namespace, folder: Path) -> None:
    """Let all accidents happen that have not yet, print each, and the table at the end."""
    log = folder / "outcomes.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    known = {(kind, which): (said, after) for kind, which, said, after in map(json.loads, lines)}
    project = Project(folder)
    for name in asked.only:
        for kind, which, accident in KINDS[name](project, asked):
            if (kind, which) in known:
                continue
            said, after = known[kind, which] = accident()
            print(f"{kind}; {which}: {said}; {after}", flush=True)
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps([kind, which, said, after]) + "\n")
    print("\n".join(matrix(known)))
    print(HEAD)
    for kind in dict.fromkeys(kind for kind, _ in known):
        print(line(kind, [outcome for (of, _), outcome in known.items() if of == kind]))


def matrix(known: dict[tuple[str, str], tuple[str, str]]) -> list[str]:
    """A table of accidents (rows) to stages (columns): so often the same bytes, a clear error, and neither."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for (kind, which), (_, after) in known.items():
        stage = next((name for name in (*STAGES, REPRO) if which.partition(",")[0] == name), None)
        if stage is not None:
            counts.setdefault((kind.partition(", ")[0], stage), Counter())[after] += 1
    kinds, stages = (list(dict.fromkeys(key[place] for key in counts)) for place in (0, 1))
    lines = ["| accident |" + "".join(f" {stage} |" for stage in stages), "|---|" + "---|" * len(stages)]
    for kind in kinds:
        cells = []
        for stage in stages:
            found = counts.get((kind, stage), Counter())
            same, clear = found[SAME], found[ERROR]
            cells.append(f"{same}/{clear}/{found.total() - same - clear}" if found else "")
        lines.append(f"| {kind} |" + "".join(f" {cell} |" for cell in cells))
    return lines


def line(kind: str, outcomes: list[tuple[str, str]]) -> str:
    """A row of the table."""
    said = ", ".join(f"{count} {name}" for name, count in Counter(a for a, _ in outcomes).most_common() if name)
    after = Counter(b for _, b in outcomes)
    words = ", ".join(f"{count} {name}" for name, count in after.most_common())
    return f"| {kind} | {len(outcomes)} | {said} | {words} | {after[WRONG]} of {len(outcomes)} |"


def signals(project: Project, asked: argparse.Namespace) -> Iterator[Accident]:
    """At some moments of each stage."""
    seconds: dict[str, float] = {}

    def accident(what: str, number: signal.Signals, share: float) -> tuple[str, str]:
        if what not in seconds:
            seconds[what] = seconds_of(project, what)
        return signalled(project, what, number, share * seconds[what])

    draw = random.Random(asked.seed)
    for what in asked.stages:
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
            for moment in range(asked.moments):
                share = (moment + draw.random()) / asked.moments
                kind = f"{number.name}, {REPRO if what == REPRO else 'a stage'}"
                yield kind, f"{what}, {moment + 1}", partial(accident, what, number, share)


def disks(project: Project, asked: argparse.Namespace) -> Iterator[Accident]:
    """Full by the system's limit, full and failing by a library."""
    library = compiled(project.folder)
    if library is None:
        print("no C compiler: ENOSPC and EIO left out", file=sys.stderr)
    for what in asked.stages:
        if what == REPRO:
            continue
        yield "no file above 4 kB (EFBIG)", what, partial(full_disk, project, what)
        if library is None:
            continue
        for name, code in (("ENOSPC", 28), ("EIO", 5)):
            for write in asked.writes:
                kind = f"{name} at the {write}. write"
                yield kind, what, partial(failing_disk, project, what, library, code, write)


def read_only_folders(project: Project, asked: argparse.Namespace) -> Iterator[Accident]:
    """Folders of outs that may not be written."""
    for what in asked.stages:
        if what != REPRO:
            yield "read-only", what, partial(read_only, project, what)


def twice(project: Project, asked: argparse.Namespace) -> Iterator[Accident]:
    """Two of a kind at once."""
    for what in asked.stages:
        yield "two at once", what, partial(two_at_once, project, what)


def flips(project: Project, asked: argparse.Namespace) -> Iterator[Accident]:
    """Over all outs, by turns; shards as often as all others."""
    draw = random.Random(asked.seed)
    shards = sorted(name for name in project.outs if "/shards/" in name)
    others = sorted(name for name in project.outs if "/shards/" not in name)
    draw.shuffle(others)
    for how, function, count in (
        ("its reader by hand", flipped_by_hand, asked.flips),
        (REPRO, flipped_repro, asked.flips_of_repro),
    ):
        for number in range(count):
            of, old_time = (shards, others)[number // 2 % 2], bool(number % 2)
            path = of[number // 4 % len(of)]
            kind = f"flipped bit, {'old' if old_time else 'new'} time: {how}"
            bits = random.Random(f"{asked.seed} {how} {number}")
            yield kind, f"{number}, {path}", partial(flipped, function, project, bits, path, old_time)


def flipped(
    function: Callable[[Project, random.Random, str, bool], str],
    project: Project,
    bits: random.Random,
    path: str,
    old_time: bool,
) -> tuple[str, str]:
    """Of a flip, only what came of it counts."""
    return "", function(project, bits, path, old_time)


def reading(project: Project, asked: argparse.Namespace) -> Iterator[Accident]:
    """Many bits of each out, read as those commands read it."""

    def accident() -> tuple[str, str]:
        found = Counter(read_after_flips(project, random.Random(asked.seed), asked.flips_read))
        wrong = sum(count for name, count in found.items() if name.startswith(WRONG))
        return ", ".join(f"{count} {name}" for name, count in found.most_common()), WRONG if wrong else "not run"

    yield "flipped bits, each out read as commands do", f"{asked.flips_read} of each", accident


KINDS: dict[str, Callable[[Project, argparse.Namespace], Iterator[Accident]]] = {
    "signals": signals,
    "disk": disks,
    "read-only": read_only_folders,
    "twice": twice,
    "reading": reading,
    "flips": flips,
}

if __name__ == "__main__":
    os.environ["PIPELINE_WORKERS"] = "2"
    main()
