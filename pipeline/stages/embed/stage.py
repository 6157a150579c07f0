"""Computes an embedding of every image: one vector from a frozen network, float16, in content-addressed shards.

It stands before curate, because images of one scene must be known before anything is split: so it sees neither labels
nor splits.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline import catalogue
from pipeline.errors import DataError, MissingInputError, listing
from pipeline.images.pixels import decode, without_bars
from pipeline.sources.params import SourceParams
from pipeline.stage import Stage
from pipeline.stages.embed.params import EmbedParams
from pipeline.store.shard_plan import Row, digest
from pipeline.store.shards import ShardReader, ShardStore, fingerprint
from pipeline.store.vectors import vector_bytes, vector_schema, vectors_of
from pipeline.versions.stages import version_of
from pipeline.workers.engine import Engine

if TYPE_CHECKING:
    from pipeline.models.backbones import Embedder

# Not in the key of a vector: how shards are read, and rules of params, because it has the values.
NOT_IN_KEY = ("pipeline.section", "pipeline.stages.embed.params", "pipeline.store")
# A vector takes about 10 ms, a worker the two seconds in which torch starts.
MIN_ROWS_FOR_WORKERS = 400


@dataclass(frozen=True)
class EmbedOutputs:
    """Where the vector of each content lies; no rows without a backbone."""

    manifest: pd.DataFrame
    metrics: dict[str, Any]

    @property
    def summary(self) -> str:
        if self.metrics["dimensions"] == 0:
            return "no embeddings (embed.backbone: null)"
        return f"{self.metrics['pictures']} pictures embedded, {self.metrics['dimensions']} numbers each"


class Picture(NamedTuple):
    """Where a normalised picture lies, and the size of its upright original."""

    shard: str
    row: int
    width: int
    height: int


def embed(
    ingested: Mapping[str, Callable[[], tuple[pd.DataFrame, pd.DataFrame]]],
    originals: ShardReader,
    sources: Mapping[str, SourceParams],
    params: EmbedParams,
    fit: str,
    shards: ShardStore,
    engine: Engine,
) -> EmbedOutputs:
    """Compute the embedding of each content of all sources.

    Raises:
        MissingInputError: a source was not ingested, or there are no weights.
        DataError: the weights are others than params name, or give vectors that are not finite.
        WorkerError: the network needs more memory than there is.
    """
    missing = [name for name in sources if name not in ingested]
    if missing:
        raise MissingInputError(f"not ingested yet: {listing(missing)}; run `dvc repro ingest`")
    if params.backbone is None:
        # The folder is an out of the stage, and the vectors of an earlier run are stale.
        shards.build([], dict, vector_schema(1), Engine(1), "embed")
        return EmbedOutputs(_places(pd.DataFrame(columns=["key", "shard", "row"]), []), _metrics(0, 0))
    # torch takes a second to import, and curate's tools know this module.
    from pipeline.models import backbones

    pictures = pictures_of([ingested[name]()[0] for name in sorted(sources)])
    embedder = backbones.Embedder(params.backbone)
    # What is wrong with the weights is said before any work, and once.
    if len(pictures):
        _ = embedder.network
    shape = fingerprint(
        version_of(VectorMaker, backbones.Embedder, without=NOT_IN_KEY),
        backbones.LIBRARIES,
        {"weights": backbones.weights_of(params.backbone), "side": params.backbone.side, "fit": fit},
    )
    rows = [
        Row(image_id, digest(shape, pixels), Picture(*place))
        for image_id, pixels, *place in zip(
            *(pictures[name].tolist() for name in ("id", "pixels", *Picture._fields)), strict=True
        )
    ]
    maker = VectorMaker(originals, embedder, fit)
    schema = vector_schema(backbones.DIMENSIONS)
    placed = shards.build(rows, maker, schema, engine, "embed", MIN_ROWS_FOR_WORKERS)
    _check_finite(placed.tables("vector"), pictures["id"])
    made = placed.table().select(["shard", "row"]).to_pandas()
    return EmbedOutputs(_places(made, pictures["sha256"].tolist()), _metrics(len(pictures), backbones.DIMENSIONS))


@dataclass(frozen=True)
class VectorMaker:
    """Picture -> the shard columns of its vector; it travels to worker processes."""

    originals: ShardReader
    embedder: "Embedder"
    fit: str

    def __call__(self, picture: Picture) -> dict[str, bytes]:
        return next(self.many([picture]))

    def many(self, pictures: Sequence[Picture]) -> Iterator[dict[str, bytes]]:
        """The shard columns of several pictures, in order."""
        shown = (
            without_bars(decode(self.originals.image(shard, row)), width, height, self.fit)
            for shard, row, width, height in pictures
        )
        return ({"vector": vector_bytes(vector)} for vector in self.embedder.many(shown))


def pictures_of(manifests: list[pd.DataFrame]) -> pd.DataFrame:
    """One row of each content, in the order of ids; columns id, sha256, pixels and those of Picture."""
    rows = pd.concat([manifest[["id", "sha256", "pixels", *Picture._fields]] for manifest in manifests])
    rows = rows.astype({"shard": "str"}).sort_values("id", kind="stable")
    return rows.drop_duplicates("sha256").reset_index(drop=True)


def _places(made: pd.DataFrame, contents: list[str]) -> pd.DataFrame:
    frame = pd.DataFrame({"sha256": contents, "shard": made["shard"], "row": made["row"]})
    return frame.astype({"sha256": "str", "shard": "str", "row": "int32"})


def _metrics(pictures: int, dimensions: int) -> dict[str, Any]:
    return {"pictures": pictures, "dimensions": dimensions}


def _check_finite(tables: Any, ids: "pd.Series[Any]") -> None:
    start, wrong = 0, list[str]()
    for table in tables:
        finite = np.isfinite(vectors_of(table)).all(axis=1)
        wrong += ids.iloc[start + np.flatnonzero(~finite)].tolist()
        start += len(table)
    if wrong:
        raise DataError(
            f"the vectors of {len(wrong)} of {len(ids)} images are not finite ({listing(wrong)}): the weights "
            "in embed.backbone do not fit its network. Use other weights, or set embed.backbone to null"
        )


STAGE = Stage(
    name="embed",
    function=embed,
    params={"sources": "sources", "params": "embed", "fit": "ingest.fit"},
    reads={"ingested": catalogue.INGESTED_SOURCES, "originals": catalogue.ORIGINALS},
    builds={"shards": catalogue.EMBED_SHARDS},
    writes={"manifest": catalogue.EMBEDDED, "metrics": catalogue.EMBED_METRICS},
)
