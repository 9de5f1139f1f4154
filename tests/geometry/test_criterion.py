"""SoftNearestNeighborLoss equals the measure and has exact gradients."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import layermix as lm


def batch(seed: int = 0, n: int = 20) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 4
    x = torch.randn(n, 5, generator=generator, dtype=torch.float64)
    return x + torch.eye(4, 5, dtype=torch.float64)[y], y


@pytest.mark.parametrize("temperature", [0.1, 2.0, 50.0, None])
def test_criterion_equals_the_measure(temperature: float | None) -> None:
    x, y = batch()
    loss = lm.SoftNearestNeighborLoss(temperature)(x, y)
    assert float(loss) == pytest.approx(lm.snnl(x, y, temperature).value, rel=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 5.0])
def test_gradients_pass_gradcheck(temperature: float) -> None:
    x, y = batch(n=12)
    y[0] = 9  # the only example of its class
    criterion = lm.SoftNearestNeighborLoss(temperature)
    assert torch.autograd.gradcheck(lambda x: criterion(x, y), x.requires_grad_())


def test_gradient_at_best_temperature_equals_that_of_minimum() -> None:
    x, y = batch()
    x.requires_grad_()
    criterion = lm.SoftNearestNeighborLoss()
    criterion(x, y).backward()
    assert x.grad is not None
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).double()
    step = 1e-4
    with torch.no_grad():
        up, down = (lm.snnl(x + s * step * direction, y).value for s in (1, -1))
    assert float((x.grad * direction).sum()) == pytest.approx((up - down) / (2 * step), rel=1e-3)


def test_gradient_of_temperature_passes_gradcheck() -> None:
    x, y = batch()
    temperature = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: lm.SoftNearestNeighborLoss()(x, y, t), temperature)


def test_entangle_is_the_negative_of_disentangle() -> None:
    x, y = batch()
    apart, together = (lm.SoftNearestNeighborLoss(1.0, s) for s in ("disentangle", "entangle"))
    assert float(together(x, y)) == -float(apart(x, y))


@pytest.mark.parametrize(("sense", "ends"), [("disentangle", "lower"), ("entangle", "higher")])
def test_training_changes_the_snnl_in_the_chosen_sense(sense: Any, ends: str) -> None:
    torch.manual_seed(0)
    x, y = batch(n=64)
    net = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 4)).double()
    before = lm.snnl(lm.activations(net, x, "1")["1"], y).value
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    criterion = lm.SoftNearestNeighborLoss(sense=sense)
    for _ in range(30):
        optimizer.zero_grad()
        criterion(net[1](net[0](x)), y).backward()
        optimizer.step()
    after = lm.snnl(lm.activations(net, x, "1")["1"], y).value
    assert after < before if ends == "lower" else after > before


@pytest.mark.parametrize("labels", [[0, 1, 2], [0, 0, 0]])
def test_loss_is_zero_without_pairs_or_other_classes(labels: list[int]) -> None:
    x = torch.randn(3, 2, requires_grad=True)
    loss = lm.SoftNearestNeighborLoss(1.0)(x, torch.tensor(labels))
    loss.backward()
    assert float(loss.detach()) == 0
    assert x.grad is not None
    assert not x.grad.any()


def test_half_precision_is_computed_in_float32() -> None:
    x, y = batch()
    loss = lm.SoftNearestNeighborLoss(2.0)(x.bfloat16(), y)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(lm.snnl(x.bfloat16(), y, 2.0).value, rel=1e-4)


def tight_classes(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return classes whose distances within a class are below the resolution of float32."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(24) % 3
    x = 1e-3 * torch.randn(24, 6, generator=generator) + 10 * torch.eye(3, 6)[y]
    return x, y % 2


@pytest.mark.parametrize("temperature", [1e-6, 1.0, None])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tight_classes_are_precise_under_autocast(
    temperature: float | None, dtype: torch.dtype
) -> None:
    x, y = tight_classes()
    exact, cast = x.double().requires_grad_(), x.clone().requires_grad_()
    lm.SoftNearestNeighborLoss(temperature)(exact, y).backward()
    with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
        loss = lm.SoftNearestNeighborLoss(temperature)(cast, y)
    loss.backward()
    assert exact.grad is not None
    assert loss.dtype == torch.float32
    assert float(loss.detach()) == pytest.approx(lm.snnl(x, y, temperature).value, rel=1e-5)
    torch.testing.assert_close(cast.grad, exact.grad.float(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("labels", "temperature", "text"),
    [
        (torch.arange(6)[:, None], None, "labels must be integer classes of shape (N,)"),
        (torch.zeros(1, dtype=torch.int64), None, "features must have shape (N, ...) with N = 1"),
        (torch.eye(6), None, "labels must be integer classes of shape (N,), but are torch.float32"),
        (torch.arange(6), -1.0, "the temperature is -1.0, but must be finite and > 0"),
        (torch.arange(6), 0.0, "the temperature is 0.0, but must be finite and > 0"),
    ],
)
def test_invalid_labels_or_temperature_raise_an_error(
    labels: Tensor, temperature: Any, text: str
) -> None:
    with pytest.raises(lm.InputError) as error:
        lm.SoftNearestNeighborLoss()(torch.randn(6, 2), labels, temperature)
    assert str(error.value).startswith(text)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"temperature": 0.0}, "the temperature is 0.0, but must be finite and > 0"),
        ({"sense": "mix"}, "unknown sense 'mix'"),
    ],
)
def test_invalid_settings_raise_an_error(options: dict[str, Any], text: str) -> None:
    with pytest.raises(lm.InputError, match=text):
        lm.SoftNearestNeighborLoss(**options)
