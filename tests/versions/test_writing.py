"""What of a function's text is in its version, and what is only for people."""

from pathlib import Path

import pytest

from tests.versions.toys import version

CODE = '''"""Module."""
import logging
import sys
import numpy as np
from pipeline.errors import DataError

LOG = logging.getLogger(__name__)
LIMIT: int = 3


def f(x, y=1):
    """Doc."""
    LOG.warning("said %s", x)
    logging.info("said")
    print("said", x)
    print("said", file=sys.stderr)
    count = LIMIT
    if x > count:
        raise DataError(f"too many: {x}")
    if x < 0:
        raise ValueError(f"less than none: {x}")
    return [np.zeros(x) for x in range(y)]
'''
SILENT = {
    "a comment": ("count = LIMIT", "count = LIMIT  # why"),
    "layout": ("y=1", "y = 1"),
    "the module's docstring": ('"""Module."""', '"""Of a module."""'),
    "a docstring": ('"""Doc."""', '"""Other."""'),
    "no docstring": ('    """Doc."""\n', ""),
    "an annotation of an argument": ("f(x, y=1)", "f(x: int, y: int = 1) -> list"),
    "an annotation of a local": ("count = LIMIT", "count: int = LIMIT"),
    "an annotation of a global": ("LIMIT: int = 3", "LIMIT = 3"),
    "a message": ("too many", "more than allowed"),
    "a message of a builtin error": ("less than none", "negative"),
    "a line of a log": ('LOG.warning("said %s", x)', 'LOG.error("something")'),
    "no line of a log": ('    logging.info("said")\n', ""),
    "a printed line": ('print("said", x)', 'print("other")'),
    "a line on standard error": ('print("said", file=sys.stderr)', "pass"),
    "what imports are called": ("numpy as np\n", "numpy\nimport numpy as np\n"),
    "a neighbour": ("def f(", "def g():\n    return 2\n\n\ndef f("),
}
LOUD = {
    "a constant": ("LIMIT: int = 3", "LIMIT: int = 4"),
    "a default": ("y=1", "y=2"),
    "a comparison": ("x > count", "x >= count"),
    "a class of errors": ("raise ValueError(f", "raise KeyError(f"),
    "a file that is printed to": ("file=sys.stderr", "file=open('out')"),
    "what an import is": ("import numpy as np", "import torch as np"),
    "another module's function of the same name": ("numpy as np", "numpy.ma as np"),
    "an argument's name": ("f(x, y=1)", "f(x, *, y=1)"),
    "order": ("    count = LIMIT\n    if x > count", "    if x > LIMIT"),
    "a decorator": ("def f(", "@staticmethod\ndef f("),
}


@pytest.mark.parametrize(("old", "new"), SILENT.values(), ids=SILENT)
def test_what_is_for_people_is_in_no_version(old: str, new: str, tmp_path: Path) -> None:
    assert old in CODE
    if old == 'print("said", file=sys.stderr)':
        new = ""
        old = "    " + old + "\n"
    assert version(tmp_path, {"a.py": CODE.replace(old, new)}) == version(tmp_path, {"a.py": CODE})


@pytest.mark.parametrize(("old", "new"), LOUD.values(), ids=LOUD)
def test_what_may_shape_results_is_in_the_version(old: str, new: str, tmp_path: Path) -> None:
    assert old in CODE
    assert version(tmp_path, {"a.py": CODE.replace(old, new)}) != version(tmp_path, {"a.py": CODE})


def differs(folder: Path, code: str, old: str, new: str) -> bool:
    assert old in code
    return version(folder, {"a.py": code}) != version(folder, {"a.py": code.replace(old, new)})


def test_annotations_of_fields_count_because_they_are_rules(tmp_path: Path) -> None:
    code = "class P:\n    size: Annotated[int, Field(ge=1)] = 3\n\n\ndef f(p: P):\n    return p.size\n"
    assert differs(tmp_path, code, "ge=1", "ge=2")
    assert differs(tmp_path, code, "size: Annotated[int, Field(ge=1)]", "size: float")


def test_annotations_count_where_they_say_what_is_called(tmp_path: Path) -> None:
    code = "from functools import singledispatch\n\n@singledispatch\ndef f(x: int):\n    return x\n"
    assert differs(tmp_path, code, "x: int", "x: float")
    assert not differs(tmp_path, code.replace("singledispatch", "cache"), "x: int", "x: float")


