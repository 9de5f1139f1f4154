"""Flips in every second epoch, views of test images, and bfloat16 on a CPU."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from layermix.experiments import DataConfig, Recipe, RunConfig
from layermix.experiments.data import Split, load
from layermix.experiments.run import run
from layermix.experiments.training.batches import Batches, Normalize
from layermix.experiments.training.environment import RunSeeds
from layermix.experiments.training.evaluate import predict_logits
from layermix.experiments.training.loop import Trainer


def pictures(n: int = 12, size: int = 8) -> Split:
    """Return images of which no two are alike, nor a mirror image of itself."""
    images = torch.randint(256, (n, 3, size, size), generator=torch.Generator().manual_seed(0))
    return Split(images.to(torch.uint8), torch.arange(n) % 4)


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
