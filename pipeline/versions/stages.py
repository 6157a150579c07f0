"""The version of a stage's code, and of single functions."""

import ast
import hashlib
import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pipeline
from pipeline.versions.left_out import OF_ALL_STAGES
from pipeline.versions.modules import Package, Unit
from pipeline.versions.reach import Reach, Reached, declared_arguments


class Versions:
    """The versions of a package's code.

    Args:
        folder: the package's own; another copy of this one, in tests.
    """

    def __init__(self, folder: Path) -> None:
        self.reach = Reach(Package(folder.absolute()))
        self._of_code: dict[tuple[tuple[str, ...], tuple[str, ...]], str] = {}

    def reached(self, name: str, params: Mapping[str, Any] | None = None) -> Reached:
        """All code that shapes a stage's outs; its `version` stands for all of it, in 32 hex digits.

        Args:
            params: the values of params.yaml by section; of registries, rows count that these choose. None: all rows.

        Raises:
            MissingInputError: the package has no Python files.
        """
        declared = self._declared(name)
        chosen = None
        if params is not None:
            # Of stages before it, too: what it reads may name choices, as a model's file does its network.
            stages = [*itertools.takewhile(lambda other: other != name, self._order()), name]
            places = {place for stage in stages for unit in self._declared(stage) for place in self._places(unit)}
            chosen = frozenset(word for place in places for word in _words(_value_at(params, place)))
        roots = [unit for place in OF_ALL_STAGES for unit in self.reach.units(place)]
        # The runner makes the store of shards that a stage builds.
        if any("builds" in declared_arguments(unit) for unit in declared):
            roots += self.reach.units("pipeline.store.shards:ShardStore")
        return self.reach.reached([*declared, *roots], chosen)

    def inputs(self, params: Mapping[str, Any]) -> str:
        """A hash of all that the versions of stages depend on: the package's files, Python, and words of params."""
        words = "\n".join(sorted(set(_words(params))))
        return hashlib.sha256(f"{self.reach.package.digest()}\n{sys.version}\n{words}".encode()).hexdigest()

    def of_code(self, places: Sequence[str], without: Sequence[str] = ()) -> str:
        """The same for functions and classes, as `module:name`.

        Args:
            without: modules, or `module:name`, that shape nothing of what is asked.

        Raises:
            LookupError: nothing of that name is defined there.
        """
        key = tuple(places), tuple(without)
        if key not in self._of_code:
            units = [unit for place in places for unit in self.reach.units(place)]
            if missing := [place for place in places if not self.reach.units(place)]:
                raise LookupError(f"no definitions of the package: {missing}")
            self._of_code[key] = self.reach.reached(units, without=key[1]).version
        return self._of_code[key]

    def _declared(self, name: str) -> list[Unit]:
        return self.reach.units(f"{self.reach.package.name}.stages.{name}.stage:STAGE")

    def _order(self) -> list[str]:
        """The names of all stages as they run."""
        found = [
            each for unit in self.reach.units(f"{self.reach.package.name}.stage:NAMES") for each in ast.walk(unit.node)
        ]
        return [each.value for each in found if isinstance(each, ast.Constant) and isinstance(each.value, str)]

    def _places(self, declared: Unit) -> Iterator[str]:
        """Where in params.yaml the params of a stage are, as its declaration has them."""
        match declared_arguments(declared).get("params"):
            case ast.Dict(values=values):
                # One value, or several that travel as one: names of fields beside places lead nowhere.
                found = [[each.value for each in ast.walk(value) if isinstance(each, ast.Constant)] for value in values]
                yield from (str(place) for places in found for place in places or [""])
            case ast.Attribute(value=ast.Name() as other, attr="params"):
                for unit in self.reach.names.targets(declared, other):
                    yield from self._places(unit) if isinstance(unit, Unit) else [""]
            case None:
                return
            case _:
                yield ""  # all of it


@cache
def installed_versions() -> Versions:
    """The versions of the code of this package, as it is installed."""
    return Versions(Path(pipeline.__file__).parent)


def version_of(*things: Any, without: Sequence[str] = ()) -> str:
    """32 hex digits for the code of functions and classes, and all that they reach; `without` as in `of_code`.

    Raises:
        MissingInputError: the package has no Python files.
    """
    places = [f"{thing.__module__}:{thing.__qualname__.partition('.')[0]}" for thing in things]
    return installed_versions().of_code(places, without)


def _value_at(params: Mapping[str, Any], place: str) -> Any:
    """The value at a dotted place; one that is for each source: of all of them."""
    value: Any = params
    for part in place.split(".") if place else []:
        if part.startswith("{") or not isinstance(value, Mapping):
            break
        value = value.get(part)
    return value


def _words(value: Any) -> Iterator[str]:
    """Every text and key, one of which may name a choice."""
    match value:
        case str():
            yield value
        case Mapping():
            for key, inner in value.items():
                yield str(key)
                yield from _words(inner)
        case list() | tuple():
            for inner in value:
                yield from _words(inner)
