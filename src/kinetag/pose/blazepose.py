"""The embedded pose estimator: BlazePose for any number of people.

Each known person is looked for where they are expected; one square of the picture at a time is searched for others.
"""

import math
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from kinetag.cores import core_count
from kinetag.errors import KinetagError
from kinetag.pose import search
from kinetag.pose.movement import Movement
from kinetag.pose.networks import Body, DetectorNetwork, LandmarkNetwork
from kinetag.pose.people import (
    CERTAIN,
    CLEAR,
    CLEARLY_STEADY,
    MAIN,
    PRESENT,
    STEADY,
    Followed,
    alike,
    credible,
    look_at,
    on_top,
    similarity,
    to_pose,
)
from kinetag.pose.regions import Region
from kinetag.sequence import Frame, Pose

_THRESHOLD = 0.4  # of the detector; low, because the landmark network verifies every hit
_FOUND = 0.2  # similarity of a lost person's last body with one found where they are searched for
_MISSED = 4.0  # s for which a person is searched for near where they vanished
_CROWD = 0.4  # sides of a region; people nearer to each other than this may overlap
_AHEAD = 2  # frames that are worked on at once


_Hit = tuple[float, Region]  # the detector's score, and where


@dataclass(frozen=True)
class _Found:
    """What the search of one square gave: the people known already, with the detector's score, and newcomers."""

    time: float
    known: list[tuple[Followed, float]]
    newcomers: list[Followed]


# A frame, and for everybody known where they are being looked for.
_Look = tuple[Frame, list[tuple[Followed, Future[Body]]]]


