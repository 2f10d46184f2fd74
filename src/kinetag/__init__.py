"""kinetag: who in a video is doing which exercise or pose, when, and how many times.

import kinetag
timeline = kinetag.analyze("workout.mp4")
for person in timeline.people:
    for segment in person.segments:
        print(person.id, segment.label, segment.start, segment.end, segment.repetition_count)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from kinetag.analyzer import Analyzer, analyze
    from kinetag.classifier import Classifier
    from kinetag.errors import KinetagError
    from kinetag.few_shot.teach import teach
    from kinetag.sequence import Frame, Pose, PoseSequence
    from kinetag.timeline import Person, Repetition, Segment, Timeline

# The public names and where they live; nothing is imported before it is used, so `import kinetag` is free.
_PUBLIC = {
    "Analyzer": "analyzer",
    "Classifier": "classifier",
    "Frame": "sequence",
    "KinetagError": "errors",
    "Person": "timeline",
    "Pose": "sequence",
    "PoseSequence": "sequence",
    "Repetition": "timeline",
    "Segment": "timeline",
    "Timeline": "timeline",
    "analyze": "analyzer",
    "teach": "few_shot.teach",
}

__all__ = ["Analyzer", "Classifier", "Frame", "KinetagError", "Person", "Pose", "PoseSequence", "Repetition"]
__all__ += ["Segment", "Timeline", "analyze", "teach"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(f"kinetag.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module 'kinetag' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
