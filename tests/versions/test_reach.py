"""A version has all that code may use, in whatever way it is reached, and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import MissingInputError
from pipeline.versions.stages import Versions
from tests.versions.toys import toy, version

OTHER = {
    "b.py": "def g():\n    return 1\n\n\ndef h():\n    return 1\n",
    "c/d.py": "LEVEL = 1\n",
    "c/e.py": "LEVEL = 1\n",
}
# How f may reach g or LEVEL; the file in which a 1 becomes a 2.
WAYS = {
    "from an import": ("from pipeline.b import g\ndef f():\n    return g()\n", "b.py"),
    "under another name": ("from pipeline.b import g as k\ndef f():\n    return k()\n", "b.py"),
    "through its module": ("from pipeline import b\ndef f():\n    return b.g()\n", "b.py"),
    "through its module's full name": ("import pipeline.b\ndef f():\n    return pipeline.b.g()\n", "b.py"),
    "through a module's other name": ("import pipeline.c.d as other\ndef f():\n    return other.LEVEL\n", "c/d.py"),
    "by a relative import": ("from .b import g\ndef f():\n    return g()\n", "b.py"),
    "by an import inside": ("def f():\n    from pipeline.b import g\n    return g()\n", "b.py"),
    "by a star": ("from pipeline.b import *\ndef f():\n    return g()\n", "b.py"),
    "as a default": ("from pipeline.b import g\ndef f(x=g):\n    return x()\n", "b.py"),
    "by a decorator": ("from pipeline.b import g\n@g\ndef f():\n    return 0\n", "b.py"),
    "by an annotation": ("from pipeline.b import g\ndef f(x: g):\n    return x.do()\n", "b.py"),
    "by an annotation in quotes": (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pipeline.b import g\n"
        'def f(x: "g | None"):\n    return x.do()\n',
        "b.py",
    ),
    "through a class above": ("from pipeline.b import g\nclass P:\n    x = g()\nclass f(P):\n    pass\n", "b.py"),
    "through a global": ("from pipeline.b import g\nTABLE = {'a': g}\ndef f(x):\n    return TABLE[x]()\n", "b.py"),
    "through what changes a global": (
        "from pipeline.b import g\nTABLE = {}\nTABLE['a'] = g\ndef f(x):\n    return TABLE[x]()\n",
        "b.py",
    ),
    "through what adds to a global": (
        "from pipeline.b import g\nTABLE = {}\nTABLE |= {'a': g}\ndef f(x):\n    return TABLE[x]()\n",
        "b.py",
    ),
    "through a module as a value": ("from pipeline import b\ndef f(x):\n    return getattr(b, x)()\n", "b.py"),
    "through a package as a value": ("from pipeline import c\ndef f(x):\n    return vars(c)[x]\n", "c/d.py"),
    "by a text": ("import importlib\ndef f():\n    return importlib.import_module('pipeline.b').g()\n", "b.py"),
    "behind a condition": (
        "try:\n    from pipeline.b import g\nexcept ImportError:\n    g = None\ndef f():\n    return g()\n",
        "b.py",
    ),
    "registered by a decorator": (
        "from pipeline.b import g\nTABLE = {}\ndef register(x):\n    TABLE['a'] = x\n"
        "@register\ndef k():\n    return g()\ndef f(x):\n    return TABLE[x]()\n",
        "b.py",
    ),
}


@pytest.mark.parametrize(("code", "file"), WAYS.values(), ids=WAYS)
def test_what_is_reached_is_in_the_version_and_its_neighbour_is_not(code: str, file: str, tmp_path: Path) -> None:
    base = version(tmp_path, {**OTHER, "a.py": code})
    changed = OTHER[file].replace("1", "2", 1)
    assert version(tmp_path, {**OTHER, "a.py": code, file: changed}) != base
    assert version(tmp_path, {**OTHER, "a.py": code, "g.py": "def g():\n    return 3\n"}) == base
    if file == "b.py" and not any(way in code for way in ("getattr", "*", "import_module", "vars(")):
        neighbour = OTHER[file].replace("h():\n    return 1", "h():\n    return 2")
        assert version(tmp_path, {**OTHER, "a.py": code, file: neighbour}) == base


def test_a_name_that_a_package_hands_on_leads_to_where_it_is(tmp_path: Path) -> None:
    files = {
        **OTHER,
        "c/__init__.py": "from pipeline.c.d import LEVEL\n",
        "a.py": "from pipeline.c import LEVEL\nf = LEVEL\n",
    }
    base = version(tmp_path, files)
    assert version(tmp_path, {**files, "c/d.py": "LEVEL = 2\n"}) != base
    assert version(tmp_path, {**files, "c/e.py": "LEVEL = 2\n"}) == base
    assert version(tmp_path, {**files, "c/__init__.py": "from pipeline.c.e import LEVEL\n"}) != base


def test_names_that_are_made_when_asked_for_count_with_what_makes_them(tmp_path: Path) -> None:
    lazy = "def __getattr__(name):\n    from pipeline.b import g\n    return g\n"
    files = {**OTHER, "c/__init__.py": lazy, "a.py": "from pipeline.c import g\ndef f():\n    return g()\n"}
    assert version(tmp_path, {**files, "b.py": OTHER["b.py"].replace("1", "2", 1)}) != version(tmp_path, files)


def test_what_a_module_does_when_it_is_imported_counts_even_if_no_name_of_it_is_used(tmp_path: Path) -> None:
    files = {
        "a.py": "import pipeline.c.d\ndef f():\n    return 1\n",
        "c/__init__.py": "import os\nos.environ['A'] = '1'\n",
        "c/d.py": "import pipeline.b\nLEVEL = 1\n",
        "b.py": "import numpy\nnumpy.seterr(all='raise')\nOTHER = 1\nif __name__ == '__main__':\n    print(OTHER)\n",
    }
    base = version(tmp_path, files)
    for file, old, new, same in (
        ("c/__init__.py", "'1'", "'2'", False),
        ("b.py", "raise", "warn", False),
        ("b.py", "OTHER = 1", "OTHER = 2", True),
        ("b.py", "print(OTHER)", "print('it')", True),
        ("c/d.py", "LEVEL = 1", "LEVEL = 2", True),
    ):
        assert (version(tmp_path, {**files, file: files[file].replace(old, new)}) == base) is same, (file, new)


@pytest.mark.parametrize("line", ["importlib.import_module(x)", "eval(x)", "exec(x)", "globals()[x]", "__import__(x)"])
def test_what_no_tree_shows_is_named(line: str, tmp_path: Path) -> None:
    versions = toy(tmp_path, {"a.py": f"import importlib\ndef f(x):\n    return {line}\n"})
    reach = versions.reach
    assert len(reach.reached(reach.units("pipeline.a:f")).computed) == 1


def test_what_is_left_out_is_not_followed(tmp_path: Path) -> None:
    files = {**OTHER, "a.py": "from pipeline.b import g\nfrom pipeline.c import d\ndef f():\n    return g(), d.LEVEL\n"}
    for without, file in ((("pipeline.b:g",), "b.py"), (("pipeline.c",), "c/d.py")):
        changed = {**files, file: files[file].replace("1", "2", 1)}
        assert version(tmp_path, changed) != version(tmp_path, files)
        assert version(tmp_path, changed, without=without) == version(tmp_path, files, without=without)


def test_two_modules_that_swap_a_value_are_another_version(tmp_path: Path) -> None:
    code = "from pipeline.c import d, e\ndef f():\n    return d.LEVEL, e.LEVEL\n"
    one = version(tmp_path, {"a.py": code, "c/d.py": "LEVEL = 1\n", "c/e.py": "LEVEL = 2\n"})
    assert version(tmp_path, {"a.py": code, "c/d.py": "LEVEL = 2\n", "c/e.py": "LEVEL = 1\n"}) != one


@pytest.mark.parametrize("kind", ["compiled", "zip"])
def test_a_package_without_sources_is_a_clear_error(kind: str, tmp_path: Path) -> None:
    place = tmp_path / ("wheel.zip/pipeline" if kind == "zip" else "pipeline")
    if kind == "compiled":
        place.mkdir()
        (place / "__init__.pyc").write_bytes(b"")
    with pytest.raises(MissingInputError, match=r"has no Python files.*no zip, no compiled files alone"):
        Versions(place).reached("train")


# Nodes whose trees, or whose texts, differ between Pythons.
ALL = """
import os

