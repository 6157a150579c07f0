"""What a stage is, and the names of all stages in the order in which they run.

A stage's folder, pipeline/stages/<stage>/, holds its declaration (stage.py), its section of params.yaml (params.py) and
its own modules. Declarations load on demand: torch, albumentations and scikit-learn each take a second or more to
import, and no command pays for what it does not use.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pipeline.store.artifacts import Artifact

NAMES = (
    "sample",
    "inventory",
    "ingest",
    "embed",
    "curate",
    "split",
    "balance",
    "augment",
    "previews",
    "train",
    "evaluate",
    "label_issues",
    "diagnose",
    "final_evaluation",
    "final_diagnosis",
)

# Stages that run once a source; their argument is a name under `sources`.
PER_SOURCE = frozenset({"ingest"})


class Outputs(Protocol):
    """What a stage's function returns: a field for each key of `writes`, and a line for people."""

    @property
    def summary(self) -> str: ...


@dataclass(frozen=True)
class Stage:
    """A function and the files on both sides of it.

    The keys of `params`, `reads`, `builds` and `resumes` are keyword arguments of the function; those of
    `writes` are fields of what it returns; those of `keeps` are both. A function that has an `engine`
    argument gets the engine.
    """

    name: str
    function: Callable[..., Outputs]
    params: Mapping[str, str] = field(default_factory=dict)
    """Argument -> dotted place in params.yaml, as dvc.yaml lists it."""
    reads: Mapping[str, Artifact] = field(default_factory=dict)
    writes: Mapping[str, Artifact] = field(default_factory=dict)
    keeps: Mapping[str, Artifact] = field(default_factory=dict)
    """Files that a run reads as the last one left them, if it did, and writes anew (`persist: true`)."""
    builds: Mapping[str, str] = field(default_factory=dict)
    """Argument -> folder of shards that the stage keeps between runs (`persist: true` in dvc.yaml)."""
    resumes: Mapping[str, str] = field(default_factory=dict)
    """Argument -> file with what a run that was killed had done, for the next to go on from; DVC does not know it."""
    each: str | None = None
    """The params mapping of which the stage runs once a key; the key replaces `{name}` and is an argument."""

    def named(self, name: str) -> "Stage":
        """The same for one key of `each`: every `{name}` filled in."""
        return Stage(
            name=self.name,
            function=self.function,
            params={argument: place.format(name=name) for argument, place in self.params.items()},
            reads={argument: artifact.named(name=name) for argument, artifact in self.reads.items()},
            writes={output: artifact.named(name=name) for output, artifact in self.writes.items()},
            keeps={argument: artifact.named(name=name) for argument, artifact in self.keeps.items()},
            builds={argument: folder.format(name=name) for argument, folder in self.builds.items()},
            resumes={argument: file.format(name=name) for argument, file in self.resumes.items()},
        )


def load_stage(name: str) -> Stage:
    """The stage of this name, its module imported now."""
    stage: Stage = importlib.import_module(f"pipeline.stages.{name}.stage").STAGE
    return stage


def command_of(name: str) -> str:
    """The command that runs a stage: `pipeline <command>`."""
    return name.replace("_", "-")
