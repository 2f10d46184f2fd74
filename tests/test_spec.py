import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tao_reference import reference_folder

from kinetag.errors import KinetagError
from kinetag.spec import ACTIONS, SHORTHANDS, Spec, load_spec, save_spec, to_yaml
from kinetag.spec.schema import walk

NAMES = {"squat": 0, "lunge": 1, "plank": 2}


def written(folder: Path, text: str) -> Path:
    path = folder / "spec.yaml"
    path.write_text(text, "utf-8")
    return path


# --- what is read ----------------------------------------------------------------------------------------------------


def test_an_empty_spec_has_the_defaults(tmp_path):
    for path in (
        None,
        written(tmp_path, ""),
        written(tmp_path, "# nothing\n"),
        written(tmp_path, "train:\n  optim:\n"),
    ):
        spec = load_spec(path, action="train")
        assert spec == Spec()
        assert spec.explicit == frozenset()


def test_overrides_win_over_the_file(tmp_path):
    path = written(tmp_path, "train:\n  num_epochs: 5\n  optim:\n    lr: 1e-2\ndataset: {batch_size: 4}\n")
    spec = load_spec(path, ["num_epochs=7", "train.optim.nesterov=false", "train.gpu_ids=[1, 2]"], action="train")
    assert (spec.train.num_epochs, spec.train.optim.lr, spec.dataset.batch_size) == (7, 0.01, 4)
    assert spec.train.optim.nesterov is False
    assert spec.explicit == {
        "train.num_epochs",
        "train.optim.lr",
        "train.optim.nesterov",
        "train.gpu_ids",
        "dataset.batch_size",
    }


def test_every_short_name_is_an_option():
    assert set(SHORTHANDS.values()) <= {key for key, _ in walk(Spec)}


def test_values_may_refer_to_others(tmp_path, monkeypatch):
    monkeypatch.setenv("PLACE", "/place")
    path = written(
        tmp_path, "results_dir: ${oc.env:PLACE}\nexport: {checkpoint: '${results_dir}/train/a.safetensors'}\n"
    )
    assert load_spec(path, action="export").export.checkpoint == "/place/train/a.safetensors"


def test_aliases_are_understood(tmp_path):
    path = written(tmp_path, "evaluate: {test_dataset: &data {data_path: a.npy}}\ndataset: {val_dataset: *data}\n")
    assert load_spec(path, action="train").dataset.val_dataset.data_path == "a.npy"


@pytest.mark.parametrize(
    ("text", "value"), [("32", "32"), ("'32'", "32"), ("bf16-mixed", "bf16-mixed")], ids=["number", "text", "name"]
)
def test_precision_may_look_like_a_number(tmp_path, text, value):
    assert load_spec(written(tmp_path, f"train: {{precision: {text}}}"), action="train").train.precision == value


def test_a_key_that_is_a_number_is_text(tmp_path):
    assert load_spec(written(tmp_path, "encryption_key: 1234"), action="train").secret() == "1234"


