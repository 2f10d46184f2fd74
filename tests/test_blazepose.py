"""The pose estimator on rendered people, whose joints are known exactly."""

from dataclasses import replace
from functools import cache
from itertools import islice

import numpy as np
import pytest

from kinetag.errors import KinetagError
from kinetag.exercises.scenes import make_scene
from kinetag.pose import open_estimator
from kinetag.pose.blazepose import BlazePose
from kinetag.pose.networks import Body
from kinetag.pose.people import MAIN, Followed, alike, credible, on_top, similarity, to_pose
from kinetag.pose.regions import Region
from kinetag.sequence import Frame, Pose
from kinetag.skeletons import BLAZEPOSE

WIDTH, HEIGHT = 480, 270


@cache
def footage(name: str, count: int, rate: float = 15.0) -> tuple[list[Frame], list[np.ndarray]]:
    """The first frames of a scene, and each person's true joints (T, 13, 2)."""
    scene = make_scene(name, width=WIDTH, height=HEIGHT, frame_rate=rate)
    frames = list(islice(scene.frames(), count))
    return frames, [person.keypoints[:count] for person in scene.truth().people]


def turned(frames: list[Frame], quarter_turns: int) -> list[Frame]:
    """The camera lies on its side, or the person does."""
    return [Frame(np.ascontiguousarray(np.rot90(f.image, quarter_turns)), f.time, f.index) for f in frames]


def error(pose: Pose, truth: np.ndarray) -> float:
    """Mean distance of the 13 main joints in trunk lengths."""
    trunk = np.linalg.norm(truth[1:3].mean(axis=0) - truth[7:9].mean(axis=0))
    return float(np.linalg.norm(pose.keypoints[MAIN] - truth, axis=1).mean() / max(trunk, 10))


def run(frames: list[Frame], estimator: BlazePose | None = None, together: int = 4) -> list[list[Pose]]:
    estimator = estimator or BlazePose(threads=2)
    poses = []
    for start in range(0, len(frames), together):
        poses += estimator.estimate(frames[start : start + together])
    return poses


@pytest.mark.parametrize("exercise", ["squat", "push_up:side"])
def test_one_person_is_found_in_every_frame(exercise: str) -> None:
    frames, (truth,) = footage(f"single:{exercise}", 24)
    found = run(frames)
    assert [len(poses) for poses in found] == [1] * len(frames)
    assert np.mean([error(poses[0], joints) for poses, joints in zip(found, truth, strict=True)]) < 0.25
    for (pose,) in found:
        assert pose.layout == BLAZEPOSE.name
        assert pose.keypoints.shape == (33, 2)
        assert pose.world is not None
        assert pose.world.shape == (33, 3)
        assert (pose.confidence >= 0).all()
        assert (pose.confidence <= 1).all()
        assert 0.5 <= pose.score <= 1


@pytest.mark.parametrize("quarter_turns", [1, -1])
def test_a_person_lying_on_their_side_is_found(quarter_turns: int) -> None:
    frames, (truth,) = footage("single:squat", 8)
    found = run(turned(frames, quarter_turns))
    assert [len(poses) for poses in found] == [1] * len(frames)
    x, y = np.moveaxis(truth, -1, 0)
    lying = np.stack([y, WIDTH - 1 - x] if quarter_turns == 1 else [HEIGHT - 1 - y, x], axis=-1)
    assert np.mean([error(poses[0], joints) for poses, joints in zip(found, lying, strict=True)]) < 0.3
    # World points turn along: the head lies on the left or the right, not above.
    world = found[-1][0].world
    assert world is not None
    head_to_hips = world[[23, 24], :2].mean(axis=0) - world[0, :2]
    assert abs(head_to_hips[0]) > 3 * abs(head_to_hips[1])


def test_three_people_are_told_apart() -> None:
    frames, truths = footage("crossing", 8)
    found = run(frames)
    for i, poses in enumerate(found):
        assert len(poses) == 3
        nearest = [int(np.argmin([error(pose, truth[i]) for pose in poses])) for truth in truths]
        assert sorted(nearest) == [0, 1, 2], "one pose for each person"


