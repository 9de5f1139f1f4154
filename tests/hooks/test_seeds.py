"""Tests of the seed of a mixer: the seed of torch, or the argument `seed`."""

import torch

import layermix as lm
from tiny_nets import Mlp


def draws(seed: int | None = None) -> list[list[int]]:
    mixer = lm.Mixer(Mlp(), at="final", seed=seed)
    return [mixer.draw(6).partner.tolist() for _ in range(4)]


def test_torch_seed_determines_the_draws() -> None:
    found = []
    for seed in (1, 2, 1):
        torch.manual_seed(seed)
        found.append(draws())
    assert found[0] == found[2] != found[1]


def test_torch_seed_is_read_at_construction() -> None:
    torch.manual_seed(1)
    mixer, expected = lm.Mixer(Mlp(), at="final"), draws()
    torch.manual_seed(2)
    assert [mixer.draw(6).partner.tolist() for _ in range(4)] == expected


def test_explicit_seed_does_not_depend_on_torch() -> None:
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append(draws(seed=7))
    assert found[0] == found[1]


def test_mixer_does_not_advance_the_global_generator() -> None:
    before = torch.get_rng_state()
    mixer = lm.Mixer(Mlp().eval().requires_grad_(False), at="final")
    state = torch.get_rng_state()
    mixer.draw(6)
    assert torch.get_rng_state().equal(state)
    assert not before.equal(state)  # advanced only by the initialization of the model
