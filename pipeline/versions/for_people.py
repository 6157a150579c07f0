"""What of code is only for people: messages of errors, lines that are logged or printed, titles of bars."""

import ast
from collections.abc import Sequence

from pipeline.versions.left_out import is_left_out
from pipeline.versions.modules import Unit, dotted
from pipeline.versions.names import Outside, Target
from pipeline.versions.scopes import Scopes

LOGGED = frozenset({"critical", "debug", "error", "exception", "info", "log", "warning"})
STREAMS = ("sys.stderr", "sys.stdout")
OWN_ERROR = "pipeline.errors:PipelineError"


class ForPeople:
    """Tells which nodes of a unit's syntax tree are only for people.

    Args:
        loud: classes of exceptions whose messages count here, because somebody catches them and uses their words.
    """

    def __init__(self, scopes: Scopes, loud: frozenset[str]) -> None:
        self._scopes, self._loud = scopes, loud

    def makes_own_error(self, function: ast.expr) -> bool:
        """Whether a call makes one of the package's errors whose message is for people."""
        return OWN_ERROR in self.quiet_error(function)

    def quiet_error(self, function: ast.expr) -> tuple[str, ...]:
        """Classes of the exception that a call makes, if its message is for people; () if not."""
        known = self._error(function)
        return () if self._is_loud(known) else known

    def only_makes_an_error(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
        """Whether a function hands back an exception, which its annotation says."""
        known = self._scopes.names.exception_names(self._scopes.unit, node.returns) if node.returns else ()
        return bool(known) and not self._is_loud(known)

    def is_said(self, call: ast.Call) -> bool:
        """Whether a statement only prints or logs something for people."""
        match call.func:
            case ast.Name(id="print") if not self._scopes.is_local("print"):
                files = [keyword.value for keyword in call.keywords if keyword.arg == "file"]
                return all(dotted(file) in STREAMS for file in files)
            case ast.Attribute(attr=name) if name in LOGGED:
                return any(_is_log(target) for target in self._scopes.resolved(call.func.value))
        return False

    def has_title(self, function: ast.expr) -> bool:
        """Whether a call is of something that shapes no result, or of a method of an argument that is such a thing."""
        if self._error(function):
            return False
        targets = self._scopes.resolved(function)
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            targets += self._scopes.of_annotation(function.value.id)
        return any(isinstance(each, Unit) and is_left_out(each.module, each.names) for each in targets)

    def _error(self, function: ast.expr) -> tuple[str, ...]:
        """Classes of the exception that a call makes: of its class, or by the annotation of a function."""
        names, unit = self._scopes.names, self._scopes.unit
        found = names.exception_names(unit, function) if self._scopes.path(function) else ()
        for target in self._scopes.resolved(function):
            match target:
                case Unit(node=ast.FunctionDef(returns=ast.expr() as returns)):
                    found = found or names.exception_names(target, returns)
        return found

    def _is_loud(self, known: Sequence[str]) -> bool:
        return not self._loud.isdisjoint(known)


def is_literal_text(node: ast.expr) -> bool:
    """Whether an expression is a literal text."""
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _is_log(target: Target) -> bool:
    """Whether it is the module logging, or what its getLogger gave."""
    match target:
        case Outside(name=name):
            return name == "logging" or name.startswith("logging.")
        case Unit(node=ast.Assign(value=ast.Call(func=function)) | ast.AnnAssign(value=ast.Call(func=function))):
            return (dotted(function) or "").endswith("getLogger")
    return False
