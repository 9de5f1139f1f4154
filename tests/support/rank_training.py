"""Train one epoch in float64, alone or in several processes of torchrun, and write the losses."""

import json
import sys
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor

from layermix.lab import DataConfig, Recipe
from layermix.lab.data import load
from layermix.lab.run_setup import find_points, fresh_model
from layermix.lab.training.loop import Trainer
from layermix.lab.training.ranks import process_group
from layermix.lab.variants import mix_points, mixer_settings
from layermix.mixing.distributed import rank_info

CASES = list(
    product(["resnet-small-gn", "resnet-small"], ["input", "final", "random"], ["batch", "sample"])
)
CASES += [("resnet-small", "none", "batch"), ("resnet-small", "cutmix", "sample")]
CASES += [("resnet-small-gn", "auto", "batch"), ("resnet-small", "cutout", "sample")]
CASES = [(*case, "whole") for case in CASES]
CASES += [
    ("resnet-small-gn", "random", "sample", "sharded"),
    ("resnet-small", "input", "batch", "sharded"),
]
CASES += [("resnet-small", "none", "batch", "sharded")]


def losses(model: str, variant: str, per: Any, weights: str) -> list[float]:
    """Return the loss of each step of the first epoch, and the metrics after it."""
    data = load(DataConfig(train_size=80))
    net = fresh_model(model, data, 0).double()
    net.register_forward_pre_hook(lambda _, inputs: (inputs[0].double(),))
    known = find_points(net, data)
    policy: Any = "cutout" if variant == "cutout" else "none"
    variant = "input" if variant == "cutout" else variant
    recipe = Recipe(
        augment=policy,
        epochs=2,
        batch_size=20,
        per=per,
        flip=True,
        crop=1,
        label_smoothing=0.1,
        geometry=False,
        lookahead=weights == "sharded",
        shard=weights == "sharded",
    )
    trainer = Trainer(
        net,
        data,
        recipe,
        mix_points(variant, known),
        mix_settings=mixer_settings(variant, known, recipe),
        monitor_at=("final",) if "final" in known.names else (),
        adapt=variant == "auto",
    )
    divided = any(isinstance(each, DTensor) for each in trainer.raw_model.parameters())
    assert divided == (weights == "sharded" and rank_info()[1] > 1)
    found = []
    for record in filter(None, trainer.progress()):
        found += [record.get("train_loss", 0.0), record["val_nll"], record["val_accuracy"]]
        found += [record.get("train_accuracy", 0.0)]
        if record["epoch"] == 1:
            break
    return found


def main() -> None:
    """Train all cases."""
    torch.set_num_threads(1)
    with process_group() as (rank, _):
        found = {" ".join(case): losses(*case) for case in CASES}
        if rank == 0:
            Path(sys.argv[1]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
