"""Named methods, written as NAME@POINT:KEY=VALUE."""

import pytest

import layermix as lm
from layermix.mixing import (
    METHODS,
    AppendClean,
    Cut,
    MultiMix,
    Nearest,
    Patches,
    Permutation,
    PlanSampler,
    find_method,
)
from layermix.mixing.methods import method_names


@pytest.mark.parametrize("name", METHODS)
def test_method_settings_are_valid_sampler_settings(name: str) -> None:
    settings = find_method(name).settings
    sampler = PlanSampler([settings.pop("at")], **settings)
    assert sampler.points == (METHODS[name].at,)
    assert METHODS[name].source


def test_method_point_can_be_overridden() -> None:
    assert find_method("cutmix").at == "input"
    assert find_method("cutmix@blocks.3").at == "blocks.3"


def test_settings_are_assigned_to_blend_partner_or_sampler() -> None:
    found = find_method("patchup@layer1:soft=false,alpha=0.5,partner=nearest,k=3,prob=0.5")
    assert found.settings == {
        "at": "layer1",
        "blend": Patches(soft=False, share=0.75),
        "partner": Nearest(k=3),
        "alpha": 0.5,
        "prob": 0.5,
    }
    assert find_method("multimix@final:k=4").blend == MultiMix(k=4)
    assert find_method("regmixup:eta=2").blend == AppendClean(eta=2)


def test_plus_separates_several_methods() -> None:
    assert method_names("mixup + cutmix") == ["mixup", "cutmix"]
    assert method_names("mixup:alpha=1e+1+cutmix@final+fmix") == [
        "mixup:alpha=1e+1",
        "cutmix@final",
        "fmix",
    ]
    with pytest.raises(lm.InputError) as error:
        find_method("mixup+cutmix")
    assert str(error.value) == (
        "'mixup+cutmix' names 2 methods: give them as a list, ['mixup', 'cutmix']"
    )


def test_alpha_and_ratio_replace_each_other() -> None:
    assert find_method("moex:alpha=1").settings.get("ratio") is None
    assert find_method("cutmix:ratio=0.5").settings.get("alpha") is None


def test_blend_name_is_a_method() -> None:
    assert find_method("cut@final").settings == {
        "at": "final",
        "blend": Cut(),
        "partner": Permutation(),
    }


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("cutmx", r"^unknown method 'cutmx': did you mean 'cutmix'"),
        (
            "cutmix:alhpa=1",
            r"^unknown setting of 'cutmix:alhpa=1': 'alhpa': did you mean 'alpha'",
        ),
        ("cutmix:alpha", r"^'alpha' in 'cutmix:alpha' has no value: write it as KEY=VALUE$"),
        ("mixup:partner=nearst", r"^unknown partner 'nearst': did you mean 'nearest'"),
    ],
)
def test_invalid_method_raises_an_error(spec: str, message: str) -> None:
    with pytest.raises(lm.InputError, match=message):
        find_method(spec)
