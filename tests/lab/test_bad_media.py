"""Bad images and sounds: each is refused by name, or read correctly."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from images_on_disk import png
from layermix.errors import RunError
from layermix.lab.data import DataConfig
from layermix.lab.data.modalities.sounds import _read
from layermix.lab.data.sources import decode
from media_folders import all_inputs, image_folder, refuse, sound_folder, wav

pytestmark = pytest.mark.usefixtures("empty_caches")
MODES: list[tuple[str, str, dict[str, Any]]] = [
    ("CMYK", "JPEG", {}),
    ("RGB", "GIF", {}),
    ("P", "PNG", {"transparency": 0}),
    ("LA", "PNG", {}),
    ("1", "PNG", {}),
    ("RGBA", "PNG", {}),
    ("YCbCr", "JPEG", {}),
]


def saved(pixels: np.ndarray, kind: str = "PNG", mode: str | None = None, **options: Any) -> bytes:
    """Return an encoded image."""
    buffer, image = io.BytesIO(), Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + check


def empty_png(width: int, height: int) -> bytes:
    """Return a PNG that declares a size, and has no pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def patched(at: int, kind: str, value: int) -> bytes:
    """Return a WAV file with another number in its header."""
    part = struct.pack(kind, value)
    return wav()[:at] + part + wav()[at + len(part) :]


