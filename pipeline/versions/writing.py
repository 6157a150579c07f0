"""A unit as text that stands for what it does, the same under every Python, and what it refers to.

Not in the text: comments and layout, docstrings, annotations of arguments and of all but a class's fields, messages of
errors, what is logged or printed, and titles of bars. An error's message stays where a handler may make it a result.
"""

import ast

from pipeline.versions.caught import WORDS_OF_ERRORS, Caught
from pipeline.versions.for_people import ForPeople, is_literal_text
from pipeline.versions.modules import Binding, Unit, is_text, plain_decorator
from pipeline.versions.names import Names, Outside, Target
from pipeline.versions.nodes import pieces, raises_itself, speaking
from pipeline.versions.references import References
from pipeline.versions.registries import TYPES, Registry, Rows, registry_of
from pipeline.versions.scopes import Function, Scopes, with_quoted
from pipeline.versions.written import Choice, Handler, Written


def write(unit: Unit, names: Names, choice: Choice, silent: frozenset[Unit]) -> Written:
    """The unit as it counts.

    Args:
        silent: classes whose `summary` is for people alone.
    """
    writer = _Writer(unit, names, choice, silent)
    registry = registry_of(unit, names)
    if registry is not None and choice.rows is not None:
        writer.write_rows(registry, choice.rows)
    else:
        writer.statement(unit.node)
    words = frozenset() if registry is not None else frozenset(writer.words)
    return Written("".join(writer.parts), writer.references.targets, writer.handlers, words)


