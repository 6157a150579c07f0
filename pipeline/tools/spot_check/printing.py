"""The table of a spot check, and how to use its first model."""

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.models.params import Model
from pipeline.models.pretrained_networks import EfficientNetLite0, HeadDropout
from pipeline.project.params_file import Params
from pipeline.tools.spot_check.candidates import OWN, candidates
from pipeline.training.embedded import EmbeddedModel


def print_table(ranked: pd.DataFrame, params: Params, images: int, console: Console) -> None:
    """Print it, and how to take a model over."""
    name = str(ranked.columns[1]) if len(ranked.columns) > 2 else "problem"
    shown = Table(title=f"{params.evaluate.optimizing.name} on dev ({images:,} images)", title_justify="left")
    shown.add_column("model")
    for column in (name, "95 % interval", "train", "seconds", "MB"):
        shown.add_column(column, justify="right")
    shown.add_column("remark")
    for number, row in enumerate(ranked.to_dict("records")):
        if row["problem"]:
            shown.add_row(row["model"], "", "", "", "", "", escape(str(row["problem"])))
            continue
        shown.add_row(
            row["model"],
            f"{row[name]:.4f}",
            "too few groups" if pd.isna(row["low"]) else f"{row['low']:.4f} to {row['high']:.4f}",
            f"{row['train']:.4f}",
            f"{row['seconds']:.1f}",
            "" if pd.isna(row["megabytes"]) else f"{row['megabytes']:.2f}",
            "within noise of the first" if number and row["noise"] else "",
        )
    console.print(shown)
    console.print(
        "train: on the balanced and augmented rows; of networks, measured during training; of models on embeddings, "
        "on train's images by models that did not see their groups",
        soft_wrap=True,
    )
    if ranked.get("noise", pd.Series(dtype=bool)).iloc[1:].eq(True).any():
        console.print("within noise: on this dev, the difference from the first model may be chance")
    best = str(ranked["model"].iloc[0])
    if not ranked["problem"].iloc[0] and best != OWN:
        console.print(escape(_taken_over(best, params)), soft_wrap=True)


def _taken_over(best: str, params: Params) -> str:
    model: Model | EmbeddedModel = candidates(params.train.model, [best])[best]
    if not isinstance(model, EmbeddedModel):
        return f"To use {best}, set in params.yaml: train.model: {model.model_dump_json()}"
    backbone = params.embed.backbone
    if backbone is None or backbone.name != "efficientnet_lite0" or params.train.model.name == backbone.name:
        return f"{best} cannot be set as train.model: it shows what the features of embed.backbone are worth"
    head = EfficientNetLite0(name=backbone.name, trained="head", input=backbone.side, dropout=HeadDropout(head=0.2))
    return f"To train a model like {best}, set in params.yaml: train.model: {head.model_dump_json()}"
