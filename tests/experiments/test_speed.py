"""The speed preset: whitening, Lookahead, alternate flips, views, and the command of a report."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from layermix.experiments import DataConfig, Recipe, RunConfig, compare, plan
from layermix.experiments.data import Split, load
from layermix.experiments.models import build
from layermix.experiments.models.networks import SpeedNet
from layermix.experiments.run import fresh_model, run
from layermix.experiments.training import PRESETS
from layermix.experiments.training.batches import Batches, Normalize
from layermix.experiments.training.environment import RunSeeds
from layermix.experiments.training.evaluate import predict_logits
from layermix.experiments.training.loop import Trainer
from layermix.experiments.training.recipe import Lookahead
from layermix.reporting import write_report
from layermix.reporting.configuration import compare_command
from layermix.reporting.text import verdict_notes


def pictures(n: int = 12, size: int = 8) -> Split:
    """Return images of which no two are alike, nor a mirror image of itself."""
    images = torch.randint(256, (n, 3, size, size), generator=torch.Generator().manual_seed(0))
    return Split(images.to(torch.uint8), torch.arange(n) % 4)


def test_the_first_layer_whitens_the_patches_of_the_training_images() -> None:
    base = torch.randn(200, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    images = F.avg_pool2d(base, 3, 1, 1) + 0.3 * base  # neighbors agree
    net = SpeedNet(10)
    net.initialize_from(images)
    seen = F.conv2d(images, net.whiten.weight)[:, :12].transpose(0, 1).flatten(1)
    second = (seen @ seen.T / seen.shape[1]).detach()
    torch.testing.assert_close(second, torch.eye(12), atol=0.05, rtol=0)
    torch.testing.assert_close(net.whiten.weight[12:], -net.whiten.weight[:12])


def test_the_first_layer_is_taken_from_the_data_and_stays_as_it_is() -> None:
    data = load(DataConfig(train_size=60))
    net: Any = fresh_model("speed", data, 0)
    before, other = net.whiten.weight.clone(), fresh_model("speed", data, 1)
    assert torch.equal(before, other.get_parameter("whiten.weight"))
    recipe = Recipe(epochs=1, batch_size=20, monitor=1, crop=0, flip=False)
    trainer = Trainer(net, data, recipe, monitor_at=("final",))
    trainer.run_epoch(1)
    assert torch.equal(net.whiten.weight, before)
    assert torch.equal(net.block1.norm1.weight, torch.ones(64))
    assert not torch.equal(net.block1.norm1.bias, torch.zeros(64))


def test_speednet_has_the_documented_number_of_parameters() -> None:
    count = sum(p.numel() for p in build("speed", 10, (3, 32, 32)).parameters())
    assert f"{count:,} parameters" in str(SpeedNet.__doc__)


def test_biases_have_another_learning_rate_and_the_same_decay() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    groups = Recipe(lr=0.5, bias_lr=8.0, weight_decay=0.1).optimizer(net).param_groups
    assert [len(group["params"]) for group in groups] == [2, 2]
    assert [group["lr"] for group in groups] == [0.5, 4.0]
    assert [group["lr"] * group["weight_decay"] for group in groups] == pytest.approx([0.05] * 2)


def test_lookahead_goes_back_part_of_the_way_every_five_steps() -> None:
    net = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(net.weight)
    ahead, slow, fast = Lookahead(net, steps=12), 0.0, 0.0
    for step in range(1, 13):
        fast += 1
        net.weight.data += 1
        ahead.after(step)
        if step % 5 == 0:
            kept = 0.95**5 * (step / 12) ** 3
            slow = fast = kept * slow + (1 - kept) * fast
        assert net.weight.item() == pytest.approx(slow if step == 12 else fast)


def test_lookahead_takes_the_statistics_of_norms_along() -> None:
    net = nn.BatchNorm1d(2)
    ahead = Lookahead(net, steps=6)
    net(torch.randn(8, 2) + 5)
    seen = net.running_mean
    assert seen is not None
    expected = (1 - 0.95**5 * (5 / 6) ** 3) * seen
    for step in range(1, 7):
        ahead.after(step)
    torch.testing.assert_close(net.running_mean, expected)


@pytest.mark.parametrize("steps", [1, 5])
def test_lookahead_does_not_undo_a_training_of_few_steps(steps: int) -> None:
    net = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(net.weight)
    ahead = Lookahead(net, steps)
    for step in range(1, steps + 1):
        net.weight.data += 1
        ahead.after(step)
    assert net.weight.item() == steps


def test_lookahead_moves_shared_weights_once() -> None:
    found = []
    for times in (1, 2):
        layer = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(layer.weight)
        ahead = Lookahead(nn.Sequential(*[layer] * times), steps=6)
        for step in range(1, 7):
            layer.weight.data += 1
            ahead.after(step)
        found.append(layer.weight.item())
    assert found[0] == found[1] != 6


def test_each_image_is_mirrored_in_every_second_epoch() -> None:
    split = pictures()
    recipe = Recipe(batch_size=12, flip=True, alternate=True)
    batches = Batches(split, Normalize.of(split), recipe, RunSeeds.of(0))
    mirrored = []
    for epoch in range(1, 5):
        ((x, _),) = batches.epoch(epoch)
        whole = batches.normalize(split.images)
        own = (x[:, None] == whole).flatten(2).all(2).any(1)
        other = (x[:, None] == whole.flip(3)).flatten(2).all(2)
        assert (own ^ other.any(1)).all()
        mirrored.append(set(other.float().argmax(1)[other.any(1)].tolist()))
    assert mirrored[0] == mirrored[2]
    assert mirrored[1] == mirrored[3]
    assert mirrored[0] | mirrored[1] == set(range(12))
    assert not mirrored[0] & mirrored[1]


class Corner(nn.Module):
    """Returns one pixel, so that what it is shown can be told."""

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to (B, C)."""
        return x[:, :, 2, 3]


