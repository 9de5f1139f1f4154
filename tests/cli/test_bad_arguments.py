"""Bad arguments of every command: a clear message, and nothing is written."""

import shlex
import sys
from pathlib import Path

import pytest

from bad_inputs import HTML, attempt, files_below

HUGE, LONG = "9" * 30, "x" * 5000
RECIPE = "--model mlp --epochs 1 --batch-size 20 --monitor 0 --no-geometry"
TRAIN = f"train --train-size 60 {RECIPE} --out new"
COMPARE = f"compare --train-size 60 {RECIPE} --workers 1 --out new"
ONE = f"{COMPARE} --variants none --seeds 1"
PROFILE = "profile --model mlp --quantities knn"
ESCAPE = "\x1b[31m"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a file, an empty folder, a full one, and links to nowhere."""
    folder = tmp_path / "outer/here"
    folder.mkdir(parents=True)
    (folder / "file").write_text("x")
    (folder / "folder").mkdir()
    (folder / "full").mkdir()
    (folder / "full/x").write_text("x")
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("nowhere")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setenv("LAYERMIX_CACHE", str(tmp_path / "cache"))
    return folder


NUMBERS = [
    ("--epochs", "-1", "epochs is -1"),
    ("--epochs", "nan", "--epochs"),
    ("--epochs", HUGE, HUGE),
    ("--epochs", "1.5", "--epochs"),
    ("--epochs", "", "--epochs"),
    ("--batch-size", "-1", "batch_size is -1"),
    ("--lr", "nan", "lr is nan"),
    ("--lr", "inf", "lr is inf"),
    ("--lr", "-1", "lr is -1.0"),
    ("--alpha", "nan", "alpha is nan"),
    ("--alpha", "inf", "alpha is inf"),
    ("--warmup", "nan", "warmup is nan"),
    ("--warmup", "1", "warmup is 1.0"),
    ("--momentum", "-1", "momentum is -1.0"),
    ("--weight-decay", "nan", "weight_decay is nan"),
    ("--weight-decay", "inf", "weight_decay is inf"),
    ("--weight-decay", "-1", "weight_decay is -1.0"),
    ("--bias-lr", "0", "bias_lr is 0.0"),
    ("--label-smoothing", "1", "label_smoothing is 1.0"),
    ("--crop", "-1", "crop is -1"),
    ("--crop", HUGE, "crop is"),
    ("--snnl-weight", "nan", "snnl_weight is nan"),
    ("--snnl-weight", "1e308", "1e+308"),
    ("--snnl-weight", "1 --snnl-at nowhere", "nowhere"),
    ("--monitor", "-1", "monitor is -1"),
    ("--seed", "-1", "seed is -1"),
    ("--seed", "1.5", "--seed"),
    ("--threads", "-1", "threads is -1"),
    ("--threads", "0", "threads is 0"),
    ("--threads", HUGE, HUGE),
    ("--checkpoint-every", "nan", "checkpoint_every is nan"),
    ("--checkpoint-every", "-1", "checkpoint_every is -1.0"),
    ("--device", "''", "device ''"),
    ("--device", "tpu", "device 'tpu'"),
    ("--device", "cuda:99", "device 'cuda:99'"),
    ("--device", "meta", "device 'meta'"),
    ("--device", "mps", "device 'mps'"),
    ("--device", ESCAPE, "device"),
    ("--optimizer", "adam", "--optimizer"),
    ("--augment", "x", "--augment"),
    ("--out", "file", "file"),
    ("--out", "folder", "folder"),
    ("--out", "loop", "loop"),
    ("--out", "loop/x", "loop/x"),
    ("--out", "file/x", "file/x"),
    ("--out", "..", ".."),
    ("--out", LONG, "too long"),
    ("--out", "x" * 300, "too long"),
]
OF_DATA = [
    ("--train-size 0", "train_size is 0"),
    ("--train-size -1", "train_size is -1"),
    (f"--train-size {HUGE}", HUGE),
    ("--image-size 100000", "100000"),
    (f"--image-size {HUGE}", HUGE),
    ("--label-noise nan", "label_noise is nan"),
    ("--label-noise 1", "label_noise is 1.0"),
    ("--max-length 0", "max_length is 0"),
    ("--seconds nan", "seconds is nan"),
    ("--seconds inf", "seconds is inf"),
    ("--mels 1", "mels is 1"),
    ("--modality table", "table"),
    ("--data file", "file"),
    ("--data ''", "''"),
    ("--data loop", "loop"),
    ("--data folder", "folder"),
    ("--data full", "full"),
    (f"--data {LONG}", "too long"),
    (f"--data '{ESCAPE}'", "data set"),
    (f"--data '{HTML}'", HTML),
    ("--data a/b:c", "a/b:c"),
    ("--data folder.safetensors", "folder.safetensors"),
]
COMPARED = [
    ("--variants none --seeds -1", "seeds is -1"),
    (f"--variants none --seeds {HUGE}", HUGE),
    ("--variants none --seeds 1 --margin nan", "margin is nan"),
    ("--variants none --seeds 1 --margin inf", "margin is inf"),
    ("--variants none --looks 6", "looks are [6]"),
    ("--variants none --looks 8 6", "looks are [8, 6]"),
    ("--variants none --looks -6 6", "looks are [-6, 6]"),
    ("--variants none --looks 6 8 --seeds 3", "seeds is 3"),
    ("--variants none none --seeds 1", "'none' is given 2 times"),
    ("--variants mixup mixup@input --seeds 1", "are the same"),
    (f"--variants '{HTML}' --seeds 1", HTML),
    ("--variants ../../x --seeds 1", "../../x"),
    ("--variants '' --seeds 1", "''"),
    ("--variants none --seeds 1 --threads -3", "threads is -3"),
    (f"--variants none --seeds 1 --threads {HUGE}", f"threads is {HUGE}"),
    ("--variants none --seeds 1 --checkpoint-every nan", "checkpoint_every is nan"),
    ("--variants none --seeds 1 --stall-timeout 0", "stall_timeout is 0.0"),
    ("--variants none --seeds 1 --engine slurm", "--engine"),
    ("--variants none --seeds 1 --engine ray --ray-gpus nan", "ray_gpus is nan"),
    ("--variants none --seeds 1 --epochs 1 0", "epochs is 0"),
    ("--variants none --seeds 1 --tune alpha", "'alpha'"),
    ("--variants none --seeds 1 --tune weight-decay=nan,1", "weight_decay is nan"),
    ("--variants none --seeds 1 --tune weight-decay=1,1", "weight"),
    ("--variants none --seeds 1 --tune epochs=1.5,2", "epochs=1.5,2"),
    (f"--variants none --seeds 1 --tune '{HTML}=1,2'", HTML),
]
LEVELS = [
    ("--train-sizes 60 60", "[60, 60]"),
    ("--train-sizes 60 -1", "-1"),
    ("--train-sizes 60 9999", "9999"),
    ("--train-sizes 60 70 --train-size 60", "train_size"),
    ("--label-noise 0 nan", "label_noise is nan"),
    ("--label-noise", "label"),
]
OTHERS = [
    ("points --image-size -1", "image-size is -1"),
    ("points --model mlp --image-size 1000000", "1000000"),
    (f"points --image-size {HUGE}", HUGE),
    ("points --classes 10000000000", "10000000000"),
    ("points --data loop", "loop"),
    ("points extra", "extra"),
    ("methods x", "x"),
    (f"methods '{ESCAPE}'", "Unrecognized"),
    (f"{PROFILE} --classes 0", "classes is 0"),
    (f"{PROFILE} --classes -3", "-3"),
    (f"{PROFILE} --image-size {HUGE}", HUGE),
    (f"{PROFILE} --seed {HUGE}", HUGE),
    (f"{PROFILE} --examples 0", "0"),
    (f"{PROFILE} --examples nan", "--examples"),
    (f"{PROFILE} --points '{ESCAPE}'", "mix point"),
    (f"{PROFILE} --quantities '{HTML}'", HTML),
    (f"{PROFILE} --weights folder", "folder"),
    (f"{PROFILE} --weights {LONG}", "weights"),
    (f"{PROFILE} --run file", "file"),
    (f"{PROFILE} --run '{ESCAPE}'", "not the folder"),
    (f"{PROFILE} --out x.txt", "x.txt"),
    (f"{PROFILE} --out file/x.json", "file"),
    ("meta loop", "loop"),
    ("meta folder ./folder", "folder"),
    ("meta --size -1", "-1"),
    ("meta --pairs 1", "1"),
    (f"meta --measure '{HTML}'", HTML),
    ("meta --out file/x", "file/x"),
    ("compare train", "train"),
    (f"'{ESCAPE}'", "Unrecognized"),
]
OTHERS += [
    (f"{command} {shlex.quote(folder)}", part)
    for command in ("report", "runs", "work", "evaluate")
    for folder, part in [
        ("file", "file"),
        ("loop", "loop"),
        (ESCAPE, "no study"),
        (HTML, HTML),
        (LONG, "too long"),
    ]
]
CASES = [(f"{TRAIN} {flag} {value}", part) for flag, value, part in NUMBERS]
CASES += [(f"train {words} {RECIPE} --out new", part) for words, part in OF_DATA]
CASES += [(f"{COMPARE} {words}", part) for words, part in COMPARED]
CASES += [
    (f"compare {words} {RECIPE} --workers 1 --variants none --seeds 1 --out new", part)
    for words, part in LEVELS
]
CASES += OTHERS


def name(words: str) -> str:
    """Return the name of a case: the first and the last words of the command, shortened."""
    shown = [word[:24] for word in words.replace(ESCAPE, "ESC").split()]
    return " ".join([shown[0], *shown[1:][-4:]])


@pytest.mark.parametrize(("words", "part"), CASES, ids=[name(words) for words, _ in CASES])
def test_bad_argument_is_refused_and_nothing_is_written(
    words: str, part: str, here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_below(tmp_path)
    code, _, err = attempt(shlex.split(words), capsys)
    assert code in (1, 2)
    assert part in " ".join(err.split())
    assert files_below(tmp_path) - before == set()
    assert here.is_dir()


@pytest.mark.parametrize("out", [ESCAPE, "a\rb", "a\x9b31mb"], ids=["escape", "return", "csi"])
@pytest.mark.parametrize("command", [TRAIN, f"{PROFILE}"], ids=["train", "profile"])
def test_control_characters_of_a_path_are_not_printed(
    command: str, out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    suffix = ".json" if command == PROFILE else ""
    code, _, _ = attempt([*command.split(), "--out", out + suffix], capsys)
    assert code == 0
