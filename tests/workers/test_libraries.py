"""The environment that libraries find: set once, and never over what the user said."""

import os
import platform
import subprocess
import sys

import pytest

from pipeline.workers.libraries import SETTINGS, configure
from tests.examples import REPOSITORY


def test_what_the_user_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    configure()
    assert {name: os.environ[name] for name in SETTINGS} == {**SETTINGS, "OPENBLAS_NUM_THREADS": "3"}


def test_numpy_computes_with_one_thread() -> None:
    code = """
import sys
from pipeline.workers.libraries import configure
configure()
assert "numpy" not in sys.modules
import numpy, threadpoolctl
print({pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"})
"""
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, env=environment, check=True, capture_output=True, text=True
    )
    assert ended.stdout == "{1}\n"


def test_a_tensor_of_many_megabytes_takes_the_memory_of_the_one_before() -> None:
    code = """
import resource, sys
import numpy
from pipeline.workers.libraries import keep_freed_tensors
if sys.argv[1] == "keep":
    keep_freed_tensors()
def faults():
    for _ in range(10):
        numpy.ones(10_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
before = faults()
print(faults() - before)
"""
    found = [
        int(subprocess.run([sys.executable, "-c", code, how], cwd=REPOSITORY, check=True, capture_output=True).stdout)
        for how in ("keep", "give back")
    ]
    # 10 times 80 MB in pages of 4 kB; other libraries of C than glibc keep what they like.
    assert platform.libc_ver()[0] != "glibc" or found[0] * 10 < found[1]
