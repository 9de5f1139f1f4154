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
from layermix.lab.data.modalities.images import MapInputs
from layermix.lab.data.modality import shape_text
from layermix.lab.data.table_columns import encoded_rows, features_of, input_column
from layermix.lab.reasons import reason_of

_RANGE = 80.0  # decibels below the loudest value of a sound, which is the floor
_MAX_RATE = 1_000_000  # samples per second; a damaged header can have any number
_UNKNOWN_SIZE = 0x7FFFF000  # this or more: the size of samples that were written to a pipe
_MAX_SAMPLE = 1 << 31  # of floating-point samples, whose squares are summed as float32
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
    column = input_column(features_of(tables), "sound", config)
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
    frequencies = _OVERLAP * max(1, rate // config.mels) // 2 + 1
    bands = mel_filters(config.mels, frequencies, rate).any(1)
    if (empty := int((~bands).sum())) > config.mels / 2:
        raise InputError(
            f"mels is {config.mels}, but {empty} of these bands have no frequency in sounds of "
            f"{rate} samples per second: use fewer"
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

    if not (value.get("bytes") or value.get("path")):
        raise InputError(f"{where} has a sound without bytes and path: add its bytes, or remove it")
    name = value.get("path") or "embedded in the table"
    sound = f"the sound at {where} ({name})"
    try:
        content, cut = _with_sizes(value.get("bytes") or Path(name).read_bytes())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # of unknown chunks
            rate, samples = wavfile.read(io.BytesIO(content))
    except (OSError, ValueError, struct.error, ZeroDivisionError) as error:
        has_channels = not isinstance(error, ZeroDivisionError)
        reason = reason_of(error) if has_channels else "wrong number of channels"
        raise RunError(
            f"cannot read {sound}: {reason}. Convert it to WAV (PCM), repair it or remove it"
        ) from error
    if problem := _problem_of(samples, rate) or ("is truncated" if cut else None):
        raise RunError(f"{sound} {problem}: repair it or remove it")
    return _in_unit_range(samples).reshape(len(samples), -1).mean(1), rate


def _with_sizes(content: bytes) -> tuple[bytes, bool]:
    """Return a WAV file up to its last sample, with the sizes it has; and True if it is truncated.

    Only the size in the chunk of the samples shows that. The size of the whole is often wrong.
    """
    if content[:4] not in (b"RIFF", b"RIFX", b"RF64"):
        return content, False
    order, at, frame = ">" if content[:4] == b"RIFX" else "<", 12, 1
    long = 0  # the size of the samples in RF64 files
    while at + 8 <= len(content):
        name, size = struct.unpack_from(f"{order}4sI", content, at)
        if name == b"data":
            break
        if name == b"fmt " and at + 22 <= len(content):
            frame = struct.unpack_from(f"{order}H", content, at + 20)[0] or 1
        if name == b"ds64" and at + 24 <= len(content):
            long = struct.unpack_from("<Q", content, at + 16)[0]
        at += 8 + size + size % 2
    else:
        return content, False
    rest = content[at + 8 :]
    empty = size == 0 and rest[:4] in (b"LIST", b"id3 ")
    unknown = not long and not empty and (size == 0 or size >= _UNKNOWN_SIZE)
    size = long or size
    kept = len(rest) - len(rest) % frame if unknown else min(size, len(rest))
    sizes = (struct.pack(f"{order}I", number) for number in (at + kept, kept))
    head = content[:4].replace(b"RF64", b"RIFF") + next(sizes) + content[8 : at + 4] + next(sizes)
    return head + rest[:kept], not unknown and kept < size


def _problem_of(samples: np.ndarray, rate: int) -> str | None:
    """Return the reason why the samples or the rate of a sound are not valid, or None."""
    if not len(samples):
        return "is empty"
    if not np.isfinite(samples).all():
        return "has samples that are not finite"
    if samples.dtype.kind == "f" and (highest := np.abs(samples).max()) > _MAX_SAMPLE:
        return f"has samples up to {highest:g}, but they must be at most {_MAX_SAMPLE:,}"
    if not 1 <= rate <= _MAX_RATE:
        return f"has {rate} samples per second, but must have from 1 to {_MAX_RATE:,}"
    return None


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
