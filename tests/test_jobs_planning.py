"""What a job will do, before it does: the whole spec, where it comes from, and nothing of the key."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from made_jobs import TRAINING, arrays, home, write_spec  # noqa: F401
from tao_reference import reference_folder

from kinetag.errors import KinetagError
from kinetag.jobs import create_job, plan_job, tidying
from kinetag.jobs.inferring import Inferred
from kinetag.jobs.planning import Plan, changed, read_given
from kinetag.jobs.runner import _kept
from kinetag.jobs.store import Store
from kinetag.spec import ACTIONS, Spec, load_spec, value_at

pytestmark = pytest.mark.usefixtures("home")
DATA = ["dataset.train_dataset.data_path=data", "dataset.validation_split=0.2"]
OFF = ["automl_policy=off"]
KEY = "a secret of some length"


def test_a_dry_run_shows_all_options_and_where_they_come_from_and_writes_nothing(tmp_path):
    plan = plan_job("train", TRAINING, overrides=["num_epochs=7"], train_data=arrays(tmp_path / "data"))
    text = plan.to_yaml(whole=True)
    values = yaml.safe_load(text)
    assert values["train"]["num_epochs"] == 7
    assert values["train"]["optim"]["momentum"] == 0.9  # a default
    assert values["dataset"]["val_dataset"]["data_path"] == str(tmp_path / "data/val_data.npy")
    lines = text.splitlines()
    for one in plan.inferred:
        name = one.key.rpartition(".")[2]
        at = [i for i, line in enumerate(lines) if line.strip().startswith(f"{name}:") and "inferred: " in lines[i - 1]]
        assert any(one.source in lines[i - 1] for i in at), one
    assert text.count("# inferred: ") == len(plan.inferred)
    assert not (tmp_path / "home").exists()


def test_the_spec_that_runs_holds_what_was_given_and_inferred_alone(tmp_path):
    plan = plan_job("train", TRAINING, overrides=["train.recipe=kinetag", *DATA])
    values = yaml.safe_load(plan.to_yaml())
    assert values.keys() <= {"model", "dataset", "train", "results_dir", "automl_policy"}
    assert value_at(values, "train.optim.momentum") is None  # left to the recipe
    path = tmp_path / "spec.yaml"
    path.write_text(plan.to_yaml())
    assert load_spec(path, action="train") == plan.spec


def test_values_may_be_nested_or_dotted_and_overrides_win(tmp_path):
    given = {"train.num_epochs": 3, "train": {"seed": 5}, "dataset": {"label_map": {"a b": 0, "c": 1}}}
    plan = plan_job("train", given, overrides=["train.seed=6", *DATA])
    assert (plan.spec.train.num_epochs, plan.spec.train.seed) == (3, 6)
    assert plan.spec.dataset.label_map == {"a b": 0, "c": 1}
    assert given["train"] == {"seed": 5}
    path = write_spec(tmp_path / "a.yaml", {"train": {"seed": 9}})
    assert plan_job("train", path, overrides=DATA).spec.train.seed == 9
    assert plan_job("train", str(path), overrides=["num_epochs=4", *DATA]).spec.train.num_epochs == 4


@pytest.mark.parametrize(
    ("action", "overrides", "message"),
    [
        ("trian", [], "did you mean 'train'"),
        ("train", [], "dataset.train_dataset.data_path is needed"),
        ("train", ["train.num_epoch=3", *DATA], "override 'train.num_epoch=3': unknown key"),
        ("train", ["num_epochs=0", *DATA], "train.num_epochs is 0"),
        ("train", ["num_epochs", *DATA], "is not an override"),
        ("evaluate", ["evaluate.test_dataset.data_path=a"], "evaluate.checkpoint is needed .* --parent ID"),
        ("evaluate", ["evaluate.checkpoint=a"], "evaluate.test_dataset.data_path is needed"),
        ("export", [], "export.checkpoint is needed"),
        ("dataset_convert", [], "dataset_convert.data is needed"),
    ],
)
def test_what_the_action_would_refuse_is_refused_at_once(tmp_path, action, overrides, message):
    with pytest.raises(KinetagError, match=message):
        plan_job(action, overrides=overrides)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], r"needs validation data.*validation_split=0.2; or train once, with automl_policy=off"),
        (["automl_policy=auto"], r"needs validation data.*validation_split=0.2$"),
        (["dataset.validation_split=0.2", "automl_settings.automl_hyperparameters=[train.optim.lrr]"],
         "names 'train.optim.lrr', which is no option .*did you mean"),
        (["dataset.validation_split=0.2", "automl_settings.algorithm=pbt",
          "automl_settings.automl_hyperparameters=[dataset.batch_size]"], "pbt cannot search dataset.batch_size"),
        (["dataset.validation_split=0.2", "automl_settings.storage=mysql://a:hush@b/c"],
         r"automl_settings.storage is 'mysql://\*\*\*@b/c'; give postgresql://"),
        (["dataset.validation_split=0.2", "results_dir=http://x/y"], "results_dir http://x/y: the web can only be"),
    ],
)  # fmt: skip
def test_a_search_that_would_be_refused_is_refused_at_once(tmp_path, overrides, message):
    arrays(tmp_path / "data")
    (tmp_path / "data/val_data.npy").unlink()
    for do in (plan_job, create_job):
        with pytest.raises(KinetagError, match=message):
            do("train", overrides=overrides, train_data=tmp_path / "data")
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("action", "overrides", "message"),
    [
        (
            "train",
            ["dataset.train_dataset.data_path=ftp://a/b"],
            "dataset.train_dataset.data_path: ftp://a/b: 'ftp://'",
        ),
        ("export", ["export.checkpoint=a", "export.onnx_file=https://a/b.onnx"], "export.onnx_file https://a/b.onnx"),
        ("train", [*DATA, "dataset.cache_dir=s3://a/b"], "dataset.cache_dir must be a folder of this machine"),
    ],
)
def test_addresses_of_a_kind_that_cannot_be_used(action, overrides, message):
    with pytest.raises(KinetagError, match=message):
        plan_job(action, overrides=[*overrides, *OFF])


def test_a_dry_run_of_a_search_has_its_settings(tmp_path):
    given = ["dataset.validation_split=0.2", *DATA]
    shown = yaml.safe_load(plan_job("train", overrides=given).to_yaml(whole=True))
    assert (shown["automl_settings"]["algorithm"], shown["automl_settings"]["metric"]) == ("bayesian", "val_acc")
    assert "automl_max_epochs" not in shown["automl_settings"]  # it follows from train.num_epochs
    once = yaml.safe_load(plan_job("train", overrides=[*given, *OFF]).to_yaml(whole=True))
    assert "automl_settings" not in once


def test_a_mistake_in_a_file_is_told_with_its_line(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("train:\n  num_epochs: many\n")
    with pytest.raises(KinetagError, match=r"a.yaml:2: train.num_epochs"):
        plan_job("train", path, overrides=DATA)


def test_a_value_where_a_group_belongs_is_the_user_s_mistake():
    with pytest.raises(KinetagError, match="export is 5; it takes a group of options"):
        plan_job("export", {"export": 5})


def test_data_and_parents_that_are_not_there(tmp_path):
    with pytest.raises(KinetagError, match="no such file or folder: nowhere"):
        plan_job("train", train_data="nowhere")
    with pytest.raises(KinetagError, match="no job 'nowhere'"):
        plan_job("export", parent_job_id="nowhere")


def test_a_parent_s_spec_that_is_damaged(tmp_path):
    store = Store()
    job = store.add(id="abc234", action="train", state="done", cwd="/", results=str(tmp_path))
    with pytest.raises(KinetagError, match=r"given.yaml cannot be read .*create the job anew"):
        plan_job("export", parent_job_id=job.id)


def test_paths_in_a_parent_s_spec_start_from_its_own_folder(tmp_path):
    store = Store()
    values = {"evaluate": {"checkpoint": "m.pth", "test_dataset": {"data_path": "d"}}}
    job = store.add(id="abc234", action="evaluate", state="done", cwd=str(tmp_path / "there"), results=str(tmp_path))
    job.folder.mkdir(parents=True)
    write_spec(job.given, values)
    plan = plan_job("evaluate", parent_job_id=job.id)
    assert plan.spec.evaluate.checkpoint == str(tmp_path / "there/m.pth")
    assert plan.spec.evaluate.test_dataset.data_path == str(tmp_path / "there/d")


def test_the_user_s_own_model_wins_and_that_is_said(tmp_path):
    store = Store()
    job = store.add(id="abc234", action="train", state="queued", cwd="/", results=str(tmp_path))
    job.folder.mkdir(parents=True)
    write_spec(job.given, {})
    plan = plan_job("export", {"export.checkpoint": "mine.pth"}, job.id)
    assert plan.spec.export.checkpoint == "mine.pth"
    assert "the model of job abc234 is not used" in plan.notes[0]


# --- the key ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["override", "values", "file", "variable"])
def test_the_key_is_taken_out_of_what_was_given(tmp_path, monkeypatch, way):
    (tmp_path / "data").mkdir()
    specs, overrides = None, list(DATA)
    if way == "override":
        overrides.append(f"encryption_key='{KEY}'")
    elif way == "values":
        specs = {"encryption_key": KEY}
    elif way == "file":
        specs = write_spec(tmp_path / "a.yaml", {"encryption_key": KEY})
    else:
        monkeypatch.setenv("KINETAG_ENCRYPTION_KEY", KEY)
    found = read_given("train", specs, overrides)
    assert found.secret == KEY
    assert KEY not in json.dumps(found.source.values)
    plan = plan_job("train", specs, overrides=overrides)
    for text in (plan.to_yaml(), plan.to_yaml(whole=True), json.dumps(plan.values), str(plan.inferred)):
        assert KEY not in text
    assert yaml.safe_load(plan.to_yaml())["encryption_key"] == "***"
    assert "KINETAG_ENCRYPTION_KEY" in plan.to_yaml(whole=True)


def test_a_key_that_stands_elsewhere_too_is_refused_without_showing_it(tmp_path):
    path = write_spec(tmp_path / "a.yaml", {"encryption_key": KEY, "wandb": {"name": "run ${encryption_key}"}})
    with pytest.raises(KinetagError, match=r"wandb.name holds the encryption key") as caught:
        plan_job("train", path, overrides=DATA)
    assert KEY not in str(caught.value)


def test_a_hidden_key_has_to_be_in_the_environment(monkeypatch):
    with pytest.raises(KinetagError, match="give it in the variable KINETAG_ENCRYPTION_KEY"):
        plan_job("train", {"encryption_key": "***"}, overrides=DATA)
    monkeypatch.setenv("KINETAG_ENCRYPTION_KEY", KEY)
    assert read_given("train", {"encryption_key": "***"}).secret == KEY


@pytest.mark.parametrize("way", ["override", "values", "file"])
@pytest.mark.parametrize(
    ("storage", "hidden"),
    [
        ("postgresql://kin:hu%20sh@et@db:5432/x", "postgresql://kin:***@db:5432/x"),
        ("postgresql://db/x?user=kin&password=hu%20sh@et", "postgresql://db/x?user=kin&password=***"),
    ],
)
def test_the_password_of_a_database_is_taken_out_of_what_was_given(tmp_path, monkeypatch, way, storage, hidden):
    (tmp_path / "data").mkdir()
    specs, overrides = None, list(DATA)
    if way == "override":
        overrides.append(f"automl_settings.storage={storage}")
    else:
        specs = {"automl_settings": {"storage": storage}}
        specs = write_spec(tmp_path / "a.yaml", specs) if way == "file" else specs
    found = read_given("train", specs, overrides)
    assert found.password == "hu sh@et"
    assert value_at(found.source.values, "automl_settings.storage") == hidden
    plan = plan_job("train", specs, overrides=overrides)
    assert yaml.safe_load(plan.to_yaml())["automl_settings"]["storage"] == hidden
    for text in (plan.to_yaml(whole=True), json.dumps(plan.values), str(plan.inferred), str(plan.spec)):
        assert "sh@et" not in text
    assert read_given("train", {"automl_settings.storage": hidden}).password is None

    started = []
    monkeypatch.setattr(tidying, "start_detached", lambda *words, env, **_: started.append((words, env)))
    job = create_job("train", specs, overrides=overrides)
    (words, environment), values = started[0], yaml.safe_load(job.given.read_text())
    assert environment["PGPASSWORD"] == "hu sh@et"
    assert "sh@et" not in str(words) + "".join(path.read_text() for path in job.folder.iterdir())
    assert [word for word in _kept(job, replace(plan, values=values)) if "storage" in word] == []


def test_what_was_given_beside_the_spec_goes_to_a_search_without_secrets(tmp_path):
    signed = "https://store/data?X-Signature=abc"
    values = {"train": {"seed": 3}, "dataset": {"train_dataset": {"data_path": signed}}}
    job = Store().add(id="abc234", action="train", state="queued", cwd="/", results=str(tmp_path))
    job.folder.mkdir(parents=True)
    job.overrides.write_text(json.dumps(["train.seed", "dataset.train_dataset.data_path"]))
    assert _kept(job, Plan("train", values, (), (), "r", Spec())) == ["train.seed=3"]


# --- how it is written -----------------------------------------------------------------------------------------------


@example({"\n": 0, "a\tb": 1}, "two\nlines", "")
@given(
    st.dictionaries(st.text(min_size=1, max_size=8), st.integers(0, 5), max_size=3),
    st.text(max_size=30),
    st.text(max_size=60),
)
def test_any_value_is_read_as_it_was_written(names, text, source):
    spec = Spec()
    values = {"dataset": {"label_map": names, "cache_dir": text}, "train": {"optim": {"lr_steps": [1, 2]}}}
    plan = Plan("train", values, (Inferred("dataset.cache_dir", text, "f", source),), (), "r", spec)
    assert yaml.safe_load(plan.to_yaml()) == values


def test_what_differs_from_the_defaults():
    values = {"train": {"num_epochs": 3, "seed": 1234}, "evaluate": {"top_k": 9}, "dataset": {"label_map": {"a": 0}}}
    assert changed(values, "train") == [("train.num_epochs", 3, 10), ("dataset.label_map.a", 0, None)]
    assert changed({"dataset": {"num_classes": 3}}, "train") == [("dataset.num_classes", 3, 6)]
    assert ("evaluate.top_k", 9, 5) in changed(values, "evaluate")


@pytest.mark.skipif(reference_folder() is None, reason="TAO's files are not here: set KINETAG_DATA")
@pytest.mark.parametrize("action", ACTIONS)
def test_tao_s_template_of_an_action_is_completed(tmp_path, action):
    folder = reference_folder()
    assert folder is not None
    store = Store()
    values = {"dataset": {"val_dataset": {"data_path": "v"}}}
    job = store.add(id="abc234", action="train", state="queued", cwd=os.getcwd(), results=str(tmp_path / "parent"))
    job.folder.mkdir(parents=True)
    write_spec(job.given, values)
    more = {
        "train": [f"dataset.train_dataset.data_path={arrays(tmp_path / 'data')}", "dataset.validation_split=0.2"],
        "inference": ["inference.test_dataset.data_path=t"],
        "dataset_convert": ["dataset_convert.data=poses.json"],
    }
    plan = plan_job(action, folder / f"spec_template_{action}.yaml", job.id, overrides=more.get(action, []))
    filled = {one.key: one.value for one in plan.inferred}
    if action in ("evaluate", "inference", "export"):
        assert filled[f"{action}.checkpoint"] == str(Path(tmp_path, "parent/pc_model_best.pth"))
    assert plan.results.startswith(str(tmp_path / "home"))


def test_what_was_given_beside_the_spec_is_known_apart(tmp_path):
    path = tmp_path / "train.yaml"
    path.write_text("train: {num_epochs: 5}\n")
    given = read_given("train", path, ["learning_rate=0.01", "learning_rate=0.02", "encryption_key=a long secret"])
    assert given.overrides == ("train.optim.lr",)
    assert read_given("train", {"train.optim.lr": 0.01}).overrides == ()  # a spec in Python
