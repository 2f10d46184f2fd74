"""What is drawn on frames: by properties of the pixels, at every size."""

import cv2
import numpy as np
import pytest
from made_timelines import squat_poses, timeline

from kinetag.report.annotate import Annotator, interpolate
from kinetag.report.paint import Painter, Shown, _face, _overlap, tag_text
from kinetag.report.style import person_color
from kinetag.skeletons import BLAZEPOSE, LAYOUTS

SIZES = [(320, 240), (426, 240), (1280, 720), (3840, 2160), (720, 1280), (241, 427)]


def grey(size, level=128):
    return np.full((size[1], size[0], 3), level, np.uint8)


def someone(size=(640, 360), index=0, person=1, **options):
    poses = squat_poses(size=size, **{k: options.pop(k) for k in ("x",) if k in options})
    return Shown(person, poses.keypoints[index], poses.confidence[index], "blazepose", **options)


def changed(before, after):
    return (before != after).any(axis=2)


@pytest.mark.parametrize("size", SIZES)
def test_skeleton_and_tag_are_drawn_and_the_source_is_left_alone(size):
    image = grey(size)
    out = Annotator(timeline(size=size), size).draw(image, 4.4)
    assert (image == 128).all()
    assert out.shape == image.shape
    share = changed(image, out).mean()
    assert 0.01 < share < 0.25


@pytest.mark.parametrize("size", SIZES)
def test_faces_stay_free(size):
    for seconds in (0.0, 1.0, 1.5):
        annotator = Annotator(timeline(size=size), size)
        people = annotator.at(seconds)
        out = annotator.painter.paint(grey(size), people)
        for person in people:
            head = [i for i, n in enumerate(BLAZEPOSE.joints) if n in ("nose", "left_eye", "right_eye")]
            for x, y in person.keypoints[head].round().astype(int):
                if 0 <= x < size[0] and 0 <= y < size[1]:
                    assert not changed(grey(size), out)[y, x]


@pytest.mark.parametrize("size", SIZES)
def test_text_is_large_enough_to_read(size):
    painter = Painter(*size)
    tag = painter._tag_picture(someone(size, label="jumping_jack", sure=0.93, repetitions=12))
    ink = (tag[:, tag.shape[0] + 6 :, :3].min(axis=2) > 150).any(axis=1)
    assert ink.sum() >= 9  # rows of pixels that the letters take up
    assert ink.sum() >= 0.02 * min(size)
    assert tag.shape[1] <= size[0]


def test_tags_of_people_side_by_side_do_not_overlap():
    size = (640, 360)
    painter = Painter(*size)
    people = [
        someone(size, person=i + 1, x=0.3 + 0.1 * i, label="overhead_press", sure=0.9, repetitions=3) for i in range(4)
    ]
    taken = []
    for person in people:
        taken.append(painter._tag(grey(size), person, [f for f in map(_face, people) if f] + taken))
    for i, box in enumerate(taken):
        assert 0 <= box[0] < box[2] <= size[0]
        assert 0 <= box[1] < box[3] <= size[1]
        assert not any(_overlap(box, other) for other in taken[:i])


def test_joints_that_are_not_sure_are_paler():
    size = (640, 360)
    sure, unsure = someone(size), someone(size)
    unsure.confidence[unsure.confidence > 0] = 0.3
    hidden = someone(size)
    hidden.confidence[:] = 0
    first, second, third = (Painter(*size).paint(grey(size), [p]) for p in (sure, unsure, hidden))
    strength = [np.abs(out.astype(int) - 128).sum() for out in (first, second, third)]
    assert strength[0] > 1.5 * strength[1] > 0
    assert strength[2] == 0


def test_each_person_has_a_colour_of_their_own():
    size = (640, 360)
    colors = {person_color(i) for i in range(1, 8)}
    assert len(colors) == 7
    out = Painter(*size).paint(grey(size), [someone(size, person=3)])
    assert (out == person_color(3)).all(axis=2).sum() > 100


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_can_be_drawn(layout):
    poses = squat_poses().to_layout(layout)
    shown = Shown(1, poses.keypoints[0], poses.confidence[0], layout, "squat", 0.9, 1)
    assert changed(grey((640, 360)), Painter(640, 360).paint(grey((640, 360)), [shown])).any()


