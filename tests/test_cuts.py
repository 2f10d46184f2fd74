"""Where a film is cut: found, and nothing joined across it."""

import numpy as np
import pytest

import kinetag
from kinetag.cuts import CutDetector
from kinetag.exercises.scenes import make_scene
from kinetag.report import write_outputs
from kinetag.report.annotate import interpolate
from kinetag.sequence import PoseSequence
from kinetag.smoothing import smooth
from kinetag.video import VideoWriter, open_source

RATE = 15.0


def picture(seed: int, shift: int = 0, light: int = 0) -> np.ndarray:
    """Soft blobs of grey; ``shift`` moves the camera (pixels), ``light`` makes it brighter."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 200, (12, 24)).astype(float)
    image = np.kron(coarse, np.ones((30, 30)))
    return np.repeat(np.clip(np.roll(image, shift, axis=1) + light, 0, 255)[..., None], 3, axis=-1).astype(np.uint8)


def test_another_picture_is_a_cut_and_a_camera_that_moves_is_none() -> None:
    detector = CutDetector()
    shots = [picture(seed, shift=3 * i, light=2 * i) for seed in (0, 1, 2) for i in range(6)]
    assert [i for i, image in enumerate(shots) if detector.see(image)] == [6, 12]


def test_frames_of_another_size_are_no_cut() -> None:
    detector = CutDetector()
    assert not detector.see(picture(0))
    assert not detector.see(picture(1)[:200])


def walk(cuts: tuple[float, ...] = ()) -> PoseSequence:
    """Somebody who is 200 pixels further to the right from 2 s on."""
    times = np.arange(0, 4, 0.1)
    points = np.random.default_rng(0).normal(0, 1, (len(times), 13, 2)) + [100, 100] + np.arange(13)[:, None] * 8
    points[times >= 1.95] += [200, 0]
    return PoseSequence(times, points, np.ones((len(times), 13)), "kinetag", (640, 360), cuts=cuts)


def test_shots_divide_the_rows() -> None:
    assert walk().shots() == [slice(0, 40)]
    assert walk((2.0,)).shots() == [slice(0, 20), slice(20, 40)]
    assert walk((0.0, 2.05, 2.06, 9.0)).shots() == [slice(0, 21), slice(21, 40)]


def test_smoothing_does_not_mix_two_shots() -> None:
    whole = walk((2.0,))
    for rows in whole.shots():
        np.testing.assert_array_equal(smooth(whole).keypoints[rows], smooth(whole.rows(rows)).keypoints)


def test_nobody_glides_from_one_shot_into_the_next() -> None:
    poses = walk((2.0,))
    joined = interpolate(walk(), 1.95)
    before, after = interpolate(poses, 1.95), interpolate(poses, 1.85)
    assert joined is not None
    assert before is not None
    assert after is not None
    assert 180 < joined[0][0, 0] < 220
    np.testing.assert_array_equal(before[0], poses.keypoints[19])
    np.testing.assert_allclose(after[0], (poses.keypoints[18] + poses.keypoints[19]) / 2, rtol=1e-5)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory):
    """Two shots, by day and by dusk, of two people: (path, when the second begins (s), repetitions of each)."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    day = make_scene("single:squat", width=320, height=240, frame_rate=RATE)
    dusk = make_scene("single:jumping_jack", seed=3, width=320, height=240, frame_rate=RATE)
    with VideoWriter(path, 320, 240, RATE) as writer:
        images = [frame.image for frame in day.frames()]
        cut = len(images) / RATE
        images += [frame.image // 2 for frame in dusk.frames()]
        for index, image in enumerate(images):
            writer.write(image, index / RATE)
    return path, cut, [len(scene.truth().people[0].segments[0].repetitions) for scene in (day, dusk)]


def done(timeline: kinetag.Timeline) -> list[tuple[str, int]]:
    segments = sorted((s for p in timeline.people for s in p.segments), key=lambda segment: segment.start)
    return [(s.label, s.repetition_count) for s in segments if s.label != "other"]


def test_each_shot_is_judged_by_itself(film, tmp_path) -> None:
    path, cut, repetitions = film
    timeline = kinetag.analyze(path)
    expected = list(zip(["squat", "jumping_jack"], repetitions, strict=True))
    assert done(timeline) == expected
    for person in timeline.people:
        for segment in person.segments:
            assert segment.end <= cut or segment.start >= cut - 1e-6
    write_outputs(timeline, tmp_path / "out", None)
    again = kinetag.analyze(tmp_path / "out" / "poses.csv")
    assert done(again) == expected
    assert [p.poses.cuts for p in again.people] == [p.poses.cuts for p in timeline.people]


def test_the_running_count_goes_through_a_cut(film) -> None:
    path, cut, repetitions = film
    analyzer = kinetag.Analyzer()
    said = []
    with open_source(path, rate=RATE) as video:
        for frame in video:
            said += [(frame.time, person) for person in analyzer.feed(frame)]
    assert analyzer.tracker.cuts == [pytest.approx(cut, abs=1e-3)]
    last = [person for time, person in said if time < cut][-1]
    assert (last.label, last.repetitions) == ("squat", repetitions[0])
    assert (said[-1][1].label, said[-1][1].repetitions) == ("jumping_jack", repetitions[1])
