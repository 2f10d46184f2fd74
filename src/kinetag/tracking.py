"""Follow people from frame to frame: which pose belongs to whom.

Association in two stages after ByteTrack (Zhang et al., ECCV 2022), with object keypoint similarity in place of box
overlap, and a motion model on true time. People out of sight are kept and known again by place, size, proportions and
clothes. When two bodies overlap, what is learnt about them rests, and once they part their clothes and their movement
before tell who is who; poses that were given to the wrong one meanwhile are moved.
"""

import math
from collections.abc import Sequence

import numpy as np

from kinetag.appearance import color_distance
from kinetag.assignment import assign
from kinetag.encounters import Encounter, overlapping
from kinetag.sequence import Pose, PoseSequence
from kinetag.skeletons import KINETAG13
from kinetag.tracks import Sighting, Track, measure

# Scores from which a pose is sure to be a person, and from which it may continue one (ByteTrack: 0.6 and 0.1).
_CONFIDENT, _DOUBTFUL = 0.5, 0.2
_SAME_BODY = 0.75  # object keypoint similarity from which two poses of a frame are one body found twice
_MATCH = 0.15  # least similarity to where a person is expected
_ACTIVE = 0.5  # s without a pose after which posture says nothing any more, and place, size and clothes decide
_AREA = 0.43  # root of the area that COCO's similarity is scaled by, for a body of stature 1
_COLOR_WEIGHT = 1.0  # what clothes count beside the similarity while someone is in view
_LIKE = 0.15  # usual `color_distance` of one pose to the memory of its person; taken where clothes are unknown
_COLOR_SPREAD = 0.14  # usual `color_distance` of a person to their own memory
_UNCLEAR = 1.0  # s more of probation beside another body: poses stretched across two people do not last
_ON_TOP = 0.8  # share of probation that does not count while a known person shows at the same place
_MIXED = 1.0  # s that someone may have been seen both as a newcomer and, mixed up with another, as themselves
_ONE_BODY = 0.15  # statures between two centres up to which they are one body found twice
_BUILD_SPREAD = 0.15  # usual difference of the logarithm of a body length


