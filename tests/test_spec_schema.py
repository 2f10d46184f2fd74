import json

import jsonschema
import pytest
import yaml
from tao_reference import FACTS, facts_of, options, reference_folder

from kinetag.cli import main
from kinetag.spec import ACTIONS, Spec, load_spec
from kinetag.spec.schema import action_schema, manifest, sections_of, write_schemas

TAO_ACTIONS = ("train", "evaluate", "inference", "export")


@pytest.mark.parametrize("action", [None, *ACTIONS])
def test_it_is_json_schema_2020_12(action):
    schema = json.loads(json.dumps(action_schema(action), allow_nan=False))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)
    for key, entry in options(schema):
        assert entry["title"], key
        assert entry["description"], key
        assert "default" in entry or entry["type"] == "object", key
        assert len(entry.get("option_weights", ())) in (0, len(entry.get("enum", ()))), key


@pytest.mark.parametrize("action", ACTIONS)
def test_the_defaults_validate(action):
    schema = action_schema(action)
    jsonschema.Draft202012Validator(schema).validate(schema["default"])
    assert list(schema["default"]) == list(sections_of(action))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train.num_epochs", 0),
        ("train.optim.lr", "fast"),
        ("model.graph_layout", "nvidea"),
        ("train.gpu_ids", 0),
        ("dataset.label_map", {"squat": "one"}),
        ("train.learning_rate", 0.1),
        ("trane", {}),
    ],
)
def test_the_schema_refuses_what_load_spec_refuses(key, value):
    spec: dict = {}
    *groups, name = key.split(".")
    place = spec
    for group in groups:
        place = place.setdefault(group, {})
    place[name] = value
    validator = jsonschema.Draft202012Validator(action_schema("train"))
    assert not validator.is_valid(spec)
    with pytest.raises(Exception, match=groups[0] if groups else name):
        load_spec(None, [f"{key}={json.dumps(value)}"], action="train")


BOUNDED = [
    (key, keyword)
    for key, entry in options(action_schema())
    for keyword in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
    if keyword in entry
]


@pytest.mark.parametrize(("key", "keyword"), BOUNDED)
def test_a_bound_of_the_schema_is_the_bound_that_is_kept(key, keyword):
    """The value at the bound, and the one beyond it, are taken or refused by both alike."""
    entry = dict(options(action_schema()))[key]
    step = 1 if entry["type"] == "integer" else 1e-6
    beyond = entry[keyword] + (-step if "inimum" in keyword else step)
    part = {"title": key, **entry}
    for value, allowed in ((entry[keyword], "exclusive" not in keyword), (beyond, False)):
        assert jsonschema.Draft202012Validator(part).is_valid(value) == allowed
        section, _, name = key.rpartition(".")
        copy = Spec().model_copy(deep=True)
        if allowed:
            setattr(copy.get(section), name, value)
        else:
            with pytest.raises(ValueError, match=name):
                setattr(copy.get(section), name, value)


def test_sections_of_other_actions_are_let_pass():
    jsonschema.Draft202012Validator(action_schema("train")).validate({"dataset_convert": {"data": "a.json"}})


@pytest.mark.parametrize("key", FACTS["options"])
def test_every_option_of_tao_has_its_type_default_bounds_and_marks(key):
    ours, theirs = dict(options(action_schema()))[key], FACTS["options"][key]
    assert ours["type"] == theirs["type"]
    if "default" in theirs:
        assert ours["default"] == theirs["default"]
        assert type(ours["default"]) is type(theirs["default"])
    for bound in ("minimum", "maximum"):
        assert ours.get(bound) == theirs.get(bound)
    assert set(ours.get("enum", ())) >= set(theirs.get("enum", ()))
    assert ours.get("automl_enabled") == theirs.get("automl_enabled")
    assert ours.get("popular") == theirs.get("popular") or ours["type"] == "object"


def test_what_a_search_varies_is_what_tao_varies():
    every = action_schema()
    assert sorted(every["automl_default_parameters"]) == FACTS["automl_default_parameters"]
    assert set(every["automl_disabled_parameters"]) >= set(FACTS["automl_disabled_parameters"])
    assert every["popular"] == FACTS["popular"]


def test_nothing_counts_as_tao_that_is_ours():
    """Every key that is not marked as ours is one of TAO's."""
    from kinetag.spec.options import marks
    from kinetag.spec.schema import walk

    known = (
        set(FACTS["options"]) | {f"dataset_convert.{name}" for name in FACTS["dataset_convert"]} | {"dataset_convert"}
    )
    extra = {key for key, field in walk(Spec) if key not in known and not marks(field).get("ours")}
    assert extra <= {"export.calibration_dataset.data_path", "export.calibration_dataset.label_path"}


@pytest.mark.skipif(reference_folder() is None, reason="TAO's files are not here: set KINETAG_DATA")
@pytest.mark.parametrize("action", TAO_ACTIONS)
def test_the_table_of_facts_agrees_with_taos_schemas(action):
    folder = reference_folder()
    assert folder is not None
    theirs = json.loads((folder / f"{action}.schema.json").read_text())
    for key, entry in options(theirs):
        assert FACTS["options"][key] == facts_of(entry), key
    assert sorted(theirs["automl_default_parameters"]) == FACTS["automl_default_parameters"]
    assert sorted(theirs["automl_disabled_parameters"]) == FACTS["automl_disabled_parameters"]
    assert theirs["popular"] == FACTS["popular"]
    ours = action_schema(action)
    assert {key for key, _ in options(theirs)} <= {key for key, _ in options(ours)}


@pytest.mark.skipif(reference_folder() is None, reason="TAO's files are not here: set KINETAG_DATA")
def test_the_manifest_agrees_with_taos():
    folder = reference_folder()
    assert folder is not None
    theirs, ours = json.loads((folder / "manifest.json").read_text()), manifest()
    for key in ("model", "network_arch", "automl_enabled", "schema_version", "failures"):
        assert ours[key] == theirs[key]
    for action, entry in theirs["actions"].items():
        for key in ("path", "schema_action", "spec_template", "popular"):
            assert ours["actions"][action][key] == entry[key]
        assert set(ours["actions"][action]["automl_default_parameters"]) == set(entry["automl_default_parameters"])


@pytest.mark.skipif(reference_folder() is None, reason="TAO's files are not here: set KINETAG_DATA")
@pytest.mark.parametrize("name", [*(f"spec_template_{action}" for action in ACTIONS), "experiment_nvidia"])
def test_taos_specs_validate(name):
    folder = reference_folder()
    assert folder is not None
    spec = yaml.safe_load((folder / f"{name}.yaml").read_text())
    jsonschema.Draft202012Validator(action_schema()).validate(spec)
    action = name.removeprefix("spec_template_")
    jsonschema.Draft202012Validator(action_schema(action if action in ACTIONS else "train")).validate(spec)


def test_schemas_are_written(tmp_path, capsys):
    written = {path.name for path in write_schemas(tmp_path)}
    assert written == {*(f"{action}.schema.json" for action in ACTIONS), "manifest.json"}
    assert json.loads((tmp_path / "train.schema.json").read_text()) == action_schema("train")
    assert not [path for path in tmp_path.iterdir() if path.name not in written]
    assert main(["schema", "export"]) == 0
    assert json.loads(capsys.readouterr().out) == action_schema("export")
    assert main(["schema", "export", "--out", str(tmp_path / "one")]) == 0
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["export.schema.json"]
