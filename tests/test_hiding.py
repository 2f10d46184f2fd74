import numpy as np

from kinetag import features
from kinetag.exercises.hiding import PARTS, drop
from kinetag.skeletons import get_layout

ALL = get_layout(features.LAYOUT)


def test_each_part_is_dropped_about_as_often_as_it_says():
    kept = drop((4000, 48, len(ALL)), np.random.default_rng(0))
    for chance, names in PARTS:
        gone = ~kept[:, :, ALL.indices(names)].any(axis=(1, 2))
        assert gone.mean() > 0.7 * chance


def test_something_is_always_left():
    kept = drop((4000, 48, len(ALL)), np.random.default_rng(0))
    assert (kept.any(axis=(1, 2))).mean() > 0.99


def test_what_hangs_on_a_hidden_joint_is_hidden_too():
    kept = drop((3000, 48, len(ALL)), np.random.default_rng(0)).any(axis=1)  # (N, V)
    for joint, leader in (("left_heel", "left_ankle"), ("right_foot_index", "right_ankle"), ("left_ear", "nose")):
        own, main = kept[:, ALL.index(joint)], kept[:, ALL.index(leader)]
        assert (own & ~main).mean() < 0.03, "beside what each loses by flicker alone"
        assert own.mean() < main.mean()