class Tracker:
    """Gives every pose the number of its person; numbers are never used again for someone else.

    ``probation`` (s): a newcomer counts as a person when seen for this long (and at least 3 poses); more keeps out
    ghosts and delays live labels. ``max_gap`` (s): how long someone out of sight is expected back near where they
    were last seen. ``max_absence`` (s): how long someone is known again, anywhere in the picture, by clothes and
    proportions; more costs nothing but the risk of taking one person for another in the same clothes.
    ``min_duration`` (s): people seen for less are left out of `sequences`.
    """

    def __init__(
        self, *, probation: float = 0.4, max_gap: float = 5.0, max_absence: float = 300.0, min_duration: float = 0.5
    ) -> None:
        self.probation = probation
        self.max_gap = max_gap
        self.max_absence = max_absence
        self.min_duration = min_duration
        self.reset()

    def reset(self) -> None:
        """Forget everybody; numbering starts again at 1."""
        self.people: list[Track] = []  # confirmed, in view or not
        self.newcomers: list[Track] = []
        self._encounters: list[Encounter] = []
        self.cuts: list[float] = []  # first frames of new shots
        self._first_time: float | None = None
        self._last_time = -math.inf
        self._last_id = 0

    def update(self, poses: Sequence[Pose], time: float, *, cut: bool = False) -> list[int | None]:
        """The person of each pose of this frame; None for one on probation, a double or too doubtful.

        ``time`` (s) must be later than the last one. The order of the poses does not matter. ``cut``: the film is cut
        before this frame, so that nobody is where they were, and people are known again by clothes and proportions.
        """
        if cut:
            self.cuts.append(time)
            self.newcomers, self._encounters = [], []
        self._first_time = time if self._first_time is None else self._first_time
        step = time - self._last_time if self._last_time > -math.inf else 0.0
        in_view = max(_ACTIVE, 2 * step)
        self._last_time = time

        # 1. Measure each pose, and drop all but the surest of several poses of one body.
        sightings = _without_doubles([s for s in map(measure, poses) if s is not None and s.pose.score >= _DOUBTFUL])
        sure = [s for s in sightings if s.pose.score >= _CONFIDENT]
        owner: dict[int, Track] = {}  # id() of the pose -> track

        def assign(tracks: list[Track], candidates: list[Sighting], cost: np.ndarray, limit: float) -> None:
            for track, sighting in _pairs(tracks, candidates, cost, limit):
                track.see(sighting, time, step)
                owner[id(sighting.pose)] = track

        def left(candidates: list[Sighting]) -> list[Sighting]:
            return [s for s in candidates if id(s.pose) not in owner]

        # 2. Confident poses go to the people in view, by posture and place, helped by clothes.
        active = [t for t in self._of_this_shot() if time - t.last_time <= in_view]
        assign(active, sure, _posture_cost(active, sure, time), 1 - _MATCH + _LIKE * _COLOR_WEIGHT)

        # 3. Doubtful poses may continue whoever is left, by posture and place alone.
        unseen = [t for t in active if t.last_time < time]
        unsure = [s for s in sightings if s.pose.score < _CONFIDENT]
        assign(unseen, unsure, _posture_cost(unseen, unsure, time, color_weight=0), 1 - _MATCH)

        # 4. Confident poses go to people who were lost a short while ago, by place, size and clothes; or who moved so
        # suddenly that nothing of their posture is left, as at the bottom of a quick lunge.
        lost = [t for t in self._of_this_shot() if 0 < time - t.last_time <= self.max_gap]
        assign(lost, left(sure), _return_cost(lost, left(sure), time), 0.0)

        # 5. The others continue a newcomer or start one.
        rest = left(sure)
        assign(self.newcomers, rest, _posture_cost(self.newcomers, rest, time), 1 - _MATCH + _LIKE * _COLOR_WEIGHT)
        for sighting in left(rest):
            if not any(_similarity([t], [sighting], time)[0, 0] > 0.5 for t in self.people if t.last_time == time):
                self.newcomers.append(Track.start(sighting, time))
                owner[id(sighting.pose)] = self.newcomers[-1]
        self.newcomers = [t for t in self.newcomers if time - t.last_time <= in_view]

        # 6. Learn how those look who stand alone; watch those who overlap, and sort them out when they part.
        self._watch_encounters(sightings, owner, time, step)

        # 7. Newcomers who lived long enough are someone known who returned, or someone new.
        self._confirm(owner, time)
        return [owner[id(p)].id if id(p) in owner else None for p in poses]

    def sequences(self, frame_size: tuple[int, int]) -> list[PoseSequence]:
        """Everything seen of each person, frames on probation included, in the order of their numbers.

        Left out are things that only looked like a person: seen for less than ``min_duration``, or as still as
        furniture and never convincing. A source shorter than the probation (an image) is taken as is.
        """
        short = self._first_time is not None and self._last_time - self._first_time < self.probation
        if short:
            newcomers = sorted(self.newcomers, key=_from_left)
            people = [*self.people, *newcomers]
        else:
            people = [t for t in self.people if t.last_time - t.first_time >= self.min_duration and not _lifeless(t)]
        return [_sequence(t, t.id or self._last_id + n, frame_size, self.cuts) for n, t in enumerate(people, 1)]

    @property
    def _shot(self) -> float:
        """When this shot began (s)."""
        return self.cuts[-1] if self.cuts else -math.inf

    def _of_this_shot(self) -> list[Track]:
        return [t for t in self.people if t.last_time >= self._shot]

    def _watch_encounters(self, sightings: list[Sighting], owner: dict[int, Track], time: float, step: float) -> None:
        """Open, extend and settle encounters, and learn the looks of all who are in none."""
        # People hidden behind someone still take part, at the place where they are expected.
        present = [t for t in self._of_this_shot() if time - t.last_time <= self.max_gap]
        together = overlapping(present, [t for t in self.newcomers if t.last_time == time], time)
        self._encounters = Encounter.extend(self._encounters, together, time)
        mixed = {t for e in self._encounters for t in e.members}
        for a, b in together:
            for newcomer, other in ((a, b), (b, a)):
                if newcomer.id is None and other.id is not None and other.last_time == time:
                    newcomer.seen_for -= _ON_TOP * step
        overlapped = {t for a, b in together if a.last_time == b.last_time for t in (a, b)}
        for sighting in sightings:
            track = owner.get(id(sighting.pose))
            if track is None or track in overlapped:
                continue
            track.recent.add(sighting.pose.appearance)
            if track not in mixed:
                track.learn(sighting.pose)
        settled = [e for e in self._encounters if e.settled(time)]
        for encounter in settled:
            gone = [t for t in self._of_this_shot() if time - self.max_gap <= t.last_time < encounter.since]
            moved = encounter.settle(gone)
            for key, track in owner.items():
                owner[key] = moved.get(track, track)
        self._encounters = [e for e in self._encounters if e not in settled]

    def _confirm(self, owner: dict[int, Track], time: float) -> None:
        """Newcomers past probation get the number of whom they match among the absent, or a new one."""
        mixed = {t for e in self._encounters for t in e.members}
        ready = [
            t for t in self.newcomers if t.count >= 3 and t.seen_for >= self.probation + (_UNCLEAR if t in mixed else 0)
        ]
        ready.sort(key=_from_left)
        absent = [t for t in self.people if time - t.last_time <= self.max_absence]
        known = dict(_pairs(ready, absent, _identity_cost(ready, absent, self.max_gap, self._shot), 0.0))
        for newcomer in ready:
            self.newcomers.remove(newcomer)
            person = known.get(newcomer)
            if person is not None:
                person.resume(newcomer)
                for key, track in owner.items():
                    owner[key] = person if track is newcomer else track
            else:
                self._last_id += 1
                newcomer.id = self._last_id
                self.people.append(newcomer)


