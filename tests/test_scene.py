"""Scenes: what is seen, what is hidden, who does what, and that all of it repeats."""

import numpy as np
import pytest

from kinetag.errors import KinetagError
from kinetag.exercises.acting import Activity, Actor, Waypoint, perform
from kinetag.exercises.kinematics import BODY
from kinetag.exercises.raster import Camera
from kinetag.exercises.room import Block, Pillar
from kinetag.exercises.scene import Scene
from kinetag.exercises.scenes import SCENES, make_scene
from kinetag.exercises.truth import read_truth
from kinetag.skeletons import KINETAG13
from kinetag.timeline import OTHER

CAMERA = Camera((0.0, 1.2, 5.0), (0.0, 0.9, 0.0), 1.2)


def at(x=0.0, z=0.0, heading=0.0):
    return (Waypoint(0.0, x, z, heading),)


def still(*actors, occluders=(), **options):
    return Scene(actors, CAMERA, 320, 180, 10.0, 0.3, occluders, **options)


def test_a_pillar_in_front_hides_and_one_behind_does_not():
    actor = Actor((), at(), seed=1)
    free = still(actor).truth().people[0]
    front = still(actor, occluders=[Pillar(0.0, 1.0, 0.5)]).truth().people[0]
    back = still(actor, occluders=[Pillar(0.0, -1.0, 0.5)]).truth().people[0]
    assert free.visible.all()
    assert back.visible.all()
    assert not front.visible.any()
    assert free.visible_fraction[0] == pytest.approx(1)
    assert front.visible_fraction[0] < 0.05
    np.testing.assert_array_equal(free.keypoints, front.keypoints)


def test_a_box_hides_the_legs_alone():
    truth = still(Actor((), at(), seed=1), occluders=[Block(0.0, 0.8, (1.5, 0.7, 0.3))]).truth().people[0]
    seen = dict(zip(KINETAG13.joints, truth.visible[0], strict=True))
    assert seen["nose"]
    assert seen["left_shoulder"]
    assert not seen["left_ankle"]
    assert not seen["right_ankle"]
    assert 0.4 < truth.visible_fraction[0] < 0.95


def test_the_nearer_of_two_people_hides_the_other():
    near, far = Actor((), at(z=0.8), seed=1), Actor((), at(z=-0.8), seed=2)
    for order in ((near, far), (far, near)):
        people = dict(zip(order, still(*order).truth().people, strict=True))
        assert people[near].visible.all()
        assert people[far].visible.mean() < 0.6
        assert people[far].visible_fraction[0] < 0.6


def test_out_of_the_picture_is_not_visible():
    truth = still(Actor((), at(x=9.0), seed=1)).truth()
    person = truth.people[0]
    assert not person.visible.any()
    assert np.isnan(person.boxes).all()
    assert (person.visible_fraction == 0).all()
    assert truth.timeline().people[0].segments == []


def test_the_far_arm_from_the_side_is_hidden_by_the_own_body():
    person = still(Actor((), at(heading=90), seed=1)).truth().people[0]
    flags = dict(zip(KINETAG13.joints, person.self_occluded[0], strict=True))
    assert flags["left_hip"]  # who looks along +x has the left side away from a camera on +z
    assert not flags["right_shoulder"]
    assert person.visible.all()


def test_keypoints_are_projected_joints_and_lie_in_the_box():
    scene = still(Actor((), at(0.4, 0.2, 40), seed=3))
    truth = scene.truth().people[0]
    joints = scene.performances[0].joints[0]
    for name, keypoint in zip(KINETAG13.joints, truth.keypoints[0], strict=True):
        pixel, _ = CAMERA.resized(320, 180).project(joints[BODY.index(name)])
        np.testing.assert_allclose(keypoint, pixel)
        assert (truth.boxes[0, :2] <= pixel).all()
        assert (pixel <= truth.boxes[0, 2:]).all()


def test_frames_and_truth_repeat_by_seed():
    def render(seed):
        scene = still(Actor([Activity("squat", 0.0, repetitions=1)], at(), seed=seed), seed=seed)
        return [f.image for f in scene.frames()], scene.truth().to_json()

    first, again, other = render(4), render(4), render(5)
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1]
    assert first[1] != other[1]
    assert (first[0][0] != other[0][0]).any()


def test_truth_is_the_same_with_and_without_rendering():
    one, two = (make_scene("behind", width=160, height=90, frame_rate=2) for _ in range(2))
    images = [frame.image for frame in one.frames()]
    assert images[0].shape == (90, 160, 3)
    assert images[0].dtype == np.uint8
    assert one.truth().to_json() == two.truth().to_json()


def test_truth_survives_json(tmp_path):
    truth = make_scene("return", width=160, height=90, frame_rate=2).truth()
    truth.save(tmp_path / "truth.json")
    back = read_truth(tmp_path / "truth.json")
    assert back.to_json() == truth.to_json()
    assert [p.name for p in tmp_path.iterdir()] == ["truth.json"]
    np.testing.assert_array_equal(back.people[0].visible, truth.people[0].visible)
    assert back.people[0].segments[0].label == truth.people[0].segments[0].label


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format": "kinetag-truth-2"}'])
def test_a_foreign_file_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(KinetagError, match=r"x\.json"):
        read_truth(tmp_path / "x.json")


