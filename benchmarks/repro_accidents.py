"""Accidents over a whole `dvc repro` of a project that `pipeline init` made: kills, signals, flipped bits, two at once.

The project has 200 pictures of 16 pixels and a small network. By turns, an accident happens at a random moment of its
first run, or of a run in which each stage has to run again (another `ingest.size`). One more `dvc repro` follows.
Checked:

- right after it, each out is absent, as before, or as after a run to which nothing happened: none is half-made;
- HEAD still names the branch;
- what `dvc repro` then says, where it does not end well, and whether doing that ends it;
- all outs have the bytes of a run to which nothing happened, `dvc status` is content, and no half-written file is left.

    python benchmarks/repro_accidents.py --folder DIR      about 15 minutes of one core; goes on where it was stopped

Stages are forked from a process that has imported them (tests/warm.py), without which a run takes a minute.
"""

import argparse
import json
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from accident_projects import CLEAR, contents, half_written
from flips import OF_DVC, flip
from repro_projects import AGAIN, DOCTOR, FIRST, LATE, REPRO, Command, Projects, idle, send

from pipeline.store.writing import alone

NO_ACCIDENT = "ended before"
# What DVC says where another one is at work.
BUSY = "is busy, it is being blocked by"


@dataclass
class Outcome:
    """What an accident came to: what was said, and whether the next run put it right."""

    said: list[str]
    after: str


def check_between(place: Path, before: dict[str, str], expected: dict[str, str], said: list[str]) -> None:
    """Outs right after an accident."""
    half_made = [
        name
        for name, digest in contents(place).items()
        # DVC adds to its lock after each stage; from its checkpoint, train goes on.
        if digest not in (before.get(name), expected.get(name)) and not name.endswith((".lock", "/checkpoint.pt"))
    ]
    if half_made:
        said.append(f"HALF-MADE {', '.join(half_made[:5])}")
    head = (place / ".git/HEAD").read_text().strip()
    if not head.startswith("ref: refs/heads/"):
        said.append(f"HEAD is {head}")


def go_on(place: Path, expected: dict[str, str], said: list[str]) -> Outcome:
    """The next `dvc repro`, what it says to do if it does not end well, and the bytes at last."""
    code, printed = Command(place, *REPRO).end()
    after = "same bytes"
    if code:
        clear = CLEAR.search(printed) or BUSY in printed
        said.append(f"next run {code}: {last(printed)}")
        idle(place)
        Command(place, *DOCTOR, "--fix").end()
        code, printed = Command(place, *REPRO).end()
        after = "same bytes after the word" if clear else "same bytes, NO CLEAR WORD"
        if code:
            said.append(f"and again {code}: {last(printed)}")
    if "Traceback" in printed:
        said.append("TRACEBACK")
    now = contents(place)
    if now != expected:
        other = sorted(name for name in {*now, *expected} if now.get(name) != expected.get(name))
        return Outcome(said, f"WRONG: {', '.join(other[:5])}")
    if left := half_written(place):
        said.append(f"{len(left)} HALF-WRITTEN LEFT: {left[0].name}")
    if "up to date" not in (state := status(place)):
        said.append(f"dvc status: {state[:300]}")
    return Outcome(said, after)


def status(place: Path) -> str:
    """What DVC finds changed, but for the stages that always run."""
    found = json.loads(Command(place, "dvc", "status", "--json").end()[1] or "{}")
    mine = {name: what for name, what in found.items() if not name.startswith("final/")}
    changed = {name: what for name, what in mine.items() if what != ["always changed"]}
    return json.dumps(changed) if changed else "up to date"


def last(printed: str) -> str:
    lines = [line for line in printed.splitlines() if re.match(r"error|ERROR", line)] or printed.splitlines()[-1:]
    return " / ".join(line[:200] for line in lines[:3])


def stopped(projects: Projects, state: str, share: float, number: int, whom: str) -> Outcome:
    """A signal at a share of a run's time: to all, to DVC alone, or to its stage alone."""
    with projects.copy(state) as place:
        before, expected = contents(place), projects.expected[state]
        command = Command(place, *REPRO)
        hit = command.until(time.perf_counter() + share * projects.seconds[state]) and send(command, number, whom)
        said = [] if hit else [NO_ACCIDENT]
        code, printed = command.end()
        said.append(f"code {code}")
        if "Traceback" in printed:
            said.append("TRACEBACK")
        if hit and number != signal.SIGKILL:
            said.append(
                "says so" if "stopped by" in printed or "interrupted" in printed.lower() else f"says {last(printed)}"
            )
        # A stage outlives a DVC that was killed alone.
        idle(place)
        check_between(place, before, expected, said)
        return go_on(place, expected, said)


