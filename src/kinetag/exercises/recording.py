"""What the embedded pose estimator really makes of the library's motions: its errors, recorded beside the truth.

    python -m kinetag.exercises.recording --out FILE.npz --per-class 100 --seconds 480 --workers 16

Random people do every exercise before random cameras (see `filming`), and BlazePose's landmark network follows them as
in `kinetag.pose.blazepose`, but for the search: where they are at first, and where they are again when it lost them,
is taken from the truth. A clip depends on the seed, its class and its number alone.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from kinetag.cores import core_count
from kinetag.errors import KinetagError
from kinetag.exercises.filming import film
from kinetag.exercises.kinematics import JOINT
from kinetag.exercises.labels import class_names
from kinetag.exercises.library import Exercise
from kinetag.exercises.motion import shipped_library
from kinetag.exercises.recordings import Recording, read_recordings, write_recordings
from kinetag.exercises.travel import moving_library
from kinetag.pose.networks import Body, LandmarkNetwork
from kinetag.pose.people import Followed, credible, look_at
from kinetag.pose.regions import Region
from kinetag.timeline import OTHER

SECONDS, RATE = 6.0, 12.0  # of a clip
_PATIENCE = 4  # frames without the person after which the search finds them: a third of a second
_AROUND = 1.12  # radius of the circle around a body, in distances from mid-hip to the farthest joint
_ASTRAY = 0.4  # sides of the true region that a region may be off before it counts as somewhere else
_SHARD = 60.0  # s between two shards
_HIPS = [JOINT["left_hip"], JOINT["right_hip"]]
_SHOULDERS = [JOINT["left_shoulder"], JOINT["right_shoulder"]]


def record(
    exercise: Exercise | str,
    seed: int,
    number: int,
    passers: float = 0.0,
    *,
    seconds: float = SECONDS,
    rate: float = RATE,
    sets: bool = False,
) -> Recording:
    """Film a random person doing ``exercise`` (or a class of the library, by its name) and follow them: the clip with
    that ``number`` of that class. ``passers`` is the chance that somebody walks past in front. With ``sets`` the clip
    is no six seconds from somewhere, but two to six whole repetitions. Raises KinetagError for sets of what nobody
    counts."""
    label = exercise if isinstance(exercise, str) else exercise.name
    known = shipped_library().get(exercise) if isinstance(exercise, str) else exercise
    if sets and (label == OTHER or (known is not None and known.counting is None)):
        raise KinetagError(f"{label} is not counted, so it has no sets of whole repetitions")
    rng = np.random.default_rng([seed, number, *label.encode()])
    repetitions = int(rng.integers(2, 7)) if sets else None
    footage = film(exercise, rng, seconds=seconds, rate=rate, passers=passers, repetitions=repetitions)
    truth = footage.truth().people[0]
    camera, joints = footage.camera, footage.performances[0].joints
    up = camera.axes[:, 1] * (1, -1, 1)
    local = (joints - camera.position) @ camera.axes.T * (1, -1, 1)
    pixels, _ = camera.project(joints)
    images = (footage.worn(frame.image) for frame in footage.frames())
    bodies, found = follow(images, [_region(points) for points in pixels], footage.times)
    assert footage.motion is not None
    return Recording(
        label=label,
        variant=footage.motion.variant,
        seed=seed,
        number=number,
        azimuth=footage.azimuth,
        elevation=footage.elevation,
        focal=camera.focal_pixels,
        size=(footage.width, footage.height),
        rate=rate,
        up=(float(up[0]), float(up[1]), float(up[2])),
        eye=camera.position[1],
        found=found,
        score=np.array([body.score for body in bodies], np.float32),
        keypoints=np.array([body.points for body in bodies], np.float32),
        visibility=np.array([body.visibility for body in bodies], np.float32),
        inside=np.array([body.inside for body in bodies], np.float32),
        world=np.array([body.world for body in bodies], np.float32),
        joints=local.astype(np.float32),
        shown=truth.visible,
        behind=truth.self_occluded,
        repetitions=repetitions or 0,
    )


def follow(images: Iterable[np.ndarray], regions: Sequence[Region], times: np.ndarray) -> tuple[list[Body], np.ndarray]:
    """The body that the network sees in each picture, and in which it is a person, bool (T,).

    ``regions`` are where the person truly is: looked at first, and again after `_PATIENCE` frames without them or
    twice as many somewhere else, as the detector would have found them by then.
    """
    landmarks = _network()
    bodies, found, person, astray = [], np.zeros(len(times), bool), None, 0
    for t, (image, moment) in enumerate(zip(images, times, strict=True)):
        height, width = image.shape[:2]
        known = person is not None and person.misses < _PATIENCE and astray < 2 * _PATIENCE
        if person is not None and known:
            body = look_at(landmarks, image, person.expected(moment))
            found[t] = credible(body, width, height)
            if found[t]:
                person.seen(body, moment)
            else:
                person.misses += 1
        else:
            body = look_at(landmarks, image, regions[t])
            found[t] = credible(body, width, height)
            if found[t]:
                body = look_at(landmarks, image, body.region)
                found[t] = credible(body, width, height)
            person = Followed(body, moment, 1.0, moment) if found[t] else None
        here = found[t] and regions[t].distance(body.region) < _ASTRAY * regions[t].size
        astray = 0 if here or not known else astray + 1
        bodies.append(body)
    return bodies, found


def _region(points: np.ndarray) -> Region:
    """Where BlazePose would look for a person whose joints (25, 2) are known, in pixels."""
    middle, shoulders = points[_HIPS].mean(0), points[_SHOULDERS].mean(0)
    radius = _AROUND * np.linalg.norm(points - middle, axis=1).max()
    up = (shoulders - middle) / max(float(np.linalg.norm(shoulders - middle)), 1e-6)
    return Region.around(np.array([middle, middle + radius * up]))


@lru_cache(maxsize=1)
def _network() -> LandmarkNetwork:
    return LandmarkNetwork()


# ---- many clips


def record_many(
    path: Path,
    labels: Sequence[str],
    per_class: int,
    *,
    seed: int,
    workers: int,
    limit: float,
    library: Mapping[str, Exercise] | None = None,
    passers: float = 0.0,
    sets: bool = False,
) -> list[Recording]:
    """Record clips into ``path``, all classes evenly, until there are ``per_class`` or ``limit`` seconds are over.

    ``library`` has the exercises in place of the shipped one; ``passers`` and ``sets`` as in `record`.

    What is there already is kept. Shards beside the file, one a minute, outlive a run that is killed.
    """
    start = time.monotonic()
    shards = sorted(path.parent.glob(f"{path.stem}.shard-*.npz"))
    done = [clip for part in [path, *shards] if part.exists() for clip in read_recordings(part)]
    if odd := next((clip for clip in done if clip.seed != seed), None):
        raise KinetagError(f"{path} was recorded with seed {odd.seed}, not {seed}; give that seed or another file")
    if any(bool(clip.repetitions) != sets for clip in done):
        kinds = ("clips of six seconds", "sets of whole repetitions")
        raise KinetagError(f"{path} holds {kinds[not sets]}, not {kinds[sets]}; choose another file")
    have = {(clip.label, clip.number) for clip in done}
    wanted = [(label, n) for n in range(per_class) for label in labels if (label, n) not in have]
    fresh: list[Recording] = []
    last = start
    known = {label: exercise for label, exercise in (library or {}).items() if label != OTHER}
    tasks = [(known.get(label, label), number) for label, number in wanted]
    for clip in _pooled(tasks, partial(record, passers=passers, sets=sets), seed, workers, start + limit):
        fresh.append(clip)
        now = time.monotonic()
        if now - last > _SHARD:
            shard = path.with_name(f"{path.stem}.shard-{len(shards):03d}.npz")
            write_recordings(shard, fresh)
            shards.append(shard)
            done, fresh, last = done + fresh, [], now
            _tell(len(done) - len(have), now - start)
    everything = sorted(done + fresh, key=lambda clip: (clip.number, labels.index(clip.label)))
    write_recordings(path, everything)
    for shard in shards:
        shard.unlink()
    _tell(len(everything) - len(have), time.monotonic() - start)
    return everything


def _pooled(
    wanted: Sequence[tuple[Exercise | str, int]], make: Callable[..., Recording], seed: int, workers: int, end: float
) -> Iterator[Recording]:
    """Clips, each by ``make``, as they get ready; none is begun after the moment ``end``."""
    if workers < 2:
        for exercise, number in wanted:
            if time.monotonic() > end:
                return
            yield make(exercise, seed, number)
        return
    queue = iter(wanted)
    pending: set[Future[Recording]] = set()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_alone) as pool:
        while True:
            while len(pending) < workers + 2 and time.monotonic() < end and (task := next(queue, None)):
                pending.add(pool.submit(make, task[0], seed, task[1]))
            if not pending:
                return
            ready, pending = wait(pending, return_when=FIRST_COMPLETED)
            yield from (job.result() for job in ready)


def _alone() -> None:
    """A worker keeps to one thread."""
    import cv2

    cv2.setNumThreads(1)


def _tell(clips: int, seconds: float) -> None:
    print(f"{clips} clips in {seconds:.0f} s: {clips / seconds:.2f} clips a second", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m kinetag.exercises.recording", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the file; what it holds already is not made again")
    parser.add_argument("--per-class", type=int, default=100, help="clips of each class")
    parser.add_argument("--classes", help="comma-separated; all of the library and 'other'")
    parser.add_argument(
        "--exercises", type=Path, nargs="+", action="extend", default=[], metavar="FILE",
        help="YAML files, or folders of them, with exercises of your own beside the library's",
    )  # fmt: skip
    parser.add_argument(
        "--passers", type=float, default=0.0, metavar="SHARE", help="of clips with a passer-by in front"
    )
    parser.add_argument("--sets", action="store_true", help="two to six whole repetitions a clip; of what is counted")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=core_count())
    parser.add_argument("--seconds", type=float, default=3600.0, help="begin no clip after that time")
    args = parser.parse_args(arguments)
    # One thread a process; the workers inherit it before they load numpy.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    try:
        if not 0 <= args.passers <= 1:
            raise KinetagError(f"--passers {args.passers:g} is no share; give one from 0 to 1")
        library = moving_library(args.exercises)
        counted = [name for name, exercise in library.items() if exercise.counting is not None]
        labels = args.classes.split(",") if args.classes else counted if args.sets else class_names(library)
        if odd := [label for label in labels if args.sets and label not in counted and label in class_names(library)]:
            raise KinetagError(f"--sets films what is counted, and {', '.join(odd)} is not; leave it out of --classes")
        args.out.parent.mkdir(parents=True, exist_ok=True)
        clips = record_many(
            args.out,
            labels,
            args.per_class,
            seed=args.seed,
            workers=args.workers,
            limit=args.seconds,
            library=library,
            passers=args.passers,
            sets=args.sets,
        )
    except KinetagError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{args.out}: {len(clips)} clips of {len(labels)} classes, {args.out.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
