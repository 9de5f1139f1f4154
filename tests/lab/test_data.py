"""Tests of the digits, of normalization and augmentation, and of decoded data set files."""

import hashlib
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from few_examples import image_dataset, image_source
from layermix import InputError
from layermix.lab import Recipe
from layermix.lab.data import DataConfig, Split, load, write_source
from layermix.lab.data.modalities.images import Normalize
from layermix.lab.training.batches import crop_and_flip
from layermix.lab.training.logits import predict_logits
from layermix.lab.training.loop import Trainer

ABC = ("a", "b", "c")
CPU = [torch.profiler.ProfilerActivity.CPU]


def make_split(count: int, classes: int, size: int = 8) -> Split:
    images = torch.randint(256, (count, 3, size, size), dtype=torch.uint8)
    return Split(images, torch.arange(count) % classes)


def digest(split: Split) -> str:
    return hashlib.sha256(split.inputs.numpy().tobytes()).hexdigest()[:16]


def test_digits_have_300_train_300_val_and_1197_test_images() -> None:
    data = load(DataConfig())
    assert (len(data.train), len(data.val), len(data.test)) == (300, 300, 1197)
    assert data.train.labels.bincount().tolist() == [30] * 10
    assert data.train.inputs.shape[1:] == (1, 8, 8)
    assert int(data.train.inputs.max()) == 255


def test_fixed_split_of_digits_is_the_published_one() -> None:
    data = load(DataConfig(fixed_split=True), seed=5)
    assert digest(data.train) == "bc2a4a8764e4f4a8"
    assert digest(data.val) == "1588239cd74b2b9d"
    assert digest(data.test) == "301f832c93b2f24b"
    assert digest(load(DataConfig(train_size=60, fixed_split=True)).train) == "eaa666bfc61bbe25"


def test_each_seed_has_a_split_of_digits() -> None:
    splits = [load(DataConfig(), seed) for seed in (0, 1, 0)]
    for name in ("train", "val", "test"):
        first, other, again = (digest(getattr(data, name)) for data in splits)
        assert first == again
        assert first != other
    assert splits[0].sizes == splits[1].sizes


def test_digits_splits_contain_every_image_once() -> None:
    data = load(DataConfig())
    together = torch.cat([data.train.inputs, data.val.inputs, data.test.inputs]).flatten(1)
    from sklearn.datasets import load_digits

    pixels, _ = load_digits(return_X_y=True)
    original = torch.from_numpy(pixels).mul(255 / 16).round().to(torch.uint8)
    assert sorted(together.tolist()) == sorted(original.tolist())


def test_digits_are_resized_to_image_size() -> None:
    large, small = load(DataConfig(image_size=32)), load(DataConfig())
    assert large.train.inputs.shape[1:] == (1, 32, 32)
    assert torch.equal(large.test.labels, small.test.labels)
    shrunk = torch.nn.functional.avg_pool2d(large.test.inputs.float(), 4)
    assert (shrunk - small.test.inputs).abs().mean() < 12


@pytest.mark.parametrize("size", [0, -4])
def test_image_size_below_1_raises(size: int) -> None:
    with pytest.raises(InputError, match=f"image_size is {size}, but must be 1 or more"):
        load(DataConfig(image_size=size))


@pytest.mark.parametrize(
    ("flag", "config"),
    [
        ("image_column", DataConfig(image_column="x")),
        ("label_column", DataConfig(label_column="x")),
    ],
)
def test_column_setting_for_digits_raises(flag: str, config: DataConfig) -> None:
    with pytest.raises(InputError, match=f"{flag} is 'x', but 'digits' has no columns: remove"):
        load(config)


def test_labels_outside_the_class_range_raise() -> None:
    with pytest.raises(InputError, match="has the label 2, but labels must be from 0 to 1"):
        image_source({"train": make_split(9, 3)}, ("a", "b"))


def test_float_images_raise() -> None:
    split = Split(torch.rand(4, 1, 8, 8), torch.zeros(4, dtype=torch.int64))
    with pytest.raises(InputError, match="images must be uint8"):
        image_source({"train": split}, ABC)


def test_different_image_shapes_across_splits_raise() -> None:
    with pytest.raises(InputError, match=r"'test': \(3, 6, 6\)}: set --image-size"):
        image_source({"train": make_split(9, 3), "test": make_split(9, 3, size=6)}, ABC)


