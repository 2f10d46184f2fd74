"""What a network sees of a clip: sampling, moving, mirroring, hiding."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kinetag.datasets.augment import (
    OCCLUSIONS,
    PARTS,
    RECIPES,
    WINDOW,
    Sampling,
    filled,
    hide,
    mirror_is_safe,
    mirrored,
    occlude,
    part_joints,
    random_choose,
    random_move,
    random_view,
    sample_clip,
    uniform_frames,
)
from kinetag.errors import KinetagError
from kinetag.skeletons import LAYOUTS, get_layout
from kinetag.spec import Spec

SCORED = ("x", "y", "confidence")


def clip(frames=30, layout="kinetag", channels=3, people=1, seed=0):
    shape = (channels, frames, len(get_layout(layout)), people)
    return np.random.default_rng(seed).uniform(0.1, 1, shape).astype(np.float32)


def options(**given):
    return Sampling("kinetag", SCORED, **given)


def rng(seed=0):
    return np.random.default_rng(seed)


# --- sampling in time ------------------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(count=st.integers(1, 300), length=st.integers(1, 120), seed=st.none() | st.integers(0, 5))
def test_uniform_frames_come_one_from_each_part(count, length, seed):
    frames = uniform_frames(count, length, None if seed is None else rng(seed))
    assert frames.shape == (length,)
    assert frames.min() >= 0
    assert frames.max() < count
    if count >= length:
        parts = [range(i * count // length, (i + 1) * count // length) for i in range(length)]
        assert all(frame in part for frame, part in zip(frames, parts, strict=True))
    else:
        assert (np.diff(frames) % count == 1 % count).all()  # goes round and round


def test_uniform_frames_are_random_only_with_a_generator():
    assert np.array_equal(uniform_frames(90, 30), np.arange(1, 90, 3))
    many = np.stack([uniform_frames(90, 30, rng(seed)) for seed in range(300)])
    assert (np.unique(many[:, 7]) == [21, 22, 23]).all()
    assert abs(many[:, 7].mean() - 22) < 0.15


@pytest.mark.parametrize("window", [-1, 0])
def test_the_recipe_samples_its_own_window_when_none_is_given(window):
    made = sample_clip(clip(170), options(recipe="kinetag", window_size=window), rng(), training=False)
    assert made.shape == (3, WINDOW, 13, 1)


def test_the_recipe_leaves_padding_out():
    whole = clip(40)
    padded = np.pad(whole, ((0, 0), (5, 255), (0, 0), (0, 0)))
    assert filled(padded) == (5, 45)
    assert filled(np.zeros_like(padded)) == (0, 300)
    for training in (False, True):
        wanted = options(recipe="kinetag", window_size=25)
        one, two = (sample_clip(c, wanted, rng(), training=training) for c in (whole, padded))
        assert np.array_equal(one, two)


@pytest.mark.parametrize(
    ("frames", "window", "training", "expected"),
    [(30, -1, True, 30), (30, 50, False, 50), (30, 50, True, 50), (30, 20, True, 20), (30, 20, False, 30)],
)
def test_reference_sampling_gives_the_reference_s_lengths(frames, window, training, expected):
    made = sample_clip(clip(frames), options(window_size=window, random_choose=True), rng(), training=training)
    assert made.shape[1] == expected


@settings(max_examples=50)
@given(frames=st.integers(1, 40), length=st.integers(1, 40), seed=st.integers(0, 20))
def test_random_choose_crops_or_pads(frames, length, seed):
    whole = clip(frames)
    made = random_choose(whole, length, rng(seed))
    assert made.shape[1] == length
    start, end = filled(made)
    if frames >= length:
        assert any(np.array_equal(made, whole[:, i : i + length]) for i in range(frames - length + 1))
    else:
        assert np.array_equal(made[:, start:end], whole)


def test_random_choose_reaches_every_place():
    assert {filled(random_choose(clip(3), 5, rng(seed)))[0] for seed in range(60)} == {0, 1, 2}
    ramp = np.arange(1, 6, dtype=np.float32).reshape(1, 5, 1, 1)
    assert {random_choose(ramp, 3, rng(seed))[0, 0, 0, 0] for seed in range(60)} == {1, 2, 3}


def test_the_reference_s_recipe_changes_nothing_of_itself():
    whole = clip(17)
    for training in (False, True):
        assert np.array_equal(sample_clip(whole, options(), rng(), training=training), whole)


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_are_defaults_that_the_spec_overrides(recipe):
    spec = Spec.model_validate({"train": {"mirror": False}, "dataset": {"window_size": 64}})
    filled_in = spec.with_defaults(RECIPES[recipe])
    made = Sampling.from_spec(filled_in, SCORED)
    assert (made.mirror, made.window_size) == (False, 64)
    assert (made.part_dropout > 0) == (recipe == "kinetag")


@pytest.mark.parametrize("training", [True, False])
def test_the_array_that_is_given_stays_as_it_is(training):
    everything = options(
        recipe="kinetag", window_size=20, random_move=True, part_dropout=1, joint_dropout=0.3, frame_dropout=1,
        mirror=True,
    )  # fmt: skip
    whole = clip(25)
    whole.setflags(write=False)
    before = whole.copy()
    for seed in range(10):
        made = sample_clip(whole, everything, rng(seed), training=training)
        assert made.dtype == np.float32
        assert np.isfinite(made).all()
        again = sample_clip(whole, everything, rng(seed), training=training)
        assert np.array_equal(made, again)
    assert np.array_equal(whole, before)


# --- another look at the same motion ---------------------------------------------------------------------------------


def reference_move(points, angle, scale, shift_x, shift_y):
    """The reference's transformation, one frame at a time; each argument is its value at both ends."""
    frames = points.shape[1]
    out = points.copy()
    a, s, tx, ty = (np.linspace(e[0], e[1], frames) for e in (angle, scale, shift_x, shift_y))
    for t in range(frames):
        c, d = np.cos(np.radians(a[t])) * s[t], np.sin(np.radians(a[t])) * s[t]
        for v in range(points.shape[2]):
            for m in range(points.shape[3]):
                out[:2, t, v, m] = np.array([[c, -d], [d, c]]) @ points[:2, t, v, m] + [tx[t], ty[t]]
    return out


