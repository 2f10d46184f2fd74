"""Pairs of least total cost, against scipy's solver."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.optimize import linear_sum_assignment

from kinetag.assignment import assign


@given(arrays(float, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.floats(-10, 10)))
def test_the_total_is_the_least_and_nobody_has_two_partners(cost):
    pairs = assign(cost)
    rows, columns = linear_sum_assignment(cost)
    assert np.isclose(sum(cost[i, j] for i, j in pairs), cost[rows, columns].sum())
    assert len(pairs) == min(cost.shape) == len({i for i, _ in pairs}) == len({j for _, j in pairs})


def test_nobody_on_one_side_is_nothing():
    assert assign(np.zeros((0, 3))) == assign(np.zeros((2, 0))) == []
