"""The errors that a user can cause and fix.

PipelineError              exit code 1; never raised itself
├── ParamsError            3  params.yaml, or an option, breaks a rule
├── MissingInputError      4  a file that a stage reads is not there
├── DataError              5  a file is there and its content cannot be used
├── StorageError           6  the disk or an object store refused: full, read-only, no permission, no network
├── WorkerError            7  a worker process died
├── LeakError              8  an audit found images that leak from one split into another
├── DamageError            9  the doctor found what a run would trip over
├── FinalEvaluationError   10 the test set may not be evaluated
└── GateError              11 the last run's model is not good enough to go on

Every message says what is wrong, the value, the rule and the next step. Only the CLI catches these errors. Any other
exception is a bug and keeps its traceback (exit code 1). Exit code 2 means that typer cannot parse the command line,
130 is Ctrl-C and 143 is SIGTERM (workers/stopping.py).
"""

from collections.abc import Iterable

from pipeline.names import shown


class PipelineError(Exception):
    """A problem that the user can fix; the process ends with `exit_code`."""

    exit_code = 1


class ParamsError(PipelineError):
    """A value in params.yaml or of a command-line option breaks a rule."""

    exit_code = 3


class MissingInputError(PipelineError):
    """A file or folder that a stage reads is not there."""

    exit_code = 4


class DataError(PipelineError):
    """A file is there, but its content cannot be used."""

    exit_code = 5


class StorageError(PipelineError):
    """The file system refused a read or a write, or an object store did, or it cannot be reached."""

    exit_code = 6


class WorkerError(PipelineError):
    """A worker process died before it gave its result."""

    exit_code = 7


class LeakError(PipelineError):
    """The audit found images that leak from one split into another; its report lists them."""

    exit_code = 8


class DamageError(PipelineError):
    """`pipeline doctor` found problems and did not fix all of them; its report lists them."""

    exit_code = 9


class FinalEvaluationError(PipelineError):
    """The test set stays closed: the ledger was edited, no test evaluations are left, or the model is not accepted."""

    exit_code = 10


class GateError(PipelineError):
    """`pipeline gate` found a broken limit, or a model that is worse than that of the revision it was compared with."""

    exit_code = 11


def listing(items: Iterable[object], most: int = 5) -> str:
    """The first few items, comma-separated and escaped for a terminal, and how many more there are."""
    listed = list(items)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(shown(str(item)) for item in listed[:most]) + more
