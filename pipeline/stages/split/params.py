"""Params of the stage split."""

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from pipeline.section import Count, OpenShare, Section, Seed, Share


class ProductionShares(Section):
    """Shares of the production images; they sum to 1."""

    train: Annotated[float, Field(ge=0, lt=1)]
    dev: OpenShare
    test: OpenShare

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> Self:
        total = self.train + self.dev + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train + dev + test must sum to 1, got {total:.6g}")
        return self


class ProductionCounts(Section):
    """How many production images dev and test get; train gets the rest."""

    dev: Count
    test: Count


def _kind_of_production(value: Any) -> str:
    """Counts are whole numbers; which of the two models reads a mapping shows in its messages."""
    dev = value.get("dev") if isinstance(value, dict) else getattr(value, "dev", None)
    return "counts" if isinstance(dev, int) else "shares"


class Folds(Section):
    """Cross-validation: the production images outside test are dealt into `count` folds; fold `dev` is dev."""

    count: Annotated[int, Field(ge=2, le=100)]
    dev: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _dev_is_a_fold(self) -> Self:
        if self.dev >= self.count:
            raise ValueError(f"dev must be a fold from 0 to {self.count - 1}, got {self.dev}")
        return self


class MatchingParams(Section):
    """The level at which a test fails, and what happens if dev or test fail."""

    level: OpenShare
    on_mismatch: Literal["warn", "fail"]


class SplitParams(Section):
    """How rows go to train, train_dev, dev and test.

    one_sided_classes: classes that only raw or only production has. `error` names them; `drop` takes
    them out; `train` keeps what raw alone has in train and train_dev, unmeasured, and splits what
    production alone has as any other class.
    """

    seed: Seed
    method: Literal["hash", "newest"]
    production: Annotated[
        Annotated[ProductionShares, Tag("shares")] | Annotated[ProductionCounts, Tag("counts")],
        Discriminator(_kind_of_production),
    ]
    production_train_fraction: Share
    train_dev: OpenShare
    stratify_by: Annotated[tuple[str, ...], Field(strict=False)]
    min_per_class: Count
    one_sided_classes: Literal["error", "drop", "train"]
    frozen_from: Annotated[str, Field(min_length=1)] | None
    folds: Folds | None
    expected_accuracy: OpenShare
    matching: MatchingParams

    @model_validator(mode="after")
    def _frozen_images_take_no_turns(self) -> Self:
        if self.folds is not None and self.frozen_from is not None:
            raise ValueError(
                "you cannot use folds and frozen_from together, because frozen images cannot move into and "
                "out of dev: set one of them to null"
            )
        return self