class BlazePose:
    """People in consecutive frames of one video, 33 joints each. It remembers where they were: `reset` between videos.

    ``threads``: how many crops are worked on at once; None: one a core, four at most. ``max_people``: more are not
    looked for. ``search_rate``: squares searched for newcomers in a second of video; more finds them sooner and costs
    18 ms of a core each. ``every_frame`` off passes over every other frame of somebody who moves slowly and stands
    alone, which saves about a third of the work.
    """

    layout = "blazepose"

    def __init__(
        self, threads: int | None = None, max_people: int = 10, *, search_rate: float = 3.0, every_frame: bool = True
    ) -> None:
        if max_people < 1:
            raise KinetagError(f"max_people is {max_people}, but must be at least 1")
        self.max_people = max_people
        self.search_rate, self.every_frame = search_rate, every_frame
        self._landmarks = LandmarkNetwork()
        self._detector = DetectorNetwork()
        self._pool = ThreadPoolExecutor(threads or min(core_count(), 4), thread_name_prefix="blazepose")
        cv2.setNumThreads(1)  # its own threads would compete with ours
        self.reset()

    def reset(self) -> None:
        """Forget everybody: the next frame starts a new video."""
        self._people: list[Followed] = []
        self._missing: list[Followed] = []  # given up of late: they may come out again near where they vanished
        self._size = (0, 0)
        self._last_search = -math.inf
        self._searches = 0
        self._movement = Movement()

    def estimate(self, frames: Sequence[Frame]) -> list[list[Pose]]:
        """The people in each frame. With two frames or more, two are worked on at once."""
        poses: list[list[Pose]] = []
        looks: deque[_Look] = deque()  # under way, oldest first
        hunt: tuple[int, Future[_Found]] | None = None  # under way since that frame
        for number, frame in enumerate(frames):
            cut = self._movement.see(frame.image) or not self._fits(frame)
            while looks and (len(looks) == _AHEAD or not self._people or cut):
                poses.append(self._take(looks.popleft()))
            # A search takes longer than a look; always taken up two frames later, it gives the same on any machine.
            if hunt and (number >= hunt[0] + _AHEAD or cut):
                self._welcome(hunt[1].result())
                hunt = None
            if cut:
                self._begin(frame)
            if not self._people:
                poses.append(self._find(frame))
                continue
            looks.append(self._look_for_all(frame))
            if hunt is None and (square := self._next_square(frame.time)):
                known = [(person, person.body.region) for person in self._people if not person.misses]
                hunt = number, self._pool.submit(self._people_in, frame, square, known)
        poses += [self._take(look) for look in looks]
        if hunt:
            self._welcome(hunt[1].result())
        return poses

    def _fits(self, frame: Frame) -> bool:
        return (frame.image.shape[1], frame.image.shape[0]) == self._size

    def _begin(self, frame: Frame) -> None:
        """Another scene: nobody is where they were, and the whole picture is searched. Another size: a new video."""
        if not self._fits(frame):
            self.reset()
            self._movement.see(frame.image)
            self._size = (frame.image.shape[1], frame.image.shape[0])
            self._turns = search.rounds(*self._size)
        self._people, self._missing, self._last_search = [], [], -math.inf

    def _look_for_all(self, frame: Frame) -> _Look:
        """Start to look for everybody where they are expected, but for those who may wait until the next frame."""
        row = []
        for person in self._people:
            person.waited = not (self.every_frame or not person.may_wait(frame.time) or self._crowded(person))
            if not person.waited:
                person.looked = frame.time
                row.append(
                    (person, self._pool.submit(look_at, self._landmarks, frame.image, person.expected(frame.time)))
                )
        return frame, row

    def _crowded(self, person: Followed) -> bool:
        """Is somebody else so near that the two may overlap?"""
        here = person.body.region
        others = (other.body.region for other in self._people if other is not person)
        return any(here.distance(there) < _CROWD * max(here.size, there.size) for there in others)

    def _take(self, look: _Look) -> list[Pose]:
        """Take up what was seen in one frame."""
        frame, row = look
        for person, job in row:
            body = job.result()
            if credible(body, *self._size):
                person.seen(body, frame.time)
            else:
                person.misses += 1
        self._merge(frame.time)
        gone = [person for person in self._people if person.given_up(frame.time)]
        self._missing += [person for person in gone if not person.new]
        self._missing = [person for person in self._missing if frame.time - person.time < _MISSED]
        self._people = [person for person in self._people if person not in gone]
        return self._poses(frame.time)

    def _poses(self, time: float) -> list[Pose]:
        return [to_pose(person.body, *self._size) for person in self._people if person.time == time]

    def _merge(self, time: float) -> None:
        """Of two regions that came to rest on one person keep one: the longer known, else the one that jumped less."""
        seen = [person for person in self._people if person.time == time]
        seen.sort(key=lambda person: (person.new, -person.evidence if person.new else -person.continuity))
        kept: list[Followed] = []
        for person in seen:
            same = on_top if person.new else alike
            if any(same(person.body, other.body) for other in kept):
                person.unsee()
            else:
                kept.append(person)

    def _find(self, frame: Frame) -> list[Pose]:
        """Nobody is known: search the whole picture, at first thoroughly, then a part of it each frame."""
        if self._last_search == -math.inf:
            batches = search.sweep(*self._size)
        else:
            batches = [[search.whole(*self._size), next(self._turns)]]
        self._last_search = frame.time
        for squares in batches:
            hits = [hit for found in self._pool.map(partial(self._detect, frame.image), squares) for hit in found]
            new = [hit for hit in _distinct(hits) if not any(hit[1].near(p.body.region) for p in self._people)]
            for newcomer in self._pool.map(partial(self._verify, frame), new):
                if newcomer is not None:
                    self._add(newcomer)
            if len(self._people) >= self.max_people:
                break
        return self._poses(frame.time)

    def _next_square(self, time: float) -> Region | None:
        """Where to search now, if it is time to: near lost people, where something moves, then anywhere."""
        lost = [person for person in self._people if person.misses] or self._missing
        turns = (time - self._last_search) * self.search_rate  # that have gone by without a search
        if turns < (0.5 if lost else 1) or (not lost and len(self._people) >= self.max_people):
            return None
        moving = self._movement.places(_box(person.body) for person in self._people if not person.misses)
        if turns < 2 and not lost and not moving:
            return None
        self._last_search = time
        self._searches += 1
        # Three searches for those who were lost, each of them in turn, to one for anybody.
        if lost and self._searches % 4:
            person = lost[self._searches % len(lost)]
            if moving and self._searches % 4 != 2:
                nearest = min(moving, key=person.body.region.distance)
                return search.around(nearest, *self._size)
            return search.surroundings(person.body.region, self._searches, time - person.time)
        if moving and self._searches % 2:
            return search.around(moving[self._searches // 2 % len(moving)], *self._size)
        return next(self._turns)

    def _welcome(self, found: _Found) -> None:
        for person, score in found.known:
            person.confirm(score, found.time)
        for newcomer in found.newcomers:
            self._add(newcomer)

    def _add(self, found: Followed) -> None:
        """Take up a newcomer, unless it is somebody known: who may have been lost or followed wrongly until now."""
        same = [person for person in self._people if alike(found.body, person.body)]
        under = [person for person in self._people if on_top(found.body, person.body)]
        if not under and len(self._people) < self.max_people:
            self._people.append(found)
            if self._missing:  # most likely one of them
                self._missing.remove(min(self._missing, key=lambda p: p.body.region.distance(found.body.region)))
        elif len(same or under) == 1:
            (person,) = same or under
            lost = person.misses > 0 and similarity(found.body, person.body) > _FOUND
            astray = not same and found.evidence > person.evidence_at(found.time)
            if person.time <= found.time and (lost or astray):
                person.seen(found.body, found.time)
            person.confirm(found.evidence, found.time)

    def _people_in(self, frame: Frame, square: Region, known: list[tuple[Followed, Region]]) -> _Found:
        """Everybody in one square; who is followed already is not looked at again."""
        found = _Found(frame.time, [], [])
        for hit in _distinct(self._detect(frame.image, square)):
            person = next((person for person, region in known if hit[1].near(region)), None)
            if person is not None:
                found.known.append((person, hit[0]))
            elif (newcomer := self._verify(frame, hit)) is not None:
                found.newcomers.append(newcomer)
        return found

    def _detect(self, image: np.ndarray, square: Region) -> list[_Hit]:
        return self._detector(image, square, _THRESHOLD)

    def _verify(self, frame: Frame, hit: _Hit) -> Followed | None:
        """A hit of the detector is a person if their body is a fixed point: looking again there gives it again."""
        score, region = hit
        certain, steady = (PRESENT, CLEARLY_STEADY) if score >= CLEAR else (CERTAIN, STEADY)
        before, body = None, self._landmarks(frame.image, region)
        for _ in range(2):
            if not credible(body, *self._size):
                return None
            before, body = body, self._landmarks(frame.image, body.region)
            if body.score < certain:
                return None
        if not credible(body, *self._size) or (before is not None and similarity(before, body) < steady):
            return None
        return Followed(body, frame.time, score, frame.time)


def _box(body: Body) -> tuple[np.ndarray, np.ndarray]:
    """Low and high corner around a body, with room for what its joints do not reach, and for its shadow."""
    points = body.points[MAIN]
    low, high = points.min(axis=0), points.max(axis=0)
    room = 0.12 * (high - low).max()
    return low - room, high + room


def _distinct(hits: list[_Hit]) -> list[_Hit]:
    """Best first, without those that say the same as a better one."""
    kept: list[_Hit] = []
    for score, region in sorted(hits, key=lambda hit: -hit[0]):
        if not any(region.near(other) for _, other in kept):
            kept.append((score, region))
    return kept
