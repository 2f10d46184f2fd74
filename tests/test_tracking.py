"""The tracker on simulated keypoints, where the truth is exact."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinetag.appearance import COLOR_SIZE
from kinetag.sequence import Pose
from kinetag.tracking import Tracker
from kinetag.tracks import Motion, Recording, measure, proportions

# A standing body of stature 1, feet at the origin, in layout 'kinetag'.
BODY = np.array(
    [
        [0, -0.93], [0.1, -0.82], [-0.1, -0.82], [0.13, -0.63], [-0.13, -0.63], [0.13, -0.48], [-0.13, -0.48],
        [0.06, -0.53], [-0.06, -0.53], [0.06, -0.285], [-0.06, -0.285], [0.06, -0.04], [-0.06, -0.04],
    ]
)  # fmt: skip


def colors(person: int, rng: np.random.Generator | None = None) -> np.ndarray:
    """A descriptor of clothes of their own for each person, each part's cells summing to 1."""
    wear = np.random.default_rng(person)
    parts = np.zeros((4, COLOR_SIZE // 4), np.float32)
    for part in parts:
        part[wear.integers(0, 81, 3)] += 1 / 3
        part[81 + wear.integers(0, 6)] = 1
    if rng is not None:
        parts = parts * 0.9 + 0.1 * rng.dirichlet(np.ones(parts.shape[1]) * 0.1, 4).astype(np.float32) * 2
    return parts.ravel()


def pose(x: float, y: float = 400, size: float = 200, score: float = 0.9, appearance: np.ndarray | None = None) -> Pose:
    keypoints = (BODY * size + (x, y)).astype(np.float32)
    return Pose(keypoints, np.full(13, 0.9, np.float32), score, "kinetag", appearance=appearance)


@dataclass
class Walker:
    """Someone who walks from ``start`` at ``speed`` px/s, is seen from ``enter`` to ``leave``, and squats meanwhile."""

    start: float
    speed: float = 0.0
    size: float = 200.0
    enter: float = 0.0
    leave: float = 1e9
    squat: float = 0.0

    def at(self, time: float) -> tuple[float, float]:
        return self.start + self.speed * time, 400 + self.squat * self.size * np.sin(2 * np.pi * time / 2) / 2


def film(walkers, seconds, rng, *, rate=15.0, times=None, hidden=lambda person, time: False, noise=0.01, wear=True):
    """Frames of (time, poses, truth): noisy poses in random order and who each one is."""
    times = np.arange(0, seconds, 1 / rate) if times is None else times
    for time in times:
        found = []
        for person, walker in enumerate(walkers):
            if not walker.enter <= time <= walker.leave or hidden(person, time):
                continue
            x, y = walker.at(time)
            seen = pose(x, y, walker.size, appearance=colors(person, rng) if wear else None)
            seen.keypoints += rng.normal(0, noise * walker.size, seen.keypoints.shape).astype(np.float32)
            found.append((seen, person))
        order = rng.permutation(len(found))
        yield float(time), [found[i][0] for i in order], [found[i][1] for i in order]


def follow(tracker, frames) -> list[tuple[float, int, int | None]]:
    """(time, true person, given number) of every pose."""
    rows = []
    for time, poses, truth in frames:
        rows += [(time, person, number) for person, number in zip(truth, tracker.update(poses, time), strict=True)]
    return rows


def numbers_of(rows, person: int, after: float = 0.0) -> set[int]:
    return {number for time, who, number in rows if who == person and number is not None and time >= after}


def test_one_person_keeps_one_number(rng):
    tracker = Tracker()
    rows = follow(tracker, film([Walker(300, squat=0.4)], 10, rng))
    assert numbers_of(rows, 0) == {1}
    (sequence,) = tracker.sequences((640, 480))
    assert len(sequence) == 150  # frames on probation are kept too
    assert sequence.person == 1


@pytest.mark.parametrize("seed", range(5))
def test_crossing_with_the_one_behind_unseen(seed):
    rng = np.random.default_rng(seed)
    walkers = [Walker(100, 120), Walker(700, -120)]

    def hidden(person, time):  # who is behind is not found while the bodies overlap; and one frame in ten is missed
        near = abs(walkers[0].at(time)[0] - walkers[1].at(time)[0]) < 60
        return (person == 1 and near) or (time > 1 and rng.random() < 0.1)

    tracker = Tracker()
    rows = follow(tracker, film(walkers, 5, rng, hidden=hidden))
    assert [numbers_of(rows, person) for person in (0, 1)] == [{1}, {2}]


@pytest.mark.parametrize("wear", [True, False])
def test_crossing_with_both_seen_follows_movement(rng, wear):
    tracker = Tracker()
    rows = follow(tracker, film([Walker(100, 120), Walker(700, -120)], 5, rng, wear=wear))
    assert numbers_of(rows, 0).isdisjoint(numbers_of(rows, 1))
    assert len(numbers_of(rows, 0)) == len(numbers_of(rows, 1)) == 1


def test_an_exchange_while_overlapping_is_undone(rng):
    """Two meet, one pose is lost, and the other pose sticks to the wrong body: clothes tell once they part."""
    tracker = Tracker()
    for time, poses, truth in film([Walker(100, 100), Walker(500, -100)], 5, rng):
        if 1.7 < time < 2.3:  # they stand at the same place for the estimator: one pose, which goes to person 1
            poses, truth = [p for p, t in zip(poses, truth, strict=True) if t == 1], [1]
        tracker.update(poses, time)
    people = tracker.sequences((640, 480))
    assert len(people) == 2
    assert people[0].joint("nose")[0, 0] < people[0].joint("nose")[-1, 0] - 300  # walked to the right all the time
    assert people[1].joint("nose")[0, 0] > people[1].joint("nose")[-1, 0] + 300


def test_bounce_is_told_by_clothes(rng):
    """Two walk up to each other, one hides the other, and they walk back: movement alone would exchange them."""

    class Bouncer(Walker):
        def at(self, time):
            return super().at(min(time, 5 - time))

    walkers = [Bouncer(100, 80), Bouncer(500, -80)]
    rows = follow(tracker := Tracker(), film(walkers, 5, rng, hidden=lambda p, t: p == 0 and 1.9 < t < 3.1))
    people = tracker.sequences((640, 480))
    assert len(people) == 2
    assert numbers_of(rows, 0, 4.0) == {1}
    assert numbers_of(rows, 1, 4.0) == {2}
    assert all(abs(p.joint("nose")[0, 0] - p.joint("nose")[-1, 0]) < 30 for p in people)


def test_pillar(rng):
    walker = Walker(50, 100)
    rows = follow(Tracker(), film([walker], 6, rng, hidden=lambda p, t: 200 < walker.at(t)[0] < 380))
    assert numbers_of(rows, 0) == {1}


@pytest.mark.parametrize("gap", [8.0, 60.0])
def test_leaving_and_returning_elsewhere(rng, gap):
    there = [Walker(100, 0, leave=3), Walker(700, 0, size=260, enter=3 + gap), Walker(400)]
    times = np.arange(0, 8 + gap, 1 / 10)

    def frames():
        for time, poses, truth in film(there, 0, rng, times=times):
            poses = [replace(p, appearance=colors(0 if t == 1 else t, rng)) for p, t in zip(poses, truth, strict=True)]
            yield time, poses, truth

    rows = follow(tracker := Tracker(), frames())
    assert numbers_of(rows, 0) == numbers_of(rows, 1) == {1}
    assert len(tracker.sequences((1000, 480))) == 2


@pytest.mark.parametrize("wear", [True, False])
def test_a_stranger_gets_a_new_number(rng, wear):
    rows = follow(Tracker(), film([Walker(100, leave=3), Walker(700, enter=10)], 14, rng, wear=wear))
    assert numbers_of(rows, 0) == {1}
    assert numbers_of(rows, 1) == {2}


def test_a_stranger_at_the_same_place_gets_a_new_number(rng):
    rows = follow(Tracker(), film([Walker(300, leave=3), Walker(310, enter=4)], 8, rng))
    assert numbers_of(rows, 0).isdisjoint(numbers_of(rows, 1))


def test_doubles_are_one_person(rng):
    tracker = Tracker()
    for time, poses, _ in film([Walker(300)], 3, rng):
        double = replace(poses[0], keypoints=poses[0].keypoints + 3, score=0.8)
        assert tracker.update([double, poses[0]], time)[0] is None
    assert len(tracker.sequences((640, 480))) == 1


def test_a_ghost_on_top_of_somebody_is_nobody(rng):
    """A second reading of a body, of another posture, that comes and stays for two seconds."""
    tracker = Tracker()
    for time, poses, _ in film([Walker(300, squat=0.2)], 6, rng):
        ghost = pose(330, 380, 140)
        assert len({number for number in tracker.update(poses + [ghost] * (2 < time < 4), time) if number}) <= 1
    assert len(tracker.sequences((640, 480))) == 1


def test_probation_is_time_and_count(rng):
    tracker = Tracker(probation=0.4)
    rows = follow(tracker, film([Walker(300)], 1, rng))
    assert all((number is None) == (time < 0.4 - 1e-9) for time, _, number in rows)
    flash = Tracker(probation=0.4)
    follow(flash, film([Walker(300), Walker(600, enter=1, leave=1.3)], 3, rng))
    assert len(flash.sequences((640, 480))) == 1


def test_a_still_doubtful_thing_is_no_person():
    tracker = Tracker()
    for i in range(60):
        tracker.update([pose(300, score=0.55), pose(600 + 20 * np.sin(i / 5), score=0.55)], i / 15)
    people = tracker.sequences((640, 480))
    assert len(people) == 1
    assert people[0].joint("nose")[0, 0] > 500


def test_doubtful_poses_continue_but_never_start(rng):
    tracker = Tracker()
    for time, poses, _ in film([Walker(300, 60)], 4, rng):
        doubtful = time > 1
        ids = tracker.update([replace(p, score=0.3 if doubtful else 0.9) for p in poses] + [pose(900, score=0.3)], time)
        assert ids[1] is None
        assert not doubtful or ids[0] == 1


def test_slow_frames(rng):
    rows = follow(Tracker(), film([Walker(100, 60), Walker(600, -40, squat=0.4)], 12, rng, rate=2))
    clear = [row for row in rows if not 4.5 <= row[0] <= 5.5]  # when they coincide, one passes for a double
    assert [numbers_of(clear, person) for person in (0, 1)] == [{1}, {2}]


def test_one_image_gives_its_people():
    tracker = Tracker()
    assert tracker.update([pose(500), pose(200)], 0.0) == [None, None]
    people = tracker.sequences((640, 480))
    assert [p.person for p in people] == [1, 2]
    assert people[0].joint("nose")[0, 0] == 200  # numbered from the left


def test_reset_forgets(rng):
    tracker = Tracker()
    first = follow(tracker, film([Walker(100)], 2, np.random.default_rng(1)))
    tracker.reset()
    assert tracker.sequences((640, 480)) == []
    assert follow(tracker, film([Walker(100)], 2, np.random.default_rng(1))) == first


def test_empty_and_blind_frames(rng):
    tracker = Tracker()
    blind = Pose(np.full((13, 2), np.nan, np.float32), np.zeros(13, np.float32), 0.9, "kinetag")
    for i in range(10):
        assert tracker.update([blind] * (i % 3), i / 10) == [None] * (i % 3)
    assert tracker.sequences((640, 480)) == []


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), people=st.integers(1, 4), loss=st.floats(0, 0.3))
def test_properties(seed, people, loss):
    """Order of detections is nothing; a number is given once a frame; no pose has two owners; times may be uneven."""
    rng = np.random.default_rng(seed)
    walkers = [
        Walker(rng.uniform(0, 1000), rng.uniform(-150, 150), rng.uniform(120, 300), squat=rng.uniform(0, 0.4))
        for _ in range(people)
    ]
    times = np.cumsum(rng.uniform(0.03, 0.2, 60))
    frames = list(film(walkers, 0, rng, times=times, hidden=lambda p, t: rng.random() < loss))
    one, other = Tracker(), Tracker()
    for time, poses, _ in frames:
        ids = one.update(poses, time)
        given = [number for number in ids if number is not None]
        assert len(set(given)) == len(given)
        assert other.update(poses[::-1], time)[::-1] == ids
    sequences = one.sequences((1000, 480))
    assert len({s.person for s in sequences}) == len(sequences)
    for a, b in zip(sequences, other.sequences((1000, 480)), strict=True):
        np.testing.assert_array_equal(a.keypoints, b.keypoints)
    poses_seen = {tuple(p.keypoints[0]) for _, poses, _ in frames for p in poses}
    kept = [tuple(point) for s in sequences for point in s.joint("nose")]
    assert len(kept) == len(set(kept))  # no pose belongs to two people
    assert set(kept) <= poses_seen


