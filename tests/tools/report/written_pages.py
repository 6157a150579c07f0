"""The page of the run in the current folder, and a diagnosis that it may show."""

import re
from pathlib import Path

from pipeline import catalogue
from pipeline.project.params_file import load_params
from pipeline.tools.report.report import write_report
from tests.pages import Seen, parsed

PAGE = Path("report/index.html")


def page() -> Seen:
    write_report(load_params(), PAGE)
    return parsed(PAGE.read_text(encoding="utf-8"))


def notes() -> list[str]:
    """What the page says is missing."""
    write_report(load_params(), PAGE)
    found = re.findall(r'<p class="note missing">(.*?)</p>', PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [parsed(note).text for note in found]


def write_diagnosis(content: str) -> None:
    """A report as another version left it, which wrote no checksums beside it."""
    path = Path(catalogue.DIAGNOSIS.path)
    path.write_text(content)
    path.with_name("checksums.json").unlink()
