"""From a video to a timeline: frames -> poses -> tracks -> windows -> probabilities -> segments -> repetitions.

`analyze` does a whole source; `Analyzer` is fed frames one at a time (a camera, a decoder of your own).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

from kinetag.appearance import clothing_colors
from kinetag.classifier import Classifier
from kinetag.cuts import CutDetector
from kinetag.errors import KinetagError
from kinetag.exercises.labels import exercises_by_label
from kinetag.exercises.library import Exercise, Written, library_with, load_library, read_written
from kinetag.form import assess
from kinetag.labelling import describe, label_poses
from kinetag.pose import PoseEstimator, open_estimator
from kinetag.pose.files import is_pose_source, read_pose_file
from kinetag.pose_log import PoseLog, forget, open_log
from kinetag.reps import count_any, heeds_network
from kinetag.running import LivePerson, RunningLabel
from kinetag.sequence import Frame, Pose, PoseSequence
from kinetag.smoothing import smooth
from kinetag.snapshots import Snapshots
from kinetag.storage import fetched, in_users_names, local_copy, local_source, version_of
from kinetag.timeline import OTHER, Person, Timeline
from kinetag.tracking import Tracker
from kinetag.untaught import untaught
from kinetag.video import VideoSource, open_source

RATE = 15.0  # poses a second and person: a jump rope turns at most about 3 times a second
_RUN = 8  # frames handed to the estimator at a time, so that it can use several cores
_RUN_BYTES = 24 << 20  # of a run; two of them are in memory, so large frames come fewer at a time
_INSTANT = 1e-3  # s: shorter than any frame lasts

Progress = Callable[[float, float | None], None]


def analyze(
    source: str | Path | int,
    *,
    start: float | None = None,
    end: float | None = None,
    rate: float = RATE,
    pose: str | Path | PoseEstimator = "blazepose",
    detector: str | Path | None = None,
    model: str | Path | None = None,
    exercises: Sequence[str | Path] = (),
    profile: str | Path | None = None,
    only: str | Sequence[str] = (),
    max_people: int = 10,
    frame_rate: float = 30.0,
    frame_size: tuple[int, int] | None = None,
    progress: Progress | None = None,
    keep_partial: bool = False,
    snapshots: bool = False,
    resume_in: Path | None = None,
    keep_resume: bool = False,
) -> Timeline:
    """Tell who in ``source`` does which exercise, when, and how many times.

    ``source`` is a video file, an image, a folder of frames, a camera index, a stream URL, or a file or folder of
    poses; all files may be in an object store (see `kinetag.storage`).

    ``start`` and ``end`` (s) limit what is read. ``rate`` is the most poses a second and person, of which half
    are made while somebody moves slowly: more follows faster movement and takes longer. ``pose`` is 'blazepose' or an
    ONNX file of the RTMPose or RTMO kind, for which ``detector`` may be a YOLOX file that finds people; ``model`` a
    classifier ONNX in place of the shipped one; ``exercises`` further YAML files or folders for the library;
    ``profile`` what `kinetag teach` made, whose exercises are recognised too; ``only`` the exercises, or families of
    them, that can occur: everything else is 'other', and these are told apart more surely. ``frame_rate`` is that of a
    folder of frames or of poses without times, ``frame_size`` (width, height) that of the video that poses came from.
    ``progress`` is called with the time reached and the duration (None when unknown). With
    ``keep_partial`` a KeyboardInterrupt ends the reading and gives the timeline of what was seen, with a warning that
    says so. ``snapshots`` keeps small pictures of everybody, which spare a report the second reading of the video.

    ``resume_in`` is a folder for the poses found so far: stopped by whatever, the same call goes on from there. They go
    when the timeline is made; with ``keep_resume`` they stay until `kinetag.pose_log.forget`, for who still has to
    write it.

    Raises KinetagError for a source that cannot be read. Nobody in the picture is not an error: the timeline is empty.
    """
    if not rate > 0:
        raise KinetagError(f"rate is {rate}, but must be more than 0 poses a second")
    given, source = source, local_source(source)
    with in_users_names({} if given is source else {str(source): str(given)}):
        classifier, library, unknown = known_exercises(model, exercises, profile, only)
        if is_pose_source(source):
            read = read_pose_file(str(source), frame_rate=frame_rate, frame_size=frame_size)
            timeline = _from_poses(Path(str(source)).name, read, start, end, classifier, library)
            timeline.warnings += unknown
            return timeline
        options = {"start": start, "end": end, "rate": rate, "pose": pose, "detector": detector, "people": max_people}
        log = open_log(resume_in, source, known_as=version_of(given), **options)
        reached = None if log is None else log.reached
        begin = start if reached is None else reached
        if reached is not None and end is not None and reached >= end:
            begin = max(0.0, end - _INSTANT)  # there always is a frame to read: the last one again
        with open_source(source, start=begin, end=end, rate=rate, frame_rate=frame_rate) as video:
            analyzer = Analyzer(
                pose=fetched(pose),
                detector=fetched(detector),
                classifier=classifier,
                library=library,
                max_people=max_people,
                running_labels=False,
                snapshots=snapshots,
                every_frame=False,
                log=log,
            )
            stopped = False
            try:
                for time in feed_all(video, analyzer):
                    if progress is not None:
                        progress(time, video.duration)
            except KeyboardInterrupt:
                if not keep_partial:
                    raise
                video.warnings.append(f"stopped by the user at {analyzer.last_time:.1f} s; the rest was not looked at")
                stopped = True
            finally:
                if log is not None:
                    log.write()
            timeline = analyzer.finish(video, last=True)
            if timeline.part is None:
                timeline.part = _part(0.0, timeline.duration, start, analyzer.last_time if stopped else end)
            timeline.warnings += unknown
            if resume_in is not None and not stopped and not keep_resume:
                forget(resume_in)
            return timeline


def known_exercises(
    model: str | Path | None = None,
    exercises: Sequence[str | Path] = (),
    profile: str | Path | None = None,
    only: str | Sequence[str] = (),
) -> tuple[Classifier, dict[str, Exercise], list[str]]:
    """A classifier and a library for `Analyzer`: the shipped ones, others, and what `kinetag teach` added; and what is
    to be told of ``exercises`` that the classifier cannot recognise (see `untaught`).

    ``only``: labels, other names of theirs, or families that the classifier shall choose among; all when empty. What
    was taught always stays.
    """
    only = [only] if isinstance(only, str) else only
    names: dict[str, str] = {}
    own: list[tuple[str, Written]] = []  # each with its file as the user wrote it, were it in a store

    def here(path: str | Path) -> Path:
        local = local_copy(path)
        names[str(local)] = str(path)
        return local

    def asked(name: str, classifier: Classifier, library: dict[str, Exercise]) -> list[str]:
        try:
            return named(name, classifier, library)
        except KinetagError:
            if unknown := untaught(own, classifier, library, called=name, model=model, profile=profile):
                raise KinetagError(unknown[0]) from None
            raise

    with in_users_names(names):
        classifier = Classifier.load(None if model is None else here(model))
        for given in exercises:
            local = here(given)
            own += [(f"{given}{str(one.file).removeprefix(str(local))}", one) for one in read_written(local)]
        library = library_with([one for _, one in own])
        file = None if profile is None else here(profile)
        both = _taught(classifier, library, file)
        if only:
            both = _taught(classifier.only([label for name in only for label in asked(name, *both)]), library, file)
        return *both, untaught(own, *both, model=model, profile=profile)


def _taught(
    classifier: Classifier, library: dict[str, Exercise], profile: Path | None
) -> tuple[Classifier, dict[str, Exercise]]:
    """Both, with what a profile adds to them."""
    if profile is None:
        return classifier, library
    from kinetag.few_shot.taught import with_profile

    return with_profile(classifier, library, profile)


def feed_all(video: VideoSource, analyzer: "Analyzer") -> Iterator[float]:
    """Feed all frames of a source, and say what time is reached.

    People are tracked while the next frames' poses are made.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="poses") as worker:
        waiting: tuple[list[Frame], Future[list[list[Pose]]]] | None = None
        for frames in chain(runs_of(video), [[]]):
            coming = (frames, worker.submit(analyzer.estimator.estimate, frames)) if frames else None
            if waiting is not None:
                analyzer.follow_many(waiting[0], waiting[1].result())
                yield waiting[0][-1].time
            waiting = coming


