"""Writes the files of this repository that are derived from others: `python -m docs.generate` in its folder."""

from pathlib import Path

from pipeline.project.dvc_files import render

REPOSITORY = Path(__file__).parent.parent


def generated() -> dict[str, str]:
    """Path -> text of every derived file."""
    return render(demonstration=True)


if __name__ == "__main__":
    for path, text in generated().items():
        (REPOSITORY / path).write_text(text, encoding="utf-8")
