"""DVC's files, written from what the stages declare: `render` gives their texts."""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline import catalogue
from pipeline.stage import NAMES, Stage, command_of, describe, load_stage
from pipeline.store.artifacts import Artifact
from pipeline.store.reading import OTHER_FOLDERS
from pipeline.store.verified import checksums_beside

SCHEMA = "https://raw.githubusercontent.com/iterative/dvcyaml-schema/master/schema.json"
# What no stage declares: plots, and the model as an artifact of DVC.
REST = Path(__file__).with_name("dvc_plots.yaml")
# Stages that run each time: only a look tells what has changed.
ALWAYS = {"inventory"}
# The stage, and its section of params, that the demonstration alone has.
DEMONSTRATION = "sample"
# What a stage depends on beside what it reads: it comes first, and says whether something has changed.
FIRST = {"ingest": [f"{catalogue.INVENTORY.path}/{{name}}.jsonl"]}
WIDTH = 120

HEADS = {
    "dvc.yaml": f"""\
# yaml-language-server: $schema={SCHEMA}
# Generated from the stages' declarations. data/dvc.yaml has the stages that list the sources' files and write
# the versions of the code; final/dvc.yaml has the evaluation on test.
""",
    "data/dvc.yaml": f"""\
# yaml-language-server: $schema={SCHEMA}
# Generated from the stages' declarations.
""",
    "final/dvc.yaml": f"""\
# yaml-language-server: $schema={SCHEMA}
# Generated from the stages' declarations. A plain `dvc repro` never evaluates on test. Run
# `dvc repro final/dvc.yaml` once, at the end.
""",
}
COMMENTS = {
    "code": """\
Each stage depends on a file with the version of its code. This stage runs every time and depends on nothing, so that no
frozen or failing stage can hide a change of code.""",
    "inventory": """\
DVC never reads a source's folder, where a pipe would hang it: stages depend on these lists instead. This stage runs
every time, because only listing the files shows what has changed. It reads only new and changed files.""",
    "sample": """\
The demonstration images. None are written if no source in params.yaml is in data/sample. Not cached: they are made in
seconds, and `dvc checkout` must not ask for them where they are not used.""",
    "final_evaluation": """\
Not under `metrics`, because you compare experiments by those, and must not choose by test. Not cached, because
`dvc checkout` must not ask for the results of an evaluation that never ran. Git keeps the ledger; a run adds to it.""",
}


def render(demonstration: bool) -> dict[str, str]:
    """The text of each of DVC's files, by its path.

    Args:
        demonstration: with the stage that writes the demonstration's images, and inventory after it.
    """
    names = [name for name in NAMES if demonstration or name != DEMONSTRATION]
    files = {"dvc.yaml": "", "data/dvc.yaml": _code(), "final/dvc.yaml": ""}
    for name in names:
        file = f"{OTHER_FOLDERS[name]}/dvc.yaml" if name in OTHER_FOLDERS else "dvc.yaml"
        # Not the images themselves, which no fresh clone has.
        first = [catalogue.SAMPLE_METRICS.path] if name == "inventory" else []
        separator = "\n" if files[file] else ""
        files[file] += separator + _stage(load_stage(name), first if demonstration else [], _outs_of(names))
    rest = {"dvc.yaml": "\n" + REST.read_text(encoding="utf-8")}
    return {file: f"{HEADS[file]}stages:\n{text}{rest.get(file, '')}" for file, text in files.items()}


def all_outs(stage: Stage) -> dict[str, Artifact | None]:
    """Path -> artifact of all outs; None for a folder of shards."""
    checksums = checksums_beside(stage.writes.values())
    written = [*stage.writes.values(), *stage.keeps.values(), *([checksums] if checksums else [])]
    files = {artifact.path: artifact for artifact in written}
    return {**files, **dict.fromkeys(stage.builds.values())}


def _code() -> str:
    body = {
        "desc": "Write the version of each stage's code, so that DVC notices changed code",
        "wdir": "..",
        "cmd": "python -m pipeline code",
        "always_changed": True,
        # Otherwise DVC removes the older ones first: nobody could say what has changed, and a failing run leaves none.
        "outs": [{catalogue.CODE.path: {"persist": True}}],
    }
    return "".join(_lines("code", body))


def _outs_of(names: Iterable[str]) -> set[str]:
    """The paths of the outs of all stages that run once."""
    stages = [load_stage(name) for name in names]
    return {path for stage in stages if stage.each is None for path in all_outs(stage)}


def _below(path: str, outs: Collection[str]) -> list[str]:
    """The outs in a folder that a stage reads; without any, the path itself: `dvc repro --pull` asks for outs alone."""
    return sorted(out for out in outs if out.startswith(f"{path}/")) or [path]


def _stage(stage: Stage, first: Iterable[str], outs_of_others: Collection[str]) -> str:
    key = "${key}"
    name, each = stage.name, stage.each
    stage = stage.named(key)
    deps = {artifact.path for artifact in stage.reads.values()} | {*first}
    deps |= {place.format(name=key) for place in FIRST.get(name, [])}
    deps = {each for path in deps for each in _below(path, outs_of_others)}
    outs = all_outs(stage)
    persistent = {*stage.builds.values(), *(artifact.path for artifact in stage.keeps.values())}
    entries: dict[bool, list[Any]] = {False: [], True: []}
    for path, artifact in sorted(outs.items()):
        flags = {} if artifact is None or artifact.cached else {"cache": False}
        flags |= {"persist": True} if path in persistent else {}
        entries[bool(artifact and artifact.metrics)].append({path: flags} if flags else path)
    body: dict[str, Any] = {
        "desc": describe(name).removesuffix("."),
        **({"wdir": ".."} if name in OTHER_FOLDERS else {}),
        "cmd": f"python -m pipeline {command_of(name)}" + (f" {key}" if each else ""),
        **({"always_changed": True} if name in ALWAYS else {}),
        "deps": [catalogue.CODE_FILE.format(name=name), *sorted(deps)],
        "params": sorted({*stage.places}),
        "outs": entries[False],
        "metrics": entries[True],
    }
    return "".join(_lines(name, body, each))


def _lines(name: str, body: Mapping[str, Any], each: str | None = None) -> Iterator[str]:
    for line in COMMENTS.get(name, "").splitlines():
        yield f"  # {line}\n"
    yield f"  {name}:\n"
    indent = "    "
    if each:
        yield f"    foreach: ${{{each}}}\n    do:\n"
        indent = "      "
    for field, value in body.items():
        if value is True:
            yield f"{indent}{field}: true\n"
        elif isinstance(value, str):
            yield f"{indent}{field}: {_quoted(value)}\n"
        elif (
            field == "params"
            and len(short := f"{indent}params: [{', '.join(_quoted(one, True) for one in value)}]") < WIDTH
        ):
            yield f"{short}\n" if value else ""
        elif value:
            yield f"{indent}{field}:\n"
            yield from (f"{indent}  - {_item(item)}\n" for item in value)


def _item(value: Any) -> str:
    if isinstance(value, str):
        return _quoted(value)
    [(path, flags)] = value.items()
    inner = ", ".join(f"{flag}: {'true' if on else 'false'}" for flag, on in flags.items())
    return f"{path}: {{{inner}}}"


def _quoted(text: str, in_brackets: bool = False) -> str:
    """As YAML reads it back: in quotes where a sign in it would mean something."""
    signs = r": | #|^[-?!&*%@`'\"|>\[{]" + (r"|[\[\]{},]" if in_brackets else "")
    return json.dumps(text, ensure_ascii=False) if re.search(signs, text) else text
