"""Motion capture as training motions: a made-up file of UI-PRMD's form."""

from pathlib import Path

import numpy as np
import pytest

from kinetag.errors import KinetagError
from kinetag.exercises.bank import Bank
from kinetag.exercises.captured import CLASSES, HELD_OUT, cuts, read_captured
from kinetag.features import LAYOUT
from kinetag.skeletons import get_layout

SEEN = get_layout(LAYOUT)
# Somebody who stands, facing z, in centimetres; the left is where x is positive.
HOME = {
    "waist": (0, 100, 0), "head": (0, 160, 0), "head_tip": (0, 180, 0),
    "left_upper_arm": (20, 150, 0), "left_forearm": (22, 120, 0), "left_hand": (23, 95, 2),
    "left_upper_leg": (10, 98, 0), "left_lower_leg": (10, 50, 1), "left_foot": (10, 8, 0), "left_toes": (11, 4, 16),
}  # fmt: skip
HOME |= {name.replace("left", "right"): (-x, y, z) for name, (x, y, z) in HOME.items() if name.startswith("left")}
FRAMES = 200  # of a repetition


def arrays(**changed) -> dict[str, np.ndarray]:
    """Two movements by a person who is held out and one who is not, twice each; the pelvis rises by 1 cm a frame."""
    rows = [(movement, subject) for movement in (1, 2) for subject in (HELD_OUT[0], 1) for _ in range(2)]
    home = np.array(list(HOME.values()), np.float32)
    frames = np.tile(home, (FRAMES * len(rows), 1, 1))
    frames[:, list(HOME).index("left_hand"), 1] += np.arange(len(frames)) % FRAMES
    return {
        "joints_cm": frames.astype(np.float16),
        "joints": np.array(list(HOME)),
        "offsets": np.arange(len(rows) + 1) * FRAMES,
        "movement": np.array([movement for movement, _ in rows]),
        "subject": np.array([subject for _, subject in rows]),
        "correct": np.ones(len(rows), bool),
        "movement_names": np.array(["deep squat", "standing shoulder abduction"]),
    } | changed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    np.savez(tmp_path / "captured.npz", **arrays())  # pyright: ignore[reportArgumentType]
    return tmp_path / "captured.npz"


def test_a_set_is_all_repetitions_of_a_person_in_metres(path: Path):
    sets = read_captured(path)
    assert [(done.label, done.subject, len(done.joints)) for done in sets] == [
        (label, subject, 2 * FRAMES) for label in ("squat", "shoulder_abduction") for subject in (1, HELD_OUT[0])
    ]
    joints = sets[0].joints
    np.testing.assert_allclose(joints[0, SEEN.index("left_knee")], (0.10, 0.50, 0.01), atol=1e-3)
    np.testing.assert_allclose(joints[5, SEEN.index("left_wrist")], (0.23, 1.00, 0.02), atol=1e-3)


def test_face_and_heels_are_where_a_head_and_a_foot_have_them(path: Path):
    at = dict(zip(SEEN.joints, read_captured(path)[0].joints[0], strict=True))
    assert at["left_ear"][0] > 0.05 > -0.05 > at["right_ear"][0]
    assert at["nose"][2] > 0.05  # ahead, as the toes are
    assert at["left_heel"][2] < at["left_ankle"][2] < at["left_foot_index"][2]
    assert at["left_heel"][1] == at["left_foot_index"][1]


def test_cuts_are_of_those_who_are_not_held_out(path: Path):
    sets = read_captured(path)
    joints, labels = cuts(sets, seconds=4, rate=15)
    # 400 frames at 30 are 200 at 15: cuts of 60 begin at 0, 30, ..., 120
    assert joints.shape == (10, 60, len(SEEN), 3)
    assert labels == ["squat"] * 5 + ["shoulder_abduction"] * 5
    np.testing.assert_array_equal(joints[1], sets[0].joints[60:180:2])
    assert len(cuts(sets, seconds=4, rate=15, without=())[1]) == 20
    with pytest.raises(KinetagError, match="held out"):
        cuts(sets[1:2], seconds=4, rate=15)


def test_every_movement_is_a_class_of_the_library():
    from kinetag.exercises.library import load_library

    assert set(CLASSES.values()) <= set(load_library())


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"movement_names": np.array(["deep squat", "twerking"])}, "unknown movement 'twerking'"),
        ({"joints": np.array(["tail", *list(HOME)[1:], ])}, None),
        ({"joints": np.array([name.replace("left_foot", "paw") for name in HOME])}, "no joint 'left_foot'"),
        ({"joints_cm": np.full((8 * FRAMES, len(HOME), 3), np.nan, np.float16)}, "finite"),
        ({"movement": np.zeros(8, int)}, "numbered from 1 to 2"),
        ({"offsets": np.arange(9) * 10_000}, "offsets must rise"),
        ({"subject": np.ones(3, int)}, "repetitions"),
        ({"correct": np.array([print] * 8, dtype=object)}, "no .npz file of UI-PRMD"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told(tmp_path: Path, changed, reason):
    path = tmp_path / "captured.npz"
    np.savez(path, **arrays(**changed))  # pyright: ignore[reportArgumentType]
    if reason is None:  # a joint that is not needed may have any name
        assert read_captured(path)
        return
    with pytest.raises(KinetagError, match=reason):
        read_captured(path)


def test_what_is_no_such_file_is_told(tmp_path: Path):
    with pytest.raises(KinetagError, match="no motion capture at"):
        read_captured(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(KinetagError, match=r"no \.npz file of UI-PRMD"):
        read_captured(tmp_path / "text.npz")
    np.savez(tmp_path / "poor.npz", joints=np.zeros(3))
    with pytest.raises(KinetagError, match=r"no \.npz file of UI-PRMD with joints_cm"):
        read_captured(tmp_path / "poor.npz")


def test_a_bank_takes_movements_of_its_classes():
    joints = np.zeros((2, 20, len(SEEN), 3), np.float16)
    progress = np.zeros((2, 20), np.float16)
    variants = (("squat", "sumo"), ("other", "dance"))
    bank = Bank(joints, progress, np.array([0, 1]), np.array([0, 1]), ("squat", "other"), variants)
    more = bank.with_captured(np.ones((3, 20, len(SEEN), 3), np.float32), ["squat", "lunge", "squat"])
    assert more.captured == 2
    assert len(more.joints) == len(more.progress) == 4
    assert np.isnan(more.progress[2:]).all()  # nobody marked where their repetitions begin and turn
    assert (more.progress[:2] == 0).all()
    assert list(more.labels) == [0, 1, 0, 0]
    assert [more.variants[way] for way in more.ways] == [
        ("squat", "sumo"), ("other", "dance"), ("squat", "plain"), ("squat", "plain"),
    ]  # fmt: skip
    made, _ = more.weights()
    assert made[[0, 2, 3]].sum() == pytest.approx(0.75)
    assert len(set(made[[0, 2, 3]])) == 1
