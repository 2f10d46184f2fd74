import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from made_teaching import WRITTEN

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors import safe_open  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from kinetag.classifier import Classifier  # noqa: E402
from kinetag.errors import KinetagError  # noqa: E402
from kinetag.exercises.bank import Bank, build_bank, progress_of, sample  # noqa: E402
from kinetag.exercises.library import load_library  # noqa: E402
from kinetag.exercises.motion import generate, shipped_library  # noqa: E402
from kinetag.features import CHANNELS, LAYOUT, WINDOW, mirror  # noqa: E402
from kinetag.finishing import _PRIOR, families, finish, slow  # noqa: E402
from kinetag.metrics import log_softmax  # noqa: E402
from kinetag.models import WINDOW_MODELS, build_window_model  # noqa: E402
from kinetag.models.card import ModelCard  # noqa: E402
from kinetag.models.onnx_file import export_onnx, halve_weights  # noqa: E402
from kinetag.skeletons import get_layout  # noqa: E402
from kinetag.trainer import Trainer, TrainingOptions, batches, schedule  # noqa: E402
from kinetag.training import _saved, main, train  # noqa: E402

JOINTS = len(get_layout(LAYOUT))
OPTIONS = TrainingOptions(steps=6, batch=16, per_class=4)


@pytest.fixture(scope="module")
def bank() -> Bank:
    """Three made-up motions: arms wave, everything bounces, nothing moves."""
    rng = np.random.default_rng(0)
    home = rng.normal(0, 0.4, (24, 1, JOINTS, 3))
    wave = np.sin(np.arange(135) / 4)[None, :, None, None]
    labels = np.repeat([0, 1, 2], 8)
    moving = np.zeros((3, JOINTS, 3))
    moving[0, 3:7], moving[1, :, 1] = 0.3, 0.3
    joints = (home + wave * moving[labels][:, None]).astype(np.float16)
    variants = (("wave", "plain"), ("wave", "wide"), ("bounce", "plain"), ("other", "plain"))
    ways = np.where(labels > 0, labels + 1, np.arange(24) % 2)
    progress = np.where(labels[:, None] < 2, (1 + wave[:, :, 0, 0]) / 2, np.nan).astype(np.float16)
    return Bank(joints, progress, labels, ways, ("wave", "bounce", "other"), variants)


def windows(count: int = 4):
    torch.manual_seed(0)
    return torch.randn(count, WINDOW, JOINTS, len(CHANNELS)), torch.ones(count, WINDOW, dtype=torch.bool)


