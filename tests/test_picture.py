"""Pictures and loops of exercises."""

import av
import numpy as np
import pytest

from kinetag.errors import KinetagError
from kinetag.exercises.picture import exercise_animation, exercise_picture


def test_a_moving_exercise_is_a_strip_of_three_moments():
    image = exercise_picture("squat", height=120)
    assert image.dtype == np.uint8
    assert image.shape[0] == 120
    assert image.shape[1] % 3 == 0
    first, _, last = np.split(image.astype(int), 3, axis=1)
    assert np.abs(first - last).mean() > 2


def test_a_static_exercise_is_seen_from_two_sides():
    image = exercise_picture("plank", height=120)
    assert image.shape[0] == 120
    assert image.shape[1] > 240


def test_a_gif_is_small_and_loops(tmp_path):
    exercise_animation("squat", tmp_path / "squat.gif", height=120, frame_rate=6)
    content = (tmp_path / "squat.gif").read_bytes()
    assert b"NETSCAPE2.0" in content  # the extension that repeats it for ever
    assert len(content) < 300_000
    with av.open(str(tmp_path / "squat.gif")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) >= 5
    # The palette keeps the colours: compare the first frame with the strip's first moment.
    still = exercise_picture("squat", height=120)
    assert np.abs(frames[0].mean((0, 1)) - still[:, : frames[0].shape[1]].mean((0, 1))).max() < 8
    assert [path.name for path in tmp_path.iterdir()] == ["squat.gif"]


def test_wrong_names_are_refused(tmp_path):
    with pytest.raises(KinetagError, match="juggling"):
        exercise_picture("juggling")
    with pytest.raises(KinetagError, match=r"squat\.txt"):
        exercise_animation("squat", tmp_path / "squat.txt")