def test_max_people_is_kept() -> None:
    frames, _ = footage("crossing", 8)
    assert {len(poses) for poses in run(frames, BlazePose(threads=2, max_people=2))} == {2}


def test_an_empty_room_has_nobody_in_it() -> None:
    frames, _ = footage("single:squat", 1)
    empty = frames[0].image.copy()
    empty[:] = np.median(empty.reshape(-1, 3), axis=0)
    assert run([Frame(empty, i / 15, i) for i in range(3)]) == [[], [], []]


def test_a_person_who_comes_in_later_is_found() -> None:
    frames, (truth,) = footage("single:squat", 24)
    blank = np.full_like(frames[0].image, 127)
    later = [Frame(blank, f.time, f.index) if f.index < 6 else f for f in frames]
    found = run(later)
    assert not any(found[:6])
    assert len(found[-1]) == 1
    assert error(found[-1][0], truth[-1]) < 0.25


def test_a_person_who_was_hidden_is_found_again() -> None:
    frames, (truth,) = footage("single:squat", 24)
    blank = np.full_like(frames[0].image, 127)
    found = run([Frame(blank, f.time, f.index) if 8 <= f.index < 14 else f for f in frames])
    counts = [len(poses) for poses in found]
    assert counts[:14] == [1] * 8 + [0] * 6
    assert counts[16:] == [1] * 8, "at most two frames late"
    assert error(found[16][0], truth[16]) < 0.3


def test_frames_at_once_or_one_by_one() -> None:
    """Looking ahead changes where is looked, and no more than that."""
    frames, (truth,) = footage("single:squat", 12)
    for found in (run(frames, together=1), run(frames, together=12)):
        assert [len(poses) for poses in found] == [1] * 12
        assert np.mean([error(poses[0], joints) for poses, joints in zip(found, truth, strict=True)]) < 0.25


def test_same_frames_same_poses_and_reset_forgets() -> None:
    frames, _ = footage("single:squat", 8)
    estimator = BlazePose(threads=2)
    first = run(frames, estimator)
    estimator.reset()
    again = run(frames, estimator)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a[0].keypoints, b[0].keypoints)


def test_another_picture_size_starts_anew() -> None:
    frames, (truth,) = footage("single:squat", 8)
    half = [Frame(np.ascontiguousarray(f.image[::2, ::2]), f.time, f.index) for f in frames[4:]]
    found = run([*frames[:3], *half], together=8)
    assert [len(poses) for poses in found] == [1] * 7
    assert error(found[-1][0], truth[-1] / 2) < 0.3


def test_a_single_picture_and_no_picture() -> None:
    frames, _ = footage("single:squat", 1)
    estimator = open_estimator("blazepose")
    assert estimator.estimate([]) == []
    assert len(estimator.estimate(frames)[0]) == 1


def test_max_people_must_be_positive() -> None:
    with pytest.raises(KinetagError, match="max_people is 0"):
        BlazePose(max_people=0)


def standing(x: float = 100.0, y: float = 20.0, height: float = 100.0, score: float = 1.0) -> Body:
    """A body that stands straight with its head at (x, y)."""
    points = np.zeros((33, 2))
    levels = {"shoulder": 0.18, "elbow": 0.35, "wrist": 0.5, "hip": 0.5, "knee": 0.75, "ankle": 0.95, "heel": 0.98}
    for i, name in enumerate(BLAZEPOSE.joints):
        level = next((value for part, value in levels.items() if part in name), 0.08)
        side = 0.1 if name.startswith("left") else -0.1 if name.startswith("right") else 0.0
        points[i] = x + side * height, y + level * height
    ones = np.ones(33)
    return Body(points, ones, ones, score, np.zeros((33, 3)), Region(x, y + height / 2, 1.25 * height))


