"""People who overlap in the picture, and who is who once they part."""

import math
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from kinetag.appearance import color_distance
from kinetag.assignment import assign
from kinetag.tracks import Motion, Track

_OVERLAP = 0.15  # share of the smaller body's box from which two bodies are mixed up
_APART = 0.3  # s that bodies must be clear of each other before they are judged
_PATIENCE = 2.0  # s after which one is judged who is still not seen alone
_CONTINUITY = 6.0  # how much better, in squared deviations, an exchange must explain what is seen
_COLOR_SPREAD = 0.14


def overlapping(people: list[Track], newcomers: list[Track], time: float) -> list[tuple[Track, Track]]:
    """Pairs of bodies whose boxes overlap now; of two that are both hidden nothing can be mixed up."""
    boxes = {track: track.core(time) for track in (*people, *newcomers)}
    return [
        (a, b)
        for a, b in combinations(boxes, 2)
        if time in (a.last_time, b.last_time) and _shared(boxes[a], boxes[b]) > _OVERLAP
    ]


def _shared(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection of two boxes as a share of the smaller one."""
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    smaller = min(np.prod(a[2:] - a[:2]), np.prod(b[2:] - b[:2]))
    return float(max(width, 0) * max(height, 0) / max(smaller, 1e-6))


@dataclass(eq=False)
class Encounter:
    """Two or more people whose bodies overlap. ``before`` is how each one moved when they met."""

    since: float
    last: float
    before: dict[Track, Motion] = field(default_factory=dict)

    @property
    def members(self) -> list[Track]:
        return list(self.before)

    @staticmethod
    def extend(encounters: list["Encounter"], together: list[tuple[Track, Track]], time: float) -> list["Encounter"]:
        """Take in the pairs that overlap now: encounters that share a person become one.

        What shows of a pair of which one is hidden is the other's own, so it can be judged meanwhile; a pair of
        which both are seen must part first.
        """
        encounters = list(encounters)
        for pair in together:
            both_seen = all(track.last_time == time for track in pair)
            joined = [e for e in encounters if any(track in e.before for track in pair)]
            merged = Encounter(
                min((e.since for e in joined), default=time),
                time if both_seen else max((e.last for e in joined), default=time),
            )
            for encounter in joined:
                merged.before.update(encounter.before)
            for track in pair:
                if both_seen or track not in merged.before:
                    track.recent.clear()
                merged.before.setdefault(track, track.motion.copy())
            encounters = [e for e in encounters if e not in joined] + [merged]
        return encounters

    def settled(self, time: float) -> bool:
        """Are all who are in view apart, and seen clearly enough to be judged?"""
        if time - self.last < _APART:
            return False
        visible = [track for track in self.before if track.last_time == time]
        clear = all(track.recent.frames >= 3 for track in visible)
        return clear or time - self.last > _PATIENCE

    def settle(self, absent: list[Track]) -> dict[Track, Track]:
        """Find out who is who. Poses given to the wrong person meanwhile are moved; gives track -> the right one.

        Each member's clothes and movement before are compared with what each path since shows; the assignment of
        least total surprise wins, if it beats going on as is by a clear margin. People who are ``absent`` may be the
        ones who came into view here.
        """
        for track in absent:
            self.before.setdefault(track, track.motion.copy())
        people = [track for track in self.before if track.id is not None]
        surprise = np.zeros((len(people), len(people)))  # person, path since
        for j, path in enumerate(people):
            for i, person in enumerate(people):
                surprise[i, j] = self._surprise(person, path)
        order = np.array([j for _, j in assign(surprise)], int)  # person i goes on along path order[i]
        gain = np.trace(surprise) - surprise[np.arange(len(people)), order].sum()
        if gain < _CONTINUITY:
            return {}
        paths = [track.release(self.since) for track in people]
        for person, j in zip(people, order, strict=True):
            person.take_over(paths[j], self.before[person])
        return {people[j]: person for person, j in zip(people, order, strict=True)}

    def _surprise(self, person: Track, path: Track) -> float:
        """Squared deviations of the looks and place of ``path`` since they met from what is known of ``person``."""
        if path.last_time < self.since:
            return 0.0  # nothing seen
        before = self.before[person]
        center, spread = before.at(max(self.last, before.time))
        moved = min(((path.motion.center - center) ** 2).sum() / (spread**2 + (0.3 * before.size) ** 2), 6.0)
        distance = color_distance(person.colors.mean, path.recent.mean)
        return moved + (0.0 if math.isnan(distance) else (distance / _COLOR_SPREAD) ** 2)
