"""Parse users' YAML in bounded time and memory, and quote values in messages.

A few hundred bytes can stand for billions of values (aliases of aliases), or nest deeper than Python can follow. Both
are counted on YAML's own nodes, before a value is made.
"""

import reprlib
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from pipeline.section import LeadingZeros

# Far more than a params file has: the project's own has 300 values, 6 levels deep, in 10 kB.
MAX_CHARACTERS = 1_000_000
MAX_VALUES = 200_000
MAX_LEVELS = 50
MAX_QUOTED = 200
TOO_DEEP = f"is nested more than {MAX_LEVELS} levels deep: params need 10 at most"

_QUOTE = reprlib.Repr()
_QUOTE.maxlevel = 4
_QUOTE.maxstring = _QUOTE.maxother = _QUOTE.maxlong = MAX_QUOTED
_QUOTE.maxlist = _QUOTE.maxdict = _QUOTE.maxtuple = _QUOTE.maxset = 10


class _Constructor(SafeConstructor):
    """Keeps of a whole number the zeros that a name would lose."""

    def construct_yaml_int(self, node: Any) -> int:
        number: int = super().construct_yaml_int(node)
        plain = node.value.lstrip("+-")
        return LeadingZeros(number) if plain.isdigit() and len(plain) > 1 and plain.startswith("0") else number


# Constructors are looked up by tag, not by name.
_Constructor.add_constructor("tag:yaml.org,2002:int", _Constructor.construct_yaml_int)


def yaml_values(text: str) -> Any:
    """The values in a YAML 1.2 text, as DVC reads it: 1e-3 is a number, a repeated key is an error.

    Raises:
        ValueError: the text is not YAML, or it is too large, too deep or has too many values for params. The message
            is a predicate: put the text's name in front of it.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(
            f"has more than {MAX_CHARACTERS:,} characters: remove everything that is not a param, such as long comments"
        )
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    try:
        node = yaml.compose(text)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    except (YAMLError, ValueError) as error:
        raise ValueError(f"is not valid YAML: {yaml_problem(error)}") from error
    if node is None:
        return None
    _check_measure(*_measure(node, {}))
    try:
        return yaml.constructor.construct_document(node)
    except (YAMLError, ValueError) as error:  # ValueError: tagged or date-like values that are none
        raise ValueError(f"is not valid YAML: {yaml_problem(error)}") from error
    except (TypeError, AttributeError, KeyError, IndexError, ArithmeticError, AssertionError) as error:
        # ruamel's constructors trip over values that do not fit their tags.
        raise ValueError(f"is not valid YAML: a value does not fit its tag ({shortened(str(error))})") from error


def yaml_problem(error: Exception) -> str:
    """What is wrong with a YAML text and where, without ruamel's advice for developers."""
    return shortened(str(error).partition("\nTo suppress this check")[0].rstrip(), 5 * MAX_QUOTED)


def quoted(value: object) -> str:
    """A value as Python writes it, shortened, with control characters escaped."""
    if isinstance(value, int) and value.bit_length() > 10 * MAX_QUOTED:
        return f"a whole number of {value.bit_length()} bits"
    try:
        return shortened(_QUOTE.repr(value))
    except ValueError:  # such a number inside a list
        return f"a {type(value).__name__} with a very large number"


def shortened(text: str, most: int = MAX_QUOTED) -> str:
    """A text with its middle left out if it is long; control characters except line ends are escaped."""
    if len(text) > most:
        text = f"{text[: most // 2]} … {text[-most // 2 :]}"
    return "".join(
        letter if letter.isprintable() or letter == "\n" else letter.encode("unicode_escape").decode()
        for letter in text
    )


def _check_measure(values: int, levels: int) -> None:
    """Raise ValueError for more values or levels than params have."""
    if levels > MAX_LEVELS:
        raise ValueError(TOO_DEEP)
    if values > MAX_VALUES:
        raise ValueError(f"stands for {values:.3g} values once its aliases are replaced: at most {MAX_VALUES:,}")


def _measure(node: Node, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """How many values a node stands for once each alias is replaced by what it names, and how many levels deep.

    Raises:
        ValueError: a node contains itself.
    """
    if not isinstance(node, MappingNode | SequenceNode):
        return 1, 0
    if id(node) in known:
        measured = known[id(node)]
        if measured is None:
            raise ValueError(f"has a value that contains itself: &{shortened(str(node.anchor))}")
        return measured
    known[id(node)] = None
    pairs = isinstance(node, MappingNode)
    parts = [part for pair in node.value for part in pair] if pairs else node.value
    sizes = [_measure(part, known) for part in parts]
    known[id(node)] = found = (1 + sum(size for size, _ in sizes), 1 + max((levels for _, levels in sizes), default=0))
    return found
