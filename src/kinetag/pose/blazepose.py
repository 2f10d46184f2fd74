"""The embedded pose estimator: BlazePose for any number of people.

Each known person is looked for where they are expected; one square of the picture at a time is searched for others.
"""

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import cv2

from kinetag.errors import KinetagError
from kinetag.pose import search
from kinetag.pose.networks import Body, DetectorNetwork, LandmarkNetwork
from kinetag.pose.people import Followed, credible, similarity, stale, to_pose
from kinetag.pose.regions import Region
from kinetag.sequence import Frame, Pose

_THRESHOLD = 0.4  # of the detector; low, because the landmark network verifies every hit
_SAME = 0.5  # object keypoint similarity from which two bodies are one person
_AHEAD = 2  # frames that are worked on at once


@dataclass
class _Hunt:
    """A search of one square that is under way in another thread."""

    hits: Future[list[tuple[float, Region]]]
    time: float


class BlazePose:
    """People in consecutive frames of one video, 33 joints each. It remembers where they were: `reset` between videos.

    ``threads``: how many crops are worked on at once; None: one a core, four at most. ``max_people``: more are not
    looked for. ``search_rate``: squares searched for newcomers in a second of video; more finds them sooner and costs
    18 ms of a core each.
    """

    layout = "blazepose"

    def __init__(self, threads: int | None = None, max_people: int = 10, *, search_rate: float = 3.0) -> None:
        if max_people < 1:
            raise KinetagError(f"max_people is {max_people}, but must be at least 1")
        self.max_people = max_people
        self.search_rate = search_rate
        self._landmarks = LandmarkNetwork()
        self._detector = DetectorNetwork()
        self._pool = ThreadPoolExecutor(threads or min(_cores(), 4), thread_name_prefix="blazepose")
        cv2.setNumThreads(1)  # its own threads would compete with ours
        self.reset()

    def reset(self) -> None:
        """Forget everybody: the next frame starts a new video."""
        self._people: list[Followed] = []
        self._hunt: _Hunt | None = None
        self._size = (0, 0)
        self._last_search = -float("inf")

    def estimate(self, frames: Sequence[Frame]) -> list[list[Pose]]:
        """The people in each frame. With two frames or more both are worked on at once."""
        poses: list[list[Pose]] = []
        while len(poses) < len(frames):
            step = frames[len(poses) : len(poses) + _AHEAD]
            self._check(step[0])
            self._welcome()
            if any(person.runs for person in self._people):
                poses += self._follow(step)
            else:
                poses.append(self._find(step[0]))
        return poses

    def _check(self, frame: Frame) -> None:
        height, width = frame.image.shape[:2]
        if (width, height) != self._size:
            self.reset()
            self._size = (width, height)
            self._turns = search.rounds(width, height)

    def _follow(self, frames: Sequence[Frame]) -> list[list[Pose]]:
        """Look for everybody where they are expected, in all of ``frames`` at once."""
        frames = [frame for frame in frames if frame.image.shape == frames[0].image.shape]
        looks = [[(p, p.expected(f.time)) for p in self._people] for f in frames]
        jobs = [
            [self._pool.submit(self._look, frame, region) for _, region in row]
            for frame, row in zip(frames, looks, strict=True)
        ]
        self._search(frames[0])
        poses = []
        for frame, row, bodies in zip(frames, looks, jobs, strict=True):
            for (person, _), job in zip(row, bodies, strict=True):
                if person in self._people:
                    self._judge(person, job.result(), frame.time)
            self._merge()
            poses.append(self._poses(frame.time))
        return poses

    def _look(self, frame: Frame, region: Region) -> Body:
        """The body in a region, looked at again where the body says that the region was wrong."""
        body = self._landmarks(frame.image, region)
        if body.score >= 0.5 and body.region.sane and stale(region, body):
            body = self._landmarks(frame.image, body.region)
        return body

    def _judge(self, person: Followed, body: Body, time: float) -> None:
        if credible(body, *self._size):
            person.seen(body, time)
        elif person.missed(time):
            self._people.remove(person)

    def _poses(self, time: float) -> list[Pose]:
        return [
            to_pose(person.body, *self._size)
            for person in self._people
            if person.body is not None and person.time == time and person.runs >= 2
        ]

    def _merge(self) -> None:
        """Drop one of two regions that came to rest on the same person: the one that was known for less long."""
        kept: list[Followed] = []
        for person in sorted(self._people, key=lambda person: (person.misses, -person.runs)):
            body = person.body
            twin = body is not None and any(
                other.body is not None and similarity(body, other.body) > _SAME for other in kept
            )
            if not twin:
                kept.append(person)
        self._people = kept[: self.max_people]

    def _find(self, frame: Frame) -> list[Pose]:
        """Nobody is known: search the whole picture, at first thoroughly, then a part of it each frame."""
        first = self._last_search == -float("inf")
        self._last_search = frame.time
        width, height = self._size
        batches = (
            [search.sweep(width, height), search.lying(width, height)]
            if first
            else [[search.whole(width, height), next(self._turns)]]
        )
        for squares in batches:
            hits = [hit for found in self._pool.map(lambda s: self._detect(frame, s), squares) for hit in found]
            hits.sort(key=lambda hit: -hit[0])
            bodies = self._pool.map(lambda hit: self._verify(frame, hit[1]), hits)
            for body in bodies:
                if credible(body, *self._size):
                    person = Followed(body.region, frame.time)
                    person.seen(body, frame.time)
                    person.runs = 2  # looked at twice already
                    self._people.append(person)
            self._merge()
            if self._people:
                break
        return self._poses(frame.time)

    def _detect(self, frame: Frame, square: Region) -> list[tuple[float, Region]]:
        return self._detector(frame.image, square, _THRESHOLD)

    def _verify(self, frame: Frame, region: Region) -> Body:
        """The landmark network's word on a hit, twice: the second time from the body's own region."""
        body = self._landmarks(frame.image, region)
        if credible(body, *self._size):
            body = self._landmarks(frame.image, body.region)
        return body

    def _search(self, frame: Frame) -> None:
        """Start to search the next square, if it is time to."""
        if self._hunt is not None or len(self._people) >= self.max_people:
            return
        lost = [person for person in self._people if person.misses]
        if not lost and frame.time - self._last_search < 1 / self.search_rate:
            return
        self._last_search = frame.time
        square = next(self._turns)
        self._hunt = _Hunt(self._pool.submit(self._detect, frame, square), frame.time)

    def _welcome(self) -> None:
        """Take up what the last search found; whoever is known already is dropped by `_merge` after the next look."""
        if self._hunt is None:
            return
        hunt, self._hunt = self._hunt, None
        for _, region in hunt.hits.result():
            if not any(_near(region, person.region) for person in self._people):
                self._people.append(Followed(region, hunt.time))


def _near(a: Region, b: Region) -> bool:
    """So alike that looking there would show the same person."""
    distance, size, _ = b.offset(a)
    return distance < 0.1 and size < 0.3


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
