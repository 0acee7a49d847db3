"""Each epoch's order is a function of the seed, and every batch is of a fair size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.train.batches import batch_count, batches, class_weights, epoch_order, take
from mejiro.train.settings import Balance


def order_of(truth: np.ndarray, *, epoch: int = 0, balance: Balance = Balance.NONE) -> np.ndarray:
    return epoch_order(truth, seed=3, phase=1, epoch=epoch, balance=balance)


@given(pictures=st.integers(1, 300), size=st.integers(1, 70), data=st.data())
def test_batches_hold_every_picture_once_and_begin_where_asked(
    pictures: int, size: int, data: st.DataObject
) -> None:
    order = order_of(np.zeros(pictures, np.int32))
    whole = list(batches(order, size))
    assert sorted(np.concatenate(whole)) == list(range(pictures))
    assert len(whole) == batch_count(pictures, size)
    sizes = {len(batch) for batch in whole}
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1
    skip = data.draw(st.integers(0, len(whole)))
    rest = list(batches(order, size, skip=skip))
    assert [list(batch) for batch in rest] == [list(batch) for batch in whole[skip:]]


def test_the_order_is_the_same_again_and_another_in_each_epoch() -> None:
    truth = np.zeros(50, np.int32)
    assert list(order_of(truth)) == list(order_of(truth))
    assert list(order_of(truth)) != list(order_of(truth, epoch=1))
    other = epoch_order(truth, seed=4, phase=1, epoch=0, balance=Balance.NONE)
    assert list(order_of(truth)) != list(other)


def test_sampling_draws_each_class_as_often() -> None:
    # The class 2 has no pictures.
    truth = np.array([0] * 900 + [1] * 90 + [3] * 10, np.int32)
    drawn = np.concatenate(
        [truth[order_of(truth, epoch=epoch, balance=Balance.SAMPLE)] for epoch in range(10)]
    )
    shares = np.bincount(drawn) / len(drawn)
    assert len(drawn) == 10_000
    assert shares[[0, 1, 3]] == pytest.approx(1 / 3, abs=0.03)
    assert shares[2] == 0


def test_weights_make_classes_equal_and_leave_the_mean_loss() -> None:
    truth = np.array([0] * 6 + [1] * 2 + [3] * 4, np.int32)
    weights = class_weights(truth, 5, Balance.WEIGHTS)
    sums = np.bincount(truth, weights=weights[truth], minlength=5)
    assert sums[[0, 1, 3]] == pytest.approx(4.0)
    assert weights[truth].mean() == pytest.approx(1.0)
    assert np.isfinite(weights).all()
    assert (class_weights(truth, 5, Balance.NONE) == 1).all()


def test_rows_of_a_file_are_read_as_they_are_asked_for(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(0, 256, (20, 3, 4, 3), dtype=np.uint8)
    np.save(tmp_path / "rows.npy", rows)
    places = np.array([7, 0, 19, 7])
    taken = take(np.load(tmp_path / "rows.npy", mmap_mode="r"), places)
    assert (taken == rows[places]).all()
    assert not isinstance(taken, np.memmap)
    assert (take(rows, places) == rows[places]).all()


@pytest.mark.skipif(not Path("/proc/self/smaps").is_file(), reason="needs Linux's /proc")
def test_a_file_that_was_read_stays_out_of_memory(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.ones((64, 128, 1024), np.uint8))
    rows = np.load(tmp_path / "rows.npy", mmap_mode="r")

    def resident_kb() -> int:
        maps = Path("/proc/self/smaps").read_text().partition("rows.npy")[2]
        return int(maps.partition("Rss:")[2].split()[0])

    assert rows.sum() == rows.size
    assert resident_kb() >= 8 * 1024
    assert (take(rows, np.arange(32)) == 1).all()
    assert resident_kb() <= 1024
