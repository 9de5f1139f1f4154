"""Hugging Face Trainer, text: a tiny BERT from a config, mixed at embeddings, a layer or the end.

    python examples/hf_trainer_text.py

Token ids cannot be mixed. The sentences are synthetic: ten words from a vocabulary of forty, of
which ten are good and ten are bad. The label is 1 if a sentence has more good words than bad ones.
"""

import os
import tempfile

import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

import layermix as lm

EPOCHS = int(os.environ.get("EPOCHS", "6"))


def sentences(count):
    ids = torch.randint(40, (count, 10), generator=torch.Generator().manual_seed(0))
    good, bad = (ids < 10).sum(1), ((ids >= 10) & (ids < 20)).sum(1)
    rows = zip(ids, (good > bad).long(), good == bad, strict=True)
    return [{"input_ids": x, "labels": y} for x, y, tie in rows if not tie]


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
data = sentences(2500)
config = BertConfig(vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                    intermediate_size=64, num_labels=2, hidden_dropout_prob=0.0)  # fmt: skip
model = BertForSequenceClassification(config)
mixer = lm.Mixer(model, at=["bert.embeddings", "bert.encoder.layer.0", "final"], seed=0)
with tempfile.TemporaryDirectory() as folder:
    args = TrainingArguments(folder, num_train_epochs=EPOCHS, per_device_train_batch_size=50,
        learning_rate=2e-3, use_cpu=True, report_to="none", save_strategy="no",
        logging_strategy="no", disable_tqdm=True, per_device_eval_batch_size=500)  # fmt: skip
    trainer = MixingTrainer(model, args, train_dataset=data[:1500], eval_dataset=data[1500:],
        mixer=mixer, compute_metrics=lambda p: {"accuracy": (p[0].argmax(1) == p[1]).mean()},
    )  # fmt: skip
    trainer.train()
    print(f"test accuracy {trainer.evaluate()['eval_accuracy']:.1%}")
