"""A study of your own training with Lightning: `compare` runs it for each variant and seed.

    python examples/study_lightning.py

The function returns the logits of validation and test data. The study has its own splits, verdicts
and report.
"""

import os
import tempfile

import lightning as L
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from layermix import experiments as ex

EPOCHS, SEEDS = int(os.environ.get("EPOCHS", "15")), int(os.environ.get("SEEDS", "6"))


class Digits(L.LightningModule):
    def __init__(self, mixer_factory):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
        self.mixer = mixer_factory(self.net)

    def training_step(self, batch):
        output, target = self.mixer(*batch)
        return target.loss(output)

    def predict_step(self, batch):
        return self.net(batch[0])

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=2e-3)


def train(variant, seed, data, mixer_factory):
    sets = {
        name: TensorDataset(data.preprocess(split.inputs), split.labels)
        for name, split in (("train", data.train), ("val", data.val), ("test", data.test))
    }
    module = Digits(mixer_factory)
    off = ["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"]
    trainer = L.Trainer(max_epochs=EPOCHS, **dict.fromkeys(off, False))
    trainer.fit(module, DataLoader(sets.pop("train"), batch_size=64, shuffle=True))
    loaders = {name: DataLoader(split, batch_size=300) for name, split in sets.items()}
    return {name: torch.cat(trainer.predict(module, each)) for name, each in loaders.items()}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as out:
        study = ex.compare(train, ["none", "input", "final"], SEEDS, data="digits", out=out)
        for variant, row in study.summary().iterrows():
            print(f"{variant}: test accuracy {row.accuracy:.1%}")
