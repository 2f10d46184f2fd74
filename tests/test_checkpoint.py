"""Checkpoints: what is written comes back, foreign files are read safely, and wrong files say why."""

import json
import pickle
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from kinetag.checkpoint import (  # noqa: E402
    CheckpointHeader,
    complete_header,
    load_checkpoint,
    load_training,
    load_weights,
    save_checkpoint,
)
from kinetag.encryption import Key  # noqa: E402
from kinetag.errors import KinetagError  # noqa: E402

HEADER = CheckpointHeader(
    model_type="ST-GCN",
    layout="coco",
    strategy="spatial",
    channels=("x", "y"),
    class_names=("squat", "lunge"),
    window=100,
    rate=15.0,
    metrics={"val_acc": 0.75},
    epoch=3,
    step=30,
    spec={"encryption_key": "***"},
)


def _spec(layout="nvidia", names=None, explicit=()):
    label_map = {name: i for i, name in enumerate(names or [])}
    dataset = SimpleNamespace(label_map=label_map)
    return SimpleNamespace(explicit=set(explicit), model=SimpleNamespace(graph_layout=layout), dataset=dataset)


def _reference_state(joints=34, channels=3, classes=6):
    """The tensors of a reference ST-GCN that its header is read from."""
    return {
        "A": torch.rand(3, joints, joints),
        "data_bn.weight": torch.ones(joints * channels),
        "fcn.weight": torch.zeros(classes, 256, 1, 1),
        "edge_importance.0": torch.ones(3, joints, joints),
    }


@pytest.mark.parametrize("secret", [None, Key.derive("sesame", cost=(4, 8, 1))])
def test_round_trip(tmp_path, secret):
    weight = torch.randn(3, 4)
    state = {"a.weight": weight.t(), "b": weight[1], "count": torch.tensor(7)}  # not contiguous, shared memory
    path = tmp_path / "model.pth"
    save_checkpoint(path, state, HEADER, secret=secret)
    header, loaded = load_checkpoint(path, secret=secret)
    assert header == HEADER
    assert header.classes == 2
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[k], state[k]) and loaded[k].dtype == state[k].dtype for k in state)


def test_training_state_comes_back_and_stays_out_of_the_weights(tmp_path):
    optimizer = torch.optim.AdamW(torch.nn.Linear(2, 2).parameters())
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    training = {"optimizer": optimizer.state_dict(), "done": 3, "best": float("inf"), "odd": [(), {}, None, "x"]}
    save_checkpoint(tmp_path / "c", {"a": torch.ones(2)}, HEADER, training=training)
    header, state, loaded = load_training(tmp_path / "c")
    assert header == HEADER
    assert state.keys() == load_checkpoint(tmp_path / "c")[1].keys() == {"a"}
    assert str(loaded) == str(training)
    assert load_training(_saved(tmp_path / "d"))[2] is None


def _saved(path):
    save_checkpoint(path, {"a": torch.ones(2)}, HEADER)
    return path


def test_header_of_a_later_version_is_read():
    values = json.loads(HEADER.to_json()) | {"format": 2, "something_new": 1}
    assert CheckpointHeader.from_json(json.dumps(values), "x") == HEADER


@pytest.mark.parametrize("prefix", ["", "model.", "module."])
@pytest.mark.parametrize("wrapping", [None, "state_dict"])
def test_reference_files_are_read(tmp_path, prefix, wrapping):
    state = {prefix + k: v for k, v in _reference_state().items()}
    torch.save({wrapping: state, "epoch": 4} if wrapping else state, tmp_path / "reference.pth")
    header, loaded = load_checkpoint(tmp_path / "reference.pth")
    assert loaded.keys() == _reference_state().keys()
    assert (header.model_type, header.strategy, header.classes) == ("ST-GCN", "spatial", 6)
    assert header.channels == ("x", "y", "z")
    assert header.edge_importance


def test_lightning_file_with_omegaconf_inside(tmp_path):
    omegaconf = pytest.importorskip("omegaconf")
    config = omegaconf.OmegaConf.create({"model": {"dropout": 0.5, "tags": ["a"]}, "n": None, "lr": 1})
    content = {"state_dict": _reference_state(), "hyper_parameters": config}
    torch.save(content, tmp_path / "reference.ckpt")
    assert load_checkpoint(tmp_path / "reference.ckpt")[0].classes == 6


class _Evil:
    def __reduce__(self):
        return (eval, ("1/0",))


def test_pickled_code_never_runs(tmp_path):
    torch.save({"state_dict": _reference_state(), "x": _Evil()}, tmp_path / "evil.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(_Evil()))
    for name in ("evil.pth", "plain.pth"):
        with pytest.raises(KinetagError, match=name):
            load_checkpoint(tmp_path / name)


def test_bad_files_say_what_is_wrong(tmp_path):
    (tmp_path / "text.pth").write_text("hello, this is no checkpoint")
    (tmp_path / "empty.pth").write_bytes(b"")
    save_checkpoint(tmp_path / "good.pth", {"a": torch.zeros(1000)}, HEADER)
    (tmp_path / "cut.pth").write_bytes((tmp_path / "good.pth").read_bytes()[:-100])
    torch.save({"layer.weight": torch.zeros(2)}, tmp_path / "other.pth")
    for name, words in {
        "text.pth": "no checkpoint",
        "empty.pth": "no checkpoint",
        "cut.pth": "no checkpoint",
        "other.pth": r"no ST-GCN weights.*layer\.weight",
        "missing.pth": "does not exist",
        ".": "is a folder",
    }.items():
        with pytest.raises(KinetagError, match=words):
            load_checkpoint(tmp_path / name)


def test_spec_completes_a_foreign_header_and_contradictions_are_refused():
    foreign = CheckpointHeader("ST-GCN", "", "spatial", ("x", "y"), (), classes=2)
    names = ("up", "down")
    done = complete_header(foreign, _spec("coco", names, {"dataset.label_map"}), "f")
    assert (done.layout, done.class_names) == ("coco", names)
    assert complete_header(foreign, _spec("coco"), "f").class_names == ("class_0", "class_1")
    with pytest.raises(KinetagError, match=r"needs a spec with model\.graph_layout"):
        complete_header(foreign, None, "f")
    with pytest.raises(KinetagError, match="has 2 classes"):
        complete_header(foreign, _spec("coco", ("a", "b", "c"), {"dataset.label_map.a"}), "f")
    with pytest.raises(KinetagError, match="other classes"):
        complete_header(HEADER, _spec("coco", names, {"dataset.label_map"}), "f")
    with pytest.raises(KinetagError, match="layout coco"):
        complete_header(HEADER, _spec("nvidia", explicit={"model.graph_layout"}), "f")
    assert complete_header(HEADER, _spec("nvidia"), "f") == HEADER


def test_weights_of_another_network_are_refused():
    linear = torch.nn.Linear(2, 3)
    for state, words in (
        ({"weight": torch.zeros(3, 2)}, "lacks bias"),
        ({"weight": torch.zeros(3, 5), "bias": torch.zeros(3)}, r"weight is \(3, 5\) there and \(3, 2\) here"),
        (linear.state_dict() | {"more": torch.zeros(1)}, "more besides"),
    ):
        with pytest.raises(KinetagError, match=words):
            load_weights(linear, state, "f")