class Choices(np.random.Generator):
    """A generator that gives what it was told to, and remembers what it was asked."""

    def __init__(self, *answers):
        super().__init__(np.random.PCG64())
        self.answers, self.asked = list(answers), []

    def choice(self, choices, size):  # type: ignore[override]
        self.asked.append(list(choices))
        return np.array(self.answers.pop(0)[:size])


def test_random_move_is_the_reference_s():
    answers = ((-10, 5), (0.9, 1.1), (0.2, -0.1), (0.0, 0.1))
    generator = Choices(*answers)
    whole = clip(9, people=2)
    assert np.allclose(random_move(whole, generator), reference_move(whole, *answers), atol=1e-6)
    steps = [-0.2, -0.1, 0, 0.1, 0.2]
    assert generator.asked == [[-10, -5, 0, 5, 10], [0.9, 1, 1.1], steps, steps]


@pytest.mark.parametrize("channels", [("x", "y"), ("x", "y", "z"), SCORED, ("x", "y", "z", "confidence")])
@pytest.mark.parametrize("unit", [1.0, 1000.0])
def test_another_view_keeps_what_is_unseen_and_the_shape_of_things(channels, unit):
    wanted = Sampling("kinetag", channels)
    whole = clip(20, channels=len(channels)) * unit
    if "confidence" in channels:
        whole[-1] = 0.7
    whole[:, 4:9, 2:5] = 0
    made = random_view(whole, wanted, rng())
    assert (made[:, 4:9, 2:5] == 0).all()
    assert not np.allclose(made, whole)
    if "confidence" in channels:
        assert np.array_equal(made[-1], whole[-1])
    lengths = [np.linalg.norm(np.diff(c[: len(wanted.axes), 0, [5, 8], 0], axis=1)) for c in (made, whole)]
    assert 0.6 < lengths[0] / lengths[1] < 1.6
    assert np.allclose(made / unit, random_view(whole / unit, wanted, rng()), atol=1e-4)


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_mirror_twice_is_nothing_at_all(layout):
    wanted = Sampling(layout, SCORED)
    whole = clip(8, layout)
    whole[:, 2:4, 3] = 0
    once = mirrored(whole, wanted)
    assert np.allclose(mirrored(once, wanted), whole, atol=1e-5)
    names = get_layout(layout).joints
    left, right = names.index("left_knee"), names.index("right_knee")
    assert np.array_equal(once[1, :, left], whole[1, :, right])
    assert np.allclose(np.diff(once[0, :, left], axis=0)[5:], -np.diff(whole[0, :, right], axis=0)[5:], atol=1e-5)


def test_sides_in_class_names_forbid_mirroring():
    assert mirror_is_safe(("squat", "lunge"))
    assert not mirror_is_safe(("squat", "Left lunge", "right lunge"))


