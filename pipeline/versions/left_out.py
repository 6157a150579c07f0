"""What shapes no result, so versions of code leave it out; each with the reason."""

from fnmatch import fnmatchcase
from functools import cache

# A module with all below it, or names in it as `module:name`, with * and ?.
LEFT_OUT = {
    "pipeline.errors:*Error": "exit codes; what is raised ends the run",
    "pipeline.stage": "what a declaration looks like; each stage's own counts",
    "pipeline.versions": "names versions; makes nothing",
    "pipeline.workers.engine": "any number of workers gives the same, in the same order",
    "pipeline.workers.libraries:keep_*": "malloc",
    "pipeline.workers.cluster": "any number of machines gives the same, in the same order",
    "pipeline.workers.pool": "processes, and how they end",
    "pipeline.workers.scheduler": "who does which job; results come in the same order",
    "pipeline.workers.progress": "bars on the terminal",
    "pipeline.store.writing:check_replaceable": "refuses to replace devices",
    "pipeline.store.writing:flush": "when bytes reach the disk",
    "pipeline.store.reading:maker": "the command that a message names",
    "pipeline.store.writing:partial_path": "where a file is before it is whole",
    "pipeline.store.writing:put_in_place": "moves whole files",
    "pipeline.store.refusals:refusals": "messages of a full or closed disk",
    "pipeline.store.writing:remove": "removes files",
    "pipeline.training.forecast": "words on the terminal",
    "pipeline.training.data_parallel.other_processes:_errors_sent": "what ends the run",
    "pipeline.training.checkpoint": "a run that was stopped goes on to the same bytes, or begins anew",
}

# What the command line sets for every stage: threads split sums, and so round them.
OF_ALL_STAGES = ("pipeline.workers.libraries:SETTINGS",)


@cache
def is_left_out(module: str, names: frozenset[str] = frozenset(), extra: tuple[str, ...] = ()) -> bool:
    """Whether a module, or all names of a unit in it, shapes no result."""
    for entry in (*LEFT_OUT, *extra):
        place, _, pattern = entry.partition(":")
        if pattern:
            if place == module and names and all(fnmatchcase(name, pattern) for name in names):
                return True
        elif module == place or module.startswith(f"{place}."):
            return True
    return False