def test_one_person_is_never_lost_whatever_the_frame_times():
    rng = np.random.default_rng(0)
    for step in (0.02, 0.1, 0.5, 1.0):
        rows = follow(Tracker(), film([Walker(300, 20, squat=0.3)], 0, rng, times=np.arange(0, 10, step)))
        assert numbers_of(rows, 0) == {1}


def test_motion_matches_a_plain_kalman_filter(rng):
    """Against a Kalman filter with the process noise of the Ornstein-Uhlenbeck velocity integrated numerically."""
    motion = Motion(np.zeros(2), 1.0, 0.0)
    state, spread = np.zeros(2), motion.spread.copy()
    time = 0.0
    for gap, seen in zip(rng.uniform(0.03, 1.5, 10), rng.normal(0, 1, 10), strict=True):
        steps = 20_000
        for _ in range(steps):
            step = gap / steps
            transition = np.array([[1, step], [0, 1 - step / Motion.fade]])
            state = transition @ state
            spread = transition @ spread @ transition.T + np.diag([0, 2 * Motion.speed**2 / Motion.fade * step])
        time += gap
        expected, deviation = motion.at(time)
        assert expected[0] == pytest.approx(state[0], abs=2e-3)
        assert deviation**2 == pytest.approx(spread[0, 0], rel=2e-3)
        gain = spread[:, 0] / (spread[0, 0] + Motion.noise**2)
        state, spread = state + gain * (seen - state[0]), spread - np.outer(gain, spread[0])
        motion.update(np.array([seen, 0.0]), 1.0, time)


