"""What code reaches: from a few units on, every unit that they may use."""

import ast
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pipeline.versions.left_out import is_left_out
from pipeline.versions.modules import Package, Unit
from pipeline.versions.names import Dynamic, Names, Target, Whole
from pipeline.versions.registries import Rows, registry_of
from pipeline.versions.writing import write
from pipeline.versions.written import Choice, Written

# Hex digits of a version.
LENGTH = 32


@dataclass
class Reached:
    """What was reached: units with their texts, and what no syntax tree shows."""

    written: dict[Unit, Written]
    computed: list[Dynamic]

    @property
    def version(self) -> str:
        """The hash of all that was reached."""
        lines = sorted(f"{unit.module} {written.text}\n" for unit, written in self.written.items())
        return hashlib.sha256("".join(lines).encode()).hexdigest()[:LENGTH]

    def by_module(self) -> dict[str, str]:
        """A short hash of what was reached of each module, which says where a version differs from another."""
        lines: dict[str, list[str]] = {}
        for unit, written in self.written.items():
            lines.setdefault(unit.module, []).append(written.text)
        hashes = {name: hashlib.sha256("\n".join(sorted(texts)).encode()) for name, texts in lines.items()}
        return {name: hashes[name].hexdigest()[:8] for name in sorted(hashes)}


class Reach:
    """Follows names through a package; what was written once is kept for the next question."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self.names = Names(package)
        self._silent: frozenset[Unit] | None = None
        self._kept: dict[tuple[Unit, Choice], Written] = {}

    def units(self, place: str) -> list[Unit]:
        """The units that `module:name` names."""
        module, _, name = place.partition(":")
        found = self.package.module(module)
        return found.units.get(name, []) if found else []

    def reached(
        self,
        roots: Sequence[Unit],
        chosen: frozenset[str] | None = None,
        without: tuple[str, ...] = (),
    ) -> Reached:
        """All that the roots may use.

        Args:
            chosen: names of the rows of registries that count, beside those that the code itself names; None: all rows.
            without: modules, or `module:name`, that are left out beside those that no version knows.
        """
        search = _Search(self, chosen, without)
        search.follow(roots)
        # Where somebody makes a text of an error that it catches, the words of errors raised there count.
        loud = search.loud()
        if loud:
            search = _Search(self, chosen, without, loud)
            search.follow(roots)
        return Reached(search.written, search.computed)

    def write(self, unit: Unit, choice: Choice) -> Written:
        """The unit's text and targets."""
        if self._silent is None:
            self._silent = frozenset(self._outputs())
        if (unit, choice) not in self._kept:
            self._kept[unit, choice] = write(unit, self.names, choice, self._silent)
        return self._kept[unit, choice]

    def _outputs(self) -> Iterator[Unit]:
        """What the functions of stages return: the runner prints its `summary`, and writes none."""
        for name in self.package.inside(f"{self.package.name}.stages"):
            module = self.package.module(name)
            for declared in module.units.get("STAGE", []) if module else []:
                arguments = declared_arguments(declared)
                writes = arguments.get("writes")
                if isinstance(writes, ast.Dict) and "summary" not in [
                    getattr(key, "value", None) for key in writes.keys
                ]:
                    for function in self.names.targets(declared, arguments.get("function", ast.Constant(None))):
                        match function:
                            case Unit(node=ast.FunctionDef(returns=ast.expr() as returns)):
                                found = self.names.targets(function, returns)
                                yield from (each for each in found if isinstance(each, Unit))


@dataclass
class _Search:
    """One walk."""

    reach: Reach
    chosen: frozenset[str] | None
    without: tuple[str, ...]
    loud_units: dict[Unit, frozenset[str]] = field(default_factory=dict)
    written: dict[Unit, Written] = field(default_factory=dict)
    computed: list[Dynamic] = field(default_factory=list)
    _whole: set[Unit] = field(default_factory=set)
    _asked: dict[Unit, frozenset[str]] = field(default_factory=dict)
    _words: set[str] = field(default_factory=set)
    _run: set[str] = field(default_factory=set)

    def follow(self, targets: Iterable[Target | Rows]) -> None:
        """Reach these, and all that they refer to."""
        waiting = [*targets]
        while waiting or (waiting := [*self._more_rows()]):
            target = waiting.pop()
            match target:
                case Unit():
                    waiting += self._take(target)
                case Rows(unit=unit) if self.chosen is None:
                    waiting += self._take(unit)
                case Rows(unit=unit):
                    self._asked.setdefault(unit, frozenset())
                case Whole(module=name):
                    waiting += self._all_of(name)
                case Dynamic():
                    self.computed.append(target)

    def loud(self) -> dict[Unit, frozenset[str]]:
        """Unit -> classes of exceptions whose words somebody uses who catches what is raised there."""
        found: dict[Unit, frozenset[str]] = {}
        for written in [*self.written.values()]:
            for handler in written.handlers:
                inner = _Search(self.reach, self.chosen, self.without)
                inner.follow(handler.body)
                for unit in inner.written:
                    found[unit] = found.get(unit, frozenset()) | {*handler.caught}
        return found

    def _more_rows(self) -> Iterator[Target | Rows]:
        """Registries that are asked for rows by name: those that params choose, and those that the code names."""
        for unit in [*self._asked]:
            registry = registry_of(unit, self.reach.names)
            rows = registry.named & ((self.chosen or frozenset()) | self._words) if registry else frozenset[str]()
            if unit not in self._whole and (unit not in self.written or rows != self._asked[unit]):
                self._asked[unit] = rows
                yield from self._written(unit, rows)

    def _take(self, unit: Unit) -> Iterator[Target | Rows]:
        if unit in self._whole:
            return
        self._whole.add(unit)
        yield from self._written(unit, None)

    def _written(self, unit: Unit, rows: frozenset[str] | None) -> Iterator[Target | Rows]:
        if is_left_out(unit.module, unit.names, self.without):
            return
        choice = Choice(self.loud_units.get(unit, frozenset()), rows)
        self.written[unit] = self.reach.write(unit, choice)
        self._words |= self.written[unit].words
        yield from self.written[unit].targets
        yield from self._acts(unit.module)
        for binding in unit.imports.values():
            yield from self._acts(binding.module)
            yield from self._acts(str(binding))

    def _acts(self, name: str) -> Iterator[Target]:
        """What importing a module does, and the modules that it imports."""
        waiting = [name] if name not in self._run else []
        while waiting:
            parts = waiting.pop().split(".")
            for number in range(1, len(parts) + 1):
                above = ".".join(parts[:number])
                module = self.reach.package.module(above)
                if module is None or above in self._run or is_left_out(above, extra=self.without):
                    continue
                self._run.add(above)
                yield from module.acting
                waiting += [each for binding in module.imported for each in (binding.module, str(binding))]

    def _all_of(self, name: str) -> Iterator[Target]:
        # Of a package, all below it: nobody can tell what is taken from it.
        for each in self.reach.package.inside(name):
            if not is_left_out(each, extra=self.without):
                module = self.reach.package.module(each)
                yield from module.all_units if module else []
                yield from self._acts(each)


def declared_arguments(unit: Unit) -> dict[str, ast.expr]:
    """Keyword arguments of the call that an assignment assigns: of a stage's declaration."""
    match unit.node:
        case ast.Assign(value=ast.Call(keywords=keywords)):
            return {each.arg: each.value for each in keywords if each.arg}
    return {}
