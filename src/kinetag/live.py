"""`kinetag live`: a camera, a stream or a file in real time.

One thread reads and keeps only the newest frame, so a slow machine drops frames instead of falling behind. What
everybody does is shown in a window where there is a display, else printed as one JSON object a line:

    {"time": 12.4, "people": [{"id": 1, "name": "squat", "label": "squat", "confidence": 0.91, "doubtful": false,
     "repetitions": 3}]}

A line is printed when something changes, and at least once a second. The person whose state changed last comes first.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np

from kinetag.errors import KinetagError
from kinetag.report.paint import Painter, Shown

if TYPE_CHECKING:
    from kinetag.running import LivePerson
    from kinetag.sequence import Frame
    from kinetag.timeline import Timeline
    from kinetag.video import VideoSource

_EVERY = 1.0  # seconds between two lines when nothing changes


def live(
    source: str | Path | int = 0,
    *,
    pose: str | Path = "blazepose",
    model: str | Path | None = None,
    exercises: Sequence[str | Path] = (),
    profile: str | Path | None = None,
    only: str | Sequence[str] = (),
    max_people: int = 10,
    detector: str | Path | None = None,
    window: bool = True,
    out: TextIO | None = None,
    snapshots: bool = False,
) -> "Timeline":
    """Follow ``source`` until it ends, the window is closed, or Ctrl-C; returns the timeline of what was seen.

    ``window`` False prints lines of JSON to ``out`` (stdout) even where there is a display. A video file is played at
    its own speed. ``snapshots`` keeps small pictures for a report. What of ``exercises`` cannot be recognised is told
    on stderr before the first frame.

    Raises KinetagError when the source cannot be opened.
    """
    from kinetag.analyzer import Analyzer, known_exercises
    from kinetag.storage import fetched
    from kinetag.urls import hide_secrets
    from kinetag.video import open_source

    with open_source(source) as video:
        classifier, library, unknown = known_exercises(model, exercises, profile, only)
        for line in unknown:  # at once: at the end is too late for who waits to see it recognised
            print(f"warning: {hide_secrets(line)}", file=sys.stderr, flush=True)
        video.warnings += unknown
        analyzer = Analyzer(
            pose=fetched(pose),
            detector=fetched(detector),
            classifier=classifier,
            library=library,
            max_people=max_people,
            snapshots=snapshots,
        )
        has_window = window and why_no_window() is None
        screen = TkScreen(video.name) if has_window else JsonLines(out or sys.stdout)
        reached, ended = 0.0, False
        try:
            with newest_frames(video) as frames:
                for frame in _while_it_lasts(frames, video):
                    reached = frame.time
                    if not screen.show(frame, analyzer.feed(frame)):
                        break
                else:
                    ended = True
        except KeyboardInterrupt:
            pass  # the usual way to end it
        finally:
            screen.close()
        timeline = analyzer.finish(video, last=True)
        if timeline.part is None and not ended:
            timeline.part = 0.0, reached
        return timeline


def _while_it_lasts(frames: "Iterator[Frame]", video: "VideoSource") -> "Iterator[Frame]":
    """The frames; a camera that fails after the first one ends them with a warning, so that nothing seen is lost."""
    began = False
    try:
        for frame in frames:
            began = True
            yield frame
    except (KinetagError, OSError) as error:
        if not began:
            raise
        video.warnings.append(str(error))


@contextmanager
def newest_frames(video: "VideoSource", clock: Callable[[], float] = time.monotonic) -> "Iterator[Iterator[Frame]]":
    """Frames as they come, only ever the newest: those that arrive while one is worked on are dropped.

    A source that does not come at its own pace (a file, here or on a server) is held back to its timestamps.
    """
    newest = Newest()
    thread = threading.Thread(target=_read, args=(video, newest, clock), name="newest frame", daemon=True)
    thread.start()
    try:
        yield iter(newest.take, None)  # type: ignore[arg-type]
    finally:
        newest.stop()
        thread.join(timeout=2.0)


class Newest:
    """Room for one frame. `put` replaces what was not taken; `take` waits, and gives None when there is no more."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._error: BaseException | None = None
        self.stopped = False
        self.dropped = 0

    def put(self, frame: "Frame") -> None:
        with self._changed:
            self.dropped += self._frame is not None
            self._frame = frame
            self._changed.notify_all()

    def take(self) -> "Frame | None":
        with self._changed:
            while self._frame is None and not self.stopped:
                self._changed.wait(timeout=0.2)  # a timeout, so that Ctrl-C gets through on every system
            if self._frame is None and self._error is not None:
                raise self._error
            frame, self._frame = self._frame, None
            return frame

    def stop(self, error: BaseException | None = None) -> None:
        with self._changed:
            self.stopped, self._error = True, error
            self._changed.notify_all()


