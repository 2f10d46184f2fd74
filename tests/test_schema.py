import json
from pathlib import Path

import jsonschema
import pytest
from made_timelines import timeline

from kinetag.errors import KinetagError
from kinetag.schema import timeline_schema, validate_timeline
from kinetag.timeline import Asymmetry, FormFault, Timeline

PUBLISHED = Path(__file__).parent.parent / "docs" / "timeline.schema.json"


def test_the_published_schema_is_the_generated_one():
    assert json.loads(PUBLISHED.read_text("utf-8")) == timeline_schema(), (
        "run: python -m kinetag.schema > docs/timeline.schema.json"
    )


def test_the_schema_is_valid_json_schema_2020_12():
    schema = timeline_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    "made", [timeline(), timeline(people=0), Timeline("a.mp4", 0.0, 0.0)], ids=["two", "none", "empty"]
)
def test_timelines_validate(made):
    jsonschema.Draft202012Validator(timeline_schema()).validate(json.loads(made.to_json()))
    validate_timeline(made.to_dict())


def test_a_file_of_before_start_and_end_were_written_is_still_read():
    old = {key: value for key, value in timeline().to_dict().items() if key not in ("start", "end")}
    jsonschema.Draft202012Validator(timeline_schema()).validate(old)
    assert validate_timeline(old).start is None


def test_every_key_that_is_written_is_documented():
    """With unknown keys forbidden the timeline still validates: the schema leaves nothing out."""

    def forbid(node):
        if isinstance(node, dict):
            if "properties" in node:
                node["additionalProperties"] = False
            for child in node.values():
                forbid(child)

    schema = timeline_schema()
    forbid(schema)
    made = timeline()
    squat = made.people[0].segments[0]
    squat.faults = [FormFault("too_shallow", "thighs stay level", "knee", True, 118, (1.5, 4.5), (127.0, 125.0), 3)]
    squat.repetitions[0].not_compared = "not seen from the front or back"
    squat.repetitions[1].asymmetry = {"knee": Asymmetry(4.0, 7.0, 0.03)}
    squat.variant, squat.family, squat.family_confidence = "sumo", "legs", 0.97
    jsonschema.Draft202012Validator(schema).validate(made.to_dict())


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("duration",), -1, "duration is -1"),
        (("people", 0, "id"), "one", "people.0.id is 'one'"),
        (("people", 0, "segments", 0, "confidence"), 1.5, "people.0.segments.0.confidence is 1.5"),
    ],
)
def test_a_wrong_value_is_refused_by_schema_and_by_name(path, value, said):
    data = json.loads(timeline().to_json())
    node = data
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(timeline_schema()).validate(data)
    with pytest.raises(KinetagError, match=said):
        validate_timeline(data)
