"""CPU seconds of each test, its fixtures and the processes that it started: which tests make the suite slow?

    python -m pytest -p benchmarks.cpu_of_tests -n 0 tests/test_dvc.py

A plugin of pytest, for one process: of tests that pytest-xdist spreads, each worker would tell its own. Processes count
where their parent waits for them, so those of a fixture count at its end.
"""

import resource
from collections import defaultdict
from collections.abc import Generator

import pytest

MAX_TESTS, MAX_FILES = 50, 20
COSTS: dict[str, float] = defaultdict(float)


def cpu_seconds() -> float:
    """Of this process and of all that it waited for, user and system."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Measure a test with its fixtures; one that several tests share counts where it is set up."""
    before = cpu_seconds()
    result = yield
    COSTS[item.nodeid] += cpu_seconds() - before
    return result


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the files and the tests that cost most."""
    files: dict[str, float] = defaultdict(float)
    for test, seconds in COSTS.items():
        files[test.partition("::")[0]] += seconds
    terminalreporter.section(f"{sum(COSTS.values()):.0f} s of CPU")
    for costs, most in ((files, MAX_FILES), (COSTS, MAX_TESTS)):
        for name, seconds in sorted(costs.items(), key=lambda cost: -cost[1])[:most]:
            terminalreporter.write_line(f"{seconds:7.1f} {name}")
        terminalreporter.write_line("")
