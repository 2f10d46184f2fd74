"""Small pictures taken while frames pass by: where they lie, how many are kept, and that reports use them."""

import cv2
import numpy as np
import pytest
from made_timelines import squat_poses, timeline

from kinetag.report import write_outputs
from kinetag.report.second_pass import MAX_PICTURES, snapshot_pictures, wanted_pictures
from kinetag.sequence import Pose
from kinetag.snapshots import SIDE, Snapshots, from_jpeg, jpeg, square, surroundings
from kinetag.timeline import FormFault


def gradient(width, height):
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, np.full_like(x, 90)], axis=-1).astype(np.uint8)


def pose_at(index, size=(640, 360)):
    poses = squat_poses(size=size)
    return Pose(poses.keypoints[index], poses.confidence[index], 1.0, "blazepose")


@pytest.mark.parametrize("center", [(320, 180), (10, 20), (630, 350), (320, -40)])
@pytest.mark.parametrize("reach", [90.0, 400.0, 900.0])
def test_square_shows_what_an_affine_warp_shows(center, reach):
    image = gradient(640, 360)
    scale = SIDE / reach
    move = np.array([[scale, 0, SIDE / 2 - scale * center[0]], [0, scale, SIDE / 2 - scale * center[1]]])
    warped = cv2.warpAffine(image, move, (SIDE, SIDE), borderValue=(40, 42, 46))
    ours = square(image, center, reach, SIDE)
    assert np.median(abs(ours.astype(int) - warped)) <= 3
    assert (abs(ours.astype(int) - warped).max(axis=2) > 12).mean() < 0.06  # edges fall a pixel beside


def test_a_square_outside_the_picture_is_grey():
    assert (square(gradient(64, 36), (500.0, 500.0), 50.0, 20) == (40, 42, 46)).all()


def test_jpeg_keeps_the_colours():
    image = gradient(160, 160)
    assert np.abs(from_jpeg(jpeg(image, 95)).astype(int) - image).mean() < 3


def test_surroundings_hold_all_points():
    points = np.array([[10.0, 50.0], [30.0, 20.0], [np.nan, 4.0]])
    around = surroundings(points)
    assert around is not None
    (x, y), reach = around
    assert (x, y) == (20.0, 35.0)
    assert reach >= 30
    assert surroundings(np.full((3, 2), np.nan)) is None


def test_pictures_come_at_an_interval_and_within_the_budget():
    snapshots, image = Snapshots(), gradient(640, 360)
    for number in range(60):
        snapshots.take(image, number / 30, 1, pose_at(0))
    times = [snapshot.time for snapshot in snapshots._taken[1]]
    assert len(times) == pytest.approx(2 / 0.2, abs=1)
    assert np.diff(times).min() >= 0.19
    near = snapshots.nearest(1, 1.03)
    assert near is not None
    assert abs(near.time - 1.03) < 0.11
    assert snapshots.nearest(1, 5.0) is None
    assert snapshots.nearest(2, 1.0) is None
    small = Snapshots(budget=1)
    for number in range(10):
        small.take(image, float(number), 1, pose_at(0))
    assert len(small._taken[1]) == 1


def test_the_worst_moment_of_each_fault_gets_a_picture_though_it_comes_late():
    done = timeline(people=1, seconds=200.0)
    segment = done.people[0].segments[0]
    late = segment.repetitions[-1].time
    segment.faults = [FormFault("too_shallow", "", "knee", True, 118, (1.5, late), (120.0, 130.0), 60)]
    wanted = [time for time, _ in wanted_pictures(done)]
    assert wanted == [*(r.time for r in segment.repetitions[: MAX_PICTURES - 1]), late]
    segment.faults *= 100
    assert len(wanted_pictures(done)) <= MAX_PICTURES


def test_a_report_takes_its_pictures_from_snapshots_without_a_second_reading(tmp_path):
    done = timeline(size=(640, 360))
    wanted = wanted_pictures(done)
    assert wanted
    assert snapshot_pictures(done) == ({}, False)
    done.snapshots = Snapshots()
    for time, person in wanted:
        done.snapshots.take(gradient(640, 360), time, person, pose_at(0))
    pictures, complete = snapshot_pictures(done)
    assert complete
    assert set(pictures) == {(person, time) for time, person in wanted}
    assert from_jpeg(next(iter(pictures.values()))).shape == (SIDE, SIDE, 3)
    write_outputs(done, tmp_path / "out", tmp_path / "not there.mp4", annotated=False)  # it need not be there
    assert (tmp_path / "out" / "report.html").read_text().count("data:image/jpeg") == len(wanted)