def test_similarity_is_one_for_the_same_and_falls_with_distance() -> None:
    body = standing()
    assert similarity(body, body) == pytest.approx(1.0)
    falling = [similarity(body, standing(100 + step)) for step in (2, 5, 10, 20, 40)]
    assert falling == sorted(falling, reverse=True)
    assert alike(body, standing(103))
    assert not alike(body, standing(125)), "people may stand shoulder to shoulder"


def test_a_piece_of_a_person_is_not_a_newcomer() -> None:
    body = standing()
    assert on_top(standing(100, 40, 40), body)
    assert not on_top(standing(160), body)


@pytest.mark.parametrize(
    ("body", "believed"),
    [
        (standing(), True),
        (standing(score=0.3), False),
        (standing(height=5), False),
        (standing(x=-200), False),
        (standing(height=900), False),
    ],
    ids=["whole", "low score", "tiny", "outside", "huge"],
)
def test_sane_bodies_only(body: Body, believed: bool) -> None:
    assert bool(credible(body, 320, 240)) == believed


def test_joints_outside_the_picture_lose_confidence() -> None:
    pose = to_pose(standing(y=200), 320, 240)
    outside = pose.keypoints[:, 1] >= 240
    assert outside.any()
    assert pose.confidence[outside].max() < 0.5
    assert pose.confidence[~outside].min() == 1


def test_a_followed_person_is_expected_where_they_are_heading() -> None:
    person = Followed(standing(100), 0.0, 0.9, 0.0)
    person.seen(standing(110), 0.1)
    expected = person.expected(0.2)
    assert 116 < expected.x <= 120
    far = person.expected(5.0)
    assert far.x < 110 + 100 * 0.5, "a movement dies away"
    person.unsee()
    assert (person.body.region.x, person.misses) == (100, 1)


def test_evidence_fades_and_is_renewed() -> None:
    person = Followed(standing(), 0.0, 0.9, 0.0)
    assert person.evidence_at(5.0) == pytest.approx(0.45)
    person.confirm(0.4, 5.0)
    assert person.evidence_at(5.0) == pytest.approx(0.45)
    person.confirm(0.8, 5.0)
    assert person.evidence_at(5.0) == pytest.approx(0.8)


def test_who_moves_slowly_is_looked_at_every_other_frame_at_least() -> None:
    frames, (truth,) = footage("single:squat", 60)
    found = run(frames, BlazePose(threads=2, every_frame=False), together=8)
    seen = np.array([len(poses) for poses in found])
    assert seen.max() == 1
    assert 30 <= seen.sum() < 55
    assert not ((seen[1:] == 0) & (seen[:-1] == 0)).any()
    errors = [error(poses[0], joints) for poses, joints in zip(found, truth, strict=True) if poses]
    assert np.mean(errors) < 0.25


def test_nobody_is_passed_over_who_is_new_fast_lost_or_looked_at_long_ago() -> None:
    body = Body(np.zeros((33, 2)), np.ones(33), np.ones(33), 1.0, np.zeros((33, 3)), Region(50, 50, 100))
    calm = Followed(body, 1.0, 1.0, 1.0, runs=30, speed=0.1, looked=1.0)
    assert calm.may_wait(1.067)
    for change in ({"runs": 2}, {"speed": 2.0}, {"misses": 1}, {"looked": 0.8}, {"waited": True}):
        assert not replace(calm, **change).may_wait(1.067)


def test_after_a_cut_people_are_found_at_once() -> None:
    frames, _ = footage("single:squat", 16)
    rng = np.random.default_rng(0)
    wall = rng.integers(0, 255, (HEIGHT // 30, WIDTH // 30, 3), dtype=np.uint8).repeat(30, 0).repeat(30, 1)
    empty = [Frame(wall, 1.0 + i / 15, i) for i in range(4)]
    later = [Frame(f.image[:, ::-1].copy(), f.time + 2.0, f.index) for f in frames[:4]]  # as if from the other side
    estimator = BlazePose(threads=2)
    found = run([*frames[:6], *empty, *later], estimator)
    assert [len(poses) for poses in found] == [1] * 6 + [0] * 4 + [1] * 4
