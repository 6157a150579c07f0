"""How a stage is declared, and the names of all stages in the order in which they run.

A stage's folder, pipeline/stages/<stage>/, holds its declaration (stage.py), its section of params.yaml (params.py) and
its own modules. Declarations load on demand: torch, albumentations and scikit-learn each take a second or more to
import, and no command pays for what it does not use.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # pandas takes half a second to import, and `--help` needs the names alone
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
    """What a stage's function returns: one field per key of `writes`, and a summary line."""

    @property
    def summary(self) -> str: ...


@dataclass(frozen=True)
class Group:
    """Params that are passed as one value: its factory, and the dotted path of each argument."""

    make: Callable[..., Any]
    places: Mapping[str, str]


@dataclass(frozen=True)
class Stage:
    """A function with the files that it reads and writes.

    The keys of `params`, `asks`, `reads`, `builds`, `resumes` and `caches` are keyword arguments of the function; those
    of `writes` are fields of what it returns; those of `keeps` are both. What travels together in the function is one
    argument, by `together`. A function that has an `engine` argument gets the engine.
    """

    name: str
    function: Callable[..., Outputs]
    params: Mapping[str, str | Group] = field(default_factory=dict)
    """Argument -> dotted path in params.yaml, as dvc.yaml lists it, or several paths that make one value."""
    reads: Mapping[str, "Artifact"] = field(default_factory=dict)
    writes: Mapping[str, "Artifact"] = field(default_factory=dict)
    keeps: Mapping[str, "Artifact"] = field(default_factory=dict)
    """Files that a run reads as the last run left them, and writes again (`persist: true`)."""
    may_leave: tuple[str, ...] = ()
    """Outputs that may be None: then the existing file stays as it is."""
    builds: Mapping[str, str] = field(default_factory=dict)
    """Argument -> folder of shards that the stage keeps between runs (`persist: true` in dvc.yaml)."""
    resumes: Mapping[str, str] = field(default_factory=dict)
    """Argument -> file with the progress of a killed run, from which the next one continues; DVC does not know it."""
    caches: Mapping[str, str] = field(default_factory=dict)
    """Argument -> folder with finished work that later runs take over; DVC does not know it."""
    asks: Mapping[str, str] = field(default_factory=dict)
    """Argument -> dotted path in params.yaml that decides only whether the stage begins: no dependency for DVC."""
    together: Mapping[str, type] = field(default_factory=dict)
    """Argument -> the dataclass that it is. Its fields are keys of the mappings above, which are no arguments then."""
    each: str | None = None
    """The params mapping for whose keys the stage runs once each; the key replaces `{name}` and is an argument."""

    @property
    def places(self) -> list[str]:
        """The dotted paths of all params."""
        each = (list(value.places.values()) if isinstance(value, Group) else [value] for value in self.params.values())
        return [place for places in each for place in places]

    def named(self, name: str) -> "Stage":
        """The same stage for one key of `each`: every `{name}` is filled in."""
        return replace(
            self,
            params={argument: _named(value, name) for argument, value in self.params.items()},
            reads={argument: artifact.named(name=name) for argument, artifact in self.reads.items()},
            writes={output: artifact.named(name=name) for output, artifact in self.writes.items()},
            keeps={argument: artifact.named(name=name) for argument, artifact in self.keeps.items()},
            builds={argument: folder.format(name=name) for argument, folder in self.builds.items()},
            resumes={argument: file.format(name=name) for argument, file in self.resumes.items()},
            each=None,
        )

    def join(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The function's arguments, made of all inputs by their keys: those that travel together are one value."""
        made = {argument: [item.name for item in fields(value)] for argument, value in self.together.items()}
        inside = {name for names in made.values() for name in names}
        alone = {name: value for name, value in inputs.items() if name not in inside}
        values = {
            argument: self.together[argument](**{name: inputs[name] for name in names})
            for argument, names in made.items()
        }
        return alone | values


def _named(value: str | Group, name: str) -> str | Group:
    if isinstance(value, Group):
        return Group(value.make, {field: place.format(name=name) for field, place in value.places.items()})
    return value.format(name=name)


def describe(name: str) -> str:
    """One sentence that says what a stage does: the docstring of its package, read without imports."""
    return importlib.import_module(f"pipeline.stages.{name}").__doc__ or ""


def load_stage(name: str) -> Stage:
    """The stage of this name; imports its module."""
    stage: Stage = importlib.import_module(f"pipeline.stages.{name}.stage").STAGE
    return stage


def command_of(name: str) -> str:
    """The command that runs a stage: `pipeline <command>`."""
    return name.replace("_", "-")
