"""Wrong labels that are planted: which, how many, and between which classes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from judged_images import Images

from pipeline.manifest import PRODUCTION, RAW

ROLES = (RAW, PRODUCTION)
SIZES = (500, 1200)
NONE = "no wrong labels"


@dataclass(frozen=True)
class Plant:
    """So large a share of the labels of some roles is made wrong, and so large a share of production is seen so."""

    name: str
    share: float = 0.0
    similar: bool = False
    roles: tuple[str, ...] = ROLES
    view: str = "plain"
    part: float = 0.0


PLANTS = (
    Plant(NONE),
    *(Plant(f"{share:.0%} wrong", share) for share in (0.05, 0.1, 0.2)),
    *(Plant(f"{share:.0%} of a similar class", share, similar=True) for share in (0.05, 0.1, 0.2)),
    *(Plant(f"20% wrong in {role} alone", 0.2, roles=(role,)) for role in ROLES),
    Plant("production of a phone", view="phone", part=1.0),
    *(
        Plant(f"{part:.0%} of production {view}", view=view, part=part)
        for view in ("blurred", "very blurred")
        for part in (0.5, 1.0)
    ),
    *(Plant(f"{part:.0%} of production shows two classes", view="mixed", part=part) for part in (0.3, 0.5, 0.8)),
)
PEOPLE = Plant("labels of one person")


def plants_of(images: Images, sizes: Sequence[int]) -> Iterator[tuple[Plant, int]]:
    """What is planted in a set, and in how many images."""
    for size in sizes:
        for plant in PLANTS:
            if plant.view in images.views:
                yield plant, size
        if (images.given != images.labels).any():
            yield PEOPLE, size


def similar_classes(features: Any, truth: Any, classes: int) -> Any:
    """The class whose mean features are nearest to those of each class, (k,)."""
    means = np.stack([features[truth == each].mean(axis=0) for each in range(classes)])
    apart = np.linalg.norm(means[:, None] - means[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    return apart.argmin(axis=1)