@pytest.mark.parametrize("mirror", [True, False])
def test_views_are_the_image_and_two_shifts_and_their_mirror_images(mirror: bool) -> None:
    split = pictures()
    normalize = Normalize.of(split)
    x = normalize(split.images)
    expected = 0.5 * x[:, :, 2, 3] + 0.25 * x[:, :, 1, 2] + 0.25 * x[:, :, 3, 4]
    if mirror:
        y = x.flip(3)  # a shifted image is mirrored, so that its shift is too
        other = 0.5 * y[:, :, 2, 3] + 0.25 * y[:, :, 1, 4] + 0.25 * y[:, :, 3, 2]
        expected = (expected + other) / 2
    found = predict_logits(Corner(), split, normalize, views=True, flip=mirror)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(predict_logits(Corner(), split, normalize), x[:, :, 2, 3])


def test_views_are_judged_beside_the_images_and_not_instead(tmp_path: Path) -> None:
    data, recipe = DataConfig(train_size=60), Recipe(epochs=1, batch_size=20, monitor=1, views=True)
    result = run(RunConfig(data, "mlp", recipe, "none", 0), tmp_path / "run")
    assert set(result.test_views or ()) == set(result.test)
    assert result.test_views != result.test


def test_bfloat16_on_a_cpu_is_an_option() -> None:
    seen = []

    class Seen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(64, 10)

        def forward(self, x: Tensor) -> Tensor:
            seen.append(self.fc(x.flatten(1)).dtype)
            return self.fc(x.flatten(1))

    data = load(DataConfig(train_size=60))
    for wanted in (False, True):
        seen.clear()
        recipe = Recipe(epochs=1, batch_size=60, monitor=1, crop=0, flip=False, bfloat16=wanted)
        Trainer(Seen(), data, recipe).run_epoch(1)
        assert seen == [torch.bfloat16 if wanted else torch.float32]


def test_the_command_of_a_study_starts_from_the_nearest_preset() -> None:
    speed = PRESETS["speed"]
    recipe = replace(speed.recipe, epochs=3, views=False)
    command = compare_command(plan(DataConfig(), speed.model, recipe, ("none", "final"), seeds=2))
    assert command == (
        "layermix compare speed --variants none final --seeds 2 --epochs 3 --no-views"
    )


def test_a_report_notes_the_accuracy_over_views(tmp_path: Path) -> None:
    recipe = Recipe(epochs=1, batch_size=20, monitor=1, views=True)
    config = plan(DataConfig(train_size=60), "mlp", recipe, ("none", "final"), seeds=2)
    study = compare(config, tmp_path / "study", workers=1)
    summary, _ = write_report(study)
    (note,) = [each for each in verdict_notes(summary) if "views" in each]
    views = [result.test_views or {} for result in study.results().values()]
    none, final = (sum(each["accuracy"] for each in views[k::2]) / 2 for k in (0, 1))
    assert f"none {100 * none:.2f} (95% interval " in note
    assert f", n = 2); final {100 * final:.2f} (95% interval " in note