def flipped(projects: Projects, seed: str, old_time: bool) -> Outcome:
    """A flipped bit of a random out, and then a run in which train and what comes after it have to run again."""
    draw = random.Random(seed)
    with projects.copy(LATE) as place:
        expected = projects.expected[LATE]
        Command(place, "dvc", "status").end()  # so that DVC knows the files' times
        path = draw.choice(sorted(name for name in contents(place) if not name.startswith(OF_DVC)))
        flip(place / path, draw, old_time)
        said = [path]
        code, printed = Command(place, *REPRO).end()
        now = contents(place)
        other = sorted(name for name in {*now, *expected} if now.get(name) != expected.get(name))
        if code:
            said.append(f"code {code}: {last(printed)}")
            Command(place, *DOCTOR, "--fix").end()
            Command(place, *REPRO).end()
            done = contents(place) == expected
            clear = bool(CLEAR.search(printed)) and "Traceback" not in printed
            return Outcome(
                said, ("clear error, and its advice ends it" if clear else "NO CLEAR WORD") if done else "WRONG"
            )
        if not other:
            return Outcome(said, "same bytes")
        if other != [path]:
            return Outcome(said, f"WRONG: {', '.join(other[:5])}")
        found = path in Command(place, *DOCTOR).end()[1]
        return Outcome(said, "unused; doctor finds it" if found else "WRONG: unused, and doctor does not find it")


def two_at_once(projects: Projects, state: str, delay: float, other: tuple[str, ...]) -> Outcome:
    """`dvc repro` and another command at the same time, then one more `dvc repro`."""
    with projects.copy(state) as place:
        before, expected = contents(place), projects.expected[state]
        both = [Command(place, *REPRO)]
        both[0].until(time.perf_counter() + delay * projects.seconds[state])
        both.append(Command(place, *other))
        said = []
        for code, printed in [command.end() for command in both]:
            said.append(f"code {code}" + (f" ({last(printed)})" if code else ""))
            if "Traceback" in printed:
                said.append("TRACEBACK")
        check_between(place, before, expected, said)
        return go_on(place, expected, said)


def accidents(projects: Projects, asked: argparse.Namespace) -> Iterator[tuple[str, str, Callable[[], Outcome]]]:
    """Kind, which of it, and what lets it happen."""
    draw = random.Random(asked.seed)
    for number in range(asked.kills):
        state, whom = (FIRST, AGAIN)[number % 2], ("all", "the stage", "all", "DVC alone")[number // 2 % 4]
        moment = draw.random()
        yield (
            f"SIGKILL, {whom}",
            f"{number}, {state}, {moment:.2f}",
            partial(stopped, projects, state, moment, signal.SIGKILL, whom),
        )
    for name, whom, count in (
        (signal.SIGTERM, "DVC alone", asked.others // 2),
        (signal.SIGTERM, "all", asked.others // 2),
        (signal.SIGINT, "all", asked.others),
    ):
        for number in range(count):
            state, moment = (FIRST, AGAIN)[number % 2], draw.random()
            yield (
                f"{name.name}, {whom}",
                f"{number}, {state}, {moment:.2f}",
                partial(stopped, projects, state, moment, name, whom),
            )
    for number in range(asked.flips):
        old = bool(number % 2)
        yield (
            f"flipped bit, {'old' if old else 'new'} time",
            str(number),
            partial(flipped, projects, f"{asked.seed} {number}", old),
        )
    second = (REPRO, REPRO, ("pipeline", "train"), (*DOCTOR, "--fix"), REPRO, ("pipeline", "report"))
    for number in range(asked.others):
        state, moment, other = (FIRST, AGAIN)[number % 2], draw.random() * 0.8 if number else 0.0, second[number % 6]
        yield (
            f"with `{' '.join(other)}` at once",
            f"{number}, {state}, {moment:.2f}",
            partial(two_at_once, projects, state, moment, other),
        )


def _told(said: list[str], after: str) -> str:
    return f"{after}, no accident" if NO_ACCIDENT in said else after


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="for the projects and the outcomes so far")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--others", type=int, default=6, help="of each other kind")
    parser.add_argument("--flips", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60, help="begin no accident after these")
    asked = parser.parse_args()
    # A shell starts what runs in the background with Ctrl-C ignored, and DVC would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    asked.folder.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * asked.minutes
    with alone(asked.folder, "benchmarks/repro_accidents.py"):
        log = asked.folder / "outcomes.jsonl"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        known = {(kind, which): _told(said, after) for kind, which, said, after in map(json.loads, lines)}
        projects = Projects(asked.folder.resolve())
        print(f"a run: {projects.seconds}", flush=True)
        for kind, which, accident in accidents(projects, asked):
            if (kind, which) in known or time.monotonic() > end:
                continue
            outcome = accident()
            known[kind, which] = _told(outcome.said, outcome.after)
            print(f"{kind}; {which}: {'; '.join(outcome.said)}; {outcome.after}", flush=True)
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps([kind, which, outcome.said, outcome.after]) + "\n")
    print("| accident | runs | after the next `dvc repro` |\n|---|---|---|")
    for kind in dict.fromkeys(kind for kind, _ in known):
        found = Counter(after for (of, _), after in known.items() if of == kind)
        print(f"| {kind} | {found.total()} | {', '.join(f'{count} {what}' for what, count in found.most_common())} |")


if __name__ == "__main__":
    main()
