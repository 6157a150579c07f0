"""Output layers of an order and of a tree: log-probabilities as their definitions have them, and in every format."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import DataError
from pipeline.models.building import build_model
from pipeline.models.export import MODEL_FORMATS, export_model
from pipeline.models.files import TrainedModel, load_model, save_model
from pipeline.models.network import Network
from pipeline.models.onnx_files import load_onnx
from pipeline.models.output_layers import MIN_GAP, Cascade, CumulativeLink, output_layer
from pipeline.models.prediction import predict
from pipeline.problem.class_tree import checked_tree, leaves
from pipeline.problem.framing import Framing, Nested, Ranked
from pipeline.problem.problem import framed
from tests.examples import params

TREE = checked_tree({"fruit": {"pome": ["apple", "pear"], "fig": None}, "car": None, "animal": ["cat", "dog"]})
RANKED = Ranked(name="ranked", output="cumulative")
NESTED = Nested(name="nested", output="cascade", tree=TREE)
SIZE = 16


def trained(framing: Framing, classes: tuple[str, ...]) -> TrainedModel:
    chosen = params(**{"ingest.size": SIZE})
    model = chosen.train.model.model_copy(update={"depth": 1, "width": 4})
    assert isinstance(model, Network)
    network = build_model(model, len(classes), SIZE, np.full(3, 0.4), np.full(3, 0.1), 1, framing).eval()
    return TrainedModel(network, classes, chosen.ingest, model, framing)


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_a_class_is_as_likely_as_the_number_between_its_thresholds(classes: int) -> None:
    layer = CumulativeLink(classes)
    with torch.no_grad():
        layer.gaps.add_(torch.linspace(-1, 1, classes - 2))
        numbers = torch.linspace(-9, 9, 7)[:, None]
        cuts = torch.cat([layer.first, nn.functional.softplus(layer.gaps) + MIN_GAP]).cumsum(0)
        below = torch.cat([torch.zeros(7, 1), torch.sigmoid(cuts - numbers), torch.ones(7, 1)], dim=1)
        found = layer(numbers)
    torch.testing.assert_close(found.exp(), below.diff(dim=1), atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(found.softmax(dim=1), found.exp())


def test_log_probabilities_and_slopes_stay_finite_far_from_all_thresholds() -> None:
    layer = CumulativeLink(5)
    numbers = torch.tensor([[-500.0], [500.0], [0.0]], requires_grad=True)
    found = layer(numbers)
    found.sum().backward()
    assert found.isfinite().all()
    assert found[0, 4] < -400
    assert all(each is not None and each.isfinite().all() for each in (numbers.grad, layer.gaps.grad, layer.first.grad))


def test_thresholds_rise_whatever_is_learnt() -> None:
    layer = CumulativeLink(6)
    with torch.no_grad():
        layer.gaps.fill_(-30.0)
        assert (layer(torch.zeros(1, 1)).exp() >= 0).all()
        assert layer(torch.zeros(1, 1)).isfinite().all()


def test_a_class_is_as_likely_as_all_choices_on_its_path() -> None:
    layer, numbers = Cascade(TREE), torch.randn(3, 9, generator=torch.Generator().manual_seed(1))
    root, fruit, pome, animal = (part.softmax(dim=1) for part in numbers.split([3, 2, 2, 2], dim=1))  # type: ignore[no-untyped-call]
    expected: list[Tensor] = [
        root[:, 0] * fruit[:, 0] * pome[:, 0],
        root[:, 0] * fruit[:, 0] * pome[:, 1],
        root[:, 0] * fruit[:, 1],
        root[:, 1],
        root[:, 2] * animal[:, 0],
        root[:, 2] * animal[:, 1],
    ]
    torch.testing.assert_close(layer(numbers).exp(), torch.stack(expected, dim=1))


def test_a_softmax_for_related_classes_adds_no_layer() -> None:
    for framing in (Ranked(name="ranked", output="softmax"), Nested(name="nested", output="softmax", tree=TREE)):
        assert output_layer(framing, 6).layer is None
        assert output_layer(framing, 6).numbers == 6


@pytest.mark.parametrize(("framing", "classes"), [(RANKED, ("none", "some", "much")), (NESTED, leaves(TREE))])
def test_a_model_with_related_classes_is_the_same_in_its_file_and_in_other_formats(
    framing: Framing, classes: tuple[str, ...]
) -> None:
    model = trained(framing, classes)
    pixels = torch.randint(0, 256, (5, 3, SIZE, SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    expected = predict(model.network, [(pixels, torch.zeros(5))], 1, lambda _: None)
    data = save_model(model)
    loaded = load_model(data)
    assert (loaded.classes, loaded.framing) == (classes, framing)
    assert save_model(loaded) == data
    np.testing.assert_array_equal(predict(loaded.network, [(pixels, torch.zeros(5))], 1, lambda _: None), expected)
    onnx = load_onnx(export_model(loaded, MODEL_FORMATS["onnx"]))
    assert (onnx.classes, onnx.framing) == (classes, framing)
    found = predict(onnx.network, [(pixels, torch.zeros(5))], 1, lambda _: None)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_file_whose_tree_does_not_fit_its_classes_is_refused() -> None:
    model = trained(NESTED, leaves(TREE))
    swapped = TrainedModel(model.network, (*leaves(TREE)[1:], "kiwi"), model.ingest, model.params, NESTED)
    with pytest.raises(DataError, match="its classes are not those of its tree"):
        load_model(save_model(swapped))


def test_classes_without_a_relation_leave_no_trace_in_a_file() -> None:
    classes, framing = framed(params().problem, ["b", "a"])
    assert classes == ("a", "b")
    assert b"framing" not in save_model(trained(framing, classes))
