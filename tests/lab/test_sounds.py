"""Tests of sounds: decoding, resampling, and log-mel spectrograms."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import wavfile
from scipy.signal import get_window

from layermix.errors import InputError, RunError
from layermix.lab.data import DataConfig, load
from layermix.lab.data.modalities.sounds import log_mel, mel_filters
from layermix.lab.data.sources import decode

RATE = 800


def tone(hertz: float, seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)


def sound_folder(folder: Path, count: int = 12, **settings) -> str:
    """Write tones of two pitches into a subfolder for each class."""
    rng = np.random.default_rng(0)
    for name, hertz in (("high", 300), ("low", 60)):
        (folder / name).mkdir(parents=True)
        for k in range(count):
            wave = 0.5 * tone(hertz + k, **settings) + 0.01 * rng.standard_normal(1)
            samples = (wave * 32767).astype(np.int16)
            wavfile.write(folder / name / f"{k}.wav", settings.get("rate", RATE), samples)
    return str(folder)


def test_spectrogram_equals_its_definition() -> None:
    samples, config = torch.randn(1, RATE, generator=torch.Generator().manual_seed(0)), DataConfig()
    found = log_mel(samples, RATE, config)[0, 0].double().numpy()
    hop = RATE // 32
    window = get_window("hann", 2 * hop)
    padded = np.pad(samples[0].double().numpy(), hop, mode="reflect")
    frames = np.stack([padded[k * hop : (k + 2) * hop] * window for k in range(32)], 1)
    power = np.abs(np.fft.rfft(frames, axis=0)) ** 2
    mel = mel_filters(32, hop + 1, RATE).double().numpy() @ power
    expected = 10 * np.log10(np.maximum(mel / mel.max(), 1e-8))
    assert np.abs(found - expected).max() < 0.01  # decibels


def test_filters_overlap_and_cover_the_band() -> None:
    filters = mel_filters(8, 401, RATE).double()
    assert filters.shape == (8, 401)
    assert filters.max() <= 1
    inner = filters.sum(0)[1 + filters[0].argmax() : filters[-1].argmax()]
    assert torch.allclose(inner, torch.ones_like(inner), atol=0.02)  # triangles in hertz


def test_a_tone_is_loudest_in_its_band() -> None:
    low, high = (torch.from_numpy(tone(hertz)).float()[None] for hertz in (60, 300))
    bands = [int(log_mel(x, RATE, DataConfig())[0, 0].mean(1).argmax()) for x in (low, high)]
    assert bands[0] < bands[1]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
def test_all_kinds_of_samples_give_the_same_spectrogram(tmp_path: Path, dtype: type) -> None:
    wave = 0.5 * tone(100)
    scale = {np.uint8: 127, np.int16: 32767, np.int32: 2**31 - 1, np.float32: 1}[dtype]
    (tmp_path / "set").mkdir()
    for name in ("a", "b"):
        (tmp_path / "set" / name).mkdir()
        for k in range(4):
            samples = (wave * scale + (128 if dtype is np.uint8 else 0)).astype(dtype)
            wavfile.write(tmp_path / "set" / name / f"{k}.wav", RATE, samples)
    found = decode(DataConfig(str(tmp_path / "set"))).splits["train"].inputs[0]
    expected = log_mel(torch.from_numpy(wave).float()[None], RATE, DataConfig())[0]
    loud = expected > -30
    assert (found - expected)[loud].abs().max() < (2.0 if dtype is np.uint8 else 0.1)


def test_sounds_of_other_rates_are_resampled(tmp_path: Path) -> None:
    folder = Path(sound_folder(tmp_path / "set"))
    wavfile.write(folder / "high" / "zz.wav", 2 * RATE, tone(300, rate=2 * RATE).astype(np.float32))
    inputs = decode(DataConfig(str(folder))).splits["train"].inputs
    bands = inputs.mean((1, 3)).argmax(1)
    assert bands.shape == (25,)
    assert len(bands.unique()) <= 4  # two pitches, which vary a little


@pytest.mark.parametrize("seconds", [0.3, 2.5])
def test_sounds_are_cut_or_padded_at_both_ends(tmp_path: Path, seconds: float) -> None:
    data = load(DataConfig(sound_folder(tmp_path / "set", seconds=seconds)))
    assert data.train.inputs.shape[1:] == (1, 32, 32)
    silent = data.train.inputs[0, 0].amax(0) < -60
    assert silent.any() == (seconds < 1)
    assert not silent[12:20].any()


def test_unreadable_sound_raises_with_its_place(tmp_path: Path) -> None:
    folder = Path(sound_folder(tmp_path / "set"))
    (folder / "low" / "zz.wav").write_bytes(b"RIFF0000WAVEnothing")
    with pytest.raises(RunError, match=r"cannot read the sound at row .*: Convert|cannot read the"):
        decode(DataConfig(str(folder)))


def test_folders_are_splits_and_classes(tmp_path: Path) -> None:
    for split in ("Train", "val", "testing"):
        sound_folder(tmp_path / split, 6)
    (tmp_path / "Train/low/0.wav").rename(tmp_path / "Train/low/0.WAV")
    sizes = {name: len(part) for name, part in decode(DataConfig(str(tmp_path))).splits.items()}
    assert sizes == {"train": 12, "validation": 12, "test": 12}


@pytest.mark.parametrize(
    ("name", "message"), [("low/a.mp3", "a.mp3"), ("metadata.csv", "metadata")]
)
def test_other_files_among_sounds_raise(tmp_path: Path, name: str, message: str) -> None:
    folder = sound_folder(tmp_path, 6)
    (tmp_path / name).write_text("?")
    with pytest.raises(InputError, match=f"has WAV files and {message}.*, which cannot be read"):
        decode(DataConfig(folder))


def test_sounds_without_samples_or_frames_raise(tmp_path: Path) -> None:
    folder = sound_folder(tmp_path, 6)
    with pytest.raises(InputError, match=r"seconds is 0\.01, which is shorter than two frames"):
        decode(DataConfig(folder, seconds=0.01))
    wavfile.write(tmp_path / "low/0.wav", RATE, np.zeros(0, np.int16))
    with pytest.raises(RunError, match=r"the sound at row .* is empty: repair it or remove it"):
        decode(DataConfig(folder))
