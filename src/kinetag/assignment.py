"""Who goes with whom, at the least cost in all."""

import numpy as np


def assign(cost: np.ndarray) -> list[tuple[int, int]]:
    """(row, column) pairs of the least total cost (N, M): every row or every column has a partner.

    The Hungarian method (Kuhn 1955), by scipy, whose optimisers take half a second to load: with one row or one column
    the smallest entry is the answer, and one person in view is the usual case.
    """
    if not cost.size:
        return []
    if min(cost.shape) == 1:
        row, column = np.unravel_index(int(cost.argmin()), cost.shape)
        return [(int(row), int(column))]
    from scipy.optimize import linear_sum_assignment

    return [(int(i), int(j)) for i, j in zip(*linear_sum_assignment(cost), strict=True)]