class Analyzer:
    """Frames in, one at a time with their timestamps; who is doing what comes out.

    >>> analyzer = Analyzer()
    >>> for image, seconds in my_camera():
    ...     for person in analyzer.feed(Frame(image, seconds, index=0)):
    ...         print(person.id, person.label, person.repetitions)
    >>> timeline = analyzer.finish()

    ``running_labels`` off saves the work of saying at once what each person does; `finish` is not affected.
    ``snapshots`` keeps small pictures of everybody for a report. ``every_frame`` off saves a third of the work: who
    moves slowly is missing from every other answer of `feed`, and not from the timeline. ``log`` holds the poses of
    frames that need not be fed again, and takes those of the others.
    """

    def __init__(
        self,
        *,
        pose: str | Path | PoseEstimator = "blazepose",
        detector: str | Path | None = None,
        classifier: Classifier | None = None,
        library: dict[str, Exercise] | None = None,
        tracker: Tracker | None = None,
        max_people: int = 10,
        running_labels: bool = True,
        snapshots: bool = False,
        every_frame: bool = True,
        log: PoseLog | None = None,
    ) -> None:
        if isinstance(pose, str | Path):
            pose = open_estimator(pose, max_people=max_people, detector=detector, every_frame=every_frame)
        self.estimator: PoseEstimator = pose
        self.classifier = classifier or Classifier.load()
        self.library = load_library() if library is None else library
        self.tracker = tracker or Tracker()
        self.running_labels, self.takes_snapshots = running_labels, snapshots
        self.reset()
        self._log = log
        if log is not None:
            for time, poses, cut in log.kept():
                self.frame_size = log.frame_size
                self._track(poses, time, cut)

    def reset(self) -> None:
        """Forget everything seen: the next frame starts a new video."""
        self.estimator.reset()
        self.tracker.reset()
        self.first_time, self.last_time = 0.0, 0.0
        self.frame_count = 0
        self.frame_size = (0, 0)
        self._running: dict[int, RunningLabel] = {}
        self._log: PoseLog | None = None
        self._detector = CutDetector()
        self.snapshots = Snapshots() if self.takes_snapshots else None

    def feed(self, frame: Frame) -> list[LivePerson]:
        """Take the next frame (times must increase) and say who is in it and what each one is doing."""
        return self.feed_many([frame])[0]

    def feed_many(self, frames: Sequence[Frame]) -> list[list[LivePerson]]:
        """The same for several consecutive frames at once, which uses more cores."""
        return self.follow_many(frames, self.estimator.estimate(frames))

    def follow_many(self, frames: Sequence[Frame], found: Sequence[list[Pose]]) -> list[list[LivePerson]]:
        """The same, with the poses of each frame already ``found``."""
        return [self._follow(frame, poses) for frame, poses in zip(frames, found, strict=True)]

    def _follow(self, frame: Frame, poses: list[Pose]) -> list[LivePerson]:
        if self.frame_count and frame.time <= self.last_time:
            raise KinetagError(
                f"frame time {frame.time:.3f} s does not come after the frame before ({self.last_time:.3f} s)"
            )
        if not self.frame_count:
            self.frame_size = (frame.image.shape[1], frame.image.shape[0])
        poses = [replace(pose, appearance=clothing_colors(frame.image, pose)) for pose in poses]
        cut = self._detector.see(frame.image)
        ids = self._track(poses, frame.time, cut)
        if self._log is not None:
            self._log.frame_size = self.frame_size
            self._log.add(frame.time, poses, cut)
        if self.snapshots is not None:
            for person, pose in zip(ids, poses, strict=True):
                if person is not None:
                    self.snapshots.take(frame.image, frame.time, person, pose)
        return [self._live(person, pose, frame) for person, pose in zip(ids, poses, strict=True) if person is not None]

    def _track(self, poses: list[Pose], time: float, cut: bool) -> list[int | None]:
        if not self.frame_count:
            self.first_time = time
        self.last_time, self.frame_count = time, self.frame_count + 1
        return self.tracker.update(poses, time, cut=cut)

    def _live(self, person: int, pose: Pose, frame: Frame) -> LivePerson:
        if not self.running_labels:
            return LivePerson(person, pose, None, 0.0, 0)
        if person not in self._running:  # who is gone for long begins anew
            self._running = {id: one for id, one in self._running.items() if not one.is_over(frame.time)}
        running = self._running.setdefault(person, RunningLabel(person, self.classifier, self.library, self.frame_size))
        label, confidence, repetitions = running.update(pose, frame.time, self.tracker.cuts)
        return LivePerson(person, pose, label, confidence, repetitions, running.family, running.family_confidence)

    def finish(self, video: VideoSource | None = None, *, last: bool = False) -> Timeline:
        """The timeline of everything fed so far; ``video`` adds what is known of the source.

        With ``last`` the pose networks and each person's raw poses are given up on the way, which spares an hour of
        three people more than 100 MB; nothing can be fed after that.
        """
        if last:
            del self.estimator
        sequences = self.tracker.sequences(self.frame_size)
        if last:
            self.tracker.reset()
        # Taken out one by one: nothing else holds what was smoothed already.
        people = label_people((sequences.pop(0) for _ in range(len(sequences))), self.classifier, self.library)
        span = self.last_time - self.first_time
        timeline = Timeline(
            source=video.name if video else "frames",
            duration=(video.duration if video and video.duration else span),
            frame_rate=video.frame_rate if video else ((self.frame_count - 1) / span if span > 0 else 0.0),
            people=people,
            warnings=list(video.warnings) if video else [],
            frame_size=self.frame_size,
            snapshots=self.snapshots,
            part=None if video and video.duration else (self.first_time, self.last_time),
        )
        timeline.warnings += _why_nothing(people)
        return timeline


