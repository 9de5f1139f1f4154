"""Training: the loop against a plain one, streams kept apart, and losses that blow up."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

import layermix as lm
from layermix.geometry import MEASURES, QUANTITIES, Layer
from layermix.lab import DataConfig, Recipe, RunConfig, run
from layermix.lab.data import Normalise, crop_and_flip, load, watch_batch
from layermix.lab.run import fresh_net
from layermix.lab.store import read_epochs
from layermix.lab.training.evaluate import measures
from layermix.lab.training.feature_loss import FeatureLoss
from layermix.lab.training.streams import Streams
from layermix.lab.training.train import Trainer

SHORT = Recipe(epochs=2, batch_size=20, watch=1, crop=1, flip=False, channels_last=False)
FEW = DataConfig(train_size=60)


def trainer(variant: tuple[str, ...] = (), recipe: Recipe = SHORT, seed: int = 0) -> Trainer:
    data = load(FEW)
    return Trainer(fresh_net("mlp", data, seed), data, recipe, variant, ("input", "block3"), seed)


def test_training_equals_a_plain_pytorch_loop() -> None:
    own = trainer(("block1",))
    own.run_epoch(1)

    data = load(FEW)
    net = fresh_net("mlp", data, 0)
    streams = Streams.of(0)
    mixer = lm.Mixer(net, "block1", seed=streams.mix)
    optimiser = torch.optim.SGD(net.parameters(), 0.1, 0.9, weight_decay=2e-3, nesterov=True)
    augment = torch.Generator().manual_seed(streams.augment)
    normalise = Normalise.of(data.train)
    for step, index in enumerate(trainer(("block1",))._batches()):
        for group in optimiser.param_groups:
            group["lr"] = 0.1 * SHORT.lr_factor(step, 6)
        images = crop_and_flip(data.train.images[index], 1, False, augment)
        output, target = mixer(normalise(images), data.train.labels[index])
        optimiser.zero_grad()
        target.loss(output).backward()
        optimiser.step()
    for ours, plain in zip(own.net.parameters(), net.parameters(), strict=True):
        assert torch.equal(ours, plain)


def test_variants_of_a_seed_start_alike_and_see_the_same_batches() -> None:
    plain, mixed = trainer(), trainer(("input",))
    for ours, theirs in zip(plain.net.parameters(), mixed.net.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    plain.run_epoch(1)
    mixed.run_epoch(1)
    for ours, theirs in zip(plain._batches(), mixed._batches(), strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(plain.augment.get_state(), mixed.augment.get_state())


def test_seeds_differ() -> None:
    ours, theirs = trainer(seed=0), trainer(seed=1)
    assert not torch.equal(ours._batches()[0], theirs._batches()[0])
    assert not torch.equal(next(ours.net.parameters()), next(theirs.net.parameters()))


def test_training_leaves_torchs_global_generator_alone() -> None:
    own = trainer(("final",))
    before = torch.get_rng_state()
    own.run_epoch(1)
    assert torch.equal(torch.get_rng_state(), before)


def test_watching_does_not_change_training() -> None:
    watched, plain = trainer(("final",)), trainer(("final",))
    watched.measure(last=True)
    assert watched.run_epoch(1) == plain.run_epoch(1)


def test_training_learns_the_digits() -> None:
    recipe = Recipe(epochs=10, watch=1, crop=0, flip=False)
    data = load(DataConfig())
    own = Trainer(fresh_net("mlp", data, 0), data, recipe, (), ("block3",), 0)
    assert own.train(lambda _: None).measures["accuracy"] > 0.85


def test_label_smoothing_reaches_the_loss() -> None:
    smooth = trainer(recipe=Recipe(epochs=1, batch_size=60, label_smoothing=0.1))
    index = torch.arange(60)
    x = smooth.normalise(crop_and_flip(smooth.data.train.images, 0, False, smooth.augment))
    expected = F.cross_entropy(smooth.net(x), smooth.data.train.labels, label_smoothing=0.1)
    assert torch.allclose(smooth.run_step(index)[0], expected)


def test_a_loss_that_blows_up_stops_with_the_step_and_the_remedy() -> None:
    own = trainer(recipe=Recipe(epochs=3, batch_size=20, lr=1e30, warmup=0.0))
    with pytest.raises(lm.RunError, match=r"the loss became \w+ at step 2 of 9: try a lower --lr"):
        own.train(lambda _: None)


class Poisoned(nn.Module):
    """A net with a layer that gives NaN."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(64, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x.flatten(1)) * (torch.nan if self.training else 1.0)


