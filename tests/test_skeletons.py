import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinetag.errors import KinetagError
from kinetag.skeletons import LAYOUTS, convert, get_layout

names = st.sampled_from(sorted(LAYOUTS))


@pytest.mark.parametrize("name", LAYOUTS)
def test_layout_is_consistent(name: str) -> None:
    layout = get_layout(name)
    assert len(set(layout.joints)) == len(layout.joints)
    assert layout.edges.shape == (len(layout.bones), 2)
    # Every joint hangs together with the rest, but for the mouth of BlazePose, which Google draws apart.
    reached, before = {layout.index("left_shoulder")}, set()
    while reached != before:
        before = set(reached)
        reached |= {int(b) for edge in layout.edges for b in edge if reached & {int(e) for e in edge}}
    apart = {layout.joints[i] for i in range(len(layout)) if i not in reached}
    face = {"left_mouth", "right_mouth"} | {j for j in layout.joints if "eye" in j or "ear" in j or j == "nose"}
    assert apart <= (face if name == "blazepose" or name == "coco" else set())


@pytest.mark.parametrize("name", LAYOUTS)
def test_mirror_twice_is_identity(name: str) -> None:
    mirror = get_layout(name).mirror
    assert (mirror[mirror] == np.arange(len(mirror))).all()
    assert any(mirror != np.arange(len(mirror)))


@pytest.mark.parametrize(
    ("layout", "joint", "position"),
    [
        ("blazepose", "left_shoulder", 11),
        ("blazepose", "right_wrist", 16),
        ("blazepose", "left_hip", 23),
        ("blazepose", "right_foot_index", 32),
        ("coco", "left_wrist", 9),
        ("coco", "right_ankle", 16),
        ("openpose", "right_wrist", 4),
        ("openpose25", "left_heel", 21),
        ("nvidia", "left_shoulder", 20),
        ("human3.6m", "neck", 8),
        ("human3.6m", "right_ankle", 3),
        ("human3.6m", "left_wrist", 13),
        ("human3.6m", "right_shoulder", 14),
        ("ntu-rgb+d", "neck", 20),
        ("ntu-rgb+d", "head", 3),
        ("ntu-rgb+d", "left_hand", 7),
        ("ntu-rgb+d", "right_foot_index", 19),
        ("ntu-rgb+d", "right_thumb_tip", 24),
        ("ntu_edge", "left_middle_tip", 20),
        ("ntu_edge", "right_shoulder", 8),
    ],
)
def test_joint_order_is_the_published_one(layout: str, joint: str, position: int) -> None:
    assert get_layout(layout).index(joint) == position


@given(names, names)
def test_shared_joints_survive_a_round_trip(source: str, target: str) -> None:
    have, want = get_layout(source), get_layout(target)
    rng = np.random.default_rng(0)
    points = rng.normal(size=(4, len(have), 2))
    score = rng.uniform(0.1, 1, size=(4, len(have)))
    there, there_score = convert(points, score, source, target)
    back, back_score = convert(there, there_score, target, source)
    for joint in set(have.joints) & set(want.joints):
        i = have.index(joint)
        np.testing.assert_array_equal(back[:, i], points[:, i])
        np.testing.assert_array_equal(back_score[:, i], score[:, i])


def test_missing_joint_is_nan_and_not_zero() -> None:
    points, score = convert(np.ones((1, 17, 2)), np.ones((1, 17)), "coco", "blazepose")
    heel = get_layout("blazepose").index("left_heel")
    assert np.isnan(points[0, heel]).all()
    assert score[0, heel] == 0


def test_neck_lies_between_the_shoulders() -> None:
    coco = get_layout("coco")
    points, score = np.zeros((1, 17, 2)), np.ones((1, 17))
    points[0, coco.index("left_shoulder")] = (10, 4)
    points[0, coco.index("right_shoulder")] = (20, 8)
    score[0, coco.index("right_shoulder")] = 0.25
    out, confidence = convert(points, score, "coco", "openpose")
    np.testing.assert_allclose(out[0, 1], (15, 6))
    assert confidence[0, 1] == 0.25


@pytest.mark.parametrize(
    ("source", "target", "joint", "parts"),
    [
        ("coco", "human3.6m", "pelvis", ("left_hip", "right_hip")),
        ("coco", "human3.6m", "torso", ("left_shoulder", "right_shoulder", "left_hip", "right_hip")),
        ("blazepose", "ntu-rgb+d", "left_hand", ("left_pinky", "left_index")),
        ("blazepose", "ntu-rgb+d", "head", ("left_ear", "right_ear")),
        ("kinetag", "ntu-rgb+d", "head", ("nose",)),
        ("ntu-rgb+d", "kinetag", "nose", ("head",)),
        ("human3.6m", "ntu_edge", "upper_neck", ("neck", "nose")),
        ("blazepose", "nvidia", "left_big_toe", ("left_foot_index",)),
        ("nvidia", "blazepose", "right_index", ("right_index_knuckle",)),
        ("nvidia", "ntu-rgb+d", "left_middle_tip", ("left_middle_tip",)),
    ],
)
def test_joints_that_follow_from_others(source: str, target: str, joint: str, parts: tuple[str, ...]) -> None:
    points = np.random.default_rng(0).normal(size=(3, len(get_layout(source)), 2))
    score = np.random.default_rng(1).uniform(0.1, 1, size=points.shape[:2])
    out, confidence = convert(points, score, source, target)
    at, index = get_layout(target).index(joint), get_layout(source).indices(parts)
    np.testing.assert_allclose(out[:, at], points[:, index].mean(axis=1))
    np.testing.assert_allclose(confidence[:, at], score[:, index].min(axis=1))


@pytest.mark.parametrize("target", LAYOUTS)
@pytest.mark.parametrize("source", LAYOUTS)
def test_shoulders_to_ankles_cross_every_pair_of_layouts(source: str, target: str) -> None:
    points, score = np.ones((1, len(get_layout(source)), 3)), np.ones((1, len(get_layout(source))))
    _, confidence = convert(points, score, source, target)
    limbs = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    known = get_layout(target).indices(tuple(f"{side}_{limb}" for side in ("left", "right") for limb in limbs))
    assert (confidence[0, known] == 1).all()


def test_unknown_names_are_explained() -> None:
    with pytest.raises(KinetagError, match=r"unknown skeleton layout 'coc'.*coco"):
        get_layout("coc")
    with pytest.raises(KinetagError, match=r"'coco' has no joint 'tail'.*left_knee"):
        get_layout("coco").index("tail")
