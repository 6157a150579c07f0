"""How long does saving a decision take, by how many there are?

    python benchmarks/review_saving.py     # half a minute

Each of 200 decisions is on the disk when its time ends; of 50 the undo is measured; start is reading the file once, and
order is putting it in order at the end of a review.
"""

import hashlib
import statistics
import tempfile
from pathlib import Path

from timings import seconds

from pipeline.store.decisions import LABELS, Decision
from pipeline.tools.review.saving import DecisionFile

COUNTS = (1_000, 10_000, 100_000)
SAVED, UNDONE = 200, 50


def main() -> None:
    """Print a Markdown table."""
    print("| decisions | save, median | save, 99 % | undo, median | start | order |")
    print("|---|---|---|---|---|---|")
    for count in COUNTS:
        with tempfile.TemporaryDirectory(dir=".") as folder:
            print(f"| {count:,} | {' | '.join(measured(Path(folder) / 'labels.csv', count))} |", flush=True)


def measured(path: Path, count: int) -> list[str]:
    """The cells of a row."""
    path.write_bytes(LABELS.render(decision(number, "10:00:00.000") for number in range(count)))
    file = DecisionFile(path, "anna", LABELS)
    start = seconds(file.own)
    new = [decision(count + number, f"11:00:{number % 60:02}.{number:03}") for number in range(SAVED)]
    saved = [seconds(lambda one=one: file.put(one.sha256, one)) for one in new]  # type: ignore[misc]
    undone = [seconds(lambda one=one: file.put(one.sha256, None)) for one in reversed(new[-UNDONE:])]  # type: ignore[misc]
    order = seconds(file.tidy)
    times = [statistics.median(saved), statistics.quantiles(saved, n=100)[-1], statistics.median(undone)]
    return [*(f"{1000 * one:.1f} ms" for one in times), f"{start:.1f} s", f"{order:.1f} s"]


def decision(number: int, when: str) -> Decision:
    sha256 = hashlib.sha256(str(number).encode()).hexdigest()
    return Decision(sha256, "keep", "cat", "", "anna", f"2026-11-30T{when}Z", "", f"web/{number}.png")


if __name__ == "__main__":
    main()
