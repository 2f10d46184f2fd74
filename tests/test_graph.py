"""Graphs and their partitions, against loops written out from the paper and from the reference's rules."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinetag.errors import KinetagError
from kinetag.graph import GRAPHS, STRATEGIES, Graph, get_graph, partitions
from kinetag.skeletons import LAYOUTS

ALL = sorted({*GRAPHS, *LAYOUTS})
# layout: joints, bones, centre, people, frames
FACTS = {
    "nvidia": (34, 35, 0, 1, 300),
    "openpose": (18, 17, 1, 1, 300),
    "human3.6m": (17, 17, 8, 1, 3163),
    "ntu-rgb+d": (25, 24, 20, 2, 300),
    "ntu_edge": (24, 23, 2, 2, 300),
    "coco": (17, 19, 0, 1, 300),
}


def reference_partitions(graph: Graph, strategy: str) -> np.ndarray:
    """The reference's rules, one pair of joints at a time, with distances that end after one bone."""
    v = graph.joints
    pairs = {frozenset(edge) for edge in graph.edges}

    def distance(a, b):
        return 0 if a == b else 1 if frozenset((a, b)) in pairs else np.inf

    degree = [sum(distance(a, b) <= 1 for a in range(v)) for b in range(v)]
    out = np.zeros(({"uniform": 1, "distance": 2, "spatial": 3}[strategy], v, v))
    for source in range(v):
        for target in range(v):
            hop = distance(source, target)
            if hop > 1:
                continue
            here, there = distance(source, graph.centre), distance(target, graph.centre)
            group = {"uniform": 0, "distance": hop, "spatial": 0 if hop == 0 else 1 if here >= there else 2}[strategy]
            out[group, source, target] = 1 / degree[target]
    return out


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("layout", ALL)
def test_partitions_are_the_reference_s(layout, strategy):
    assert np.allclose(partitions(layout, strategy), reference_partitions(get_graph(layout), strategy), atol=1e-7)


@pytest.mark.parametrize("layout", ALL)
def test_every_joint_takes_in_a_total_of_one(layout):
    for strategy in STRATEGIES:
        for whole_body in (False, True):
            total = partitions(layout, strategy, whole_body=whole_body).sum(axis=(0, 1))
            assert np.allclose(total, 1, atol=1e-6)


@pytest.mark.parametrize("layout", ALL)
def test_whole_body_splits_every_bone_in_two_directions(layout):
    _, outer, inner = partitions(layout, "spatial", whole_body=True) > 0
    graph = get_graph(layout)
    for joint, parent in enumerate(graph.parents()):
        assert joint == parent or (inner[parent, joint] and outer[joint, parent] and not outer[parent, joint])


@pytest.mark.parametrize("layout", FACTS)
def test_facts_of_the_reference_s_layouts(layout):
    graph = get_graph(layout)
    assert (graph.joints, len(graph.edges), graph.centre, graph.people, graph.length) == FACTS[layout]
    assert np.isfinite(graph.hops()).all()


@pytest.mark.parametrize("layout", ALL)
def test_parents_lead_to_the_centre(layout):
    graph = get_graph(layout)
    parents, hops = graph.parents(), graph.hops()
    assert parents[graph.centre] == graph.centre
    joints = np.flatnonzero(np.isfinite(hops[graph.centre]) & (np.arange(graph.joints) != graph.centre))
    assert (hops[graph.centre][parents[joints]] == hops[graph.centre][joints] - 1).all()
    assert (hops[joints, parents[joints]] == 1).all()


def test_own_layouts_agree_with_the_graphs_of_the_same_name():
    assert all(len(LAYOUTS[name]) == graph.joints for name, graph in GRAPHS.items() if name in LAYOUTS)


@settings(max_examples=30)
@given(st.data())
def test_hops_are_shortest_ways(data):
    joints = data.draw(st.integers(1, 8))
    edges = data.draw(st.lists(st.tuples(*[st.integers(0, joints - 1)] * 2), max_size=12))
    expected = np.full((joints, joints), np.inf)
    for a, b in edges:
        expected[a, b] = expected[b, a] = 1
    np.fill_diagonal(expected, 0)
    for middle in range(joints):  # Floyd and Warshall
        expected = np.minimum(expected, expected[:, [middle]] + expected[[middle], :])
    assert np.array_equal(Graph(joints, 0, tuple(edges)).hops(), expected)


def test_unknown_names_are_refused():
    with pytest.raises(KinetagError, match=r"layout 'coco18'; known: nvidia, .*kinetag"):
        get_graph("coco18")
    with pytest.raises(KinetagError, match="strategy 'radial'; known: uniform, distance, spatial"):
        partitions("coco", "radial")