# --- what is wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "spec.yaml:2: not valid YAML"),
        ("- train", "not keys and values"),
        ("train:\n  num_epoch: 3", "spec.yaml:2: unknown key 'train.num_epoch', did you mean 'train.num_epochs'?"),
        ("train:\n  lr: 3", "spec.yaml:2: unknown key 'train.lr', did you mean 'train.optim.lr'?"),
        ("trian: {}", "unknown key 'trian', did you mean 'train'?"),
        ("xyz: {}", "unknown key 'xyz'; known in a spec: model_name, "),
        ("train:\n  optim:\n    lr: fast", "spec.yaml:3: train.optim.lr is 'fast'; it takes a number"),
        ("train: {num_epochs: 0}", "train.num_epochs is 0; it must be at least 1"),
        ("model: {dropout: 1.5}", "model.dropout is 1.5; it must be at most 1"),
        ("train: {ema: 1}", "train.ema is 1; it must be below 1"),
        ("train: {seed: 1.5}", "train.seed is 1.5; it takes a whole number"),
        ("train: {seed: .nan}", "train.seed is nan"),
        ("train: {optim: {lr: .inf}}", "train.optim.lr is inf; it takes a finite number"),
        ("train: {mirror: perhaps}", "train.mirror is 'perhaps'; it takes true or false"),
        ("train: {gpu_ids: 0}", "train.gpu_ids is 0; it takes a list"),
        ("train: 5", "train is 5; it takes a group of options"),
        ("dataset: {frame_size: [1280]}", "frame_size is [1280]; give it as [width, height], in pixels"),
        ("dataset: {frame_size: [0, 720]}", "give it as [width, height], in pixels"),
        ("dataset: {frame_size: 1280x720}", "dataset.frame_size is '1280x720'; it takes a list"),
        ("model: {graph_layout: nvidea}", "did you mean 'nvidia'?"),
        ("model: {model_type: st-gcn}", "choose one of ST-GCN, ST-GCN++, Fold-GCN, did you mean 'ST-GCN'?"),
        ("train: {seed: 1, seed: 2}", "'train.seed' is written twice"),
        ("dataset: {label_map: {yes: 0}}", "put it in quotes"),
        ("dataset: {label_map: {squat: one}}", "dataset.label_map.squat is 'one'; it takes a whole number"),
        ("? [a]\n: b", "a key must be a plain word"),
        ("results_dir: ${nowhere}", "nowhere"),
        ("results_dir: &a [*a]", "aliases"),
        ("a: " + "[" * 30 + "]" * 30, "nested too deeply"),
        ("\x00", "not a YAML text file"),
        ("train: {gpu_ids: [0, 0]}", "different numbers"),
        ("train: {num_gpus: 3, gpu_ids: [1, 2]}", "train.num_gpus is 3 but train.gpu_ids is [1, 2]"),
        ("dataset: {num_classes: 2, label_map: {a: 0, b: 1, c: 2}}", "num_classes is 2 but dataset.label_map names 3"),
        ("dataset: {label_map: {a: 0, b: 2}}", "indices [0, 2]; 2 classes are counted 0 to 1"),
    ],
)
def test_a_mistake_is_named_in_one_line(tmp_path, text, message):
    with pytest.raises(KinetagError) as caught:
        load_spec(written(tmp_path, text), action="train")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "spec.yaml" in str(caught.value)


def test_a_yaml_bomb_is_refused(tmp_path):
    lines = ["a: &a0 [x, x, x, x, x, x, x, x]"]
    lines += [f"b{n}: &a{n + 1} [*a{n}, *a{n}, *a{n}, *a{n}, *a{n}, *a{n}, *a{n}, *a{n}]" for n in range(20)]
    with pytest.raises(KinetagError, match="aliases"):
        load_spec(written(tmp_path, "\n".join(lines)), action="train")
    with pytest.raises(KinetagError, match="at most"):
        load_spec(written(tmp_path, "#" * 2_000_000), action="train")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.num_epochs", "write dotted.key=value"),
        ("=3", "write dotted.key=value"),
        ("train.num_epoch=3", "override 'train.num_epoch=3': unknown key"),
        ("num_epochs=0", "override 'train.num_epochs=0': train.num_epochs is 0"),
        ("train.optim.lr=[", "override 'train.optim.lr'"),
        ("num_gpus=2", None),
    ],
)
def test_an_override_that_is_wrong_is_named(override, message):
    if message is None:
        assert load_spec(None, [override], action="train").train.gpu_ids == [0, 1]
        return
    with pytest.raises(KinetagError) as caught:
        load_spec(None, [override], action="train")
    assert message in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(KinetagError, match="'kinetag spec train' prints one"):
        load_spec(tmp_path / "spec.yaml", action="train")
    with pytest.raises(KinetagError, match="cannot be read"):
        load_spec(tmp_path, action="train")
    with pytest.raises(KinetagError, match="unknown action 'trane', did you mean 'train'"):
        load_spec(None, action="trane")


@given(st.text(max_size=40))
def test_no_override_breaks_it(text):
    try:
        spec = load_spec(None, [text], action="train")
    except KinetagError as error:
        message = str(error)
    else:
        assert isinstance(spec, Spec)
        message = ""
    assert "\n" not in message