@pytest.mark.parametrize("name", sorted(WINDOW_MODELS))
def test_model_shape_and_size(name):
    model = build_window_model(name, 3, variants=[0, 0, 1, 2, 2])
    shapes = [tuple(output.shape) for output in model(*windows())]
    assert shapes == [(4, 3), (4, 5), (4, WINDOW // 2, 3), (4, shapes[3][1]), (4, WINDOW)]
    assert sum(p.numel() for p in build_window_model(name, 84, variants=range(84)).parameters()) < 1_000_000


def test_a_class_is_as_likely_as_its_variants_together():
    model = build_window_model("multi_branch", 3, variants=[0, 0, 1, 2, 2]).eval()
    with torch.no_grad():
        classes, variants, *_ = model(*windows())
    chance = torch.softmax(variants, 1)
    together = torch.stack([chance[:, :2].sum(1), chance[:, 2], chance[:, 3:].sum(1)], 1)
    assert torch.allclose(torch.softmax(classes, 1), together, atol=1e-5)


@pytest.mark.parametrize("name", sorted(WINDOW_MODELS))
@pytest.mark.parametrize("hidden", [slice(0, 11), slice(20, 29), slice(37, None)])
def test_masked_frames_do_not_matter(name, hidden):
    model = build_window_model(name, 5).eval()
    features, mask = windows()
    mask[:, hidden] = False
    with torch.no_grad():
        before = model(features, mask)
        features[:, hidden] = 99.0
        after = model(features, mask)
        seen = model(features, torch.ones_like(mask))
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert not torch.allclose(before[0], seen[0])
    assert all(torch.isfinite(output).all() for output in model(features, torch.zeros_like(mask)))


def test_some_windows_hold_two_motions(bank):
    batch = sample(bank, np.random.default_rng(0), 200, weights=bank.weights())
    share = batch.share()
    assert ((share >= 0) & (share <= 1)).all()
    assert 0.05 < ((share > 0.02) & (share < 0.98)).mean() < 0.35
    assert (share[batch.fade.max(axis=1) == 0] == 0).all()
    assert batch.features.dtype == np.float32
    assert np.isfinite(batch.features).all()


def test_batches_depend_on_seed_and_number_alone(bank):
    late = list(batches(bank, OPTIONS, 3, 5))
    early = list(batches(bank, OPTIONS, 0, 5))
    assert torch.equal(early[3].features, late[0].features)
    assert not torch.equal(early[3].features, early[4].features)
    assert np.array_equal(early[3].features.numpy(), mirror(early[2].features.numpy()))


def test_other_is_picked_more_often(bank):
    weights, _ = bank.weights()
    assert weights.sum() == pytest.approx(1)
    assert weights[bank.labels == 2].sum() == pytest.approx(0.25)


def test_a_stopped_run_goes_on_exactly(bank, tmp_path, monkeypatch):
    folders = [tmp_path / name for name in ("whole", "stopped")]
    for folder in folders:
        folder.mkdir()
    whole = train(bank, OPTIONS, folders[0], lambda line: None)

    step = Trainer.step

    def stops(trainer: Trainer, batch) -> float:
        if trainer.done == 3:
            raise KeyboardInterrupt
        return step(trainer, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", stops)
        with pytest.raises(KeyboardInterrupt):
            train(bank, OPTIONS, folders[1], lambda line: None, save_every=0)
    resumed = train(bank, OPTIONS, folders[1], lambda line: None)
    assert resumed.done == whole.done == OPTIONS.steps
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    for name, value in whole.average.state_dict().items():
        assert torch.equal(value, resumed.average.state_dict()[name]), name


def test_half_precision_learns_the_same(bank):
    run = list(batches(bank, OPTIONS, 0, 6, workers=0))
    losses = []
    for precision in ("fp32", "bf16"):
        trainer = Trainer(replace(OPTIONS, precision=precision), bank)
        losses.append([trainer.step(batch) for batch in run])
        assert all(p.dtype == torch.float32 for p in trainer.model.parameters())
    assert losses[0] != losses[1]
    np.testing.assert_allclose(*losses, rtol=0.03)


def test_a_checkpoint_of_another_run_is_refused(bank, tmp_path):
    train(bank, OPTIONS, tmp_path, lambda line: None)
    with pytest.raises(KinetagError, match=r"other options \(steps 6\)"):
        train(bank, TrainingOptions(steps=8, batch=16, per_class=4), tmp_path, lambda line: None)


def test_a_run_from_before_there_was_half_precision_goes_on(bank, tmp_path):
    trainer = Trainer(OPTIONS, bank)
    path = tmp_path / "checkpoint.safetensors"
    trainer.save(path, {"classes": list(bank.classes)})
    with safe_open(str(path), framework="pt") as file:
        header = json.loads(file.metadata()["kinetag"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    del header["options"]["precision"]
    save_file(tensors, str(path), {"kinetag": json.dumps(header)})
    trainer.load(path)
    assert _saved(tmp_path, "precision") == "fp32"
    with pytest.raises(KinetagError, match=r"other options \(precision fp32\)"):
        Trainer(replace(OPTIONS, precision="bf16"), bank).load(path)


def test_a_stopped_run_keeps_its_precision(bank, tmp_path):
    assert _saved(tmp_path, "precision") is None
    Trainer(replace(OPTIONS, precision="bf16"), bank).save(tmp_path / "checkpoint.safetensors", {})
    assert (_saved(tmp_path, "precision"), _saved(tmp_path, "steps")) == ("bf16", OPTIONS.steps)


def test_a_run_may_begin_from_another_on_the_same_classes(bank, tmp_path):
    first = train(bank, OPTIONS, tmp_path, lambda line: None)
    trainer = Trainer(TrainingOptions(seed=5), bank)
    trainer.begin_from(tmp_path / "checkpoint.safetensors", bank.classes)
    for name, value in first.average.state_dict().items():
        assert torch.equal(value, trainer.model.state_dict()[name]), name
    with pytest.raises(KinetagError, match="other classes"):
        trainer.begin_from(tmp_path / "checkpoint.safetensors", ("wave", "other"))


def test_onnx_is_the_same_as_torch(bank, tmp_path):
    lines: list[str] = []
    trainer = train(bank, OPTIONS, tmp_path, lines.append)
    path = tmp_path / "model.onnx"
    finish(trainer, path, lines.append)
    classifier = Classifier.load(path)
    assert classifier.labels == bank.classes
    features, mask = windows(7)
    mask[2, 5:20] = False
    with torch.no_grad():
        expected, _, frames, *_ = (output.numpy() for output in trainer.average.eval()(features, mask))
    small = Classifier.load(path.with_stem("model_int8"))
    for found, tolerance in ((classifier, 0.005), (small, 0.5)):
        weight = found.card.frame_weight
        both = found.logits(features.numpy(), mask.numpy())
        found.card = replace(found.card, frame_weight=0.0)
        assert np.abs(found.logits(features.numpy(), mask.numpy()) - expected).max() < tolerance
        middle = log_softmax(frames[:, WINDOW // 4 - 2 : WINDOW // 4 + 2]).mean(axis=1)
        assert np.abs(both - (1 - weight) * log_softmax(expected) - weight * middle).max() < tolerance
    assert classifier.card.variants == bank.variants
    assert (small.card.precision, small.labels) == ("int8", bank.classes)
    assert path.stat().st_size < 3.5 * sum(p.numel() for p in trainer.average.parameters())
    assert json.loads(classifier.card.to_json())["training"]["steps"] == OPTIONS.steps


def test_halving_the_weights_changes_little_or_nothing(bank, tmp_path):
    path = tmp_path / "model.onnx"
    card = ModelCard(labels=bank.classes, variants=bank.variants)
    export_onnx(Trainer(OPTIONS, bank).average, path, card)
    whole, (features, mask) = path.read_bytes(), windows(7)
    before = Classifier.load(path).logits(features.numpy(), mask.numpy())
    with pytest.raises(KinetagError, match=r"in 16 bits, model.onnx gives probabilities that differ by"):
        halve_weights(path, tolerance=1e-9)
    assert path.read_bytes() == whole
    halve_weights(path)
    after = Classifier.load(path)
    assert after.card == card
    assert len(path.read_bytes()) < 0.55 * len(whole)
    difference = np.abs(after.logits(features.numpy(), mask.numpy()) - before).max()
    assert 0 < difference < 0.005


def test_progress_is_that_of_the_repetitions():
    motion = generate("squat", np.random.default_rng(3), repetitions=4)
    progress = progress_of(motion)
    for start, peak, end in motion.repetitions:
        at = [np.abs(motion.times - moment).argmin() for moment in (start, peak, end)]
        assert np.nan_to_num(progress[at]) == pytest.approx([0, 1, 0], abs=0.02)
    first, last = motion.repetitions[0][0], motion.repetitions[-1][2]
    assert np.isnan(progress[(motion.times < first) | (motion.times > last)]).all()
    assert np.isfinite(progress[(motion.times >= first) & (motion.times <= last)]).all()


def test_who_holds_a_pose_makes_no_progress_and_of_other_movements_nobody_knows():
    bank = build_bank(("plank", "squat", "other"), 0, 3)
    assert (bank.progress[bank.labels == 0] == 0).all()
    assert np.nanmax(bank.progress[bank.labels == 1]) == pytest.approx(1, abs=0.05)
    assert np.isnan(bank.progress[bank.labels == 2]).all()
    batch = sample(bank, np.random.default_rng(0), 64, weights=bank.weights())
    steady = batch.fade.max(axis=1) == 0
    assert (batch.progress[steady & (bank.labels[batch.first] == 0)] == 0).all()
    assert np.isnan(batch.progress[steady & (bank.labels[batch.first] == 2)]).all()


def test_the_network_learns_how_far_a_repetition_is(bank):
    run = list(batches(bank, OPTIONS, 0, 100, workers=0))
    trainer = Trainer(replace(OPTIONS, steps=100), bank)
    for batch in run:
        trainer.step(batch)
    with torch.no_grad():
        told = torch.sigmoid(trainer.model.eval().progress(trainer.model.embed(run[-1].features, run[-1].mask).way))
    known = run[-1].mask & ~run[-1].progress.isnan()
    assert np.corrcoef(told[known], run[-1].progress[known])[0, 1] > 0.6


def test_what_teaches_progress_teaches_no_classes(bank):
    run = list(batches(bank, OPTIONS, 0, 3, workers=0))
    states = []
    for weight in (0.0, 50.0):
        trainer = Trainer(replace(OPTIONS, progress_loss=weight), bank)
        for batch in run:
            trainer.step(batch)
        states.append({n: p for n, p in trainer.model.state_dict().items() if not n.startswith("progress.")})
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


def test_progress_can_be_learned_alone(bank, tmp_path):
    folders = [tmp_path / name for name in ("first", "then")]
    for folder in folders:
        folder.mkdir()
    first = train(bank, OPTIONS, folders[0], lambda line: None)
    checkpoint = folders[0] / "checkpoint.safetensors"
    others = replace(bank, variants=(*bank.variants, ("wave", "high")))  # motions may bring ways that nobody told apart
    options = replace(OPTIONS, only_progress=True)
    then = train(others, options, folders[1], lambda line: None, begin_from=checkpoint)
    assert then.variants == bank.variants
    before, after = first.average.state_dict(), then.average.state_dict()
    same = {name: torch.equal(value, after[name]) for name, value in before.items()}
    assert all(equal for name, equal in same.items() if not name.startswith("progress."))
    assert not same["progress.out.weight"]
    card = finish(then, folders[1] / "model.onnx", lambda line: None)
    assert (card.variants, card.training["from"]["only_progress"]) == (bank.variants, False)
    resumed = train(others, options, folders[1], lambda line: None)  # without saying again where it began
    assert resumed.origin == then.origin == asdict(OPTIONS)
    with pytest.raises(KinetagError, match="tells other ways of doing exercises apart"):
        train(others, OPTIONS, tmp_path, lambda line: None, begin_from=checkpoint)


def test_a_run_from_before_progress_was_told_is_a_beginning(bank, tmp_path):
    path = tmp_path / "old.safetensors"
    train(bank, OPTIONS, tmp_path, lambda line: None)
    with safe_open(str(tmp_path / "checkpoint.safetensors"), framework="pt") as file:
        header = json.loads(file.metadata()["kinetag"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    del header["variants"]
    kept = {name: value for name, value in tensors.items() if ".progress." not in name}
    save_file(kept, str(path), {"kinetag": json.dumps(header)})
    trainer = Trainer(replace(OPTIONS, only_progress=True), bank)
    trainer.begin_from(path, bank.classes)
    assert torch.equal(trainer.average.head.weight, tensors["average.head.weight"])


def test_schedule_warms_up_and_ends_low():
    values = [schedule(step, 1000) for step in range(1000)]
    assert values[0] < 0.05
    assert max(values) > 0.95
    assert values[-1] < 0.01


@pytest.fixture
def own(tmp_path):
    """A file with an exercise of one's own, common and slow."""
    path = tmp_path / "arm_raise.yaml"
    path.write_text(WRITTEN.replace("period: [1.5, 4]", "period: [5, 20]") + "frequency: 4\n")
    return path


def test_a_bank_knows_exercises_of_ones_own_and_makes_the_others_as_before(own):
    library = load_library([own])
    classes = ("arm_raise", "squat", "other")
    bank, before = build_bank(classes, 0, 2, library=library), build_bank(classes[1:], 0, 2)
    assert np.array_equal(bank.joints[2:], before.joints)
    weights, _ = bank.weights()
    assert weights[bank.labels == 0].sum() == pytest.approx(4 / library["squat"].frequency * weights[2:4].sum())
    assert families(classes, bank.library) == {"arm_raise": "arms", "squat": library["squat"].family}
    assert slow(classes, bank.library) == {"arm_raise": 20}
    assert build_bank(("squat",), 0, 1).library is shipped_library()


def test_the_command_trains_a_classifier_that_knows_them(own, tmp_path, capsys):
    everything = set(load_library()) - {"squat", "plank"}
    few = ["--without", ",".join(sorted(everything)), "--steps", "2", "--batch", "8", "--per-class", "2"]
    out = ["--out", str(tmp_path / "run"), "--device", "cpu", "--workers", "0"]
    assert main([*few, *out, "--exercises", str(own)]) == 0, capsys.readouterr().err
    card = Classifier.load(tmp_path / "run" / "exercise_classifier.onnx").card
    assert card.labels == ("arm_raise", "plank", "squat", "other")
    assert (card.families["arm_raise"], card.slow["arm_raise"]) == ("arms", 20)
    assert card.prior["arm_raise"] == pytest.approx(_PRIOR * np.log(4), abs=1e-4)
    assert "other" not in card.prior
    assert main([*few, *out]) == 2
    assert "other classes; give the --exercises and --without of that run" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["missing", "folder", "junk", "foreign"])
def test_what_is_no_checkpoint_of_a_run_is_no_beginning(kind, tmp_path, capsys):
    path = tmp_path / "checkpoint.safetensors"
    if kind == "folder":
        path.mkdir()
    elif kind == "junk":
        path.write_bytes(b"nothing of the kind")
    elif kind == "foreign":
        save_file({"weight": torch.zeros(2)}, str(path))
    assert main(["--from", str(path), "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --from: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_progress_alone_needs_a_run_to_begin_from(tmp_path, capsys):
    assert main(["--only-progress", "--out", str(tmp_path / "run")]) == 2
    assert "--only-progress goes with --from" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
