"""The documented structure of ``timeline.json``: pydantic models, and the JSON Schema (2020-12) made from them.

``python -m kinetag.schema`` prints the schema; the copy in ``docs/timeline.schema.json`` is its output.
"""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kinetag.errors import KinetagError

_ID = "urn:kinetag:timeline:1"


class _Model(BaseModel):
    model_config = ConfigDict(extra="allow")  # later versions may add keys; readers should ignore unknown ones


class AsymmetryModel(_Model):
    """How left and right differ in one repetition, left less right."""

    degrees: float = Field(description="Difference of the joint's range of motion, degrees.")
    percent: float = Field(description="The same in percent of the mean of both.")
    seconds: float = Field(description="How much later the left side moves, s.")


class FaultModel(_Model):
    """A typical mistake that was clearly there: an angle beyond its limit."""

    name: str = Field(description="As the exercise's file calls it; 'uneven' where left and right differ.")
    description: str
    angle: str = Field(description="What it was told by: a joint angle in degrees, or a height or width.")
    above: float | None = Field(default=None, description="The limit, when being above it is the fault.")
    below: float | None = Field(default=None, description="The limit, when being below it is the fault.")
    times: list[float] = Field(
        description="When it showed, s: one moment of each repetition, or of a pose each second."
    )
    frames: list[int] = Field(
        default_factory=list,
        description="The source's frames nearest to these times, counted from 0; absent where frame_rate is 0.",
    )
    values: list[float] = Field(description="What was measured at each of these times.")
    judged: int = Field(ge=0, description="How many repetitions (of a pose: seconds) could be judged.")


class RepetitionModel(_Model):
    """One repetition, full or partial."""

    start: float = Field(description="Start of the repetition, s from the start of the source.")
    time: float = Field(description="Its turning point (the deepest point of a squat), s.")
    end: float = Field(description="End of the repetition, s.")
    partial: bool = Field(description="True when it stayed well short of the exercise's usual range; not counted.")
    range_of_motion: dict[str, tuple[float, float]] = Field(
        description="Joint angle name to [smallest, largest] degrees reached during the repetition."
    )
    guessed: list[str] = Field(
        default_factory=list,
        description="Those of the angles that rest on joints mostly out of sight: what the estimator made of them.",
    )
    tempo: dict[str, float | None] | None = Field(
        default=None,
        description="Seconds of the way to the turning point, 'pause' there, the way back, and 'rest' (null after the "
        "last one). The ways are 'eccentric' and 'concentric' where it is known which is which, else 'out' and 'back'.",
    )
    asymmetry: dict[str, AsymmetryModel] | None = Field(
        default=None,
        description="By joint, where both sides were seen well, from the front or back, and are meant to do the same; "
        "null where they could not be compared.",
    )
    not_compared: str | None = Field(default=None, description="Why asymmetry is null.")
    short_of_norm: float | None = Field(
        default=None, ge=0, description="Degrees missing to the usual range of the counted joint; absent if not seen."
    )


class SegmentModel(_Model):
    """A stretch of time in which one person does one thing."""

    label: str = Field(description="Exercise or pose name, 'other' when it is none that is known.")
    start: float = Field(description="Start, s from the start of the source.")
    end: float = Field(description="End, s.")
    confidence: float = Field(ge=0, le=1, description="The classifier's own estimate that the label is right.")
    doubtful: bool = Field(
        default=False, description="Whether the label is a guess: confidence below 0.5. 'other', a rejection, never is."
    )
    repetitions: int = Field(ge=0, description="Full repetitions counted.")
    repetition_times: list[float] = Field(description="Turning point of each counted repetition, s, increasing.")
    repetition_details: list[RepetitionModel] = Field(
        default_factory=list, description="Every repetition with its range of motion, partial ones included."
    )
    faults: list[FaultModel] = Field(default_factory=list, description="Faults of form that were clearly there.")
    variant: str | None = Field(
        default=None, description="The way in which it is done; absent where that, or the label, is not clear."
    )
    family: str | None = Field(
        default=None,
        description="Kind of exercise that the label belongs to; for 'other' what kind it is all the same, where no "
        "single exercise is probable.",
    )
    family_confidence: float | None = Field(
        default=None, ge=0, le=1, description="Probability that it is some exercise of that kind."
    )


class PersonModel(_Model):
    """One person, followed through the whole source."""

    id: int = Field(ge=1, description="Stays with the person for the whole source.")
    segments: list[SegmentModel] = Field(description="In order of time, without overlaps.")


class TimelineModel(_Model):
    """Who in a video does which exercise, when, and how many times."""

    source: str = Field(description="The file, stream, folder or camera that was analysed.")
    duration: float = Field(ge=0, description="Length of the whole source, s.")
    start: float | None = Field(
        default=None, description="From when on it was analysed, s; absent in files of older versions."
    )
    end: float | None = Field(
        default=None,
        description="Until when it was analysed, s: the counts are of what lies between start and end. Absent in files "
        "of older versions.",
    )
    frame_rate: float = Field(ge=0, description="Frames a second of the source, 0 when unknown.")
    warnings: list[str] = Field(description="What the reader should know: damaged frames, an early stop, nobody found.")
    people: list[PersonModel]


def timeline_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of ``Timeline.to_dict()`` and ``timeline.json``."""
    schema = TimelineModel.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": _ID, **schema}


def validate_timeline(data: Any) -> TimelineModel:
    """Check parsed JSON; raises a KinetagError that names the first wrong key, its path and its value."""
    try:
        return TimelineModel.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"]) or "the top level"
        value = repr(first["input"])
        shown = value if len(value) <= 60 else value[:57] + "..."
        raise KinetagError(f"not a kinetag timeline: {path} is {shown}: {first['msg'].lower()}") from None


if __name__ == "__main__":
    print(json.dumps(timeline_schema(), indent=2))
