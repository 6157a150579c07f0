"""A progress bar on stderr for long work, with the estimated time left."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

# Bars that are up in this process; a worker process has one that nobody sees.
_up = 0


@contextmanager
def progress(title: str, total: int, before: int = 0) -> Iterator[Callable[[int], None]]:
    """Show a bar and give the function that advances it. Silent without a terminal and inside another bar.

    Args:
        before: how much of the total was done earlier; it does not count in the time left.
    """
    global _up  # noqa: PLW0603 - a terminal has one last line, whoever writes to it
    silent = _up > 0 or not sys.stderr.isatty()
    _up += 1
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeLeft()
    try:
        with Progress(*columns, console=Console(stderr=True), transient=True, disable=silent) as bar:
            task = bar.add_task(title, total=total, completed=before, before=before, stepped=0.0)
            yield lambda steps: bar.update(task, advance=steps, stepped=bar.tasks[0].elapsed or 0.0)
    finally:
        _up -= 1


def silence() -> None:
    """Show no bars in this worker process: the process that started it shows the progress of all workers."""
    global _up  # noqa: PLW0603
    _up += 1


def say(line: str) -> None:
    """A line on stderr, above the bar if there is one."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


class TimeLeft(ProgressColumn):
    """The estimated time left, at the pace so far.

    rich's own column forgets steps of more than half a minute ago: it would tell nothing of fits that take longer.
    """

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """Hours, minutes and seconds; unknown before the first step."""
        before, stepped = task.fields["before"], task.fields["stepped"]
        if task.total is None or task.completed <= before:
            return Text("-:--:--", style="progress.remaining")
        pace = stepped / (task.completed - before)
        left = pace * (task.total - task.completed) - ((task.elapsed or 0.0) - stepped)
        return Text(str(timedelta(seconds=max(0, round(left)))), style="progress.remaining")
