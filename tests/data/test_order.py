"""The order of an epoch: a permutation by its key alone, which can be gone on with."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.order import KeyedOrder


def order_of(rows: int, seed: int, epoch: int) -> list[int]:
    order = KeyedOrder(rows, seed)
    order.set_epoch(epoch)
    return list(order)


def test_orders_are_permutations_that_differ_by_epoch_and_seed() -> None:
    orders = [order_of(50, seed, epoch) for seed in (1, 2) for epoch in range(5)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == len(orders)


def test_order_of_an_epoch_does_not_depend_on_earlier_ones() -> None:
    order = KeyedOrder(50, seed=1)
    for epoch in (4, 0, 2):
        order.set_epoch(epoch)
        assert list(order) == list(order) == order_of(50, 1, epoch)


@given(rows=st.integers(1, 60), epoch=st.integers(0, 5), share=st.floats(0, 1))
def test_a_stopped_epoch_goes_on_with_the_rows_that_are_left(rows: int, epoch: int, share: float) -> None:
    start = round(rows * share)
    whole = order_of(rows, 7, epoch)
    order = KeyedOrder(rows, 7)
    order.set_epoch(epoch, start)
    assert whole[:start] + list(order) == whole
    assert len(order) == rows
    order.set_epoch(epoch + 1)
    assert list(order) == order_of(rows, 7, epoch + 1)