def _why_nothing(people: Sequence[Person]) -> list[str]:
    """A warning where nobody can have a label."""
    if not people:
        return ["nobody was found"]
    if all(len(person.poses) == 1 for person in people if person.poses is not None):
        return ["one picture shows poses only: what somebody does takes half a second of video to tell"]
    return []


def label_people(
    sequences: Iterable[PoseSequence], classifier: Classifier, library: dict[str, Exercise]
) -> list[Person]:
    """Each person's poses -> segments with repetitions."""
    return [label_person(sequence, classifier, library) for sequence in sequences]


def label_person(sequence: PoseSequence, classifier: Classifier, library: dict[str, Exercise]) -> Person:
    """One person's raw poses -> smoothed poses, class probabilities, segments and their repetitions."""
    poses = smooth(sequence)
    known = exercises_by_label(classifier.labels, library)
    segments, times, probabilities = label_poses(poses, classifier, known)
    describe(segments, times, probabilities, poses, classifier)
    named = [segment for segment in segments if segment.label != OTHER]
    heeded = any(heeds_network(known.get(segment.label)) for segment in named)
    progress = classifier.progress(poses) if heeded else None
    for segment in named:
        exercise = known.get(segment.label)
        segment.repetitions = count_any(poses, exercise, segment.start, segment.end, progress)
        if exercise is not None:
            assess(poses, exercise, segment)
    return Person(sequence.person, segments, poses, tuple(classifier.labels), times, probabilities)


