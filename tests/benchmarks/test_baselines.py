"""Tests of scikit-learn's baselines of studies: they have the splits of the runs."""

from pathlib import Path

import pytest
import torch
from sklearn.ensemble import RandomForestClassifier

from benchmarks.baselines import compare, read_texts
from layermix.lab import DataConfig, Execution, Recipe, configure, train_study
from layermix.lab.data import load
from layermix.lab.data.sources import load_texts


def test_classifiers_have_the_splits_of_the_runs(tmp_path: Path) -> None:
    recipe = Recipe(epochs=1, monitor=0, geometry=False)
    config = configure(DataConfig(train_size=100), "mlp", recipe, ("none", "input"), seeds=2)
    study = train_study(config, tmp_path / "study", Execution(workers=1))
    rows = compare(tmp_path / "study")
    assert [row[2] for row in rows[1:]] == ["logistic regression", "random forest", "RBF SVM"]
    found = []
    for seed in (0, 1):
        data = load(config.data, seed)
        forest = RandomForestClassifier(300, random_state=0)
        forest.fit(data.train.inputs.flatten(1), data.train.labels)
        found.append(forest.score(data.test.inputs.flatten(1), data.test.labels))
    assert float(rows[2][3].split()[0]) == pytest.approx(50 * sum(found), abs=0.3)  # its ties
    ours = [r.test["accuracy"] for c, r in study.run_results().items() if c.variant == "none"]
    assert float(rows[0][3].split()[0]) == pytest.approx(50 * sum(ours), abs=0.005)


def test_texts_are_those_of_the_split(tmp_path: Path) -> None:
    rows = [f"good film {k},yes\nbad film {k},no" for k in range(60)]
    (tmp_path / "reviews.csv").write_text("\n".join(["text,label", *rows]))
    config = DataConfig(str(tmp_path / "reviews.csv"))
    splits, classes = load_texts(config.data)
    known = dict(zip(splits["train"][0], splits["train"][1].tolist(), strict=True))
    for seed in (0, 3):
        data, texts = load(config, seed), read_texts(config, seed)
        for part, split in zip(texts, (data.train, data.test), strict=True):
            assert torch.equal(split.labels, torch.tensor([known[text] for text in part]))
    assert classes == ("no", "yes")
