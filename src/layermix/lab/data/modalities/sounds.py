"""Sounds as log-mel spectrograms: power in decibels, by mel band and frame.

The mel scale is that of O'Shaughnessy (1987), mel = 2595 log10(1 + f / 700), with triangular
filters of equal height between 0 and half of the sampling rate.

Shapes: N sounds, S samples, M mel bands, T frames, K frequencies.
"""

import io
import struct
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from layermix.errors import InputError, RunError
from layermix.lab.data.config import DataConfig
from layermix.lab.data.hugging_face import (
    column_of,
    columns_of_type,
    encoded_rows,
    features_of,
    named_columns,
)
from layermix.lab.data.modalities.images import MapInputs
from layermix.lab.data.modality import shape_text

AUDIO_NAMES = ("audio", "sound", "speech")
_RANGE = 80.0  # decibels below the loudest value of a sound, which is the floor
_OVERLAP = 2  # the window has so many times the samples between two frames


@dataclass(frozen=True)
class SoundInputs(MapInputs):
    """Log-mel spectrograms in decibels relative to the loudest value, float32 (N, 1, M, T)."""

    rate: int  # samples per second

    name: ClassVar[str] = "sound"
    noun: ClassVar[str] = "sounds"

    def problem(self, inputs: Tensor) -> str | None:
        """Return the reason why inputs cannot be stored, or None."""
        if inputs.dtype != torch.float32 or inputs.ndim != 4:
            return f"spectrograms must be float32 (N, 1, M, T), but are {shape_text(inputs)}"
        return None

    def read_more(
        self, tables: Mapping[str, Any], config: DataConfig, shape: Sequence[int]
    ) -> dict[str, Tensor]:
        """Read other sounds, resampled to the rate of these."""
        found = _spectrograms(tables, config, self.rate)[0]
        for split in found.values():
            if split.shape[1:] != tuple(shape):
                raise InputError(
                    f"the other sounds become spectrograms of shape {tuple(split.shape[1:])}, but "
                    f"those of the study are {tuple(shape)}: use its seconds and mels"
                )
        return found


def read_sound_table(
    tables: Mapping[str, Any], config: DataConfig
) -> tuple[dict[str, Tensor], SoundInputs]:
    """Read the sounds of each split; return spectrograms with their modality."""
    found, rate = _spectrograms(tables, config, None)
    return found, SoundInputs(rate)


def _spectrograms(
    tables: Mapping[str, Any], config: DataConfig, rate: int | None
) -> tuple[dict[str, Tensor], int]:
    """Return the spectrograms of each split, and their rate, by default that of the first sound."""
    features = features_of(tables)
    found = columns_of_type(features, "Audio") or named_columns(features, AUDIO_NAMES)
    column = column_of(features, config.audio_column, found, "audio")
    sounds = {}
    for name, table in tables.items():
        values = enumerate(encoded_rows(table, column))
        read = [_read(value, f"row {k} of split {name!r}") for k, value in values]
        if not read:
            raise InputError(f"the split {name!r} has no sounds")
        rate = rate or read[0][1]
        sounds[name] = [_resampled(samples, own, rate) for samples, own in read]
    assert rate is not None
    size = round(config.seconds * rate)
    if size < _OVERLAP * max(1, rate // config.mels):
        raise InputError(
            f"seconds is {config.seconds}, which is shorter than two frames of {1 / config.mels:g} "
            "seconds: use longer sounds, or more --mels"
        )
    spectrograms = {
        name: log_mel(torch.from_numpy(np.stack([_fitted(s, size) for s in split])), rate, config)
        for name, split in sounds.items()
    }
    return spectrograms, rate


def log_mel(samples: Tensor, rate: int, config: DataConfig) -> Tensor:
    """Return the log-mel spectrograms of sounds, float32 (N, S), as float32 (N, 1, M, T)."""
    hop = max(1, rate // config.mels)
    window = torch.hann_window(_OVERLAP * hop)
    spectrum = torch.stft(samples, len(window), hop, window=window, return_complex=True)
    frames = max(1, samples.shape[1] // hop)
    power = spectrum.abs().square()[..., :frames]  # (N, K, T)
    mel = mel_filters(config.mels, power.shape[1], rate) @ power  # (N, M, T)
    loudest = mel.amax((1, 2), keepdim=True).clamp(min=torch.finfo(mel.dtype).tiny)
    decibels = 10 * (mel / loudest).clamp(min=10 ** (-_RANGE / 10)).log10()
    return decibels.unsqueeze(1)


def mel_filters(bands: int, frequencies: int, rate: int) -> Tensor:
    """Return triangular filters of equal width on the mel scale, float32 (M, K)."""
    highest = 2595 * np.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, highest, bands + 2) / 2595) - 1)  # Hz
    hertz = np.linspace(0, rate / 2, frequencies)
    low, peak, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rise, fall = (hertz - low) / (peak - low), (high - hertz) / (high - peak)
    return torch.from_numpy(np.clip(np.minimum(rise, fall), 0, None)).float()


def _read(value: Any, where: str) -> tuple[np.ndarray, int]:
    """Return the samples of a sound, float32 (S,), the mean of its channels; and its rate."""
    if not isinstance(value, dict) or not {"bytes", "path"} & set(value):
        raise InputError(
            f"{where} has no encoded sound, but {type(value).__name__}: use another column with "
            "--audio-column"
        )
    from scipy.io import wavfile

    name = value.get("path") or "embedded in the table"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # of other chunks of a file
            rate, samples = wavfile.read(io.BytesIO(value["bytes"] or Path(name).read_bytes()))
    except (OSError, ValueError, struct.error) as error:
        raise RunError(
            f"cannot read the sound at {where} ({name}): {error}. Convert it to WAV (PCM), repair "
            "it or remove it"
        ) from error
    if not len(samples) or not np.isfinite(samples).all():
        problem = "has samples that are not finite" if len(samples) else "is empty"
        raise RunError(f"the sound at {where} ({name}) {problem}: repair it or remove it")
    return _in_unit_range(samples).reshape(len(samples), -1).mean(1), rate


def _in_unit_range(samples: np.ndarray) -> np.ndarray:
    """Return samples as float32; integers are divided, so that they are in [-1, 1]."""
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128) / 128
    if samples.dtype.kind == "i":
        return samples.astype(np.float32) / -np.float32(np.iinfo(samples.dtype).min)
    return samples.astype(np.float32)


def _resampled(samples: np.ndarray, own: int, rate: int) -> np.ndarray:
    from scipy.signal import resample_poly

    if own == rate or not len(samples):
        return samples
    common = gcd(own, rate)
    return resample_poly(samples, rate // common, own // common).astype(np.float32)


def _fitted(samples: np.ndarray, size: int) -> np.ndarray:
    """Return a sound of `size` samples: its middle, or all of it between silence."""
    start = max(0, (len(samples) - size) // 2)
    samples = samples[start : start + size]
    before = (size - len(samples)) // 2
    return np.pad(samples, (before, size - len(samples) - before)).astype(np.float32)
