"""ST-GCN against a second implementation; one suite over all models and layouts."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from kinetag.errors import KinetagError  # noqa: E402
from kinetag.graph import GRAPHS, STRATEGIES, get_graph, partitions  # noqa: E402
from kinetag.models import MODELS, build_model  # noqa: E402
from kinetag.skeletons import KINETAG13, LAYOUTS  # noqa: E402


def clips(layout, *, channels=3, frames=20, people=1, count=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, frames, get_graph(layout).joints, people, generator=generator)


def shake(model):
    """Give every weight and every running statistic a value of its own, as after training."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2, generator=generator)
            elif tensor.is_floating_point() and name != "A":
                tensor.add_(torch.randn(tensor.shape, generator=generator) * 0.1)
    return model.eval()


# --- ST-GCN against the reference ------------------------------------------------------------------------------


def norm(x, state, name):
    """Batch normalisation of axis 1 with the running statistics."""
    shape = (1, -1) + (1,) * (x.ndim - 2)
    mean, var, weight, bias = (
        state[f"{name}.{part}"].reshape(shape) for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / np.sqrt(var + 1e-5) * weight + bias


def reference_stgcn(x, state, graph, *, edge_importance):
    """ST-GCN from its paper, in numpy and float64, one clip and one person after the other."""
    n, c, t, v, m = x.shape
    people = np.zeros((n * m, c, t, v))
    for clip in range(n):
        for person in range(m):
            people[clip * m + person] = x[clip, ..., person]
    x = norm(people.transpose(0, 3, 1, 2).reshape(n * m, v * c, t), state, "data_bn")
    x = x.reshape(n * m, v, c, t).transpose(0, 2, 3, 1)
    for i in range(10):
        at, stride = f"st_gcn_networks.{i}", 2 if i in (4, 7) else 1
        weight, bias = state[f"{at}.gcn.conv.weight"][..., 0, 0], state[f"{at}.gcn.conv.bias"]
        matrices = graph * state[f"edge_importance.{i}"] if edge_importance else graph
        width = len(weight) // len(graph)
        y = 0
        for k, matrix in enumerate(matrices):
            rows = slice(k * width, (k + 1) * width)
            mapped = np.einsum("dc,bctv->bdtv", weight[rows], x) + bias[rows][:, None, None]
            y = y + mapped @ matrix
        y = np.maximum(norm(y, state, f"{at}.tcn.0"), 0)
        padded = np.pad(y, ((0, 0), (0, 0), (4, 4), (0, 0)))
        starts = range(0, y.shape[2], stride)
        windows = np.stack([padded[:, :, s : s + 9] for s in starts], axis=2)  # (B, C, T / stride, 9, V)
        y = np.einsum("dck,bctkv->bdtv", state[f"{at}.tcn.2.weight"][..., 0], windows)
        y = norm(y + state[f"{at}.tcn.2.bias"][:, None, None], state, f"{at}.tcn.3")
        if f"{at}.residual.0.weight" in state:
            weight, bias = state[f"{at}.residual.0.weight"][..., 0, 0], state[f"{at}.residual.0.bias"]
            kept = np.einsum("dc,bctv->bdtv", weight, x[:, :, ::stride]) + bias[:, None, None]
            y = y + norm(kept, state, f"{at}.residual.1")
        elif i:
            y = y + x
        x = np.maximum(y, 0)
    pooled = x.mean(axis=(2, 3)).reshape(n, m, -1).mean(axis=1)
    return pooled @ state["fcn.weight"][..., 0, 0].T + state["fcn.bias"]


@pytest.mark.parametrize("edge_importance", [True, False], ids=["importance", "plain"])
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("layout", sorted(GRAPHS))
def test_stgcn_answers_as_the_reference(layout, strategy, edge_importance):
    torch.manual_seed(0)
    model = build_model("ST-GCN", classes=5, layout=layout, strategy=strategy, edge_importance=edge_importance)
    shake(model)
    state = {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}
    x = clips(layout, frames=11, people=get_graph(layout).people)
    graph = partitions(layout, strategy).astype(np.float64)
    expected = reference_stgcn(x.double().numpy(), state, graph, edge_importance=edge_importance)
    with torch.no_grad():
        single = model(x).numpy()
        double = model.double()(x.double()).numpy()
    assert np.allclose(double, expected, rtol=1e-9, atol=1e-9)
    assert np.abs(single - expected).max() < 1e-5 * max(1, np.abs(expected).max())


def test_stgcn_has_the_reference_s_names_and_size():
    model = build_model("ST-GCN", classes=6, layout="nvidia")
    expected = {"A", "fcn.weight", "fcn.bias"}
    bn = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    expected |= {f"data_bn.{part}" for part in bn} | {f"edge_importance.{i}" for i in range(10)}
    for i in range(10):
        at = f"st_gcn_networks.{i}"
        convs = ["gcn.conv", "tcn.2"] + ["residual.0"] * (i in (4, 7))
        norms = ["tcn.0", "tcn.3"] + ["residual.1"] * (i in (4, 7))
        expected |= {f"{at}.{name}.{part}" for name in convs for part in ("weight", "bias")}
        expected |= {f"{at}.{name}.{part}" for name in norms for part in bn}
    assert set(model.state_dict()) == expected
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(3.10e6, rel=2e-3)
    assert model.state_dict()["A"].shape == (3, 34, 34)


def test_stgcn_drops_out_everywhere_but_in_the_first_block():
    model = build_model("ST-GCN", classes=6, layout="coco", dropout=0.3)
    rates = [module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    assert rates == [0.0] + [0.3] * 9


@pytest.mark.parametrize(("name", "parameters", "gmac"), [("ST-GCN", 3.08e6, 1.90), ("ST-GCN++", 1.39e6, 0.97)])
def test_sizes_are_the_published_ones(name, parameters, gmac):
    """MMAction2's model zoo has 3.82 G and 1.95 G for two people, 100 frames, 17 joints and 60 classes."""
    from torch.utils.flop_counter import FlopCounterMode

    model = build_model(name, classes=60, layout="coco").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(clips("coco", frames=100, count=1))
    assert counter.get_total_flops() / 2e9 == pytest.approx(gmac, rel=0.02)
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(parameters, rel=5e-3)


def test_unknown_model_is_refused():
    with pytest.raises(KinetagError, match=r"model_type 'STGCN'; known: ST-GCN, ST-GCN\+\+, Fold-GCN"):
        build_model("STGCN", classes=2, layout="coco")


# --- one suite over all models and layouts ---------------------------------------------------------------------------

ALL = sorted({*GRAPHS, *LAYOUTS})
CHANNELS = {
    "xy": ("x", "y"),
    "xyz": ("x", "y", "z"),
    "scored": ("x", "y", "confidence"),
    "xyz_scored": ("x", "y", "z", "confidence"),
}
over_models = pytest.mark.parametrize("name", MODELS)
over_layouts = pytest.mark.parametrize("layout", ALL)


def make(name, layout="kinetag", channels="scored", **options):
    torch.manual_seed(0)
    return build_model(name, classes=5, layout=layout, channels=CHANNELS[channels], **options)


@over_models
@over_layouts
def test_learns_a_step_on_every_layout(name, layout):
    model = make(name, layout).train()
    model(clips(layout, frames=8)).square().sum().backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name


@over_models
@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize(("frames", "people"), [(1, 1), (2, 2), (7, 1), (30, 3)])
def test_any_length_people_and_channels(name, channels, frames, people):
    model = make(name, channels=channels).eval()
    with torch.no_grad():
        logits = model(clips("kinetag", channels=len(CHANNELS[channels]), frames=frames, people=people))
    assert logits.shape == (2, 5)
    assert torch.isfinite(logits).all()


@over_models
@over_layouts
@pytest.mark.parametrize("edge_importance", [True, False], ids=["importance", "plain"])
def test_folded_gives_the_same_answers(name, layout, edge_importance):
    model = shake(make(name, layout, edge_importance=edge_importance))
    folded = model.fold()
    x = clips(layout, frames=21, people=2)
    with torch.no_grad():
        assert torch.allclose(folded(x), model(x), rtol=1e-4, atol=1e-4)
    assert not any(parameter.grad_fn for parameter in folded.state_dict().values())


@over_models
def test_clips_do_not_influence_each_other(name):
    model = shake(make(name))
    x = clips("kinetag", count=3)
    with torch.no_grad():
        assert torch.allclose(model(x)[1:2], model(x[1:2]), atol=1e-5)


@over_models
def test_state_survives_a_round_trip(name):
    one, two = shake(make(name)), make(name).eval()
    two.load_state_dict(one.state_dict())
    x = clips("kinetag")
    with torch.no_grad():
        assert torch.equal(one(x), two(x))


@over_models
def test_edge_importance_decides_what_is_learned(name):
    def learned(on):
        return sum(p.numel() for p in make(name, edge_importance=on).parameters() if p.requires_grad)

    assert learned(True) > learned(False)


@over_models
def test_empty_clips_are_no_trouble(name):
    x = torch.zeros(2, 3, 12, 13, 1)
    model = shake(make(name))
    with torch.no_grad():
        assert torch.isfinite(model(x)).all()
        assert torch.isfinite(model.fold()(x)).all()


# --- what Fold-GCN promises besides ----------------------------------------------------------------------------------


def scored_clips(layout="kinetag", **sizes):
    x = clips(layout, **sizes)
    x[:, -1] = x[:, -1].sigmoid()
    return x


def fold_gcn(**options):
    return shake(make("Fold-GCN", **options))


@pytest.mark.parametrize("garbage", [0.0, 99.0, float("nan"), float("inf")])
def test_a_joint_without_confidence_has_no_influence(garbage):
    model, x = fold_gcn(), scored_clips(people=2)
    hidden = torch.rand(x[:, :1].shape, generator=torch.Generator().manual_seed(3)) < 0.3
    x = torch.where(hidden & (torch.arange(3) == 2)[:, None, None, None], 0, x)
    with torch.no_grad():
        changed = torch.where(hidden & (torch.arange(3) < 2)[:, None, None, None], garbage, x)
        assert torch.equal(model(x), model(changed))
        assert not torch.allclose(model(x), model(scored_clips(people=2)))


def test_without_a_confidence_channel_zero_means_unseen():
    bare, scored = fold_gcn(channels="xy"), fold_gcn(channels="scored")
    scored.load_state_dict(bare.state_dict())
    x = clips("kinetag", channels=2)
    x[:, :, 3:6, 2:9] = 0
    seen = (x != 0).any(1, keepdim=True).float()
    with torch.no_grad():
        assert torch.allclose(bare(x), scored(torch.cat([x, seen], 1)), atol=1e-6)


@pytest.mark.parametrize(("scale", "shift"), [(400.0, 300.0), (1 / 1080, -0.5), (0.01, 0.0)])
@pytest.mark.parametrize("channels", ["scored", "xyz_scored"])
def test_place_and_unit_of_coordinates_do_not_matter(scale, shift, channels):
    model, x = fold_gcn(channels=channels), scored_clips(channels=len(CHANNELS[channels]))
    moved = x.clone()
    moved[:, :-1] = x[:, :-1] * scale + shift
    with torch.no_grad():
        assert torch.allclose(model(x), model(moved), rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("before", [0, 2, 16])
@pytest.mark.parametrize("after", [0, 5, 16])
def test_empty_frames_around_a_clip_do_not_matter(before, after):
    model, x = fold_gcn(), scored_clips(frames=18)
    padded = torch.nn.functional.pad(x, (0, 0, 0, 0, before, after))
    with torch.no_grad():
        assert torch.allclose(model(x), model(padded), rtol=1e-4, atol=1e-4)


def test_people_are_a_set_and_absent_ones_do_not_count():
    model, x = fold_gcn(), scored_clips(people=3)
    nobody = torch.zeros_like(x[..., :1])
    with torch.no_grad():
        assert torch.allclose(model(x), model(x[..., [2, 0, 1]]), atol=1e-5)
        assert torch.allclose(model(x), model(torch.cat([x, nobody], -1)), atol=1e-5)


def test_folding_takes_the_branches_away():
    model = fold_gcn()
    folded = model.fold()
    norms = [module for module in folded.modules() if isinstance(module, torch.nn.BatchNorm1d)]
    assert not norms
    assert sum(t.numel() for t in folded.state_dict().values()) < sum(t.numel() for t in model.state_dict().values())
    assert [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm1d)]  # the first one is whole


def test_learns_which_arm_waves():
    """Two classes that only the joints' identity and their motion tell apart, from any place and size."""
    rng = np.random.default_rng(0)
    home = rng.normal(0, 1, (13, 2))

    def batch(count=16, frames=24):
        labels = rng.integers(0, 2, count)
        body = home + rng.normal(0, 0.05, (count, frames, 13, 2))
        joints = np.where(labels == 0, KINETAG13.index("left_wrist"), KINETAG13.index("right_wrist"))
        wave = np.sin(np.arange(frames) / 2 + rng.uniform(0, 6, (count, 1)))
        body[np.arange(count)[:, None], np.arange(frames), joints[:, None], 1] += wave
        body = body * rng.uniform(0.5, 2, (count, 1, 1, 1)) + rng.normal(0, 1, (count, 1, 1, 2))
        clip = np.concatenate([body, np.ones_like(body[..., :1])], -1).transpose(0, 3, 1, 2)[..., None]
        return torch.from_numpy(clip.astype(np.float32)), torch.from_numpy(labels)

    model = make("Fold-GCN").train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(40):
        x, labels = batch()
        loss = torch.nn.functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x, labels = batch(64)
    with torch.no_grad():
        assert (model.eval().fold()(x).argmax(1) == labels).float().mean() > 0.95


@pytest.mark.parametrize("frames", [20, 64])
def test_a_new_network_is_not_sure_of_anything(frames):
    model = make("Fold-GCN").train()
    assert 0.02 < model(scored_clips(count=16, frames=frames)).std() < 1


def test_plain_sgd_at_a_large_rate_does_not_throw_it_about():
    """What the losses of a few clips that are learned by heart do at 0.1, without clipping and warm-up."""
    model, x = make("Fold-GCN", dropout=0.0).train(), scored_clips(count=12)
    labels = torch.arange(12) % 3
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    losses = []
    for _ in range(30):
        loss = torch.nn.functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert max(losses) < 2
    assert losses[-1] < 0.1
