"""Hugging Face Trainer, images: a tiny ViT from a config, mixed after a block or at the end.

    python examples/hf_trainer_image.py

`compute_loss` draws a plan and calls the model that Trainer passes, which may be wrapped.
"""

import os
import tempfile

import torch
from sklearn.datasets import load_digits
from transformers import Trainer, TrainingArguments, ViTConfig, ViTForImageClassification

import layermix as lm

EPOCHS = int(os.environ.get("EPOCHS", "30"))


class MixingTrainer(Trainer):
    def __init__(self, *args, mixer, **kwargs):
        super().__init__(*args, **kwargs)
        self.mixer = mixer
        self.model_accepts_loss_kwargs = False  # the loss is a mean over each batch

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        if not model.training:
            return super().compute_loss(model, inputs, return_outputs)
        labels = inputs.pop("labels")
        plan = self.mixer.draw(len(labels), labels=labels)
        with self.mixer.apply(plan) as mixed:
            output = model(**inputs)
        loss = mixed.target(labels).loss(output)
        return (loss, output) if return_outputs else loss


torch.manual_seed(0)
bunch = load_digits()
images = torch.tensor(bunch.images / 16, dtype=torch.float32).unsqueeze(1)  # (N, 1, 8, 8)
rows = [{"pixel_values": x, "labels": y} for x, y in zip(images, bunch.target, strict=True)]
config = ViTConfig(image_size=8, patch_size=2, num_channels=1, hidden_size=48, num_labels=10,
                   num_hidden_layers=2, num_attention_heads=3, intermediate_size=96)  # fmt: skip
model = ViTForImageClassification(config)
mixer = lm.Mixer(model, at=["vit.layers.0", "final"], seed=0)
with tempfile.TemporaryDirectory() as folder:
    args = TrainingArguments(folder, num_train_epochs=EPOCHS, per_device_train_batch_size=50,
        learning_rate=2e-3, use_cpu=True, report_to="none", save_strategy="no",
        logging_strategy="no", disable_tqdm=True, per_device_eval_batch_size=300)  # fmt: skip
    trainer = MixingTrainer(model, args, train_dataset=rows[:900],
        eval_dataset=rows[900:], mixer=mixer,
        compute_metrics=lambda p: {"accuracy": (p.predictions.argmax(1) == p.label_ids).mean()},
    )  # fmt: skip
    trainer.train()
    print(f"test accuracy {trainer.evaluate()['eval_accuracy']:.1%}")
