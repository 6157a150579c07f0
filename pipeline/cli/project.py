"""Commands that make a project, and bring it up to date."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.app import app
from pipeline.names import printable

PANEL = "Projects"


@app.command(rich_help_panel=PANEL)
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the project; it is created if needed.")],
    raw: Annotated[
        list[str] | None,
        typer.Option(metavar="FOLDER", help="Images for training only, in one folder per class. May be repeated."),
    ] = None,
    production: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FOLDER",
            help="Images like those that the model will see in use; they also fill dev and test. May be repeated.",
        ),
    ] = None,
    classes: Annotated[str | None, typer.Option(metavar="A,B,…", help="Use only these class folders.")] = None,
    min_images: Annotated[
        int | None,
        typer.Option(min=3, metavar="N", help="Leave out the class folders with fewer than N production images."),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(min=8, max=1024, help="Width and height of the pictures that the model sees, in pixels."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Model to start with, such as resnet, cnn or random_forest.")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=(
                "Preset of variants: light, photo, document or digits. If you name digits and no images, you get "
                "the demonstration."
            ),
        ),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help=(
                "Labels of a folder: a table (.csv, .jsonl, .parquet) or Label Studio's .json inside it. May be "
                "repeated; a name counts for every folder that has such a file. The others need class folders."
            ),
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="path=A,label=B,…", help="The table's column for each purpose, if the names are not clear."
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            metavar="class|split/class",
            help="What the first level of folders stands for: classes, or the parts of a split.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Write without asking.")] = False,
) -> None:
    """Create a project for your images: inspect them, choose params that fit, and write all files.

    It prints what it found before it writes. The exit code is 5 if the images cannot be used, or if the folder is a
    project already.
    """
    from pipeline.errors import ParamsError
    from pipeline.project.choices import Overrides
    from pipeline.project.init import plan, write
    from pipeline.project.inspect_sources import Wanted
    from pipeline.project.pretrained_trial import MAX_IMAGES
    from pipeline.project.seen_text import seen_lines

    pairs = [pair.partition("=") for pair in (columns or "").split(",") if pair]
    if layout not in (None, "class", "split/class"):
        raise ParamsError(f"--layout {layout}: it must be class or split/class")
    wanted_classes = [label.strip() for label in (classes or "").split(",") if label.strip()]
    for option, given in (("--classes", wanted_classes), ("--min-images", min_images)):
        if labels and given:
            raise ParamsError(
                f"{option} chooses class folders, but --labels takes the labels from a table: use one of the two"
            )
    named = {use.strip(): column.strip() for use, _, column in pairs}
    pictures = MAX_IMAGES if model is None else 0
    wanted = Wanted(labels or [], named, layout, wanted_classes, min_images=min_images, pictures=pictures)
    planned = plan(folder, raw or [], production or [], wanted, Overrides(size, model, preset))
    for line in seen_lines(planned.seen) if planned.seen else ():
        print(printable(line))
    if sys.stdin.isatty() and sys.stdout.isatty() and not yes:
        typer.confirm(f"Write the project to {planned.folder}?", default=True, abort=True)
    made = write(planned)
    print(
        printable(
            f"{made.folder}: a project of {len(planned.files)} files. params.yaml says which params were chosen, "
            "and why"
        )
    )
    if made.above is not None:
        print(printable(f"The project is inside the Git repository {made.above}: commit it there before `dvc exp run`"))
    elif not made.committed:
        print(
            "Git does not know your name, so nothing is committed: run git config user.name, then git add -A and "
            "git commit"
        )
    print(printable(f"Next: cd {shlex.quote(str(folder))} && dvc repro && pipeline report"))


@app.command(rich_help_panel=PANEL)
def upgrade() -> None:
    """Update the files of this project to the installed version of the package, in one commit.

    Files that you changed stay as they are. New params are added with their comments. The command lists what you need
    to decide. `git revert HEAD` undoes it.
    """
    from pipeline.project.upgrade import upgrade_project

    for line in upgrade_project(Path()):
        print(printable(line))


@app.command(rich_help_panel=PANEL)
def guide(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Such as ingest, or docs/ingest.md.")] = None,
) -> None:
    """Print a guide, or list all guides."""
    from pipeline.tools.guides import guide_text, guides, titles

    found = guides()
    if name is None:
        width = max(map(len, found))
        for each, title in titles(found).items():
            print(f"{each:<{width}}  {title}")
        return
    text = guide_text(found, name)
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.markdown import Markdown

        Console().print(Markdown(text))
    else:
        print(text, end="")