def named(name: str, classifier: Classifier, library: dict[str, Exercise]) -> list[str]:
    """The classifier's labels that a label, another name of an exercise, or a family means; KinetagError for none."""
    known = exercises_by_label(classifier.labels, library)
    if name in classifier.labels:
        return [name]
    if family := [label for label, exercise in known.items() if exercise.family == name]:
        return family
    meant = exercises_by_label([name], library).get(name)
    if found := [label for label, exercise in known.items() if exercise is meant]:
        return found
    from kinetag.exercises.yaml_file import nearest

    families = {exercise.family for exercise in known.values()}
    hint = nearest(name, (*classifier.labels, *families))
    raise KinetagError(f"the classifier knows no exercise or family '{name}'{hint}; kinetag exercises lists them")


def _from_poses(
    name: str,
    read: list[PoseSequence],
    start: float | None,
    end: float | None,
    classifier: Classifier,
    library: dict[str, Exercise],
) -> Timeline:
    first = float(min((s.times[0] for s in read), default=0.0))
    last = float(max((s.times[-1] for s in read), default=0.0))
    part = _part(first, last, start, end)
    sequences = [cut for cut in (sequence.between(*part) for sequence in read) if len(cut)]
    people = label_people(sequences, classifier, library)
    longest = max(sequences, key=len, default=None)
    rate = (len(longest) - 1) / longest.duration if longest is not None and longest.duration > 0 else 0.0
    size = sequences[0].frame_size if sequences else (0, 0)
    return Timeline(name, last - first, rate, people, _why_nothing(people), size, part=part)


def _part(first: float, last: float, start: float | None, end: float | None) -> tuple[float, float]:
    """From ``start`` to ``end`` (s, None: all) of a source that goes from ``first`` to ``last``."""
    begin = first if start is None else min(max(first, start), last)
    return begin, last if end is None else max(begin, min(end, last))


def runs_of(frames: Iterable[Frame]) -> Iterator[list[Frame]]:
    """Consecutive frames in lists of equal length; the last may be shorter."""
    iterator = iter(frames)
    for first in iterator:
        size = max(2, min(_RUN, _RUN_BYTES // max(1, first.image.nbytes)))
        yield [first, *islice(iterator, size - 1)]
