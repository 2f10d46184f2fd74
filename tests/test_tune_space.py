"""What a search varies: from schema, settings and spec to values that training takes."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tao_reference import FACTS, options, reference_folder

pytest.importorskip("omegaconf")

from kinetag.datasets.augment import RECIPES
from kinetag.errors import KinetagError
from kinetag.spec import Spec, load_spec
from kinetag.spec.schema import action_schema, write_schemas
from kinetag.spec.template import template
from kinetag.tune.conditions import Bound, holds
from kinetag.tune.sampling import random, results_of
from kinetag.tune.schema import NOT_RUNNABLE, build_space, read_schema
from kinetag.tune.space import Dimension, Interval, Space
from kinetag.tune.trials import Trial

SGD = ("automl_settings.automl_hyperparameters=[train.optim.optimizer_type,train.optim.lr,train.optim.momentum,"
       "train.optim.lr_scheduler,train.optim.patience,train.optim.min_lr,train.warmup_epochs]")  # fmt: skip


def spec_of(*overrides: str, text: str = "", tmp_path=None) -> Spec:
    path = None
    if text:
        path = tmp_path / "spec.yaml"
        path.write_text(text)
    spec = load_spec(path, overrides, action="train")
    return spec.with_defaults(RECIPES[spec.train.recipe])


def space_of(*overrides: str, **more) -> Space:
    return build_space(spec_of(*overrides, **more), action_schema("train"))


def keys(space: Space) -> set[str]:
    return {dimension.key for dimension in space.dimensions}


# --- what is searched ------------------------------------------------------------------------------------------------


def test_the_default_parameters_are_searched_where_they_have_an_effect():
    space = space_of("train.optim.lr_scheduler=AutoReduce", "dataset.random_choose=true")
    assert keys(space) == set(FACTS["automl_default_parameters"])
    assert space.notes == ()
    space = space_of("train.recipe=kinetag")
    assert keys(space) == {"dataset.window_size", "model.dropout", "train.optim.lr", "train.optim.weight_decay",
                           "train.grad_clip"}  # fmt: skip
    assert any("momentum is not searched" in note and "SGD" in note for note in space.notes)


def test_the_search_starts_from_the_spec():
    space = space_of("train.recipe=kinetag")
    assert space.start()["train.optim.lr"] == 1e-3
    assert space.values(lambda dimension, name: space.places(space.start())[name]) == space.start()
    assert "train.optim.momentum" not in space_of(SGD, "train.optim.optimizer_type=torch.optim.Adam").start()


def test_what_the_command_says_is_kept_and_what_the_file_says_is_a_start(tmp_path):
    text = "train: {optim: {lr: 0.05, weight_decay: 0.0005}}"
    space = space_of("train.optim.momentum=0.8", text=text, tmp_path=tmp_path)
    assert "train.optim.momentum" not in keys(space)
    assert space.fixed["train.optim.momentum"] == 0.8
    assert "train.optim.momentum stays 0.8, as the command says" in space.notes
    assert (space.start()["train.optim.lr"], space.start()["train.optim.weight_decay"]) == (0.05, 0.0005)
    named = "automl_settings.automl_hyperparameters=[train.optim.momentum]"
    space = space_of("train.optim.momentum=0.8", named)
    assert keys(space) == {"train.optim.momentum"}
    assert space.start() == {"train.optim.momentum": 0.8}


def test_a_template_leaves_everything_to_the_search(tmp_path):
    for tao in (False, True):
        path = tmp_path / "train.yaml"
        path.write_text(template("train", tao=tao))
        spec = load_spec(path, ["dataset.train_dataset.data_path=here"], action="train")
        space = build_space(spec.with_defaults(RECIPES[spec.train.recipe]), action_schema("train"))
        assert {"model.dropout", "train.optim.lr", "train.grad_clip"} <= keys(space)


def test_ranges_follow_the_optimiser():
    lr = {d.key: d for d in space_of().dimensions}["train.optim.lr"]
    adam = {d.key: d for d in space_of("train.recipe=kinetag").dimensions}["train.optim.lr"]
    assert (lr.intervals[0].low, lr.intervals[0].high, lr.intervals[0].log) == (0.003, 0.5, True)
    assert (adam.intervals[0].low, adam.intervals[0].high, adam.intervals[0].log) == (1e-4, 1e-2, True)
    both = space_of(SGD)
    for seed in range(40):
        values = random(both, (), seed, 0)
        adaptive = values["train.optim.optimizer_type"] != "torch.optim.SGD"
        assert values["train.optim.lr"] <= 1e-2 if adaptive else values["train.optim.lr"] >= 0.003
        assert ("train.optim.momentum" in values) != adaptive
        assert ("train.optim.patience" in values) == (values["train.optim.lr_scheduler"] == "AutoReduce")
        if "train.optim.min_lr" in values:
            assert values["train.optim.min_lr"] < values["train.optim.lr"]
        assert values["train.warmup_epochs"] < 10  # train.num_epochs


@pytest.mark.parametrize("start", [1e-5, 2.0])
def test_a_range_holds_the_specs_own_value(start, tmp_path):
    text = f"train: {{optim: {{lr: {start}}}}}"
    dimension = {d.key: d for d in space_of(text=text, tmp_path=tmp_path).dimensions}["train.optim.lr"]
    assert dimension.intervals[0].low <= start <= dimension.intervals[0].high


@pytest.mark.skipif(reference_folder() is None, reason="TAO's files are not here: set KINETAG_DATA")
def test_a_search_by_taos_schema():
    place = str(reference_folder())
    spec = spec_of(
        "train.optim.lr_scheduler=AutoReduce", "train.recipe=kinetag", "train.optim.optimizer_type=torch.optim.SGD"
    )
    space = build_space(spec, read_schema(place + "/train.schema.json"))
    assert keys(space) == set(FACTS["automl_default_parameters"])
    for number in range(20):
        values = random(space, (), 0, number)
        for key, value in values.items():
            assert math.isfinite(value), key


# --- what the user gives ---------------------------------------------------------------------------------------------


def test_ranges_of_the_user(tmp_path):
    text = """
    automl_settings:
      custom_param_ranges:
        train.optim.lr: {valid_min: 0.01, valid_max: 0.02}
        dataset.batch_size: {valid_options: [4, 8]}
        model.graph_strategy: {option_weights: [0, 1, 3]}
    """
    space = space_of(text=text, tmp_path=tmp_path)
    drawn = [random(space, (), 0, number) for number in range(200)]
    assert all(0.01 <= values["train.optim.lr"] <= 0.02 for values in drawn)
    assert {values["dataset.batch_size"] for values in drawn} == {4, 8}
    strategies = [values["model.graph_strategy"] for values in drawn]
    assert set(strategies) == {"distance", "spatial"}
    assert 0.6 < strategies.count("spatial") / 200 < 0.9


def test_a_disabled_one_is_searched_only_when_that_is_asked_for(tmp_path):
    text = """
    automl_settings:
      automl_hyperparameters: [train.optim.lr_steps]
      custom_param_ranges:
        train.optim.lr_steps: {valid_options: [[5, 8], [3, 6]]}
    """
    with pytest.raises(KinetagError, match="override_automl_disabled_params"):
        space_of(text=text, tmp_path=tmp_path)
    space = space_of("automl_settings.override_automl_disabled_params=true", text=text, tmp_path=tmp_path)
    assert random(space, (), 0, 0)["train.optim.lr_steps"] in ([5, 8], [3, 6])


@pytest.mark.parametrize(
    ("settings_text", "words"),
    [
        ("{automl_hyperparameters: [train.optim.lrr]}", "did you mean 'train.optim.lr'"),
        ("{automl_hyperparameters: [train.results_dir]}", "says where things are"),
        ("{automl_hyperparameters: [dataset.train_dataset.data_path]}", "says where things are"),
        ("{automl_hyperparameters: [model.input_channels]}", "has no range to search"),
        ("{custom_param_ranges: {train.optim.lr: {valid_min: 0.1, valid_max: 0.01}}}", "not below"),
        ("{custom_param_ranges: {model.dropout: {valid_max: 1.5}}}", "out of its bounds"),
        ("{custom_param_ranges: {train.optim.patience: {valid_min: 1.5}}}", "whole numbers"),
        ("{custom_param_ranges: {train.optim.lr: {valid_options: []}}}", "is empty"),
        ("{custom_param_ranges: {model.graph_strategy: {valid_options: [star]}}}", "'star' is no choice"),
        ("{custom_param_ranges: {model.graph_strategy: {valid_min: 1}}}", "give valid_options"),
        ("{custom_param_ranges: {model.graph_strategy: {option_weights: [1, 2]}}}", "one from 0 up for each choice"),
        ("{custom_param_ranges: {train.optim.lr: {smallest: 1}}}", "smallest"),
        ("{custom_param_ranges: {train.optim.lr_steps: {valid_options: [[5], [8]]}}}", "override_automl_disabled"),
        ("{custom_param_ranges: {train.results_dir: {valid_options: [a, b]}}}", "says where things are"),
        ("{custom_param_ranges: {train.num_gpus: {valid_options: [1, 2]}}}", "names train.num_gpus, which no search"),
        ("{custom_param_ranges: {dataset.val_dataset.data_path: {valid_options: [a]}}}", "says where things are"),
        (
            "{override_automl_disabled_params: true, custom_param_ranges: {train.gpu_ids: {valid_options: [[0]]}}}",
            "which no search varies",
        ),
        ("{custom_param_ranges: {encryption_key: {valid_options: [a, b]}}}", "which no search varies"),
        ("{custom_param_ranges: {model_name: {valid_options: [a, b]}}}", "model_name, which no search varies"),
        (
            "{custom_param_ranges: {dataset.batch_size: {valid_options: [eight]}}}",
            "custom_param_ranges of dataset.batch_size: batch_size is 'eight'; it takes a whole number",
        ),
        (
            "{custom_param_ranges: {model.dropout: {valid_options: [0.1, 5.0]}}}",
            "custom_param_ranges of model.dropout: dropout is 5.0; it must be at most 1",
        ),
        ("{custom_param_ranges: {model.dropout: {option_weights: [1]}}}", "give valid_options too"),
        ("{custom_param_ranges: {model.dropout: {valid_max: 0.5, valid_options: [0.1]}}}", "not both"),
        ("{custom_param_ranges: {dataset.rate: {valid_min: 0, valid_max: 30}}}", "dataset.rate: rate is 0"),
        ("{algorithm: llm}", "choose one of bayesian"),
        ("{algorithm: bayes}", "choose one of bayesian"),
        ("{automl_max_recommendations: 0}", "at least 1"),
        ("{metric: accuracy}", "val_acc"),
        ("{automl_hyperparameters: [train.optim.momentum]}\ntrain: {recipe: kinetag}", "nothing to search"),
    ],
)
def test_settings_that_cannot_be_are_named_in_one_line(settings_text, words, tmp_path):
    with pytest.raises(KinetagError) as caught:
        space_of(text=f"automl_settings: {settings_text}", tmp_path=tmp_path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_off_in_yaml_is_off(tmp_path):
    for text, policy in (("off", "off"), ("'off'", "off"), ("auto", "auto"), ("no", "off")):
        assert spec_of(text=f"automl_policy: {text}", tmp_path=tmp_path).automl_policy == policy
    with pytest.raises(KinetagError, match="auto, off"):
        spec_of("automl_policy=maybe")


# --- the schema ------------------------------------------------------------------------------------------------------


def test_a_schema_from_a_skill_folder(tmp_path):
    write_schemas(tmp_path / "skill" / "schemas")
    with pytest.raises(KinetagError, match=r"spec_template_train\.yaml"):
        read_schema(str(tmp_path / "skill"))
    (tmp_path / "skill" / "references").mkdir()
    (tmp_path / "skill" / "references" / "spec_template_train.yaml").write_text(template("train"))
    assert read_schema(str(tmp_path / "skill")) == json.loads(json.dumps(action_schema("train")))
    assert read_schema(str(tmp_path / "skill" / "schemas")) == read_schema(str(tmp_path / "skill"))
    (tmp_path / "skill" / "references" / "spec_template_train.yaml").write_text("a: [")
    with pytest.raises(KinetagError, match=NOT_RUNNABLE):
        read_schema(str(tmp_path / "skill"))


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"properties": 1}', '{"a": ' * 100_000])
def test_without_a_schema_there_is_no_search(tmp_path, content):
    path = tmp_path / "train.schema.json"
    if content is not None:
        path.write_text(content)
    for place in (tmp_path, path):
        with pytest.raises(KinetagError) as caught:
            read_schema(str(place))
        assert str(caught.value).startswith(NOT_RUNNABLE)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"conditions": ["import os"]}, "cannot be read"), ({"math_cond": "__import__('os')"}, "cannot be read")],
)
def test_a_hostile_schema_runs_nothing(change, words):
    schema = action_schema("train")
    schema["properties"]["train"]["properties"]["optim"]["properties"]["lr"] |= change
    with pytest.raises(KinetagError, match=words):
        build_space(spec_of(), schema)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"conditions": [""]}, "condition '' cannot be read"),
        ({"conditions": "train.recipe == tao"}, "'train.recipe == tao' is no list"),
        ({"conditions": [3]}, "3 is no text"),
        ({"automl_ranges": "x"}, "'x' is no list"),
        ({"automl_ranges": ["x"]}, "automl_ranges holds 'x'"),
        ({"automl_ranges": [{"minimum": "low"}]}, "'low' is no number"),
        ({"automl_ranges": [{"minimum": 0, "maximum": 1, "log": True}]}, "minimum 0 is not above 0, as log needs it"),
        ({"automl_ranges": [{"minimum": 0.5, "maximum": 0.1}]}, "minimum 0.5 is not below maximum 0.1"),
        ({"automl_ranges": [{"options": []}]}, "are empty"),
        ({"automl_ranges": [{"when": "x"}]}, "condition 'x' cannot be read"),
        ({"minimum": 1, "maximum": 0}, "minimum 1 is not below maximum 0"),
        ({"math_cond": "about 3"}, "math_cond 'about 3' cannot be read"),
        ({"option_weights": ["a"]}, "'a' is no number"),
        ({"depends_on": 3}, "depends_on is 3"),
    ],
)
def test_a_schema_that_says_what_cannot_be_is_refused_with_key_and_reason(tmp_path, change, words):
    schema = action_schema("train")
    schema["properties"]["model"]["properties"]["dropout"] |= change
    path = tmp_path / "train.schema.json"
    path.write_text(json.dumps(schema))
    with pytest.raises(KinetagError) as caught:
        read_schema(str(path))
    assert str(caught.value).startswith(NOT_RUNNABLE)
    assert "model.dropout: " in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_range_of_a_schema_beyond_what_the_option_takes_is_refused(tmp_path):
    schema = action_schema("train")
    schema["properties"]["model"]["properties"]["dropout"]["automl_ranges"] = [{"minimum": 0.0, "maximum": 3.0}]
    path = tmp_path / "train.schema.json"
    path.write_text(json.dumps(schema))
    with pytest.raises(
        KinetagError, match=rf"{NOT_RUNNABLE}: .* of model\.dropout: dropout is 3\.0; it must be at most 1"
    ):
        build_space(spec_of(), read_schema(str(path)))


def test_a_range_for_an_option_that_is_not_named_is_noted(tmp_path):
    text = "automl_settings: {automl_hyperparameters: [train.optim.lr], "
    text += "custom_param_ranges: {model.dropout: {valid_max: 0.2}}}"
    space = space_of(text=text, tmp_path=tmp_path)
    assert keys(space) == {"train.optim.lr"}
    assert any(note.startswith("model.dropout is not searched, though custom_param_ranges") for note in space.notes)


def test_choices_that_are_declared_can_be_weighed(tmp_path):
    text = "automl_settings: {custom_param_ranges: {train.grad_clip: {option_weights: [1, 0, 0, 0, 0, 1]}}}"
    space = space_of(text=text, tmp_path=tmp_path)
    assert {random(space, (), 0, number)["train.grad_clip"] for number in range(40)} == {0.0, 10.0}


# --- values and places -----------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_places_and_values_are_each_others_inverse(seed):
    for space in (WIDE, DEPENDENT):
        values = random(space, (), seed, 0)
        places = space.places(values)
        assert space.values(lambda dimension, name, at=places: at[name]) == values
        assert all(0 <= place <= 1 for name, place in places.items() if isinstance(place, float))


WIDE = space_of("train.optim.lr_scheduler=AutoReduce", "train.recipe=kinetag", SGD)
DEPENDENT = Space(
    (
        Dimension("a", "float", (Interval(0.0, 10.0),), 5.0),
        Dimension("b", "float", (Interval(0.0, 10.0),), 1.0, bound=Bound.read("< depends_on"), depends_on="a"),
        Dimension("n", "int", (Interval(1, 100),), 32, bound=Bound.read("/ 8")),
        Dimension("m", "int", (Interval(1, 4),), 2),
    )
)


def test_what_lies_outside_of_the_ranges_is_not_learned_from():
    space = Space(
        (
            Dimension("x", "float", (Interval(0.01, 0.1, log=True),), 0.5),
            Dimension("c", "choice", (Interval(options=("a", "b")),), "z"),
        )
    )
    inside = [{"x": 0.01, "c": "a"}, {"x": 0.1, "c": "b"}, {"x": 0.05}]
    outside = [{"x": 0.5, "c": "a"}, {"x": 0.05, "c": "z"}, {"x": 0.0, "c": "a"}]
    trials = [Trial(i, v, 1, kept={1: (0.1 * i, 0.0)}, state="done") for i, v in enumerate(outside + inside)]
    assert [round(result.score, 1) for result in results_of(trials, space)] == [0.3, 0.4, 0.5]
    for drawn in (random(DEPENDENT, (), 1, number) for number in range(50)):
        assert DEPENDENT.contains(drawn)


def test_a_choice_is_known_however_its_number_is_written():
    space = Space((Dimension("c", "choice", (Interval(options=(0, 1, "1")),), 0),), {}, ())
    assert space.contains({"c": 1.0})
    assert space.places({"c": 1.0}) == space.places({"c": 1})
    assert not space.contains({"c": True})
    assert space.places({"c": "1"}) != space.places({"c": 1})


def test_conditions_on_values_are_kept():
    drawn = [random(DEPENDENT, (), 1, number) for number in range(300)]
    assert all(values["b"] <= values["a"] for values in drawn)
    assert all(values["n"] % 8 == 0 and 1 <= values["n"] <= 100 for values in drawn)
    assert {values["n"] for values in drawn} == set(range(8, 97, 8))
    counts = np.bincount([values["m"] for values in drawn], minlength=5)[1:]
    assert counts.min() > 45  # every whole number has its share


@pytest.mark.parametrize(
    ("text", "value", "other", "kept"),
    [("> 0.0", 0.0, None, False), (">= 0", 0.0, None, True), ("< depends_on", 1, 2, True),
     ("<= 1e-3", 0.01, None, False), ("/ 8", 16, None, True), ("/ 8", 15, None, False), ("/ depends_on", 6, 3, True)],
)  # fmt: skip
def test_bounds_in_words(text, value, other, kept):
    assert Bound.read(text).kept(value, other) is kept


@pytest.mark.parametrize(
    ("text", "kept"),
    [("a.b == 3", True), ("a.b != 3", False), ("a.b in 1, 3", True), ("a.b not in 1, 3", False), ("c == true", True)],
)
def test_conditions_in_words(text, kept):
    assert holds(text, {"a.b": 3, "c": True}.get) is kept


# --- the page --------------------------------------------------------------------------------------------------------

PAGE = (Path(__file__).parent.parent / "docs" / "automl.md").read_text("utf-8")


def test_the_page_tells_the_ranges_that_are_searched():
    entries = dict(options(action_schema("train")))
    for key in FACTS["automl_default_parameters"]:
        row = PAGE[PAGE.index(f"| `{key}` |") :].split("\n| `")[0]
        for searched in entries[key]["automl_ranges"]:
            shown = [f"{value:f}".rstrip("0").rstrip(".") for value in searched.get("options", ())]
            if not shown:
                shown = [f"{searched.get(end, 0.0):f}".rstrip("0").rstrip(".") for end in ("minimum", "maximum")]
            assert all(value in row for value in shown), (key, shown)
            assert not searched.get("log") or "logarithmic" in row


def test_the_settings_of_the_page_are_a_spec(tmp_path):
    text = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[1]
    space = space_of(text=text, tmp_path=tmp_path)
    assert keys(space) >= {
        "train.optim.lr",
        "dataset.batch_size",
        "train.optim.optimizer_type",
        "train.label_smoothing",
    }
    optimisers = {random(space, (), 0, number)["train.optim.optimizer_type"] for number in range(50)}
    assert optimisers == {"torch.optim.SGD", "torch.optim.AdamW"}


def test_a_template_for_a_search(tmp_path):
    (tmp_path / "tune.yaml").write_text(template("tune"))
    spec = load_spec(tmp_path / "tune.yaml", ["dataset.train_dataset.data_path=here"], action="train")
    assert spec.automl_settings == Spec().automl_settings
    shown = re.sub(r"(?m)^( *)#(?=\w)", r"\1", template("tune"))
    (tmp_path / "all.yaml").write_text(shown.replace("???", "here"))
    everything = load_spec(tmp_path / "all.yaml", action="train")
    assert everything.automl_settings == Spec().automl_settings