def _similarity(tracks: Sequence[Track], sightings: Sequence[Sighting], time: float) -> np.ndarray:
    """Object keypoint similarity of where people should be and where they are, (tracks, sightings), in [0, 1].

    As in COCO (https://cocodataset.org/#keypoints-eval): exp(-d^2 / (2 s^2 k^2)) averaged over joints, k = 2 sigma,
    here weighted with both confidences, and with the variance of the prediction added to s^2 k^2, so that the longer
    nobody looked, the more is forgiven.
    """
    if not tracks or not sightings:
        return np.zeros((len(tracks), len(sightings)))
    expected = [track.expected(time) for track in tracks]
    points = np.stack([points for points, _ in expected])[:, None]  # (N, 1, 13, 2)
    scale = np.array([_AREA * track.motion.size for track in tracks])[:, None] * 2 * KINETAG13.sigmas
    variance = (scale**2 + np.array([spread for _, spread in expected])[:, None] ** 2)[:, None]  # (N, 1, 13)
    weight = np.stack([t.confidence for t in tracks])[:, None] * np.stack([s.confidence for s in sightings])
    squares = ((points - np.stack([s.points for s in sightings])) ** 2).sum(axis=-1)  # (N, M, 13)
    likeness = np.where(weight > 0, np.exp(-squares / (2 * variance)), 0.0)
    total = weight.sum(axis=-1)
    return np.where(total > 0.2, (weight * likeness).sum(axis=-1) / np.maximum(total, 0.2), 0.0)


def _posture_cost(
    tracks: list[Track], sightings: list[Sighting], time: float, color_weight: float = _COLOR_WEIGHT
) -> np.ndarray:
    """1 - similarity, plus what speaks against it in the clothes; infinite for those that have nothing in common."""
    similarity = _similarity(tracks, sightings, time)
    cost = np.where(similarity >= _MATCH, 1 - similarity, np.inf)
    for i, j in np.argwhere(np.isfinite(cost)):
        distance = color_distance(tracks[i].colors.mean, sightings[j].pose.appearance)
        cost[i, j] += color_weight * (_LIKE if math.isnan(distance) else distance)
    return cost


def _return_cost(tracks: list[Track], sightings: list[Sighting], time: float) -> np.ndarray:
    """Surprise that a pose is someone lost: sum of squared deviations of place, size and clothes, less the bar."""
    cost = np.full((len(tracks), len(sightings)), np.inf)
    for i, track in enumerate(tracks):
        center, spread = track.motion.at(time)
        for j, sighting in enumerate(sightings):
            place = ((sighting.center - center) ** 2).sum() / (spread**2 + (0.1 * track.motion.size) ** 2)
            size = (math.log(sighting.size / track.motion.size) / (0.15 + 0.1 * (time - track.last_time))) ** 2
            distance = color_distance(track.colors.mean, sighting.pose.appearance)
            clothes = 0.0 if math.isnan(distance) else (distance / (1.5 * _COLOR_SPREAD)) ** 2
            cost[i, j] = place + size + clothes - 12.0
    return cost


