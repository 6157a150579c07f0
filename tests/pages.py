"""A run whose names attack whoever shows them, and what a page says of it."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline.project.params_file import load_params
from pipeline.project.runner import run_stage
from pipeline.workers.engine import Engine
from tests.examples import write_source
from tests.running import write_params

# Class folders; a slash may not stand in a name.
HOSTILE = ("<img src=x onerror=alert(1)>", "\"'><script>alert(2)<", "\u202ecba $x^2$ \u540d\u524d")
STAGES = ("embed", "curate", "split", "balance", "augment", "previews", "train", "evaluate", "label_issues", "diagnose")
SVG = {"svg", "g", "path", "defs", "clippath", "use", "text", "tspan", "rect", "image"}
# Elements that stand by themselves.
VOID = {"meta", "img", "br", "link", "use", "path"}


def hostile_run(folder: Path) -> None:
    """Run the pipeline in a folder, on classes with these names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_source(folder / "images/web", dict(zip(HOSTILE, (30, 20, 10), strict=True)), seed=1)
        write_source(folder / "images/phone", dict(zip(HOSTILE, (30, 25, 20), strict=True)), seed=2, noise=150)
        write_params(folder)
        for source in ("web", "phone"):
            run_stage("ingest", load_params(), Engine(1), source)
        for stage in STAGES:
            run_stage(stage, load_params(), Engine(1))


@dataclass
class Seen:
    """What a parser finds in a page: elements with their attributes, and all text outside of <style>."""

    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    text: str = ""

    @property
    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}

    @property
    def addresses(self) -> list[str]:
        names = ("src", "href", "xlink:href", "action", "data", "poster", "srcset")
        return [value for _, attributes in self.elements for name, value in attributes.items() if name in names]


def parsed(page: str) -> Seen:
    """The page, as a browser would take it apart."""
    seen = Seen()
    parser = _Parser(seen)
    parser.feed(str(page))  # of Markup every piece would be Markup, which escapes what it is added to
    parser.close()
    return seen


class _Parser(HTMLParser):
    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self._seen = seen
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._seen.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._open = [*self._open, tag] if tag not in VOID else self._open

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            self._open = self._open[: len(self._open) - 1 - self._open[::-1].index(tag)]

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self._seen.text += data