def test_normalized_training_images_have_mean_0_and_std_1() -> None:
    split = make_split(64, 4)
    x = Normalize.of(split.inputs)(split.inputs)
    assert torch.allclose(x.mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(x.std((0, 2, 3)), torch.ones(3), atol=1e-3)


def test_normalization_equals_the_exact_mean_and_sample_std() -> None:
    for images in (make_split(50, 2).inputs, load(DataConfig()).train.inputs):
        pixels = images.transpose(0, 1).flatten(1).double()
        found = Normalize.of(images)
        assert torch.equal(found.mean, pixels.mean(1).float())
        assert torch.equal(found.std, pixels.std(1).float())


def test_normalization_does_not_copy_images_to_float() -> None:
    split = Split(
        torch.zeros(1, 1, 1, 1, dtype=torch.uint8).expand(1000, 3, 64, 64),
        make_split(1000, 2).labels,
    )
    with torch.profiler.profile(activities=CPU, profile_memory=True) as seen:
        Normalize.of(split.inputs)
    largest = max(event.cpu_memory_usage for event in seen.events() or [])
    assert largest <= 1000 * 64 * 64  # one channel, one byte for each pixel


def test_constant_channel_is_normalized_to_zero() -> None:
    split = Split(torch.full((4, 2, 3, 3), 7, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64))
    assert torch.equal(Normalize.of(split.inputs)(split.inputs), torch.zeros(4, 2, 3, 3))


class MemoryFormatRecorder(nn.Module):
    """Model that records if its inputs have the channels-last memory format."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3 * 8 * 8, 4)
        self.seen: list[bool] = []

    def forward(self, x: Tensor) -> Tensor:
        last = x.is_contiguous(memory_format=torch.channels_last)
        assert last or x.is_contiguous()
        self.seen.append(last)
        return self.fc(x.flatten(1))


@pytest.mark.parametrize("channels_last", [True, False])
def test_training_inputs_have_the_memory_format_of_the_recipe(channels_last: bool) -> None:
    net, part = MemoryFormatRecorder(), make_split(16, 4)
    recipe = Recipe(epochs=1, batch_size=8, crop=1, flip=True, channels_last=channels_last)
    Trainer(net, image_dataset(part, part, part, tuple("abcd")), recipe).run_epoch(1)
    assert net.seen == [channels_last] * 2


@pytest.mark.parametrize("channels_last", [True, False])
def test_predict_logits_preserves_the_memory_format(channels_last: bool) -> None:
    net, part = MemoryFormatRecorder(), make_split(16, 4)
    if channels_last:
        part = Split(part.inputs.contiguous(memory_format=torch.channels_last), part.labels)
    predict_logits(net, part, Normalize.of(part.inputs))
    assert net.seen == [channels_last]


def test_crop_is_a_window_of_the_reflection_padded_image() -> None:
    images = torch.randint(256, (50, 2, 6, 6), dtype=torch.uint8)
    shifts = torch.randint(-2, 3, (2, 50))
    flips = torch.arange(50) % 2 == 0
    padded = torch.nn.functional.pad(images.float(), (2, 2, 2, 2), mode="reflect").byte()
    for given in (images, images.contiguous(memory_format=torch.channels_last)):
        found = crop_and_flip(given, shifts, flips)
        assert found.is_contiguous(memory_format=torch.channels_last)
        for i, (row, column) in enumerate((shifts + 2).T.tolist()):
            window = padded[i, :, row : row + 6, column : column + 6]
            assert torch.equal(found[i], window.flip(2) if flips[i] else window)


def test_images_without_shifts_or_flips_are_copied() -> None:
    images = torch.randint(256, (5, 3, 8, 8), dtype=torch.uint8)
    found = crop_and_flip(images, None, None)
    assert torch.equal(found, images)
    assert found.data_ptr() != images.data_ptr()


def test_unknown_data_set_error_suggests_the_closest_name() -> None:
    with pytest.raises(InputError, match="unknown data set 'digit': did you mean 'digits'"):
        load(DataConfig(data="digit"))


def test_write_source_accepts_splits_that_share_memory(tmp_path: Path) -> None:
    path, whole = tmp_path / "made.safetensors", make_split(60, 4)
    half = Split(whole.inputs[::2], whole.labels[::2])
    write_source(image_source({"train": whole, "test": half}, tuple("abcd")), path)
    data = load(DataConfig(data=str(path)))
    assert data.test.inputs.equal(half.inputs)
    assert data.test.labels.equal(half.labels)


def test_written_data_set_file_can_be_loaded(tmp_path: Path) -> None:
    path = tmp_path / "deep/made.safetensors"
    images = image_source({"train": make_split(60, 4), "test": make_split(20, 4)}, tuple("abcd"))
    write_source(images, path)
    data = load(DataConfig(data=str(path)))
    assert (len(data.train) + len(data.val), len(data.test)) == (60, 20)
    assert data.classes == tuple("abcd")
    assert load(DataConfig(data=str(path), image_size=4)).train.inputs.shape[1:] == (3, 4, 4)


@pytest.mark.parametrize(
    ("images", "name", "message"),
    [
        ({"train": make_split(6, 2)}, "made.npz", "it must end in .safetensors"),
        ({"test": make_split(6, 2)}, "made.safetensors", "there is no split 'train', only"),
    ],
)
def test_write_source_raises_for_invalid_data_and_writes_nothing(
    images: dict[str, Split], name: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        write_source(image_source(images, ("a", "b")), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_file_without_a_data_set_raises(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "weights.safetensors"
    with pytest.raises(InputError, match=r"there is no file .*weights.safetensors"):
        load(DataConfig(data=str(path)))
    save_file({"fc.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(InputError, match="is not a decoded data set"):
        load(DataConfig(data=str(path)))
    save_file({"train.inputs": torch.zeros(2, 2)}, path, {"classes": '["a", "b"]'})
    with pytest.raises(InputError, match="is not a decoded data set"):
        load(DataConfig(data=str(path)))
    path.write_bytes(b"something else")
    with pytest.raises(InputError, match="is not a decoded data set"):
        load(DataConfig(data=str(path)))
