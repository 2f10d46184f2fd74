"""People who are followed from frame to frame: where to look for each next, and whether two are really one."""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from kinetag.pose.networks import Body, LandmarkNetwork
from kinetag.pose.regions import Region
from kinetag.sequence import Pose
from kinetag.skeletons import BLAZEPOSE, KINETAG13

# The 13 joints that decide: faces, hands and feet of BlazePose move together with them.
MAIN = np.array(BLAZEPOSE.indices(KINETAG13.joints))
_SIGMAS = KINETAG13.sigmas
_SHOULDERS = np.array(BLAZEPOSE.indices(("left_shoulder", "right_shoulder")))
_HIPS = np.array(BLAZEPOSE.indices(("left_hip", "right_hip")))

PRESENT = 0.5  # below this score the landmark network sees nobody
# A newcomer must have this landmark score, and looking again from their own body must give nearly the same body (this
# similarity); less is asked where the detector is sure.
CERTAIN, STEADY = 0.95, 0.8
CLEAR, CLEARLY_STEADY = 0.75, 0.6
_PROBATION = 3  # frames that a newcomer must live through
_KNOWN = 15  # frames after which a person is well known
_FADING = 5.0  # s in which the evidence of a detection halves
_FORGET = 1.0  # s that a lost person is looked for
_DAMPING = 0.5  # s in which a predicted movement dies away
_SLOW = 0.8  # body heights a second up to which every other frame tells all: 11 % of the body between two looks
_SOON = 0.1  # s: with fewer frames a second than this, nobody is passed over
_OUTSIDE = 0.2  # factor on the confidence of a joint outside the picture
_SAME = 0.5  # object keypoint similarity from which two bodies are one person
_ON_TOP = 0.6  # part of a newcomer's hull that may not lie on somebody known
_LARGEST = 3.0  # side of a person's region in shorter sides of the picture: a close-up of the upper body
# Offset (in sides), size (log) and angle (radians) that a region may be off before the landmarks suffer.
_STALE = (0.1, 0.22, 0.35)
# What a lost person's region is tried with, in turn: as it was every other time, larger, and turned.
_RETRIES = ((1.0, 0.0), (1.4, 0.0), (1.0, 0.0), (1.0, math.pi / 2), (1.0, 0.0), (1.0, -math.pi / 2))


@dataclass(eq=False)
class Followed:
    """One person: the last body seen and when, so where to look next."""

    body: Body
    time: float
    evidence: float  # the detector's score when it last found them here, and when that was
    detected: float
    runs: int = 1  # frames in which this person was seen
    misses: int = 0  # frames since then without them
    continuity: float = 1.0  # similarity of the last two bodies
    velocity: tuple[float, float] = (0.0, 0.0)  # of the region's centre, pixels a second
    speed: float = math.inf  # of the joint that moves most, of late, in body heights a second
    looked: float = -math.inf  # when this person was looked for last
    waited: bool = False  # passed over in the frame before
    before: "Followed | None" = None  # as of the frame before, to go back to

    def expected(self, time: float) -> Region:
        """Where to look at ``time``: on from the last region at a velocity that dies away; if lost, near there."""
        ahead = min(max(time - self.time, 0.0), _DAMPING)
        ahead -= ahead**2 / (2 * _DAMPING)
        region = self.body.region.moved(self.velocity[0] * ahead, self.velocity[1] * ahead)
        factor, angle = _RETRIES[self.misses % len(_RETRIES)]
        return region.scaled(factor).turned(angle)

    def seen(self, body: Body, time: float) -> None:
        self.before = replace(self, before=None)
        last, now, elapsed = self.body.region, body.region, time - self.time
        self.velocity = ((now.x - last.x) / elapsed, (now.y - last.y) / elapsed) if elapsed > 0 else (0.0, 0.0)
        self.continuity = similarity(self.body, body)
        fastest = movement(self.body, body) / elapsed if elapsed > 0 else math.inf
        self.speed = fastest if self.speed == math.inf else (self.speed + fastest) / 2
        self.body, self.time = body, time
        self.runs, self.misses = self.runs + 1, 0

    def may_wait(self, time: float) -> bool:
        """Need nobody look at this person in the frame at ``time``? So it is, every other frame, for the slow."""
        calm = not self.new and self.misses == 0 and self.speed < _SLOW
        return calm and not self.waited and time - self.looked < _SOON

    def confirm(self, score: float, time: float) -> None:
        """The detector found this person again."""
        if score >= self.evidence_at(time):
            self.evidence, self.detected = score, time

    def evidence_at(self, time: float) -> float:
        """How sure it is that the region is on the right person: fades until the detector finds them there again."""
        return self.evidence * 0.5 ** (max(time - self.detected, 0.0) / _FADING)

    def unsee(self) -> None:
        """It was somebody else: go back to what was known before, and count this frame as missed."""
        if self.before is not None:
            self.body, self.time, self.velocity = self.before.body, self.before.time, self.before.velocity
        self.before = None
        self.misses += 1

    @property
    def new(self) -> bool:
        return self.runs < _KNOWN

    def given_up(self, time: float) -> bool:
        """Lost for too long; a newcomer gets no second chance."""
        return self.misses > 0 and (self.runs < _PROBATION or time - self.time > _FORGET)


