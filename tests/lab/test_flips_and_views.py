"""Tests of alternating flips, views of test images, and bfloat16 on a CPU."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from layermix.lab import DataConfig, Recipe, RunConfig, run
from layermix.lab.data import Split, load
from layermix.lab.data.modalities.images import Normalize
from layermix.lab.training import batches as batches_module
from layermix.lab.training.batches import Batches
from layermix.lab.training.environment import RunSeeds
from layermix.lab.training.logits import predict_logits
from layermix.lab.training.loop import Trainer


def distinct_images(n: int = 12, size: int = 8) -> Split:
    """Return images that are all different. None is symmetric."""
    images = torch.randint(256, (n, 3, size, size), generator=torch.Generator().manual_seed(0))
    return Split(images.to(torch.uint8), torch.arange(n) % 4)


def test_alternate_flip_mirrors_each_image_every_second_epoch() -> None:
    split = distinct_images()
    recipe = Recipe(batch_size=12, flip=True, alternate=True)
    batches = Batches(split, Normalize.of(split.inputs), recipe, RunSeeds.of(0))
    mirrored = []
    for epoch in range(1, 5):
        ((x, _),) = batches.epoch(epoch)
        whole = batches.preprocess(split.inputs)
        own = (x[:, None] == whole).flatten(2).all(2).any(1)
        other = (x[:, None] == whole.flip(3)).flatten(2).all(2)
        assert (own ^ other.any(1)).all()
        mirrored.append(set(other.float().argmax(1)[other.any(1)].tolist()))
    assert mirrored[0] == mirrored[2]
    assert mirrored[1] == mirrored[3]
    assert mirrored[0] | mirrored[1] == set(range(12))
    assert not mirrored[0] & mirrored[1]


class OnePixel(nn.Module):
    """Model that returns one pixel, so that the views can be identified."""

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to (B, C)."""
        return x[:, :, 2, 3]


@pytest.mark.parametrize("mirror", [True, False])
def test_views_average_the_image_two_shifts_and_their_mirrors(mirror: bool) -> None:
    split = distinct_images()
    normalize = Normalize.of(split.inputs)
    x = normalize(split.inputs)
    expected = 0.5 * x[:, :, 2, 3] + 0.25 * x[:, :, 1, 2] + 0.25 * x[:, :, 3, 4]
    if mirror:
        y = x.flip(3)  # the shifted images are mirrored, and so are the shifts
        other = 0.5 * y[:, :, 2, 3] + 0.25 * y[:, :, 1, 4] + 0.25 * y[:, :, 3, 2]
        expected = (expected + other) / 2
    found = predict_logits(OnePixel(), split, normalize, views=True, flip=mirror)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(predict_logits(OnePixel(), split, normalize), x[:, :, 2, 3])


def test_view_metrics_are_reported_in_addition_to_test_metrics(tmp_path: Path) -> None:
    data, recipe = DataConfig(train_size=60), Recipe(epochs=1, batch_size=20, monitor=1, views=True)
    result = run(RunConfig(data, "mlp", recipe, "none", 0), tmp_path / "run")
    assert set(result.test_views or ()) == set(result.val)
    assert result.test_views != result.test


def test_bfloat16_setting_sets_the_dtype_on_a_cpu() -> None:
    seen = []

    class DtypeRecorder(nn.Module):
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
        Trainer(DtypeRecorder(), data, recipe).run_epoch(1)
        assert set(seen) == {torch.bfloat16 if wanted else torch.float32}


def test_batches_do_not_depend_on_how_many_are_augmented_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    split, found = distinct_images(50), []
    recipe = Recipe(batch_size=12, crop=2, flip=True)
    for size in (1, 20_000, 1 << 20):
        monkeypatch.setattr(batches_module, "_BYTES", (size, size))
        batches = Batches(split, Normalize.of(split.inputs), recipe, RunSeeds.of(0))
        found.append([[*batches.epoch(1)], [*batches.epoch(2)]])
    first, *others = found
    assert [len(epoch) for epoch in first] == [4, 4]
    for other in others:
        torch.testing.assert_close(other, first, rtol=0, atol=0)


def test_about_half_of_the_images_are_flipped() -> None:
    split = distinct_images(400)
    recipe = Recipe(batch_size=400, flip=True, crop=0)
    ((x, labels),) = Batches(split, lambda x: x, recipe, RunSeeds.of(0)).epoch(1)
    same = (x[:, None] == split.inputs).flatten(2).all(2)
    mirrored = (x[:, None] == split.inputs.flip(3)).flatten(2).all(2)
    assert ((same | mirrored).sum(0) == 1).all()
    assert 160 < int(mirrored.any(1).sum()) < 240
    assert torch.equal(labels, split.labels[(same | mirrored).float().argmax(1)])