async def g(a, /, b=1, *c, d=2, e, **k):
    async with a as x, b:
        pass
    async for x in c:
        yield x
    return

class C(dict, metaclass=type):
    x: int
    y: "text" = 3

def f(n, *, m=None):
    try:
        del n
    except* OSError:
        pass
    s = f"a{n!r:>{m}}b" "c" f"{n=}" u"\\u1c89 \\U0001fae9"
    t = (lambda: (yield))(), [*n, -1], {**n, 1: 2}, n[1:2, ...], 1_0, 1e300, 2j, b"x", not n
    match n:
        case {"a": [1, *_], **rest} | C(x=2) | None:
            pass
    while (w := 3) and 1 < w <= 3 or n if m else w:
        break
    else:
        assert w, "words"
    global z
    z: int = 1
    z += 1
    with open(os.devnull) as z, z:
        return g, s, t, C
"""


RECORDED = "6d88f3963a214aef7f7078b53fd275c0"


def test_the_version_is_the_same_under_every_python(tmp_path: Path) -> None:
    """Recorded under 3.11; every Python that runs the tests has to give it."""
    assert version(tmp_path, {"a.py": ALL}) == RECORDED


def other_pythons() -> list[str]:
    """Other interpreters of this machine that the project supports."""
    places = [
        *Path.home().glob(".pyenv/versions/3.*/bin/python"),
        *map(Path, os.environ.get("PATH", "").split(os.pathsep)),
    ]
    names = [f"python3.{minor}" for minor in range(11, 16)]
    found = {place.resolve() for place in places if place.is_file()}
    found |= {(place / name).resolve() for place in places for name in names if (place / name).is_file()}
    return sorted(str(path) for path in found if path != Path(sys.executable).resolve() and is_supported(path))


def is_supported(python: Path) -> bool:
    """Whether it starts, and is new enough."""
    code = "import sys; sys.exit(sys.version_info < (3, 11))"
    return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0


def test_the_whole_package_has_the_same_versions_under_the_pythons_of_this_machine() -> None:
    package = Path(__file__).parents[2] / "pipeline"
    code = (
        "import sys; from pathlib import Path; from pipeline.versions.stages import Versions\n"
        f"stages = Versions(Path({str(package)!r}))\n"
        "print(*(stages.reached(name).version for name in ('ingest', 'augment', 'train', 'diagnose')))\n"
    )
    given = {}
    for python in [sys.executable, *other_pythons()]:
        ended = subprocess.run(  # the versions' own code needs no other package
            [python, "-c", code],
            cwd=package.parent,
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        given[python] = ended.stdout
    assert len(set(given.values())) == 1, given