class _Writer:
    """Goes through a unit once, and keeps what it finds."""

    def __init__(self, unit: Unit, names: Names, choice: Choice, silent: frozenset[Unit]) -> None:
        self.unit, self.names, self.silent = unit, names, silent
        self.scopes = Scopes(unit, names)
        self.for_people = ForPeople(self.scopes, choice.loud)
        self.parts: list[str] = []
        self.references = References(unit, names, self.scopes)
        self.words: set[str] = set()
        self.handlers: list[Handler] = []
        self._in_class = False
        self._caught = Caught()

    def write_rows(self, registry: Registry, chosen: frozenset[str]) -> None:
        """A registry with some rows alone."""
        self.parts.append(f"registry {sorted(self.unit.names)}")
        for node in (registry.made, *registry.rest):
            self.node(node)
        for name, nodes in registry.rows:
            if name is None or name in chosen:
                for node in nodes:
                    self.node(node)

    def statement(self, node: ast.stmt) -> None:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._function(node)
            case ast.ClassDef():
                self._class(node)
            case ast.AnnAssign() if not self._in_class:
                self.refer(node.annotation)
                if node.value is not None:
                    self._fields("Assign", ("targets", [node.target]), ("value", node.value))
            case ast.Import() | ast.ImportFrom():
                pass  # what its names stand for is written where they are used
            case ast.Expr(value=ast.Call() as call) if self.for_people.is_said(call):
                pass
            case ast.Raise():
                self._raise(node)
            case ast.Return(value=ast.Name(id=name)) if name in self._caught:
                self.parts.append(f"return {name}")  # as it is, for somebody who raises it
            case ast.Try() | ast.TryStar():
                self._try(node)
            case _:
                if not is_text(node):
                    self._any(node)

    def node(self, node: object) -> None:
        match node:
            case ast.stmt():
                self.statement(node)
            case ast.Name():
                self._name(node)
            case ast.Call(func=ast.Name(id="isinstance" | "type"), args=[ast.Name(id=name), *rest]) if (
                name in self._caught
            ):
                self.parts.append(f"kind of {name}")
                self.node(rest)
            case ast.Attribute():
                self._attribute(node)
            case ast.Subscript(value=ast.Name() | ast.Attribute() as value, slice=place) if (
                looked_up := self.references.of_lookup(value)
            ):
                self.parts.append(looked_up)
                self.node(place)
            case ast.Call():
                self._call(node)
            case ast.Lambda():
                self._lambda(node)
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                self._comprehension(node)
            case ast.JoinedStr():
                self._joined(node)
            case ast.Constant(value=value):
                # The tables of letters differ from Python to Python, and so does what repr shows as it is.
                self.parts.append(f"{type(value).__name__} {value!a};")
                if isinstance(value, str):
                    self.words.add(value)
            case _:
                self._plain(node)

    def _plain(self, node: object) -> None:
        match node:
            case ast.AST():
                self._any(node)
            case list():
                self.parts.append("[")
                for each in node:
                    self.node(each)
                self.parts.append("]")
            case None:
                pass
            case _:
                self.parts.append(f"{node!a};")

    def refer(self, annotation: ast.expr | None) -> None:
        """What an annotation leads to, its own words left out: a method of an argument is one of its class."""
        kept, self.parts = self.parts, []
        for each in with_quoted(annotation):
            self.node(each)
        self.parts = kept

    def _any(self, node: ast.AST) -> None:
        self._fields(type(node).__name__, *((name, getattr(node, name, None)) for name in node._fields))

    def _fields(self, kind: str, *fields: tuple[str, object]) -> None:
        self.parts.append(f"{kind}(")
        for name, value in speaking(fields):
            self.parts.append(f"{name}=")
            self.node(value)
        self.parts.append(")")

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        if self.for_people.only_makes_an_error(node):
            self.parts.append(f"message {node.name}")
            return
        plain = all(plain_decorator(each, self._imports()) for each in node.decorator_list)
        self.parts.append(f"{type(node).__name__} {node.name}(")
        self._fields("", ("decorators", node.decorator_list), ("types", getattr(node, "type_params", None)))
        self._arguments(node.args, plain or self._in_class)
        self.refer(node.returns)
        self._inside(node)
        self.parts.append(")")

    def _lambda(self, node: ast.Lambda) -> None:
        self.parts.append("Lambda(")
        self._arguments(node.args, True)
        self._inside(node)
        self.parts.append(")")

    def _inside(self, node: Function) -> None:
        inner, self._in_class = self._in_class, False
        with self.scopes.function(node):
            self.node(node.body)
        self._in_class = inner

    def _arguments(self, arguments: ast.arguments, plain: bool) -> None:
        for name, value in ast.iter_fields(arguments):
            self.parts.append(f"{name}=")
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, ast.arg):
                    self.parts.append(f"{each.arg};")
                    if plain:
                        self.refer(each.annotation)
                    else:
                        self.node(each.annotation)
                else:
                    # No default of a keyword is None in the list.
                    self.parts.append(",")
                    self.node(each)

    def _class(self, node: ast.ClassDef) -> None:
        self.parts.append(f"ClassDef {node.name}(")
        types = getattr(node, "type_params", None)
        bases = (("bases", node.bases), ("keywords", node.keywords))
        self._fields("", ("decorators", node.decorator_list), *bases, ("types", types))
        outer, self._in_class = self._in_class, True
        silent = self.unit in self.silent
        for statement in node.body:
            if not (silent and isinstance(statement, ast.FunctionDef) and statement.name == "summary"):
                self.statement(statement)
        self._in_class = outer
        self.parts.append(")")

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        # The first of what it goes through is looked up outside.
        self.node(node.generators[0].iter)
        with self.scopes.comprehension(node.generators):
            self._any(node)

    def _joined(self, node: ast.JoinedStr) -> None:
        self.parts.append("JoinedStr(")
        for piece in pieces(node):
            if isinstance(piece, str):
                self.parts.append(f"{piece!a};")
            else:
                self._any(piece)
        self.parts.append(")")

    def _name(self, node: ast.Name) -> None:
        self._caught.use(node.id)
        self.parts.append(self.references.of_name(node))

    def _attribute(self, node: ast.Attribute) -> None:
        match node.value:
            case ast.Name(id=name) if name in self._caught and node.attr not in WORDS_OF_ERRORS:
                self.parts.append(f"{name}.{node.attr};")
                return
        written = self.references.of_attribute(node)
        if written is None:
            self._any(node)
        else:
            self.parts.append(written)

    def _call(self, node: ast.Call) -> None:
        function = self.scopes.resolved(node.func)
        if self.for_people.makes_own_error(node.func):
            # Its message is for people.
            self.node(node.func)
            self.parts.append("()")
            return
        if any(isinstance(each, Outside) and each.name == "importlib.import_module" for each in function):
            self.references.to_module(node)
        silent = any(each in self.silent for each in function if isinstance(each, Unit))
        titled = self.for_people.has_title(node.func)
        self.parts.append("Call(")
        self.node(node.func)
        typed = any(isinstance(each, Unit) and str(each).endswith(TYPES) for each in function)
        self.references.typing += typed
        for argument in node.args:
            if not (titled and is_literal_text(argument)):
                self.node(argument)
        for keyword in node.keywords:
            if not (silent and keyword.arg == "summary") and not (titled and is_literal_text(keyword.value)):
                self.parts.append(f"{keyword.arg}=")
                self.node(keyword.value)
        self.references.typing -= typed
        self.parts.append(")")

    def _raise(self, node: ast.Raise) -> None:
        self.parts.append("Raise(")
        with self._caught.raising():
            self._raised(node.exc)
        self.parts.append(")")

    def _raised(self, node: ast.expr | None) -> None:
        match node:
            case ast.Call(func=ast.Call(func=ast.Name(id="type"), args=[ast.Name(id=name)])) if name in self._caught:
                self.parts.append(f"type({name})")
            case ast.Call(func=function, args=arguments) if self.for_people.quiet_error(function):
                self.node(function)
                # A value that a builtin one carries may be read from it; of the package's own nothing is written.
                own = self.for_people.makes_own_error(function)
                self.node([each for each in arguments if not own and not is_literal_text(each)])
            case _:
                self.node(node)

    def _try(self, node: ast.Try | ast.TryStar) -> None:
        self.parts.append(f"{type(node).__name__}(")
        begin = len(self.references.targets)
        self.node(node.body)
        body = self.references.targets[begin:]
        # What is raised in the same unit, there or in a method that is called there, is in reach as well.
        own = raises_itself(node.body)
        for handler in node.handlers:
            self.parts.append("except ")
            self.node(handler.type)
            self._handle(handler, [*body, *([self.unit] if own else [])])
        self._fields("", ("orelse", node.orelse), ("finalbody", node.finalbody))
        self.parts.append(")")

    def _handle(self, handler: ast.ExceptHandler, body: list[Target | Rows]) -> None:
        with self._caught.inside(handler.name):
            if handler.name:
                self.parts.append(f"{handler.name}:")
            self.node(handler.body)
            if handler.name and self._caught.uses(handler.name):
                self.handlers.append(Handler(tuple(self.names.caught_names(self.unit, handler.type)), body))

    def _imports(self) -> dict[str, Binding]:
        module = self.names.package.module(self.unit.module)
        return {**(module.imports if module else {}), **self.unit.imports}
