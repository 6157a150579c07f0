"""Commands that make a project, and bring it up to date."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.app import app
from pipeline.names import printable

PANEL = "Projects"


@app.command(rich_help_panel=PANEL)
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Of the project; made if it is not there.")],
    raw: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="Images that only train, in one folder per class. May be repeated."),
    ] = None,
    production: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER", help="Images from where the model will run; they also measure. May be repeated."
        ),
    ] = None,
    classes: Annotated[str | None, typer.Option(metavar="A,B,…", help="Only these class folders.")] = None,
    size: Annotated[
        int | None, typer.Option(min=8, max=1024, help="Pixels a side of the picture that the model sees.")
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="The model: resnet, cnn, random_forest …")] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Variants: light, photo, document or digits. digits without a folder: the demonstration.",
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Inside each folder: a table (.csv, .jsonl, .parquet), or Label Studio's .json."
        ),
    ] = None,
    columns: Annotated[
        str | None, typer.Option(metavar="path=A,label=B,…", help="The table's columns, if their names do not say it.")
    ] = None,
    layout: Annotated[
        str | None, typer.Option(metavar="class|split/class", help="Whether the first folders are classes, or a split.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before writing, on a terminal.")] = False,
) -> None:
    """Make a project for your images: look at them, choose params that fit, write all files.

    Says what it saw before it writes. Exit code 5 if the images cannot be used, or the folder is a project already.
    """
    from pipeline.errors import ParamsError
    from pipeline.project.choices import Overrides
    from pipeline.project.init import plan, write
    from pipeline.project.inspect_sources import Wanted
    from pipeline.project.seen_text import seen_lines

    pairs = [pair.partition("=") for pair in (columns or "").split(",") if pair]
    if layout not in (None, "class", "split/class"):
        raise ParamsError(f"--layout {layout}: it may be class, or split/class")
    wanted_classes = [label.strip() for label in (classes or "").split(",") if label.strip()]
    if labels is not None and wanted_classes:
        raise ParamsError("--classes chooses class folders, and --labels says that labels come from a table: take one")
    wanted = Wanted(labels, {use.strip(): column.strip() for use, _, column in pairs}, layout, wanted_classes)
    planned = plan(folder, raw or [], production or [], wanted, Overrides(size, model, preset))
    for line in seen_lines(planned.seen) if planned.seen else ():
        print(printable(line))
    if sys.stdin.isatty() and sys.stdout.isatty() and not yes:
        typer.confirm(f"Write the project to {planned.folder}?", default=True, abort=True)
    made = write(planned)
    print(
        printable(f"{made.folder}: a project of {len(planned.files)} files. params.yaml says what was chosen, and why")
    )
    if made.above is not None:
        print(printable(f"It lies in the Git repository {made.above}: commit it there before `dvc exp run`"))
    elif not made.committed:
        print("Git does not know your name, so nothing is committed: git config user.name, then git add -A; git commit")
    print(printable(f"Next: cd {folder} && dvc repro && pipeline report"))


@app.command(rich_help_panel=PANEL)
def upgrade() -> None:
    """Bring the files of this project up to those of the installed package, as one commit.

    Files that you changed stay; params that are new are inserted with their comments. What is left for you to decide
    is listed. `git revert HEAD` takes all of it back.
    """
    from pipeline.project.upgrade import upgrade_project

    for line in upgrade_project(Path()):
        print(printable(line))
