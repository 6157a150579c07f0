"""Where labels are wrong: how often is an ensemble kept that is worse on correct labels, and one that is better?

    python benchmarks/ensemble_wrong_labels.py --data DIR [--seeds 6] [--first 100] [--only SET …] [--methods NAME …]

Each seed draws other wrong labels and another half of the groups as train. The truth is the log loss on the correct
labels of the other half. worse, better: ensembles whose interval there is above 0, or below it; and how many of them
are kept by labels as they are (before), and now that correct labels are asked of as well. share: the mean estimate of
wrong labels, where some are told from mistakes, and in how many of the runs that is.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from ensemble_sets import halves, sets, wrong_labels
from ensembles import ENSEMBLES, Compared, compared


def row(title: list[str], runs: list[Compared], seconds: float) -> str:
    """Counts of runs of one kind."""
    cells = [*title, f"{len(runs)}"]
    cells.append(f"{100 * np.mean([-run.gain.difference / run.gain.single for run in runs]):+.1f} %")
    for some in ([run for run in runs if run.gain.high < 0], [run for run in runs if run.gain.low > 0]):
        before = sum(run.decided_by is not None and run.decided_by.on_given_labels for run in some)
        cells += [f"{len(some)}", f"{before}", f"{sum(run.kept for run in some)}"]
    told = [run.decided_by.correct for run in runs if run.decided_by and run.decided_by.correct]
    cells.append(f"{np.mean([one.wrong_share for one in told]):.2f} in {len(told)}" if told else "none told")
    return f"| {' | '.join([*cells, f'{seconds:.0f}'])} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("/tmp/label_issues_features"))
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--first", type=int, default=100)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.2, 0.1, 0.0])
    parser.add_argument("--only", nargs="+", default=["digits", "several clouds a class", "fruit", "trash"])
    parser.add_argument("--methods", nargs="+", default=["snapshots", "average_weights"])
    options = parser.parse_args()
    print(
        "| data set | wrong | method | runs | change | worse | before | now | better | before | now | share | CPU s |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for share in options.shares:
        for name in options.only:
            whole = sets(options.data, options.cache)[name]()
            for method in options.methods:
                begun, runs = time.process_time(), []
                for seed in range(options.first, options.first + options.seeds):
                    train, test = halves(wrong_labels(whole, share, seed), seed)
                    runs.append(compared(train, test, ENSEMBLES[method], None))
                print(row([name, f"{share:g}", method], runs, time.process_time() - begun), flush=True)


if __name__ == "__main__":
    main()
