"""Labels for images without one: spread from labelled images over a graph of neighbours.

Label spreading by Zhou et al. (2004), as Iscen et al. (2019) use it on the features of a network: each image passes on
what it knows to its nearest neighbours, again and again, and labelled ones keep adding what they are. So a class may
have any shape among the features; a classifier of few labels knows only planes.
"""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.data.vectors import unit
from pipeline.training.unlabelled import Codes, Labelled, Proposal, PseudoLabels, Vectors, Weights

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Floats = npt.NDArray[np.float64]

# The share that an image takes over from its neighbours in each step (Zhou et al., 2004: alpha).
FROM_NEIGHBOURS = 0.9
# Steps: after them the last change is FROM_NEIGHBOURS ** STEPS of the first one, about a hundredth.
STEPS = 40
# Likenesses are compared at this precision: sums in another order differ in the sixth digit.
DIGITS = 5
BLOCK = 1024
SMALLEST = 1e-12


def propose(params: PseudoLabels, labelled: Labelled, asked: Vectors) -> Proposal:
    """A label for each image without one.

    Args:
        asked: vectors (m, d) of these images, from the same network as those of the labelled ones.
    """
    spread = spread_labels(labelled, asked, params.neighbours)
    certainties = certainty(spread)
    labels = spread.argmax(axis=1)
    used = (certainties >= params.threshold) & within_quota(labels, certainties, params.quota)
    # An image that no labelled one reaches knows nothing.
    used &= spread.sum(axis=1) > 0
    weights = np.where(used, params.weight * certainties, 0.0).astype(np.float32)
    return Proposal(labels.astype(np.int64), certainties, weights)


def spread_labels(labelled: Labelled, asked: Vectors, neighbours: int) -> Floats:
    """The distribution over classes (m, k) that reaches each image; zeros where nothing does.

    Each class begins with the same mass, however many labelled images it has.
    """
    known = len(labelled.labels)
    seeds = np.zeros((known + len(asked), labelled.classes))
    seeds[np.arange(known), labelled.labels] = 1.0
    seeds /= np.maximum(seeds.sum(axis=0), 1.0)
    graph = neighbour_graph(np.concatenate([labelled.vectors, asked]), neighbours)
    found = seeds
    for _ in range(STEPS):
        found = FROM_NEIGHBOURS * (graph @ found) + (1 - FROM_NEIGHBOURS) * seeds
    reached = found[known:]
    total = reached.sum(axis=1, keepdims=True)
    return np.where(total > SMALLEST, reached / np.maximum(total, SMALLEST), 0.0)


def neighbour_graph(vectors: Vectors, neighbours: int) -> "csr_array":
    """Who passes on how much to whom: symmetric, (n, n), normalised by both ends' sums (Zhou et al., 2004).

    Nearness is by cosine of the centred vectors, each scaled by the distance of its farthest neighbour
    (Zelnik-Manor and Perona, 2004), because some parts of a data set are denser than others.
    """
    from scipy.sparse import csr_array

    centred = vectors.astype(np.float32) - vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    near, distances = nearest(unit(centred), min(neighbours, len(centred) - 1))
    scale = np.maximum(distances.max(axis=1), 10.0**-DIGITS)
    weights = np.exp(-(distances**2) / (scale[:, None] * scale[near]))
    rows = np.repeat(np.arange(len(centred)), near.shape[1])
    one_way = csr_array((weights.ravel(), (rows, near.ravel())), shape=(len(centred), len(centred)))
    both = one_way + one_way.T
    share = 1 / np.sqrt(np.maximum(both.sum(axis=1), SMALLEST))
    entries = both.tocoo()
    scaled = entries.data * share[entries.coords[0]] * share[entries.coords[1]]
    return csr_array((scaled, entries.coords), shape=both.shape)


def nearest(vectors: Vectors, count: int) -> tuple[Codes, Floats]:
    """The nearest others of each vector of length 1: row numbers (n, count), and 1 minus their cosines."""
    numbers, distances = [], []
    for start in range(0, len(vectors), BLOCK):
        likeness = np.round(vectors[start : start + BLOCK] @ vectors.T, DIGITS).astype(np.float64)
        rows = np.arange(len(likeness))
        likeness[rows, start + rows] = -np.inf
        chosen = np.sort(np.argpartition(-likeness, count - 1, axis=1)[:, :count], axis=1)
        numbers.append(chosen)
        distances.append(np.maximum(1 - np.take_along_axis(likeness, chosen, axis=1), 0.0))
    return np.concatenate(numbers).astype(np.int64), np.concatenate(distances)


def certainty(probabilities: Floats) -> Weights:
    """1 minus the entropy of each distribution (m, k) over that of chance, in [0, 1] (Iscen et al., 2019, eq. 7)."""
    logs = np.log(np.maximum(probabilities, SMALLEST))
    entropy = -(probabilities * logs).sum(axis=1) / np.log(probabilities.shape[1])
    return np.asarray(np.clip(1 - entropy, 0.0, 1.0), np.float32)


def within_quota(labels: Codes, certainties: Weights, quota: float) -> npt.NDArray[np.bool_]:
    """Whether each image is among this share of those that have its label, the most certain ones first."""
    chosen = np.zeros(len(labels), np.bool_)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        order = members[np.argsort(-certainties[members], kind="stable")]
        chosen[order[: int(np.ceil(quota * len(members)))]] = True
    return chosen
