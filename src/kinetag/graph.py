"""Graphs of joint layouts: which joints a graph convolution mixes, and in how many groups.

`partitions` gives the three strategies of ST-GCN (Yan et al., AAAI 2018, arXiv:1801.07455, section 3.3) as NVIDIA TAO's
pose classification reads them, so that its checkpoints give the same answers here; `adjacency` the split that the
shipped exercise classifier uses. Both are (K, V, V): entry [k, v, w] weighs joint v in the new value of joint w.
"""

from dataclasses import dataclass

import numpy as np

from kinetag.errors import KinetagError
from kinetag.skeletons import LAYOUTS, get_layout

PARTITIONS = ("self", "neighbour", "mirror")
STRATEGIES = ("uniform", "distance", "spatial")


@dataclass(frozen=True)
class Graph:
    """Joints and the undirected bones between them, 0-based.

    ``centre`` is the joint that 'closer' and 'further' refer to; ``people`` and ``length`` (frames) are the sizes that
    arrays in this layout have when nobody says otherwise.
    """

    joints: int
    centre: int
    edges: tuple[tuple[int, int], ...]
    people: int = 1
    length: int = 300

    def hops(self) -> np.ndarray:
        """Number of bones on the shortest way between any two joints, float (V, V), inf where there is none."""
        hops = np.full((self.joints, self.joints), np.inf)
        reached = np.eye(self.joints, dtype=bool)
        step = reached.copy()
        for a, b in self.edges:
            step[a, b] = step[b, a] = True
        for hop in range(self.joints):
            hops[reached & np.isinf(hops)] = hop
            reached = reached @ step
        return hops

    def parents(self) -> np.ndarray:
        """For each joint the next one on the way to the centre (the centre's is itself), int (V,)."""
        hops = self.hops()
        from_centre = hops[self.centre]
        nearer = (hops == 1) & (from_centre[None] < from_centre[:, None])  # (V, V): [joint, candidate]
        return np.where(nearer.any(axis=1), nearer.argmax(axis=1), np.arange(self.joints))