def _read(video: "VideoSource", newest: Newest, clock: Callable[[], float]) -> None:
    begin = None
    try:
        for frame in video:
            if begin is None:
                begin = clock() - frame.time
            while not video.live and not newest.stopped and (early := begin + frame.time - clock()) > 0:
                time.sleep(min(early, 0.1))
            if newest.stopped:
                return
            newest.put(frame)
        newest.stop()
    except Exception as error:  # travels to the thread that takes the frames
        newest.stop(error)


class JsonLines:
    """Prints who does what as lines of JSON, when it changes and once a second."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._last = -np.inf
        self._states: dict[int, tuple[str | None, str | None, int]] = {}
        self._changes: dict[int, float] = {}  # person -> time of the last change

    def show(self, frame: "Frame", people: "list[LivePerson]") -> bool:
        states = {person.id: (person.label, person.name, person.repetitions) for person in people}
        changed = [person for person, state in states.items() if self._states.get(person) != state]
        self._changes.update(dict.fromkeys(changed, frame.time))
        if changed or states.keys() != self._states.keys() or frame.time >= self._last + _EVERY:
            order = sorted(people, key=lambda person: (-self._changes[person.id], person.id))
            line = {"time": round(frame.time, 3), "people": [_as_dict(person) for person in order]}
            print(json.dumps(line), file=self._out, flush=True)
            self._last = frame.time
        self._states = states
        return True

    def close(self) -> None:
        """Nothing to let go of."""


def _as_dict(person: "LivePerson") -> dict[str, object]:
    return {
        "id": person.id,
        "name": person.name,
        "label": person.label,
        "confidence": round(float(person.confidence), 3),
        "doubtful": person.doubtful,
        "repetitions": person.repetitions,
    }


def why_no_window() -> str | None:
    """None when a window can be opened, else the reason why not, in words."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "no display"
    try:
        import tkinter
    except ImportError:
        return "Python's tkinter is not installed"
    try:
        tkinter.Tk().destroy()
    except tkinter.TclError as error:
        return " ".join(str(error).split())
    return None


class TkScreen:
    """A window of Python's own toolkit, for the headless OpenCV that kinetag installs has none. Esc or q closes it."""

    def __init__(self, title: str) -> None:
        import tkinter

        self._root = tkinter.Tk()
        self._root.title(f"kinetag: {title}")
        self._root.configure(background="#101216")
        self._picture = tkinter.PhotoImage(master=self._root)
        self._label = tkinter.Label(self._root, image=self._picture, borderwidth=0, background="#101216")
        self._label.pack(expand=True, fill="both")
        self._open = True
        self._painter: Painter | None = None
        for event in ("<Escape>", "q"):
            self._root.bind(event, lambda _: self._end())
        self._root.protocol("WM_DELETE_WINDOW", self._end)

    def _end(self) -> None:
        self._open = False

    def show(self, frame: "Frame", people: "list[LivePerson]") -> bool:
        """Draw the frame, shrunk to fit the display, with everybody on it."""
        import cv2

        height, width = frame.image.shape[:2]
        room = (0.9 * self._root.winfo_screenwidth(), 0.85 * self._root.winfo_screenheight())
        scale = min(1.0, room[0] / width, room[1] / height)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = frame.image if scale == 1 else cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA)
        if self._painter is None or (self._painter.width, self._painter.height) != size:
            self._painter = Painter(*size)
        image = self._painter.paint(image, [shown(person, scale) for person in people])
        self._picture.configure(data=b"P6 %d %d 255 " % size + image.tobytes(), format="PPM")
        self._root.update()
        return self._open

    def close(self) -> None:
        self._root.destroy()


def shown(person: "LivePerson", scale: float = 1.0) -> Shown:
    """What is drawn of a live person on a frame shrunk by ``scale``."""
    pose = person.pose
    count = person.repetitions or None
    points = pose.keypoints * scale
    return Shown(person.id, points, pose.confidence, pose.layout, person.name, person.sure, count)
