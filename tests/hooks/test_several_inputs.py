"""Tests of models with several inputs: all floating-point inputs are mixed together."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import layermix as lm
from layermix.hooks.batch import batch_size, first


class Pairs(nn.Module):
    """A model of two vectors and a category per example."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 6), nn.Linear(3, 6)
        self.kind, self.fc = nn.Embedding(2, 6), nn.Linear(6, 5)

    def forward(self, a: Tensor, b: Tensor, kind: Tensor, scale: float = 1.0) -> Tensor:
        return self.fc(torch.tanh(self.first(a) + self.second(b) * scale + self.kind(kind)))


def inputs(size: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    return torch.randn(size, 4), torch.randn(size, 3), torch.randint(2, (size,))


Y = torch.tensor([0, 1, 2, 3])


@pytest.mark.parametrize("shape", [tuple, list, dict])
def test_floating_inputs_are_mixed_and_integers_are_unchanged(shape: Any) -> None:
    net, (a, b, kind) = Pairs(), inputs()
    x = {"a": a, "b": b, "kind": kind} if shape is dict else shape((a, b, kind))
    mixer = lm.Mixer(net, at="input", seed=1, allow_partial=True)
    with pytest.warns(UserWarning, match="'kind' cannot be mixed and stays"):
        output, _ = mixer(x, Y)
    plan = lm.Mixer(net, at="input", seed=1).draw(4)
    torch.testing.assert_close(output, net(lm.mix(a, plan), lm.mix(b, plan), kind))


def test_positional_and_keyword_inputs_are_mixed_together() -> None:
    net, (a, b, kind) = Pairs(), inputs()
    mixer = lm.Mixer(net, at="input", seed=1, allow_partial=True)
    plan = mixer.draw(4)
    with pytest.warns(UserWarning, match="not cuts"), mixer.apply(plan):
        output = net(a, b=b, kind=kind, scale=2.0)
    torch.testing.assert_close(output, net(lm.mix(a, plan), lm.mix(b, plan), kind, 2.0))


def test_additional_integer_input_raises_with_its_name() -> None:
    with pytest.raises(lm.InputError) as error:
        lm.Mixer(Pairs(), at="input")(inputs(), Y)
    message = str(error.value)
    assert message.startswith("mix point 'input' is not a cut of the network: ")
    assert "'kind' cannot be mixed and stays" in message
    assert message.endswith("mix it anyway with allow_partial=True")


def test_constant_integer_input_raises() -> None:
    a, b, _ = inputs()
    for kind in (torch.zeros(4, dtype=torch.int64), torch.ones(4, dtype=torch.int64)):
        with pytest.raises(lm.InputError, match="'kind' cannot be mixed"):
            lm.Mixer(Pairs(), at="input")((a, b, kind), Y)


def test_integer_input_constant_in_the_first_examples_raises() -> None:
    """The probe chooses examples that differ, because the model rejects other integers."""

    class Known(Pairs):
        def forward(self, a: Tensor, b: Tensor, kind: Tensor, scale: float = 1.0) -> Tensor:
            if not torch.isin(kind, torch.tensor([3, 7])).all():
                raise ValueError("an unknown kind")
            return super().forward(a, b, (kind == 7).long(), scale)

    a, b, _ = inputs(6)
    with pytest.raises(lm.InputError, match="'kind' cannot be mixed"):
        lm.Mixer(Known(), at="input").check((a, b, torch.tensor([7, 7, 7, 7, 3, 7])))


@pytest.mark.parametrize("point", ["final", "logits"])
def test_final_and_logits_are_mixed_with_several_inputs(point: str) -> None:
    net, x = Pairs(), inputs()
    assert point in lm.points(net, x, all=True).names
    output, target = lm.Mixer(net, at=point)(x, Y)
    assert target.loss(output).isfinite()


def test_eval_mode_does_not_mix_several_inputs() -> None:
    net, x = Pairs().eval(), inputs()
    with torch.no_grad():
        assert lm.Mixer(net, at="input")(x, Y)[0].equal(net(*x))


def test_activations_and_capture_accept_several_inputs() -> None:
    net, x = Pairs(), inputs()
    assert lm.activations(net, x, "final")["final"].shape == (4, 6)
    capture = lm.FeatureCapture(net, "first")
    capture.check(x)
    net(*x)
    assert capture["first"].shape == (4, 6)


def test_first_examples_keep_values_without_a_batch_dimension() -> None:
    a, b, kind = inputs()
    table = torch.randn(7, 2)
    few: Any = first((a, [b, kind], table, "text"), 2)
    assert [few[0].shape, few[1][0].shape, few[1][1].shape] == [(2, 4), (2, 3), (2,)]
    assert few[2] is table
    assert few[3] == "text"


def test_batch_size_is_that_of_the_main_input() -> None:
    a, b, _ = inputs()
    assert batch_size((a, b)) == 4
    assert batch_size({"scale": torch.tensor(1.0), "a": a}) == 4


def test_integer_main_input_raises() -> None:
    class Ids(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.fc = nn.Embedding(9, 4), nn.Linear(4, 5)

        def forward(self, ids: Tensor, weight: Tensor) -> Tensor:
            return self.fc((self.embed(ids) * weight[..., None]).sum(1))

    x = (torch.randint(9, (4, 3)), torch.rand(4, 3))
    with pytest.raises(lm.InputError, match="such as token ids, which cannot be mixed"):
        lm.Mixer(Ids(), at="input").check(x)


def test_batch_without_a_tensor_raises() -> None:
    with pytest.raises(lm.InputError) as error:
        lm.Mixer(Pairs(), at="final")((1, "two"), Y)
    assert str(error.value) == (
        "the batch is of type tuple of int, str, none of which is a tensor: convert it with "
        "torch.as_tensor, with the examples along the first dimension"
    )