# --- hiding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_parts_of_every_layout(layout):
    names = np.array(get_layout(layout).joints)
    parts = {part: set(names[part_joints(layout, part)]) for part in PARTS}
    assert all(parts.values())
    assert not parts["left arm"] & parts["right arm"]
    assert {name.replace("left", "right") for name in parts["left arm"]} == parts["right arm"]
    assert {"left_shoulder", "left_elbow", "left_wrist"} <= parts["left arm"]
    assert {"left_hip", "right_knee", "left_ankle"} <= parts["legs"]
    assert parts["hands"] <= parts["left arm"] | parts["right arm"]
    assert not parts["legs"] & (parts["left arm"] | parts["right arm"])
    everything = set().union(*parts.values())
    head = ("eye", "ear", "mouth")
    assert all(name in everything or any(word in name for word in head) for name in names)


def test_unknown_part_and_occlusion_are_refused():
    with pytest.raises(KinetagError, match="part of the body 'tail'; known: left arm"):
        part_joints("coco", "tail")
    with pytest.raises(KinetagError, match="occlusion 'fog'; known: part left arm"):
        occlude(clip(), "fog", rng(), options())


@pytest.mark.parametrize("protocol", OCCLUSIONS)
def test_occlusions_take_away_what_they_say(protocol):
    kind, amount = OCCLUSIONS[protocol]
    whole = np.pad(clip(100), ((0, 0), (0, 40), (0, 0), (0, 0)))
    made = occlude(whole, protocol, rng(), options())
    gone = (made == 0).all(axis=0)[:100, :, 0]  # (T, V)
    assert made.shape == whole.shape
    assert (made[:, 100:] == 0).all()
    if kind != "jitter":
        assert np.array_equal(made[:, :100][:, ~gone], whole[:, :100][:, ~gone])
    if kind == "part":
        assert np.array_equal(np.flatnonzero(gone.all(axis=0)), sorted(part_joints("kinetag", amount)))
        assert gone.sum() == 100 * len(part_joints("kinetag", amount))
    elif kind == "time":
        frames = np.flatnonzero(gone.all(axis=1))
        assert len(frames) == round(100 * amount)
        assert frames.mean() == pytest.approx(49.5, abs=0.6)
        assert np.ptp(frames) == len(frames) - 1
    elif kind == "random":
        assert gone.mean() == pytest.approx(amount, abs=0.05)
    else:
        assert not gone.any()
        assert np.array_equal(made[2], whole[2])
        moved = (made - whole)[:2, :100].std()
        assert moved == pytest.approx(amount * 0.37, rel=0.15)  # of the spread of uniform points in a plane


@settings(max_examples=25)
@given(arrays(bool, (6, 13)))
def test_hidden_joints_are_zero_and_others_untouched(hidden):
    whole = clip(6)
    made = hide(whole, hidden)
    assert (made[:, hidden] == 0).all()
    assert np.array_equal(made[:, ~hidden], whole[:, ~hidden])


@pytest.mark.parametrize(
    ("given", "lowest", "highest"),
    [
        ({"part_dropout": 1.0}, 0.1, 0.45),
        ({"joint_dropout": 0.2}, 0.15, 0.25),
        ({"frame_dropout": 0.8}, 0.1, 0.3),
        ({}, 0.0, 0.0),
    ],
)
def test_dropouts_hide_the_share_that_they_should(given, lowest, highest):
    made = [sample_clip(clip(40), options(**given), rng(seed), training=True) for seed in range(60)]
    assert lowest <= np.mean([(c == 0).mean() for c in made]) <= highest
    assert all((c != 0).all() for c in [sample_clip(clip(40), options(**given), rng(), training=False)])


def test_jitter_shakes_what_is_seen_and_no_more_than_it_should():
    whole = clip(40)
    whole[:, :, 3] = 0  # a joint that is not seen
    made = [sample_clip(whole, options(jitter=0.1), rng(seed), training=True) for seed in range(60)]
    size = np.sqrt(((whole[:2] - whole[:2].mean(axis=2, keepdims=True)) ** 2).sum(axis=0).mean())
    off = np.array([(m - whole)[:2].std() for m in made]) / size
    assert off.max() < 0.12
    assert 0.03 < off.mean() < 0.07
    assert all((m[:, :, 3] == 0).all() for m in made)
    assert all((m[2] == whole[2]).all() for m in made)  # confidence
    assert np.array_equal(sample_clip(whole, options(jitter=0.1), rng(), training=False), whole)