FULL = np.arange(64).reshape(8, 8)
IMAGES = {
    "zero bytes": (b"", "bad.png"),
    "text": (b"hello", "bad.png"),
    "document": (b"%PDF-1.4", "bad.png"),
    "truncated PNG": (png(0)[:60], "truncated"),
    "truncated JPEG": (saved(np.zeros((8, 8, 3), np.uint8), "JPEG")[:200], "bad.png"),
    "damaged chunk": (png(0)[:40] + b"\xff" * 20 + png(0)[40:], "bad.png"),
    "damaged WebP": (b"RIFF\0\0\0\0WEBPVP8 ", "bad.png"),
    "60000 x 60000 pixels": (empty_png(60_000, 60_000), "bad.png"),
    "2**31 pixels wide": (empty_png(2**31 - 1, 2**31 - 1), "bad.png"),
    "12000 x 12000 pixels": (empty_png(12_000, 12_000), "bad.png"),
    "no pixels": (empty_png(0, 0), "bad.png"),
    "another size": (png(0, 9), "--image-size"),
    "one pixel": (png(0, 1), "--image-size"),
    "dark 16 bits": (saved(FULL.astype(np.uint16)), "16-bit"),
    "floats": (saved(FULL.astype(np.float32), "TIFF"), "floating-point"),
}
SOUNDS = {
    "zero bytes": (b"", "bad.wav"),
    "text": (b"hello", "bad.wav"),
    "head alone": (b"RIFF", "bad.wav"),
    "truncated head": (wav()[:30], "bad.wav"),
    "truncated samples": (wav()[:100], "bad.wav"),
    "truncated samples with a wrong size of the whole": (patched(4, "<I", 92)[:100], "truncated"),
    "one byte less": (wav()[:-1], "bad.wav"),
    "no samples before notes": (wav(samples=[]) + b"LIST\4\0\0\0INFO", "is empty"),
    "no samples": (wav()[:44], "is empty"),
    "declared without samples": (wav(samples=[]), "is empty"),
    "NaN": (wav(samples=np.full(800, np.nan), dtype=np.float32), "not finite"),
    "infinite": (wav(samples=np.full(800, np.inf), dtype=np.float32), "not finite"),
    "1e38": (wav(samples=np.full(800, 1e38), dtype=np.float32), "bad.wav"),
    "rate 0": (patched(24, "<I", 0), "bad.wav"),
    "rate 2**31": (wav(rate=2**31 - 1), "bad.wav"),
    "no channels": (patched(22, "<H", 0), "bad.wav"),
    "60000 channels": (patched(22, "<H", 60_000), "bad.wav"),
    "unknown format": (patched(20, "<H", 99), "bad.wav"),
    "no format": (b"RIFF\x24\0\0\0WAVEdata\0\0\0\0", "bad.wav"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_bad_image_is_named(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, part = IMAGES[name]
    folder = image_folder(tmp_path / "images")
    (folder / "cat/bad.png").write_bytes(content)
    refuse(folder, part, capsys)
    if "pixels" in name:
        refuse(folder, part, capsys, "--image-size", "4")


@pytest.mark.parametrize("name", SOUNDS)
def test_bad_sound_is_named(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, part = SOUNDS[name]
    folder = sound_folder(tmp_path / "sounds")
    (folder / "cat/bad.wav").write_bytes(content)
    refuse(folder, part, capsys)


def test_first_sound_with_a_wrong_rate_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = sound_folder(tmp_path / "sounds")
    (folder / "cat/0.wav").write_bytes(wav(rate=2**31 - 1))
    refuse(folder, "0.wav", capsys)


SETTINGS = ["--seconds 1e9", "--seconds inf", "--seconds 1e308", "--seconds 0.01", "--mels 300"]
SETTINGS += [f"--mels {'9' * 30}", "--label-column x", "--audio-column x", "--image-size 8"]


@pytest.mark.parametrize("flags", SETTINGS)
def test_bad_setting_of_sounds_is_named(
    flags: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flag = flags.split()[0].strip("-").split("-")[0]
    name = {"label": "'x'", "audio": "'x'", "image": "image_size"}.get(flag, flag)
    refuse(sound_folder(tmp_path / "sounds"), name, capsys, *flags.split())


@pytest.mark.parametrize(("mode", "kind", "options"), MODES, ids=[f"{m} {k}" for m, k, _ in MODES])
def test_white_image_of_another_mode_remains_white(
    mode: str, kind: str, options: dict[str, Any], tmp_path: Path
) -> None:
    folder = image_folder(tmp_path / "images")
    content = saved(np.full((8, 8, 3), 255, np.uint8), kind, mode, **options)
    (folder / f"cat/bad.{kind.lower()}").write_bytes(content)
    assert sum(bool((image > 250).all()) for image in all_inputs(folder)) == 1


def test_first_frame_of_an_animation_is_read(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "images")
    frames = [Image.fromarray(np.full((8, 8, 3), v, np.uint8)) for v in (255, 0, 0)]
    frames[0].save(folder / "cat/bad.gif", save_all=True, append_images=frames[1:])
    assert sum(bool((image == 255).all()) for image in all_inputs(folder)) == 1


PIPED = 0xFFFFFFFF
HEADERS = [(4, PIPED, 40, PIPED), (4, PIPED, 40, 0x7FFFF000), (4, 0, 40, 0), (4, 36, 40, 0)]
HEADERS += [(4, 1644, 40, 1600), (4, 0, 40, 1600)]


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("more", [b"", b"LIST\4\0\0\0INFO"])
def test_sound_with_wrong_sizes_in_its_header_is_read(
    header: tuple[int, ...], more: bytes, tmp_path: Path
) -> None:
    folder = sound_folder(tmp_path / "sounds")
    expected = decode(DataConfig(str(folder))).splits["train"].inputs
    for path in folder.rglob("*.wav"):
        content = bytearray(path.read_bytes())
        for at, size in (header[:2], header[2:]):
            struct.pack_into("<I", content, at, size)
        path.write_bytes(content + more * (header[3] == 1600))
    assert torch.equal(decode(DataConfig(str(folder))).splits["train"].inputs, expected)


def test_cut_sound_that_was_written_to_a_pipe_is_read_to_its_last_sample() -> None:
    content = bytearray(wav(samples=np.arange(8).reshape(4, 2)))
    struct.pack_into("<I", content, 40, PIPED)
    samples, rate = _read({"bytes": bytes(content[:-1])}, "row 0")
    assert (samples * 2**15).tolist() == [0.5, 2.5, 4.5]
    assert rate == 800


@pytest.mark.parametrize("size", [10, 0, 12])
def test_rf64_file_is_read_up_to_its_last_sample(size: int) -> None:
    plain = wav(samples=np.arange(5))
    sizes = b"ds64" + struct.pack("<IQQQI", 28, 0, size, 0, 0)
    head = b"RF64" + plain[4:12] + sizes + plain[12:40] + struct.pack("<I", PIPED)
    sound = {"bytes": head + plain[44:] + b"LI" * (size == 10)}
    if size == 12:
        with pytest.raises(RunError, match="is truncated"):
            _read(sound, "row 0")
    else:
        assert (_read(sound, "row 0")[0] * 2**15).tolist() == [0, 1, 2, 3, 4]