def test_actors_do_what_they_are_told():
    actor = Actor([Activity("squat", 1.0, 2, 5.0), Activity("biceps_curl", 8.0, 3, 7.0)], at(), seed=5)
    times = np.arange(0, 17, 0.1)
    performance = perform(actor, times)
    done = {s.label: s for s in performance.segments if s.repetitions}
    assert {name: len(s.repetitions) for name, s in done.items()} == {"squat": 2, "biceps_curl": 3}
    assert done["squat"].start == pytest.approx(1.0, abs=0.11)
    assert done["biceps_curl"].start == pytest.approx(8.0, abs=0.11)
    assert done["squat"].end == pytest.approx(6.0, abs=0.2)
    pelvis = performance.joints[:, BODY.index("pelvis"), 1]
    for repetition in done["squat"].repetitions:
        assert repetition.start < repetition.time < repetition.end
        low, high = np.interp([repetition.time, repetition.start], times, pelvis)
        assert low < high - 0.1  # the pelvis is down at the turning point
    assert OTHER in {s.label for s in performance.segments}
    edges = [s.start for s in performance.segments[1:]]
    assert edges == [s.end for s in performance.segments[:-1]]


def test_limbs_keep_their_length_while_getting_into_position():
    actor = Actor([Activity("push_up", 2.0, 1, 3.0), Activity("squat", None, 1, 3.0)], at(), seed=6)
    joints = perform(actor, np.arange(0, 12, 0.05)).joints
    for a, b in (("left_hip", "left_knee"), ("right_elbow", "right_wrist"), ("pelvis", "chest")):
        length = np.linalg.norm(joints[:, BODY.index(a)] - joints[:, BODY.index(b)], axis=1)
        assert np.ptp(length) < 0.02 * length.mean(), (a, b)
    jumps = np.abs(np.diff(joints, axis=0)).max((1, 2))
    assert jumps.max() < 0.45  # metres in 0.05 s: nobody is beamed
    assert joints[..., 1].min() > -0.05


def test_walkers_walk_and_follow_their_path():
    path = (Waypoint(0, -2, 0, 90), Waypoint(1, -2, 0, 90), Waypoint(5, 2, 0, 90))
    times = np.arange(0, 6, 0.05)
    performance = perform(Actor((), path, seed=2), times)
    pelvis = performance.joints[:, BODY.index("pelvis")]
    assert pelvis[0, 0] == pytest.approx(-2, abs=0.1)
    assert pelvis[-1, 0] == pytest.approx(2, abs=0.1)
    assert {s.label for s in performance.segments} == {"standing", "walking"}
    middle = int(3 / 0.05)
    toes = (
        performance.joints[middle, BODY.index("left_foot_index")] - performance.joints[middle, BODY.index("left_heel")]
    )
    assert toes[0] > abs(toes[2])  # they look where they go


def test_overlapping_activities_are_refused():
    actor = Actor([Activity("squat", 0.0, duration=5.0), Activity("lunge", 3.0, duration=5.0)], at())
    with pytest.raises(KinetagError, match=r"lunge.*squat|squat.*lunge"):
        perform(actor, np.arange(0, 10, 0.1))


def test_scenes_by_name():
    for name in SCENES:
        scene = make_scene(name, width=160, height=90, frame_rate=2)
        assert len(scene.performances) == len(scene.actors) >= 1
        assert scene.truth().people[0].visible.any()
    with pytest.raises(KinetagError, match="demo"):
        make_scene("nothing")
    with pytest.raises(KinetagError, match="squat"):
        make_scene("single:juggling")


def test_scene_behaviours():
    """Each hard case really holds what its name says."""
    pillar = make_scene("pillar", width=320, height=180, frame_rate=10).truth().people[0].visible_fraction
    assert pillar[0] > 0.9
    assert pillar.min() < 0.3
    assert pillar[-1] > 0.9
    away = make_scene("return", width=320, height=180, frame_rate=10).truth().people[0].visible_fraction
    gone = np.flatnonzero(away < 0.02)  # but for a hand that swings back into the picture
    assert away[0] > 0.9
    assert away[-1] > 0.9
    assert 20 <= len(gone) == gone[-1] - gone[0] + 1  # two seconds and more, at a stretch
    crossing = make_scene("crossing", width=320, height=180, frame_rate=10).truth()
    assert min(p.visible_fraction.min() for p in crossing.people) < 0.5
    sides = [np.sign(p.keypoints[[0, -1], 0, 0] - 160) for p in crossing.people]
    assert all(start != end for start, end in sides)


def test_the_demo_is_short_and_busy():
    scene = make_scene("demo")
    truth = scene.performances
    assert 10 <= scene.duration <= 16
    for performance in truth:
        named = [s for s in performance.segments if s.repetitions]
        assert len(named) == 2
        assert all(2 <= len(s.repetitions) <= 8 for s in named)


def test_writing_a_video(tmp_path):
    from kinetag.video import open_source

    scene = make_scene("pillar", width=160, height=90, frame_rate=5)
    truth = scene.write(tmp_path / "scene.mp4")
    with open_source(tmp_path / "scene.mp4") as source:
        frames = list(source)
    assert len(frames) == len(truth.times)
    np.testing.assert_allclose([f.time for f in frames], truth.times, atol=2e-3)
    assert np.abs(frames[3].image.astype(int) - make_scene("pillar", width=160, height=90, frame_rate=5).picture(
        truth.times[3]).astype(int)).mean() < 8  # fmt: skip


def test_every_exercise_has_a_scene_with_whole_repetitions():
    from kinetag.exercises.library import load_library

    for name, exercise in load_library().items():
        performance = make_scene(f"single:{name}:side", seed=1).performances[0]
        repetitions = [r for s in performance.segments for r in s.repetitions]
        assert performance.segments[0].label == name
        assert np.isfinite(performance.joints).all()
        if exercise.counting is not None and exercise.counting.signal == "step":
            assert len(repetitions) > 3, name
        elif exercise.counting is not None:
            assert len(repetitions) == 3, name
