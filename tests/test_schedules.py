"""Learning rates, compared with torch's own schedulers step by step."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from kinetag.learning.schedules import Plateau, Schedule  # noqa: E402


def _optimizer(rate=0.1):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)


def test_multistep_is_torchs():
    optimizer = _optimizer()
    reference = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 5], gamma=0.3)
    schedule = Schedule("MultiStep", 0.1, steps_per_epoch=4, total=32, milestones=(2, 5), decay=0.3)
    for step in range(32):
        assert schedule.at(step) == pytest.approx(optimizer.param_groups[0]["lr"])
        if step % 4 == 3:
            optimizer.step()
            reference.step()


def test_cosine_is_torchs_after_a_linear_warm_up():
    optimizer = _optimizer()
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=40, eta_min=0.001)
    schedule = Schedule("Cosine", 0.1, steps_per_epoch=5, total=50, warmup=10, lowest=0.001)
    assert [schedule.at(step) for step in range(10)] == pytest.approx([0.01 * (step + 1) for step in range(10)])
    for step in range(10, 50):
        assert schedule.at(step) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        reference.step()
    assert schedule.at(10**6) == pytest.approx(0.001)


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=60), st.integers(1, 4), st.floats(0.05, 0.9))
def test_plateau_is_torchs(losses, patience, decay):
    optimizer = _optimizer()
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=decay, patience=patience, threshold=1e-3, min_lr=1e-4, eps=0
    )
    plateau = Plateau(patience, decay, 1e-4, 0.1)
    for loss in losses:
        plateau.update(loss)
        reference.step(loss)
        assert plateau.rate == pytest.approx(optimizer.param_groups[0]["lr"])


def test_plateau_never_raises_the_rate():
    plateau = Plateau(patience=1, decay=0.1, lowest=1e-4, rate=1e-5)
    for _ in range(9):
        plateau.update(math.nan)
    assert plateau.rate == 1e-5
