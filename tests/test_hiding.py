import numpy as np

from kinetag import features
from kinetag.exercises.hiding import PARTS, drop
from kinetag.skeletons import get_layout

ALL = get_layout(features.LAYOUT)


def test_each_part_is_dropped_about_as_often_as_it_says():
    kept = drop((4000, 48, len(ALL)), np.random.default_rng(0))
    for chance, names in PARTS:
        gone = ~kept[:, :, ALL.indices(names)].any(axis=(1, 2))
        assert 0.7 * chance < gone.mean() < chance + 0.45, "a third of the estimators know no feet"


def test_something_is_always_left():
    kept = drop((4000, 48, len(ALL)), np.random.default_rng(0))
    assert (kept.any(axis=(1, 2))).mean() > 0.99
