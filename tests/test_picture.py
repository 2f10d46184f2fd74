"""Pictures and loops of exercises."""

import av
import numpy as np
import pytest

from kinetag.errors import KinetagError
from kinetag.exercises.kinematics import JOINT
from kinetag.exercises.library import load_library
from kinetag.exercises.picture import _repetitions, _seen, exercise_animation, exercise_picture
from kinetag.exercises.usual import usual, working_side

LIBRARY = load_library()


def test_a_moving_exercise_is_a_strip_of_three_moments():
    image = exercise_picture(LIBRARY["squat"], height=120)
    assert image.dtype == np.uint8
    assert image.shape[0] == 120
    assert image.shape[1] % 3 == 0
    first, _, last = np.split(image.astype(int), 3, axis=1)
    assert np.abs(first - last).mean() > 2


def test_a_static_exercise_is_seen_from_two_sides():
    image = exercise_picture(LIBRARY["plank"], height=120)
    assert image.shape[0] == 120
    assert image.shape[1] > 240


def test_a_gif_is_small_and_loops(tmp_path):
    exercise_animation(LIBRARY["squat"], tmp_path / "squat.gif", height=120, frame_rate=6)
    content = (tmp_path / "squat.gif").read_bytes()
    assert b"NETSCAPE2.0" in content  # the extension that repeats it for ever
    assert len(content) < 300_000
    with av.open(str(tmp_path / "squat.gif")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) >= 5
    # The palette keeps the colours: compare the first frame with the strip's first moment.
    still = exercise_picture(LIBRARY["squat"], height=120)
    assert np.abs(frames[0].mean((0, 1)) - still[:, : frames[0].shape[1]].mean((0, 1))).max() < 8
    assert [path.name for path in tmp_path.iterdir()] == ["squat.gif"]


@pytest.mark.parametrize(("name", "panels"), [("jump_squat", 4), ("thruster", 3), ("running", 4), ("walking", 3)])
def test_panels_are_the_key_poses(name, panels):
    width = _seen(usual(LIBRARY[name]), None, 60, seed=0).width
    assert exercise_picture(LIBRARY[name], height=60).shape[1] == panels * width


def test_an_exercise_of_ones_own_is_drawn_rather_than_the_shipped_one_of_its_name():
    own = LIBRARY["jumping_jack"].model_copy(update={"name": "squat"})
    assert np.array_equal(exercise_picture(own, height=60), exercise_picture(LIBRARY["jumping_jack"], height=60))


def test_who_travels_fills_the_picture_and_who_works_on_one_side_shows_it():
    runner = _seen(usual(LIBRARY["running"]), None, 120, seed=0)
    pelvis = runner.performances[0].joints[:, JOINT["pelvis"]]
    assert np.ptp(pelvis[:, [0, 2]], axis=0).max() < 1e-6
    for name in ("fire_hydrant", "bird_dog", "hurdle_step"):
        scene = _seen(usual(LIBRARY[name]), None, 120, seed=0)
        turn = _repetitions(scene)[0]
        there = scene.performances[0].joints[(scene.times >= turn.start) & (scene.times <= turn.time)]
        near = max(("left", "right"), key=lambda side: there[:, JOINT[f"{side}_hip"], 2].mean())
        assert working_side(there) == near


def test_wrong_names_are_refused(tmp_path):
    with pytest.raises(KinetagError, match="unknown view 'above'; known: front"):
        exercise_picture(LIBRARY["squat"], view="above")
    with pytest.raises(KinetagError, match=r"squat\.txt"):
        exercise_animation(LIBRARY["squat"], tmp_path / "squat.txt")
