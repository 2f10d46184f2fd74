"""The loss, the weights of classes, and averaged weights."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("lightning")
import torch
from torch import nn

from kinetag.learning.learner import Follower, Learner, LearningOptions, balanced_weights
from kinetag.learning.schedules import Schedule
from kinetag.spec.options import Optim


def _learner(**options) -> Learner:
    schedule = Schedule("MultiStep", 0.1, steps_per_epoch=2, total=4)
    optim = options.pop("optim", Optim())
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    return Learner(network, LearningOptions(schedule, optim, **options))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=50))
def test_balanced_weights_give_classes_the_same_say(labels):
    labels = np.array(labels)
    weights = np.array(balanced_weights(labels, 6))
    assert weights[labels].mean() == pytest.approx(1)
    totals = np.bincount(labels, weights[labels], minlength=6)
    assert totals[totals > 0] == pytest.approx(totals.max())
    assert weights[5] == 0


def test_weighted_loss_is_torchs_up_to_its_normalisation():
    logits, labels = torch.randn(8, 3), torch.tensor([0, 0, 0, 0, 0, 1, 1, 2])
    weights = balanced_weights(labels.numpy(), 3)
    ours = _learner(class_weights=weights).loss(logits, labels)
    theirs = nn.functional.cross_entropy(logits, labels, weight=torch.tensor(weights))
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)  # over the whole set the two agree
    halves = [_learner(class_weights=weights).loss(logits[i::2], labels[i::2]) for i in range(2)]
    assert (sum(halves) / 2).item() == pytest.approx(ours.item(), rel=1e-5)


def test_averaged_weights():
    average, network = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    with torch.no_grad():
        network.weight.fill_(3.0)
        network.running_mean.fill_(8.0)
        network.num_batches_tracked.fill_(5)
    Follower(average, network).follow(0.75)
    assert average.weight.tolist() == pytest.approx([1.5, 1.5])
    assert average.running_mean.tolist() == pytest.approx([2.0, 2.0])
    assert average.num_batches_tracked.item() == 5


def test_sums_are_each_processs_own():
    """DDP overwrites every buffer with the first process's before each step."""
    assert "train_sums" not in dict(_learner().named_buffers())


def test_only_the_network_is_optimised():
    learner = _learner(ema=0.9)
    optimizer = learner.configure_optimizers()
    optimised = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert optimised == {id(p) for p in learner.network.parameters()}
    assert learner.exported is learner.average


@pytest.mark.parametrize("kind", ["SGD", "Adam", "Adamax", "AdamW"])
def test_optimisers(kind):
    optim = Optim(optimizer_type=f"torch.optim.{kind}", lr=0.05, weight_decay=0.01, momentum=0.0)
    optimizer = _learner(optim=optim).configure_optimizers()
    assert type(optimizer) is getattr(torch.optim, kind)
    assert optimizer.param_groups[0]["weight_decay"] == 0.01


def test_the_loss_scale_of_mixed_precision_goes_on():
    """With 16-mixed a scale is searched for; a run that goes on must not begin the search anew."""
    from lightning.pytorch.plugins import MixedPrecision

    def scaled(learner: Learner, scale: float) -> torch.amp.GradScaler:
        scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        plugin = MixedPrecision("16-mixed", "cpu", scaler)
        learner.trainer = SimpleNamespace(precision_plugin=plugin, global_rank=0)  # type: ignore[assignment]
        learner.optimizers = lambda **_: learner.configure_optimizers()  # type: ignore[method-assign]
        return scaler

    learner, other = _learner(), _learner()
    scaled(learner, 32.0)
    fresh = scaled(other, 1024.0)
    other.restore(learner.exported.state_dict(), learner.training_state())
    other.on_fit_start()
    assert fresh.get_scale() == 32.0