@pytest.mark.parametrize("place", [np.nan, np.inf, 1e9, -1e9, 5000.0])
def test_joints_far_away_do_no_harm(place):
    shown = someone(label="squat", sure=0.5)
    shown.keypoints[20:] = place
    Painter(640, 360).paint(grey((640, 360)), [shown])
    shown.keypoints[:] = place
    Painter(640, 360).paint(grey((640, 360)), [shown])


@pytest.mark.parametrize("label", ["x" * 500, "скручивания", "深蹲", "a\nb", ""])
def test_any_label_can_be_written(label):
    shown = someone((320, 240), label=label, sure=0.5, repetitions=123)
    assert len(tag_text(shown)) < 45
    Painter(320, 240).paint(grey((320, 240)), [shown])


def test_without_truetype_the_text_is_drawn_all_the_same(monkeypatch):
    monkeypatch.delattr(cv2, "FontFace", raising=False)
    tag = Painter(640, 360)._tag_picture(someone(label="squat", sure=0.9, repetitions=3))
    assert (tag[:, tag.shape[0] + 6 :, :3] > 200).any()


def test_a_tag_keeps_its_place_while_the_person_moves_a_little():
    painter = Painter(640, 360)
    poses = squat_poses()
    places = []
    for index in range(45):
        shown = Shown(1, poses.keypoints[index], poses.confidence[index], "blazepose", "squat", 0.9, 1)
        painter.paint(grey((640, 360)), [shown])
        places.append(painter._places[1])
    assert len(set(places)) == 1


def test_poses_between_two_measured_ones_lie_on_the_line():
    poses = squat_poses(rate=10.0)
    keypoints, confidence = interpolate(poses, 0.15)
    np.testing.assert_allclose(keypoints, (poses.keypoints[1] + poses.keypoints[2]) / 2, atol=1e-3)
    np.testing.assert_allclose(confidence, poses.confidence[1])
    exact, _ = interpolate(poses, poses.times[7])
    np.testing.assert_array_equal(exact, poses.keypoints[7])


def test_a_joint_known_on_one_side_only_keeps_that_place():
    poses = squat_poses(rate=10.0)
    poses.keypoints[1, 0] = np.nan
    keypoints, _ = interpolate(poses, 0.15)
    np.testing.assert_array_equal(keypoints[0], poses.keypoints[2, 0])


def test_an_absence_stays_an_absence():
    poses = squat_poses()
    keep = (poses.times < 3) | (poses.times > 5)
    poses.times, poses.keypoints, poses.confidence = poses.times[keep], poses.keypoints[keep], poses.confidence[keep]
    assert interpolate(poses, 4.0) is None
    assert interpolate(poses, -1.0) is None
    assert interpolate(poses, 100.0) is None
    assert interpolate(poses, 2.5) is not None


def test_counts_grow_with_time_and_partial_ones_do_not_count():
    annotator = Annotator(timeline(people=1, seconds=15.0), (640, 360))
    assert [annotator.at(t)[0].repetitions for t in (0.5, 1.6, 4.6, 7.6, 11.0)] == [0, 1, 2, 3, 3]
    assert annotator.at(14.0)[0].label == "other"
    assert annotator.at(14.0)[0].repetitions is None


def test_poses_follow_a_video_of_another_size():
    made = timeline(people=1, size=(640, 360))
    small, large = (Annotator(made, size).at(1.0)[0].keypoints for size in ((640, 360), (1280, 720)))
    np.testing.assert_allclose(large, 2 * small, rtol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_pictures_are_small_square_jpegs_around_the_person(size):
    annotator = Annotator(timeline(size=size), size)
    data = annotator.picture(grey(size), 1.5, 1, 160)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (160, 160, 3)
    assert len(data) < 12_000
    assert (np.abs(image.astype(int) - 128).max(axis=2) > 60).mean() > 0.02  # the skeleton
    assert annotator.picture(grey(size), 1.5, 99, 160)[:2] == b"\xff\xd8"  # nobody of that id: the whole frame
