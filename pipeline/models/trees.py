"""Convert scikit-learn's trees to tables of tensors for `baseline_layers.Trees`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


def votes(trees: Sequence[Any]) -> dict[str, Tensor]:
    """Trees of a forest; votes are shares of classes."""
    values = [tree.value[:, 0] / tree.value[:, 0].sum(axis=1, keepdims=True) for tree in trees]
    parts = [
        (tree.feature, tree.threshold, tree.children_left, tree.children_right, tree.children_left < 0)
        for tree in trees
    ]
    values_of_nodes = torch.from_numpy(np.concatenate(values).astype(np.float32))
    empty = torch.empty(0, dtype=torch.int64)
    return _tables(
        parts, values_of_nodes, empty, torch.empty(0, dtype=torch.float64), max(tree.max_depth for tree in trees)
    )


def amounts(boosting: Any, classes: int) -> dict[str, Tensor]:
    """Trees of boosting. scikit-learn shows them nowhere in public; tests hold that logits are its own."""
    predictors = [predictor for each in boosting._predictors for predictor in each]
    nodes = [predictor.nodes for predictor in predictors]
    parts = [
        (node["feature_idx"], node["num_threshold"], node["left"], node["right"], node["is_leaf"] != 0)
        for node in nodes
    ]
    start = np.ravel(boosting._baseline_prediction)
    a_round = len(boosting._predictors[0])
    of_class = np.arange(len(predictors)) % a_round
    if a_round == 1:  # of two classes it has the second one's alone
        start, of_class = np.array([0.0, start[0]]), of_class + 1
    values = torch.from_numpy(np.concatenate([node["value"] for node in nodes]).astype(np.float64))
    depth = max(int(node["depth"].max()) for node in nodes)
    return _tables(parts, values, torch.from_numpy(of_class), torch.from_numpy(start.astype(np.float64)), depth)


def means(trees: Sequence[Any]) -> dict[str, Tensor]:
    """Trees of a forest of numbers: each adds its share of the mean."""
    parts = [
        (tree.feature, tree.threshold, tree.children_left, tree.children_right, tree.children_left < 0)
        for tree in trees
    ]
    values = torch.from_numpy(np.concatenate([tree.value[:, 0, 0] for tree in trees]).astype(np.float64) / len(trees))
    depth = max(tree.max_depth for tree in trees)
    return _tables(parts, values, *_of_one_number(len(trees), 0.0), depth)


def amounts_of_numbers(boosting: Any) -> dict[str, Tensor]:
    """Trees of boosting of numbers."""
    predictors = [predictor for each in boosting._predictors for predictor in each]
    nodes = [predictor.nodes for predictor in predictors]
    parts = [
        (node["feature_idx"], node["num_threshold"], node["left"], node["right"], node["is_leaf"] != 0)
        for node in nodes
    ]
    values = torch.from_numpy(np.concatenate([node["value"] for node in nodes]).astype(np.float64))
    start = float(np.ravel(boosting._baseline_prediction)[0])
    depth = max(int(node["depth"].max()) for node in nodes)
    return _tables(parts, values, *_of_one_number(len(predictors), start), depth)


def _of_one_number(trees: int, start: float) -> tuple[Tensor, Tensor]:
    """All trees add to the one number, which begins at `start`."""
    return torch.zeros(trees, dtype=torch.int64), torch.tensor([start], dtype=torch.float64)


def _tables(
    parts: Sequence[tuple[Any, ...]], values: Tensor, of_class: Tensor, start: Tensor, depth: int
) -> dict[str, Tensor]:
    """All trees in one table; `parts` are feature, threshold, left, right and is-leaf of each tree's nodes."""
    offsets = np.cumsum([0, *(len(part[0]) for part in parts)])[:-1]
    feature, threshold, left, right = [], [], [], []
    for offset, (features, thresholds, lefts, rights, leaf) in zip(offsets, parts, strict=True):
        own = np.arange(len(features)) + offset
        feature.append(np.where(leaf, 0, features))
        threshold.append(np.where(leaf, 0, thresholds))
        left.append(np.where(leaf, own, lefts.astype(np.int64) + offset))
        right.append(np.where(leaf, own, rights.astype(np.int64) + offset))
    return {
        "roots": torch.from_numpy(offsets.astype(np.int32)),
        "feature": torch.from_numpy(np.concatenate(feature).astype(np.int32)),
        "threshold": torch.from_numpy(np.concatenate(threshold).astype(np.float64)),
        "left": torch.from_numpy(np.concatenate(left).astype(np.int32)),
        "right": torch.from_numpy(np.concatenate(right).astype(np.int32)),
        "values": values,
        "of_class": of_class,
        "start": start,
        "depth": torch.tensor(depth, dtype=torch.int64),
    }
