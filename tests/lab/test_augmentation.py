"""Tests of augmentations by name and of the optimizers of a recipe."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from layermix.errors import InputError
from layermix.lab import Recipe, RunConfig, run
from layermix.lab.data import Split, load
from layermix.lab.run_setup import complete
from layermix.lab.training.augmentation import augment, cutout
from layermix.lab.training.loop import Trainer
from short_training import FEW, SHORT

POLICIES = ["cutout", "trivial", "rand", "augmix"]


def images(count: int = 6, size: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("policy", POLICIES)
def test_policy_is_a_function_of_the_seed(policy) -> None:
    x, state = images(), torch.get_rng_state()
    first, second, third = augment(x, policy, 1), augment(x, policy, 1), augment(x, policy, 2)
    assert first.equal(second)
    assert not first.equal(third)
    assert (first.dtype, first.shape) == (x.dtype, x.shape)
    assert torch.get_rng_state().equal(state)


def test_cutout_replaces_one_square_by_the_mean() -> None:
    x = images(200, 16)
    found = cutout(x, torch.Generator().manual_seed(0))
    changed = (found != x).any(1)
    for image, before, mask in zip(found, x, changed, strict=True):
        rows, columns = (mask.any(dim).nonzero().flatten() for dim in (1, 0))
        assert rows.max() - rows.min() < 8
        assert columns.max() - columns.min() < 8
        value = before.float().mean((1, 2)).to(torch.uint8)
        assert (image[:, mask] == value[:, None]).all()
    assert changed.sum((1, 2)).float().mean() > 30  # most squares are inside


@pytest.mark.parametrize("policy", POLICIES)
def test_training_with_a_policy_is_reproducible(policy, tmp_path: Path) -> None:
    recipe = Recipe(epochs=1, batch_size=20, monitor=0, geometry=False, augment=policy)
    found = [
        run(RunConfig(FEW, "mlp", recipe, "input", 0), tmp_path / name).test for name in ("a", "b")
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_optimizer_has_the_defaults_of_its_kind(name) -> None:
    recipe = Recipe(optimizer=name).resolved("sgd")
    assert (recipe.lr, recipe.weight_decay) == {"sgd": (0.1, 2e-3), "adamw": (2e-3, 0.05)}[name]
    assert Recipe(optimizer=name, lr=0.5).resolved("sgd").lr == 0.5


def test_adamw_equals_a_plain_loop() -> None:
    data = load(FEW)
    recipe = complete(Recipe(epochs=1, batch_size=20, crop=0, optimizer="adamw"), data)
    nets = []
    for _ in range(2):
        torch.manual_seed(0)
        nets.append(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)))
    trainer = Trainer(nets[0], data, recipe)
    optimizer = torch.optim.AdamW(nets[1].parameters(), 2e-3, weight_decay=0.05)
    batches = Trainer(nets[1], data, recipe).batches
    for step, (x, y) in enumerate(batches.epoch(1)):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * recipe.lr_factor(step, len(batches))
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(nets[1](x), y).backward()
        optimizer.step()
    trainer.run_epoch(1)
    for ours, theirs in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_policy_for_other_inputs_than_images_raises() -> None:
    data = load(FEW)
    train = Split(data.train.inputs.float(), data.train.labels)
    with pytest.raises(InputError, match="augment is 'rand', which needs images"):
        complete(Recipe(augment="rand"), replace(data, train=train))


def test_default_optimizer_follows_the_data() -> None:
    assert complete(SHORT, load(FEW)).optimizer == "sgd"
