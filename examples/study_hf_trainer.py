"""A study of your own training with the Hugging Face Trainer: a tiny ViT on digits.

    python examples/study_hf_trainer.py

The function returns the logits of validation and test data. The study has its own splits, verdicts
and report.
"""

import os
import tempfile

import torch
from transformers import Trainer, TrainingArguments, ViTConfig, ViTForImageClassification

from layermix import experiments as ex

EPOCHS, SEEDS = int(os.environ.get("EPOCHS", "60")), int(os.environ.get("SEEDS", "6"))
SIZES = {"image_size": 8, "patch_size": 2, "num_channels": 1, "hidden_size": 48, "num_labels": 10}
SIZES |= {"num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 96}


class MixingTrainer(Trainer):
    mixer = None

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        if not model.training:
            return super().compute_loss(model, inputs, return_outputs)
        output, target = self.mixer({"pixel_values": inputs["pixel_values"]}, inputs["labels"])
        loss = target.loss(output)
        return (loss, output) if return_outputs else loss


def train(variant, seed, data, mixer_factory):
    sets = {}
    for name in ("train", "val", "test"):
        split = getattr(data, name)
        pairs = zip(data.preprocess(split.inputs), split.labels, strict=True)
        sets[name] = [{"pixel_values": x, "labels": y} for x, y in pairs]
    model = ViTForImageClassification(ViTConfig(**SIZES))
    with tempfile.TemporaryDirectory() as folder:
        args = TrainingArguments(folder, num_train_epochs=EPOCHS, per_device_train_batch_size=30,
            learning_rate=2e-3, use_cpu=True, report_to="none", save_strategy="no", seed=seed,
            logging_strategy="no", disable_tqdm=True, per_device_eval_batch_size=300)  # fmt: skip
        trainer = MixingTrainer(model, args, train_dataset=sets["train"])
        trainer.model_accepts_loss_kwargs = False  # the loss is a mean over each batch
        trainer.mixer = mixer_factory(model)
        trainer.train()
        return {n: torch.tensor(trainer.predict(sets[n]).predictions) for n in ("val", "test")}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as out:
        study = ex.compare(train, ["none", "vit.layers.0", "final"], SEEDS, data="digits", out=out)
        for variant, row in study.summary().iterrows():
            print(f"{variant}: test accuracy {row.accuracy:.1%}")