def test_a_message_counts_where_somebody_makes_it_a_result(tmp_path: Path) -> None:
    code = """from pipeline.errors import DataError

def g():
    raise DataError("words")

def h():
    raise DataError("elsewhere")

def f():
    try:
        g()
    except DataError as error:
        return str(error)
    return h()
"""
    assert differs(tmp_path, code, '"words"', '"other words"')
    assert not differs(tmp_path, code, '"elsewhere"', '"somewhere"')
    for harmless in ("return None", "raise", 'raise DataError(f"more: {error}") from error', "return type(error)"):
        assert not differs(tmp_path, code.replace("return str(error)", harmless), '"words"', '"other words"')
    assert not differs(tmp_path, code.replace("except DataError", "except OSError"), '"words"', '"other words"')
    for wider in ("Exception", "(OSError, DataError)", "KNOWN"):
        known = code.replace("def g", "KNOWN = (OSError, DataError)\n\ndef g", 1)
        assert differs(tmp_path, known.replace("except DataError", f"except {wider}"), '"words"', '"other words"')


def test_a_message_counts_where_it_is_caught_in_the_same_class(tmp_path: Path) -> None:
    code = """class C:
    def read(self):
        raise ValueError("words")

    def all(self):
        try:
            self.read()
        except ValueError as error:
            return {"note": error.args[0]}

def f():
    return C().all()
"""
    assert differs(tmp_path, code, '"words"', '"other"')


def test_what_an_error_carries_beside_its_message_counts(tmp_path: Path) -> None:
    code = """class Refused(Exception):
    def __init__(self, reason):
        self.reason = reason

def f(x):
    if x:
        raise StopIteration(x + 1)
    raise Refused("too_large")
"""
    assert differs(tmp_path, code, "too_large", "too_small")
    assert differs(tmp_path, code, "x + 1", "x + 2")


def test_a_function_that_only_makes_an_error_is_a_message(tmp_path: Path) -> None:
    code = """from pipeline.errors import DataError

def no_images(place: str) -> DataError:
    hint = place.upper()
    return DataError(f"nothing in {hint}")

def f(x):
    error = DataError("made here")
    raise no_images("words")
"""
    assert not differs(tmp_path, code, "place.upper()", "place.lower()")
    assert not differs(tmp_path, code, '"words"', '"other"')
    assert not differs(tmp_path, code, '"made here"', '"and there"')


def test_titles_of_bars_are_no_code(tmp_path: Path) -> None:
    files = {
        "workers/engine.py": "class Engine:\n    def map(self, f, tasks, title):\n        return [*map(f, tasks)]\n",
        "workers/progress.py": "def progress(title, total):\n    return title\n",
        "a.py": """from pipeline.workers.engine import Engine
from pipeline.workers.progress import progress

def f(engine: "Engine | None", frame):
    progress("train", 3)
    frame.map("letters")
    return engine.map(abs, [1], "reading")
""",
    }
    base = version(tmp_path, files)
    for old, new, same in (
        ('"train"', '"learn"', True),
        ('"reading"', '"writing"', True),
        ('"letters"', '"digits"', False),
        ("[1]", "[2]", False),
        ("3)", "4)", False),
    ):
        assert (version(tmp_path, {**files, "a.py": files["a.py"].replace(old, new)}) == base) is same
    for file in ("workers/engine.py", "workers/progress.py"):
        assert version(tmp_path, {**files, file: files[file].replace("title", "name").replace("*map", "map")}) == base


def test_a_name_that_a_function_binds_is_none_of_the_module(tmp_path: Path) -> None:
    code = """rate = 1
other = 2
third = 3
fourth = 4

def f(rate, items):
    third = rate
    return [other for other in items], lambda fourth: fourth, third
"""
    for name, number in (("rate", 1), ("other", 2), ("third", 3), ("fourth", 4)):
        assert not differs(tmp_path, code, f"{name} = {number}\n", f"{name} = 9\n")
    # Outside of the comprehension it is the module's.
    assert differs(
        tmp_path, code.replace("for other in items]", "for other in items], other"), "other = 2", "other = 9"
    )
    asked = code.replace("    third = rate", "    global third\n    third += rate")
    assert differs(tmp_path, asked, "third = 3", "third = 9")


def test_what_matches_and_handlers_bind_stays_inside(tmp_path: Path) -> None:
    code = """a = b = c = d = 1

def f(x):
    match x:
        case [1, *a]:
            return a
        case {"k": b, **c}:
            return b, c
        case d:
            return d
"""
    assert not differs(tmp_path, code, "= d = 1", "= d = 2")