def _from_one(*pairs: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    return tuple((a - 1, b - 1) for a, b in pairs)


# The layouts of TAO's pose classification. Where skeletons.py knows the same name, the joints and their order agree,
# but these bones are the reference's, which are not always those that one would draw.
GRAPHS: dict[str, Graph] = {
    "nvidia": Graph(34, 0, (
        (0, 1), (0, 2), (0, 3), (1, 4), (2, 5), (3, 6), (4, 7), (5, 8), (7, 9), (8, 10), (9, 11), (10, 12), (7, 13),
        (8, 14), (6, 15), (15, 16), (15, 17), (16, 18), (17, 19), (1, 20), (2, 21), (6, 20), (6, 21), (20, 22),
        (21, 23), (22, 24), (23, 25), (24, 26), (25, 27), (24, 28), (25, 29), (24, 30), (25, 31), (24, 32), (25, 33),
    )),
    "openpose": Graph(18, 1, (
        (4, 3), (3, 2), (7, 6), (6, 5), (13, 12), (12, 11), (10, 9), (9, 8), (11, 5), (8, 2), (5, 1), (2, 1), (0, 1),
        (15, 0), (14, 0), (17, 15), (16, 14),
    )),
    "human3.6m": Graph(17, 8, (
        (9, 10), (8, 9), (7, 8), (1, 7), (4, 7), (0, 1), (0, 4), (9, 11), (9, 14), (11, 12), (14, 15), (12, 13),
        (15, 16), (1, 2), (2, 3), (4, 5), (5, 6),
    ), length=3163),
    "ntu-rgb+d": Graph(25, 20, _from_one(
        (1, 2), (2, 21), (3, 21), (4, 3), (5, 21), (6, 5), (7, 6), (8, 7), (9, 21), (10, 9), (11, 10), (12, 11),
        (13, 1), (14, 13), (15, 14), (16, 15), (17, 1), (18, 17), (19, 18), (20, 19), (22, 23), (23, 8), (24, 25),
        (25, 12),
    ), people=2),
    "ntu_edge": Graph(24, 2, _from_one(
        (1, 2), (3, 2), (4, 3), (5, 2), (6, 5), (7, 6), (8, 7), (9, 2), (10, 9), (11, 10), (12, 11), (13, 1), (14, 13),
        (15, 14), (16, 15), (17, 1), (18, 17), (19, 18), (20, 19), (21, 22), (22, 8), (23, 24), (24, 12),
    ), people=2),
    "coco": Graph(17, 0, _from_one(
        (16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (8, 6), (9, 7), (10, 8), (11, 9),
        (2, 3), (2, 1), (3, 1), (4, 2), (5, 3), (4, 6), (5, 7),
    )),
}  # fmt: skip


def get_graph(layout: str) -> Graph:
    """The graph of a layout: the reference's where it has one, else the bones that the layout itself declares.

    The centre of a layout's own graph is the joint from which the furthest joint is nearest. An unknown layout raises
    a KinetagError that lists the known ones.
    """
    if layout in GRAPHS:
        return GRAPHS[layout]
    if layout not in LAYOUTS:
        known = ", ".join(dict.fromkeys((*GRAPHS, *LAYOUTS)))
        raise KinetagError(f"unknown skeleton layout '{layout}'; known: {known}")
    skeleton = get_layout(layout)
    edges = tuple((int(a), int(b)) for a, b in skeleton.edges)
    hops = Graph(len(skeleton), 0, edges).hops()
    finite = np.where(np.isinf(hops), 0, hops)  # a layout may hold loose parts, such as a mouth
    reachable = np.isfinite(hops).sum(axis=1)
    centre = min(range(len(skeleton)), key=lambda joint: (-reachable[joint], finite[joint].max(), finite[joint].sum()))
    return Graph(len(skeleton), centre, edges)


def partitions(layout: str, strategy: str, *, whole_body: bool = False) -> np.ndarray:
    """Adjacency (K, V, V) of a layout, float32: 1 matrix for ``uniform``, 2 for ``distance``, 3 for ``spatial``.

    Joints mix with themselves and their neighbours, and all weights that flow into a joint sum to 1 (equation 10 of the
    paper with in-degrees). ``distance`` separates a joint from its neighbours. ``spatial`` gives: the joint itself;
    neighbours that are no nearer to the centre; neighbours nearer to it. The reference counts distances to the centre
    only up to one bone and takes all others for equal, so away from the centre every neighbour falls into the second
    matrix; ``whole_body`` counts them over the whole body, as the paper means it.
    """
    graph = get_graph(layout)
    hops = graph.hops()
    mixed = (hops <= 1).astype(np.float64)
    weights = mixed / mixed.sum(axis=0, keepdims=True)
    own, neighbours = np.where(hops == 0, weights, 0), np.where(hops == 1, weights, 0)
    if strategy == "uniform":
        groups = [weights]
    elif strategy == "distance":
        groups = [own, neighbours]
    elif strategy == "spatial":
        from_centre = hops[graph.centre]
        if not whole_body:
            from_centre = np.where(from_centre > 1, np.inf, from_centre)
        nearer = from_centre[:, None] < from_centre[None, :]  # [v, w]: v is nearer to the centre than w
        groups = [own, np.where(nearer, 0, neighbours), np.where(nearer, neighbours, 0)]
    else:
        raise KinetagError(f"unknown graph strategy '{strategy}'; known: {', '.join(STRATEGIES)}")
    return np.stack(groups).astype(np.float32)


def adjacency(layout: str) -> np.ndarray:
    """Adjacency (3, V, V) of a layout: the joint itself, its neighbours along bones, its left-right twin.

    The twin stands in place of the centrifugal split, because a limb's twin is what tells a lunge from a squat. Every
    column of each partition sums to 1, or to 0 where a joint has nobody in it (a midline joint has no twin).
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
