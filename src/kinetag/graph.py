"""Adjacency of a joint layout: which joints a graph convolution mixes.

Three partitions, after the spatial configurations of ST-GCN (Yan et al., AAAI 2018, arXiv:1801.07455), with the
left-right twin in place of the centrifugal split: a limb's twin is what tells a lunge from a squat.
"""

import numpy as np

from kinetag.skeletons import get_layout

PARTITIONS = ("self", "neighbour", "mirror")


def adjacency(layout: str) -> np.ndarray:
    """Adjacency (3, V, V) of a layout: the joint itself, its neighbours along bones, its left-right twin.

    Entry [k, v, w] weighs joint v in the new value of joint w; every column of each partition sums to 1, or to 0 where
    a joint has nobody in that partition (a midline joint has no twin).
    """
    skeleton = get_layout(layout)
    count = len(skeleton)
    graph = np.zeros((len(PARTITIONS), count, count), np.float32)
    graph[0] = np.eye(count)
    for a, b in skeleton.edges:
        graph[1, a, b] = graph[1, b, a] = 1
    for joint, twin in enumerate(skeleton.mirror):
        if twin != joint:
            graph[2, twin, joint] = 1
    return graph / np.maximum(graph.sum(axis=1, keepdims=True), 1)
