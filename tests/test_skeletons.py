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


def test_unknown_names_are_explained() -> None:
    with pytest.raises(KinetagError, match=r"unknown skeleton layout 'coc'.*coco"):
        get_layout("coc")
    with pytest.raises(KinetagError, match=r"'coco' has no joint 'tail'.*left_knee"):
        get_layout("coco").index("tail")
