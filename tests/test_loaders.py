"""Which clips a step sees: every clip once an epoch, the same for any number of processes and workers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from kinetag.datasets.clips import Clips  # noqa: E402
from kinetag.learning.loaders import Batches, Plan, stack, training_loader, validation_loader  # noqa: E402


def _clips(count: int) -> Clips:
    arrays = [np.full((2, 3, 4, 1), i, np.float32) for i in range(count)]
    names = [str(i) for i in range(count)]
    return Clips("made", "coco", ("x", "y"), ("a", "b"), names, np.arange(count) % 2, arrays)


def _noisy(clip, rng):
    return clip + rng.normal(0, 0.01, clip.shape).astype(np.float32)


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 4), st.integers(0, 5))
def test_an_epoch_sees_every_clip_once_but_for_the_last_incomplete_step(clips, batch, world, epoch):
    plan = Plan(clips, batch, seed=3, world=world)
    steps = range(epoch * plan.steps_per_epoch, (epoch + 1) * plan.steps_per_epoch)
    seen = [item for step in steps for rank in range(world) for item in plan.step(step, rank)]
    assert {e for e, _ in seen} == {epoch}
    assert plan.steps_per_epoch >= 1
    if clips >= batch * world:
        assert len({clip for _, clip in seen}) == len(seen) == plan.steps_per_epoch * batch * world
        assert clips - len(seen) < batch * world
    else:  # one step of all of them
        assert {clip for _, clip in seen} == set(range(clips))
        assert len(seen) < clips + world


@given(st.integers(8, 40), st.integers(1, 4), st.integers(0, 30))
def test_two_processes_see_together_what_one_does(clips, batch, step):
    one, two = Plan(clips, 2 * batch, 5), Plan(clips, batch, 5, world=2)
    assert sorted(one.step(step)) == sorted([*two.step(step, 0), *two.step(step, 1)])


def test_order_changes_with_epoch_and_seed():
    plan = Plan(20, 20, seed=1)
    orders = [plan.step(0), plan.step(1), Plan(20, 20, seed=2).step(0)]
    assert len({tuple(clip for _, clip in order) for order in orders}) == 3


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_follow_from_the_step_alone(workers):
    clips, plan = _clips(11), Plan(11, 4, seed=9)
    whole = list(training_loader(clips, _noisy, plan, first=0, last=6))
    rest = list(training_loader(clips, _noisy, plan, first=3, last=6, workers=workers))
    assert len(whole) == 6
    assert len(rest) == 3
    for (x, y), (x_again, y_again) in zip(whole[3:], rest, strict=True):
        assert torch.equal(x, x_again)
        assert torch.equal(y, y_again)


def test_augmentation_differs_by_epoch_and_clip():
    batches = Batches(_clips(3), _noisy, 0, training=True)
    x, _ = batches.__getitems__([(0, 0), (1, 0), (0, 0)])
    assert not np.array_equal(x[0], x[1])
    assert np.array_equal(x[0], x[2])


@pytest.mark.parametrize(("count", "world"), [(10, 1), (10, 3), (2, 3)])
def test_validation_sees_every_clip(count, world):
    labels = [
        y for r in range(world) for _, y in validation_loader(_clips(count), _noisy, Plan(9, 4, 0, world), rank=r)
    ]
    together = torch.cat(labels)
    times = world if count < world else 1  # few clips: each process sees all, which leaves means as they are
    assert torch.bincount(together).tolist() == [times * -(-count // 2), times * (count // 2)]


def test_stack_fills_up_with_zeros():
    batch = stack([np.ones((2, 3, 4, 1), np.float32), np.ones((2, 5, 4, 2), np.float32)])
    assert batch.shape == (2, 2, 5, 4, 2)
    assert batch.sum(axis=(1, 2, 3, 4)).tolist() == [24, 80]
