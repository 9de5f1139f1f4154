"""Lightning: the module calls the mixer; a callback sets its epoch and saves its state.

    python examples/lightning_callback.py

The state of the mixer is the same on all ranks, so that one checkpoint resumes all of them.
"""

import os

import lightning as L
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

import layermix as lm

EPOCHS = int(os.environ.get("EPOCHS", "10"))


class Digits(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))

    def setup(self, stage):
        if stage == "fit":
            self.mixer = lm.Mixer(self.net, at="final", seed=0)

    def training_step(self, batch):
        output, target = self.mixer(*batch)
        return target.loss(output)

    def test_step(self, batch):
        self.log("accuracy", (self.net(batch[0]).argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=2e-3)


class Mixing(L.Callback):
    def on_train_epoch_start(self, trainer, module):
        module.mixer.set_epoch(trainer.current_epoch)

    def on_save_checkpoint(self, trainer, module, checkpoint):
        checkpoint["mixer"] = module.mixer.state_dict()

    def on_load_checkpoint(self, trainer, module, checkpoint):
        module.mixer.load_state_dict(checkpoint["mixer"])


torch.manual_seed(0)
x, y = map(torch.tensor, load_digits(return_X_y=True))
train, test = random_split(TensorDataset(x.float() / 16, y), [0.5, 0.5])
off = ["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"]
trainer = L.Trainer(max_epochs=EPOCHS, callbacks=[Mixing()], **dict.fromkeys(off, False))
trainer.fit(model := Digits(), DataLoader(train, batch_size=64, shuffle=True))
(result,) = trainer.test(model, DataLoader(test, batch_size=300), verbose=False)
print(f"test accuracy {result['accuracy']:.1%}")