def _identity_cost(newcomers: list[Track], absent: list[Track], max_gap: float, shot: float) -> np.ndarray:
    """Surprise that a newcomer is someone absent, less the bar; infinite where clothes are unknown or both were seen.

    Soon after, in the shot since ``shot`` (s), place and size count too. Later only clothes and proportions are left,
    and the bar is higher.
    """
    cost = np.full((len(newcomers), len(absent)), np.inf)
    for i, new in enumerate(newcomers):
        for j, old in enumerate(absent):
            gap = new.first_time - old.last_time
            # Seen in one frame they are two people, unless both lie on one body.
            apart = float(np.hypot(*(new.motion.center - old.motion.center))) > _ONE_BODY * old.motion.size
            if gap <= -_MIXED or (old.last_time == new.last_time and apart):
                continue
            distance = color_distance(old.colors.mean, new.recent.mean)
            if math.isnan(distance):
                continue
            surprise = (distance / _COLOR_SPREAD) ** 2
            if old.build is not None and new.build is not None:
                surprise += float(np.mean(((old.build - new.build) / _BUILD_SPREAD) ** 2))
            if gap <= max_gap and old.last_time >= shot:
                center, spread = old.motion.at(max(new.first_time, old.last_time))
                place = ((new.start_center - center) ** 2).sum() / (spread**2 + (0.1 * old.motion.size) ** 2)
                cost[i, j] = surprise + min(place, 6.0) - 9.0
            else:
                cost[i, j] = surprise - 5.0
    return cost


def _without_doubles(sightings: list[Sighting]) -> list[Sighting]:
    """Of poses that lie on each other the one with the highest score."""
    kept: list[Sighting] = []
    for sighting in sorted(sightings, key=lambda s: (-s.pose.score, *s.center)):
        scale = _AREA * sighting.size * 2 * KINETAG13.sigmas
        if not any(_overlay(sighting, other, scale) > _SAME_BODY for other in kept):
            kept.append(sighting)
    return kept


def _overlay(a: Sighting, b: Sighting, scale: np.ndarray) -> float:
    """Object keypoint similarity of two poses of one frame."""
    weight = a.confidence * b.confidence
    if weight.sum() < 0.2:
        return 0.0
    squares = np.where(weight > 0, ((a.points - b.points) ** 2).sum(axis=1), 0.0)
    return float(np.average(np.exp(-squares / (2 * scale**2)), weights=weight))


def _pairs(rows: Sequence, columns: Sequence, cost: np.ndarray, limit: float) -> list[tuple]:
    """The assignment of least total cost, of pairs below ``limit``; other pairs do not compete."""
    if not len(rows) or not len(columns):
        return []
    cost = np.where(cost < limit, cost - limit, 0.0)  # leaving a pair out costs nothing, and taking it gains
    return [(rows[i], columns[j]) for i, j in assign(cost) if cost[i, j] < 0]


def _from_left(track: Track) -> tuple[float, float]:
    """People who appear together are numbered from left to right."""
    return track.first_time, float(track.motion.center[0])


def _lifeless(track: Track) -> bool:
    """As still as furniture and never convincing: a bag, a chair, a poster."""
    joints = track.recording.rows()[1]
    points = joints[:: max(1, len(joints) // 2000), :, :2]  # of a long recording a part tells as much
    movement = np.nanmedian(np.nanstd(points, axis=0)) / track.motion.size
    return track.score < 0.7 and movement < 0.01


def _sequence(track: Track, person: int, frame_size: tuple[int, int], cuts: Sequence[float]) -> PoseSequence:
    times, joints = track.recording.rows()  # (T,), (T, V, 6)
    world = None if np.isnan(joints[:, :, 3:]).all() else joints[:, :, 3:]
    inside = [cut for cut in cuts if times[0] < cut <= times[-1]]
    return PoseSequence(
        times=times,
        keypoints=joints[:, :, :2],
        confidence=joints[:, :, 2],
        layout=track.recording.layout,
        frame_size=frame_size,
        person=person,
        world=world,
        cuts=tuple(dict.fromkeys(times[np.searchsorted(times, inside)].tolist())),
    )