def test_proportions_are_those_of_the_body_whatever_its_size(rng):
    world = rng.normal(size=(13, 3))
    tall = Pose(np.zeros((13, 2)), np.ones(13), 1, "kinetag", world=world)
    build, small = proportions(tall), proportions(replace(tall, world=world * 0.8))
    assert build is not None
    assert small is not None
    assert build.shape == (7,)
    np.testing.assert_allclose(build, small, atol=1e-6)
    trunk = np.linalg.norm(world[[1, 2]] - world[[7, 8]], axis=1).mean()
    thigh = np.linalg.norm(world[[7, 8]] - world[[9, 10]], axis=1).mean()
    assert build[2] - build[3] == pytest.approx(np.log(trunk / thigh))
    assert proportions(replace(tall, confidence=np.full(13, 0.4))) is None


@pytest.mark.parametrize("turn", [0, 0.5, 1.57, 3.1])
def test_size_is_the_stature_in_any_direction(turn):
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    lying = pose(300)
    lying.keypoints = (lying.keypoints @ rotation).astype(np.float32)
    sighting = measure(lying)
    assert sighting is not None
    assert sighting.size == pytest.approx(200, rel=0.1)


def test_recording_is_small_and_exact(rng):
    recording = Recording("blazepose")
    poses = [
        Pose(rng.normal(size=(33, 2)).astype(np.float32), rng.random(33).astype(np.float32), 1, "blazepose",
             world=rng.normal(size=(33, 3)).astype(np.float32))
        for _ in range(1100)
    ]  # fmt: skip
    for i, one in enumerate(poses):
        recording.append(i / 15, one)
    assert recording.length == 1100
    np.testing.assert_array_equal(recording.rows()[1][700, :, :2], poses[700].keypoints)
    np.testing.assert_array_equal(recording.rows()[1][1099, :, 3:], poses[1099].world)
    hour = 3600 * 15 * recording.rows()[1].nbytes / 1100
    assert hour < 50e6
    before = recording.rows()[0]
    times, joints = recording.cut(600 / 15)
    assert (recording.length, len(times), len(joints)) == (600, 500, 500)
    recording.extend(times, joints)
    np.testing.assert_array_equal(recording.rows()[0], np.arange(1100) / 15)
    recording.extend(times, joints)  # not later than the last one
    np.testing.assert_array_equal(recording.rows()[0], before)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_after_a_cut_people_are_known_by_their_clothes_and_not_by_their_place() -> None:
    rng = np.random.default_rng(0)
    tracker = Tracker()
    ids = []
    for index in range(45):
        place, person = [(100, 1), (500, 1), (500, 2)][index // 15]
        poses = [pose(place, appearance=colors(person, rng))]
        ids.append(tracker.update(poses, index / 15, cut=index in (15, 30))[0])
    assert set(ids[10:15]) == set(ids[25:30]) == {1}
    assert set(ids[40:]) == {2}
    assert 1 not in ids[30:]
    assert [s.cuts for s in tracker.sequences((640, 360))] == [(1.0,), ()]
    assert [len(s) for s in tracker.sequences((640, 360))] == [30, 15]
