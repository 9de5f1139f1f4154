"""Bad names of variants and models, and models that fail: a clear message, and no finished run."""

import shlex
import sys
from pathlib import Path

import pytest

from bad_inputs import HTML, attempt

RECIPE = "--epochs 1 --batch-size 20 --monitor 0 --no-geometry --out new"
ESCAPE = "\x1b[31m"
MODULE = '''
import torch
from torch import nn

number = 3


class Net(nn.Module):
    """A linear layer, whose logits a function changes."""

    def __init__(self, change, classes=10):
        super().__init__()
        self.change, self.linear = change, nn.Linear(64, classes)

    def forward(self, x):
        return self.change(self.linear(x.flatten(1)))


def fail(_):
    raise RuntimeError("no <b>\\x1b[2J forward pass")


def raises(num_classes):
    raise KeyError("<b>boom\\x1b[31m</b>")


def exits(num_classes):
    raise SystemExit(3)


def frozen(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes)).requires_grad_(False)


def same(x):
    return x


def text(num_classes): return "no module"
def nothing(num_classes): return None
def more(num_classes): return Net(same, num_classes + 3)
def fewer(num_classes): return Net(same, 2)
def nans(num_classes): return Net(lambda x: x * float("nan"))
def infinite(num_classes): return Net(lambda x: x + float("inf"))
def words(num_classes): return Net(lambda x: "logits")
def empty(num_classes): return Net(lambda x: None)
def scalar(num_classes): return Net(torch.sum)
def first(num_classes): return Net(lambda x: x[:1])
def integers(num_classes): return Net(torch.Tensor.long)
def complex_numbers(num_classes): return Net(lambda x: x + 1j)
def maps(num_classes): return Net(lambda x: x[:, :, None, None].expand(-1, -1, 4, 4))
def transposed(num_classes): return Net(torch.t)
def fails(num_classes): return Net(fail)
def needs(num_classes, secret): return Net(same)
def double(num_classes): return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes)).double()
def weightless(num_classes): return nn.Sequential(nn.Flatten(), nn.Softmax(1))
def detached(num_classes): return Net(torch.Tensor.detach)
'''


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with modules of bad models."""
    (tmp_path / "badnets.py").write_text(MODULE)
    (tmp_path / "badsyntax.py").write_text("def (")
    (tmp_path / "folder").mkdir()
    (tmp_path / "badexit.py").write_text("raise SystemExit(0)")
    (tmp_path / "badloop.py").write_text("import badloop\nbadloop.net")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    for name in ("badnets", "badsyntax", "badexit", "badloop"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


VARIANTS = [
    ("", "unknown variant ''"),
    ("\n", "unknown variant '\\n'"),
    (ESCAPE, "unknown variant '\\x1b[31m'"),
    ("\u202egnp", "unknown variant"),
    (HTML, HTML),
    (f"{HTML}=mixup", HTML),
    ("name=mixup", "name=mixup"),
    ("../../x", "../../x"),
    ("/etc/passwd", "/etc/passwd"),
    ("x" * 300, "a str of 300"),
    ("x" * 5000, "a str of 5000"),
    ("[input]", "[input]"),
    ('{"a":1}', '{"a"'),
    ("final,", "final,"),
    ("mixup(", "mixup("),
    ("__class__", "__class__"),
    ("layer1.0", "layer1.0"),
    ("@", "unknown method ''"),
    (":", "unknown method ''"),
    ("+", "unknown variant '+'"),
    ("mixup@", "mixup@"),
    ("mixup:", "mixup:"),
    ("mixup@@", "mixup@@"),
    ("mixup@nowhere", "nowhere"),
    ("mixup@final@input", "final@input"),
    ("mixup@input,final", "input,final"),
    (f"mixup@{HTML}", HTML),
    (f"mixup@{ESCAPE}", "mix point"),
    ("auto@input", "auto"),
    ("random@x", "random"),
    ("mixup:alpha", "'alpha'"),
    ("mixup:alpha=", "alpha is ''"),
    ("mixup:alpha=x", "alpha is 'x'"),
    ("mixup:alpha=nan", "alpha is"),
    ("mixup:alpha=-1", "alpha is -1"),
    ("mixup:alpha=1e999", "alpha is inf"),
    ("mixup:alpha=1j", "1j"),
    ("mixup:alpha=True", "alpha is True"),
    ("mixup:alpha=[1", "alpha is '[1'"),
    ("mixup:alpha=" + "9" * 400, "alpha is"),
    ("mixup:alpha=" + "9" * 5000, "alpha is"),
    ("mixup:alpha=" + "(" * 3000, "alpha is"),
    ("mixup:alpha=1,alpha=2", "alpha"),
    ("cutmix:alpha=1,ratio=0.5", "ratio"),
    ("mixup:prob=2", "prob is 2"),
    ("mixup:prob=nan", "prob is"),
    ("mixup:prob=-0.1", "prob is -0.1"),
    ("mixup:ratio=2", "ratio is 2"),
    ("mixup:ratio=nan", "nan"),
    ("mixup:per=year", "'year'"),
    ("mixup:partner=nobody", "'nobody'"),
    ("mixup:partner=3", "partner is 3"),
    ("mixup:unknown=1", "'unknown'"),
    (f"mixup:{HTML}=1", HTML),
    ("multimix:k=0", "k of MultiMix is 0"),
    ("multimix:k=1.5", "k of MultiMix is 1.5"),
    ("multimix:k=1000000000000", "1000000000000"),
    ("multimix:low=3", "low of MultiMix is 3"),
    ("patchup:share=2", "share of Patches is 2"),
    ("gridmix:cells=0", "cells of Grid is 0"),
    ("local-mixup:k=0", "k of Nearest is 0"),
    ("mixup+", "mixup+"),
    ("mixup++cutmix", "mixup+"),
    ("mixup+mixup", "mixup"),
    ("mixup+none", "none"),
    ("none+none", "none"),
]


@pytest.mark.parametrize(("variant", "part"), VARIANTS, ids=[repr(v)[:40] for v, _ in VARIANTS])
def test_bad_variant_is_refused(
    variant: str, part: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"train --train-size 60 --model mlp {RECIPE} --variant".split()
    code, _, err = attempt([*words, variant], capsys)
    assert code == 2
    assert part in err
    assert not (here / "new").exists()


MODELS = [
    ("''", "unknown model ''"),
    ("'mlp '", "'mlp '"),
    ("resnet18:", "resnet18:"),
    ("timm:", "timm model ''"),
    ("timm:nothing", "'nothing'"),
    ("transformers:folder", "folder"),
    (":", "':'"),
    ("missing_module:net", "missing_module"),
    ("badnets:", "'badnets:'"),
    ("badnets:missing", "missing"),
    ("badsyntax:net", "badsyntax"),
    ("badexit:net", "badexit"),
    ("badloop:net", "badloop"),
    ("..:net", "'..:net'"),
    ("../badnets:more", "../badnets"),
    ("'a b:c'", "'a b:c'"),
    (f"'{ESCAPE}:x'", "cannot find the model"),
    (f"'{HTML}:x'", HTML),
    ("x" * 5000, "a str of 5000"),
    ("builtins:print", "builtins:print"),
    ("os:getcwd", "os:getcwd"),
    ("text-cnn", "token ids"),
    ("badnets:number", "badnets:number is"),
    ("badnets:nn", "badnets:nn is"),
    ("badnets:raises", "badnets:raises"),
    ("badnets:exits", "badnets:exits"),
    ("badnets:needs", "secret"),
    ("badnets:text", "returned a str"),
    ("badnets:nothing", "returned a NoneType"),
    ("badnets:more", "13"),
    ("badnets:fewer", "2"),
    ("badnets:nans", "NaN"),
    ("badnets:infinite", "loss"),
    ("badnets:words", "str"),
    ("badnets:empty", "NoneType"),
    ("badnets:scalar", "()"),
    ("badnets:first", "(1, 10)"),
    ("badnets:integers", "int64"),
    ("badnets:complex_numbers", "complex64"),
    ("badnets:maps", "4, 4"),
    ("badnets:transposed", "(10, "),
    ("badnets:fails", "forward pass"),
    ("badnets:frozen", "Sequential"),
    ("badnets:double", "Double"),
    ("badnets:weightless", "Sequential"),
    ("badnets:detached", "Net"),
]


@pytest.mark.parametrize(("model", "part"), MODELS, ids=[m[:30] for m, _ in MODELS])
def test_bad_model_is_refused(
    model: str, part: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"train --train-size 60 --model {model} {RECIPE} --variant none"
    code, _, err = attempt(shlex.split(words), capsys)
    assert code in (1, 2)
    assert part in err
    assert not (here / "new").exists()


@pytest.mark.parametrize("model", ["more", "fewer", "scalar", "words", "nans", "exits", "maps"])
def test_points_and_profile_of_a_bad_model_end_without_a_traceback(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in ("points --image-size 8 --channels 1", "profile --quantities knn gap"):
        assert attempt([*words.split(), "--model", f"badnets:{model}"], capsys).code in (0, 1, 2)