def test_without_omegaconf_the_install_line_is_given():
    code = (
        "import sys; sys.modules['omegaconf'] = None\n"
        "from kinetag.spec import load_spec\n"
        "load_spec(None, action='train')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'kinetag[train]'" in result.stderr


# --- what must be filled in ------------------------------------------------------------------------------------------


def test_a_missing_value_matters_to_its_action_alone(tmp_path):
    path = written(tmp_path, "evaluate:\n  checkpoint: ???\ninference:\n  checkpoint: ???\n")
    assert load_spec(path, action="train").evaluate.checkpoint == ""
    for action in ("evaluate", "inference"):
        with pytest.raises(KinetagError, match=rf"{action}.checkpoint is needed"):
            load_spec(path, action=action)
        assert load_spec(path, [f"{action}.checkpoint=a"], action=action).get(f"{action}.checkpoint") == "a"
        assert load_spec(path, [f"{action}.trt_engine=a.engine"], action=action).get(f"{action}.checkpoint") == ""


def test_what_an_action_needs_is_asked_for():
    spec = load_spec(None, action="export")
    with pytest.raises(KinetagError, match=r"export.checkpoint is needed.*export.checkpoint=VALUE"):
        spec.require("export.checkpoint")
    spec.require("model.graph_layout")


# --- classes, devices ------------------------------------------------------------------------------------------------


def test_the_number_of_classes_follows_from_their_names(tmp_path):
    spec = load_spec(written(tmp_path, yaml.safe_dump({"dataset": {"label_map": NAMES}})), action="train")
    assert spec.dataset.num_classes == 3
    assert "dataset.num_classes" not in spec.explicit


def test_class_names_of_an_override_replace_those_of_the_file(tmp_path):
    path = written(tmp_path, yaml.safe_dump({"dataset": {"label_map": NAMES, "batch_size": 2}}))
    spec = load_spec(path, ["dataset.label_map={row: 0, dip: 1}"], action="train")
    assert spec.dataset.label_map == {"row": 0, "dip": 1}
    assert load_spec(path, ["dataset.label_map.dip=3"], action="train").dataset.num_classes == 4
    assert load_spec(path, ["dataset={batch_size: 3}"], action="train").dataset.label_map == NAMES


def test_names_of_a_template_are_not_names():
    names = {f"class_{index}": index for index in range(6)}
    spec = load_spec(None, [f"dataset.label_map={names}", "num_classes=3"], action="train")
    assert spec.dataset.label_map == {}
    assert spec.dataset.num_classes == 3
    assert "dataset.label_map" not in spec.explicit


def test_device_ids_and_their_number_follow_from_each_other():
    spec = load_spec(None, ["train.gpu_ids=[2, 3]"], action="train")
    assert spec.train.num_gpus == 2
    assert spec.explicit == {"train.gpu_ids"}
    spec = load_spec(None, ["train.num_gpus=3", "train.gpu_ids=[0]"], action="train")
    assert spec.train.gpu_ids == [0, 1, 2]


# --- what is written -------------------------------------------------------------------------------------------------


def test_what_is_saved_loads_and_hides_the_key(tmp_path, monkeypatch):
    monkeypatch.setenv("KINETAG_ENCRYPTION_KEY", "of the environment")
    spec = load_spec(None, ["encryption_key=nvidia_tao", f"dataset.label_map={NAMES}", "num_epochs=3"], action="train")
    assert spec.secret() == "nvidia_tao"
    assert Spec().secret() == "of the environment"
    path = save_spec(spec, tmp_path / "a" / "experiment.yaml")
    assert "nvidia_tao" not in path.read_text() + to_yaml(spec)
    assert "of the environment" not in to_yaml(Spec())
    again = load_spec(path, action="train")
    assert again.encryption_key == "***"
    again.encryption_key, again.wandb.enable = "nvidia_tao", True
    assert again == spec
    assert [path.name for path in path.parent.iterdir()] == ["experiment.yaml"]


def test_a_database_is_written_without_its_password(tmp_path):
    spec = load_spec(None, ["automl_settings.storage=postgresql://kin:s3cret@db/studies"], action="train")
    again = load_spec(save_spec(spec, tmp_path / "experiment.yaml"), action="train")
    assert again.automl_settings.storage == "postgresql://kin:***@db/studies"
    assert again.overridden == frozenset()
    with pytest.raises(KinetagError, match=r"override 'automl_settings\.storage=\[postgresql://") as caught:
        load_spec(None, [f"automl_settings.storage=[postgresql://kin:s3cret{'-' * 50}@db/studies]"], action="train")
    assert "s3cret" not in str(caught.value)


def test_what_nobody_wrote_is_not_written_as_if_somebody_had(tmp_path):
    """Classes that the data name, and tracking that nobody asked for, must not appear in the spec of a second run."""
    again = load_spec(save_spec(load_spec(None, action="train"), tmp_path / "spec.yaml"), action="train")
    assert not {"dataset.num_classes", "dataset.label_map"} & again.explicit
    assert again.wandb.enable is False
    asked = load_spec(None, ["wandb.enable=true", "num_classes=3"], action="train")
    again = load_spec(save_spec(asked, tmp_path / "spec.yaml"), action="train")
    assert again.wandb.enable is True
    assert again.dataset.num_classes == 3


@pytest.mark.parametrize("key", ["[hush, hush]", "[hush", "${hush}", "a${hush", "{hush: hush"])
def test_a_refused_key_is_not_shown(key, tmp_path):
    with pytest.raises(KinetagError) as caught:
        load_spec(None, [f"encryption_key={key}"], action="train")
    assert "hush" not in str(caught.value)
    with pytest.raises(KinetagError) as caught:
        load_spec(written(tmp_path, f"encryption_key: {key}"), action="train")
    assert "hush" not in str(caught.value)


def test_a_hidden_key_is_not_taken_for_a_key(monkeypatch):
    monkeypatch.delenv("KINETAG_ENCRYPTION_KEY", raising=False)
    spec = load_spec(None, ["encryption_key='***'"], action="train")
    with pytest.raises(KinetagError, match="KINETAG_ENCRYPTION_KEY"):
        spec.secret()
    monkeypatch.setenv("KINETAG_ENCRYPTION_KEY", "of the environment")
    assert spec.secret() == "of the environment"


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_has_its_folder(action):
    assert Spec().results_folder(action) == Path("results") / action
    assert Spec(results_dir="/r").results_folder(action) == Path("/r") / action
    spec = load_spec(None, ["results_dir=/r", f"{action}.results_dir=/own", "export.checkpoint=a"], action="train")
    assert spec.results_folder(action) == Path("/own")


def test_defaults_of_a_recipe_give_way_to_what_was_written():
    spec = load_spec(None, ["train.optim.lr=0.3"], action="train")
    other = spec.with_defaults({"train.optim.lr": 0.1, "train.ema": 0.9, "dataset.window_size": 100})
    assert (other.train.optim.lr, other.train.ema, other.dataset.window_size) == (0.3, 0.9, 100)
    assert other.explicit == spec.explicit
    assert spec.train.ema == 0.0


def test_an_option_that_is_set_later_is_checked_and_counts_as_written():
    spec = Spec()
    spec.train.num_epochs = 3
    assert spec.explicit == {"train.num_epochs"}
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        spec.train.num_epochs = 0


# --- TAO's own files -------------------------------------------------------------------------------------------------


@pytest.mark.skipif(reference_folder() is None, reason="TAO's files are not here: set KINETAG_DATA")
@pytest.mark.parametrize("name", ["experiment_kinetics", "experiment_nvidia"])
def test_taos_example_specs_load(name):
    folder = reference_folder()
    assert folder is not None
    spec = load_spec(folder / f"{name}.yaml", action="train")
    theirs = yaml.safe_load((folder / f"{name}.yaml").read_text())
    assert spec.dataset.label_map == theirs["dataset"]["label_map"]
    assert spec.train.optim.lr_steps == theirs["train"]["optim"]["lr_steps"]
    assert spec.secret() == theirs["encryption_key"]


@pytest.mark.skipif(reference_folder() is None, reason="TAO's files are not here: set KINETAG_DATA")
@pytest.mark.parametrize("action", ACTIONS)
def test_taos_templates_load(action):
    folder = reference_folder()
    assert folder is not None
    path = folder / f"spec_template_{action}.yaml"
    if action in ("evaluate", "inference"):
        with pytest.raises(KinetagError, match=f"{action}.checkpoint is needed"):
            load_spec(path, action=action)
    overrides = [f"{action}.checkpoint=model.pth"] if action in ("evaluate", "inference", "export") else []
    spec = load_spec(path, overrides, action=action)
    assert spec.results_folder(action) == Path("results") / action