def look_at(landmarks: LandmarkNetwork, image: np.ndarray, region: Region) -> Body:
    """The body in a region, looked at again where the body says that the region was wrong."""
    body = landmarks(image, region)
    if body.score >= PRESENT and body.region.sane and stale(region, body):
        body = landmarks(image, body.region)
    return body


def stale(used: Region, body: Body) -> bool:
    """Did the region that was looked at differ so much from the person's own that it is worth looking again?"""
    return any(off > limit for off, limit in zip(used.offset(body.region), _STALE, strict=True))


def credible(body: Body, width: int, height: int) -> bool:
    """Is this a person of a sane size and shape, at least partly in the picture?"""
    if body.score < PRESENT or not body.region.sane or not np.isfinite(body.points).all():
        return False
    main = body.points[MAIN]
    inside = ((main >= 0) & (main < (width, height))).all(axis=1)
    span = np.ptp(main, axis=0).max()
    trunk = np.linalg.norm(body.points[_SHOULDERS].mean(axis=0) - body.points[_HIPS].mean(axis=0))
    return (
        inside.sum() >= 4
        and (body.visibility[MAIN] * inside > 0.5).sum() >= 4
        and 0.04 * min(width, height) < span
        and body.region.size < _LARGEST * min(width, height)
        and trunk > 0.05 * span
    )


def similarity(a: Body, b: Body) -> float:
    """Object keypoint similarity (COCO, https://cocodataset.org/#keypoints-eval) of two bodies, in [0, 1].

    The scale is that of the smaller body, its main joints' extent; COCO's area is about half its square.
    """
    distances = ((a.points[MAIN] - b.points[MAIN]) ** 2).sum(axis=1)
    scale = min(np.ptp(body.points[MAIN], axis=0).max() for body in (a, b))
    return float(np.exp(-distances / (2 * (scale**2 / 2) * (2 * _SIGMAS) ** 2 + 1e-9)).mean())


def overlap(a: Body, b: Body) -> float:
    """How much of the smaller body's convex hull lies in the other's, in [0, 1]."""
    hull_a, hull_b = (cv2.convexHull(body.points[MAIN].astype(np.float32)) for body in (a, b))
    smaller = min(cv2.contourArea(hull_a), cv2.contourArea(hull_b))
    common, _ = cv2.intersectConvexConvex(hull_a, hull_b)
    return common / smaller if smaller > 0 else 0.0


def movement(a: Body, b: Body) -> float:
    """How far the joint that is surely seen in both and moved most went from ``a`` to ``b``, in heights of the body."""
    seen = np.minimum(a.visibility[MAIN], b.visibility[MAIN]) > 0.5
    if not seen.any():
        return math.inf
    moved = np.linalg.norm(a.points[MAIN] - b.points[MAIN], axis=1)[seen].max()
    return float(moved / max(np.ptp(b.points[MAIN], axis=0).max(), 1e-6))


def alike(a: Body, b: Body) -> bool:
    """Are these two readings of one person?"""
    return similarity(a, b) > _SAME


def on_top(newcomer: Body, known: Body) -> bool:
    """Is it the known person once more, or a piece of them, such as a trunk or a bent arm taken for a person?

    Two people who were seen apart may come as close as they like; a newcomer who appears on top of somebody is nobody.
    """
    return alike(newcomer, known) or overlap(newcomer, known) > _ON_TOP


def to_pose(body: Body, width: int, height: int) -> Pose:
    """The body as the common data type; a joint outside the picture is a guess, and its confidence says so."""
    within = ((body.points >= 0) & (body.points < (width, height))).all(axis=1)
    confidence = body.visibility * body.inside * np.where(within, 1.0, _OUTSIDE)
    return Pose(
        keypoints=body.points.astype(np.float32),
        confidence=confidence.astype(np.float32),
        score=body.score,
        layout=BLAZEPOSE.name,
        world=body.world.astype(np.float32),
    )