def test_nan_from_a_layer_is_found_in_the_first_step(tmp_path: Path) -> None:
    config = RunConfig(FEW, f"{__name__}:Poisoned", SHORT, "none", 0)
    with pytest.raises(lm.RunError, match="the loss became nan at step 1 of 6"):
        run(config, tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["run-unfinished"]
    assert (tmp_path / "run-unfinished/epochs.jsonl").read_text().startswith('{"epoch": 0')


def test_a_run_leaves_records_measures_and_weights(tmp_path: Path) -> None:
    config = RunConfig(FEW, "mlp", SHORT, "random", 3)
    result = run(config, tmp_path / "run", keep_features=True)
    files = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert files == [
        "config.json",
        "epochs.jsonl",
        "features.safetensors",
        "result.json",
        "weights.safetensors",
    ]
    records = read_epochs(tmp_path / "run")
    assert [record["epoch"] for record in records] == [0, 1, 2]
    assert json.loads((tmp_path / "run/result.json").read_text()) == result

    data = load(FEW)
    net = fresh_net("mlp", data, seed=7)
    net.load_state_dict(load_file(tmp_path / "run/weights.safetensors"))
    logits = net.eval()(Normalise.of(data.train)(data.test.images)).detach()
    assert measures(logits, data.test.labels)["accuracy"] == result["test"]["accuracy"]


def test_a_run_refuses_a_folder_that_exists(tmp_path: Path) -> None:
    with pytest.raises(lm.InputError, match="exists already: name another --out"):
        run(RunConfig(FEW, "mlp", SHORT, "none", 0), tmp_path)


def test_measures_are_the_textbooks() -> None:
    probabilities = torch.tensor([[0.7, 0.3], [0.4, 0.6], [0.9, 0.1]], dtype=torch.float64)
    found = measures(probabilities.log(), torch.tensor([0, 0, 0]))
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["nll"] == pytest.approx(-torch.tensor([0.7, 0.4, 0.9]).log().mean().item())
    assert found["brier"] == pytest.approx((2 * 0.3**2 + 2 * 0.6**2 + 2 * 0.1**2) / 3)
    assert found["ece"] == pytest.approx((0.3 + 0.6 + 0.1) / 3)


def records(folder: Path, variant: str, **settings: object) -> list[dict]:
    recipe = Recipe(epochs=4, batch_size=20, watch=2, **settings)  # pyright: ignore[reportArgumentType]
    run(RunConfig(FEW, "mlp", recipe, variant, 0), folder)
    return read_epochs(folder)


def test_unmixed_runs_measure_all_layers_all_along_others_at_the_end(tmp_path: Path) -> None:
    held = [
        [e["epoch"] for e in records(tmp_path / v, v) if "geometry" in e] for v in ("none", "input")
    ]
    assert held == [[0, 2, 4], [4]]
    assert [e["epoch"] for e in read_epochs(tmp_path / "input") if "snnl" in e] == [0, 2, 4]
    off = records(tmp_path / "off", "none", geometry=False)
    assert not any("geometry" in e for e in off)
    assert [e["epoch"] for e in off if "snnl" in e] == [0, 2, 4]


def test_watched_geometry_is_that_of_the_weights_on_the_watched_batch(tmp_path: Path) -> None:
    last = records(tmp_path / "one", "none")[-1]
    data = load(FEW)
    net = fresh_net("mlp", data, 0)
    net.load_state_dict(load_file(tmp_path / "one/weights.safetensors"))
    batch, normalise = watch_batch(data), Normalise.of(data.train)
    for point, x in lm.activations(net, normalise(batch.images), list(last["geometry"])).items():
        found = last["geometry"][point]
        assert set(found) == set(QUANTITIES)
        layer = Layer(x, batch.labels)
        for name, measure in MEASURES.items():
            assert found[name] == pytest.approx(measure.compute(layer), rel=1e-3, abs=1e-6)
    assert last["geometry"]["final"]["gap"] < 1e-6


def test_auto_mixes_where_the_classes_were_found_apart(tmp_path: Path) -> None:
    for record in records(tmp_path / "auto", "auto"):
        if "snnl" in record:
            apart = {p: max(0, 1 - v["value"] / v["chance"]) for p, v in record["snnl"].items()}
            shares = {p: v / sum(apart.values()) for p, v in apart.items()}
            assert record["weights"] == pytest.approx(shares, abs=1e-9)
    assert not any("weights" in e for e in records(tmp_path / "equal", "auto", adapt=False))
    assert not any("weights" in e for e in records(tmp_path / "random", "random"))


def test_auto_draws_by_the_weights_it_records() -> None:
    data = load(FEW)
    points = ("input", "block3", "final")
    own = Trainer(fresh_net("mlp", data, 0), data, SHORT, points, points, 0, adapt=True)
    assert own.mixer is not None
    assert own.measure()["weights"] == pytest.approx(dict(own.mixer.weights), abs=1e-9)
    own.run_epoch(1)
    assert own.measure()["weights"] == pytest.approx(dict(own.mixer.weights), abs=1e-9)
    assert len(own.mixer.choices) == 3


@pytest.mark.parametrize(
    ("mixed_at", "mixed"), [(None, False), ("block3", False), ("block1", True)]
)
def test_the_feature_loss_is_the_snnl_of_the_features_for_the_heavier_parent(
    mixed_at: str | None, mixed: bool
) -> None:
    torch.manual_seed(0)
    data = load(FEW)
    net = fresh_net("mlp", data, 0)
    x, y = Normalise.of(data.train)(data.train.images[:20]), data.train.labels[:20]
    loss = FeatureLoss(net, "block2", -0.5, x[:3], ("input", "block1", "block3"))
    plan = lm.Plan("block1", torch.tensor(0.2), torch.randperm(20))
    if mixed:
        mixer = lm.Mixer(net, "block1")
        with mixer.apply(plan):
            net(x)
    else:
        net(x)
    found = loss(y, plan.target(y), mixed_at)
    h = net.block1(net.flatten(x))  # pyright: ignore[reportCallIssue]
    h = lm.mix(h, plan) if mixed else h
    features = net.block2(h)  # pyright: ignore[reportCallIssue]
    labels = y[plan.partner] if mixed else y
    expected = -0.5 * lm.SoftNearestNeighborLoss()(features, labels)
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)
    assert torch.autograd.grad(found, net.block1[0].weight)[0].abs().sum() > 0  # pyright: ignore


@pytest.mark.parametrize("variant", ["none", "input", "random"])
def test_training_with_the_feature_loss_drives_classes_apart_or_together(
    tmp_path: Path, variant: str
) -> None:
    value = {}
    for weight in (-0.3, 0.3):
        recipe = Recipe(epochs=8, watch=1, snnl_weight=weight, snnl_at="block2")
        run(RunConfig(DataConfig(), "mlp", recipe, variant, 0), tmp_path / f"{weight}")
        value[weight] = read_epochs(tmp_path / f"{weight}")[-1]["snnl"]["block2"]["value"]
    assert value[0.3] < value[-0.3] - 0.03


def test_a_feature_loss_at_an_unknown_point_is_refused(tmp_path: Path) -> None:
    with pytest.raises(lm.InputError, match="unknown mix point 'blok2': did you mean 'block2'"):
        records(tmp_path / "one", "none", snnl_weight=1.0, snnl_at="blok2")
