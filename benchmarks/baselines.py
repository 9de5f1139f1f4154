"""Print the accuracy of scikit-learn classifiers beside that of studies, on the same splits.

    python -m benchmarks.baselines runs/trec runs/letter

For each seed, the classifiers are trained on the training examples of the study and tested on its
test examples. Texts are TF-IDF of words and pairs of words; other inputs are flat and standardized.
"""

import sys
from pathlib import Path

import torch
from sklearn.base import ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from layermix.lab import RunResult, StudyFolder
from layermix.lab.data import DataConfig, Dataset, Source, load
from layermix.lab.data.sources import load_texts
from layermix.lab.data.split import three_way
from layermix.reporting.formatting import METRICS, interval, metric_difference, metric_text
from layermix.reporting.statistics import Estimate, estimate

Classifiers = dict[str, Pipeline]


def classifiers(kind: str) -> Classifiers:
    """Return the classifiers for a kind of inputs, by name."""
    if kind == "text":
        linear: dict[str, ClassifierMixin] = {
            "TF-IDF, logistic regression": LogisticRegression(max_iter=1000, C=10),
            "TF-IDF, linear SVM": LinearSVC(),
        }
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
        return {name: make_pipeline(words, model) for name, model in linear.items()}
    models: dict[str, ClassifierMixin] = {
        "logistic regression": LogisticRegression(max_iter=1000),
        "random forest": RandomForestClassifier(300, random_state=0),
    }
    if kind == "table":
        models["gradient boosting"] = HistGradientBoostingClassifier(random_state=0)
    else:
        models["RBF SVM"] = SVC()
    return {name: make_pipeline(StandardScaler(), model) for name, model in models.items()}


def accuracies(config: DataConfig, seed: int, result: RunResult) -> dict[str, float]:
    """Return the test accuracy of each classifier on the split of a run."""
    data = load(config, seed)
    if data.digests != result.digests:
        sys.exit(f"{config.data} changed since the run of seed {seed}: repeat the study")
    kind = data.modality.name
    train, test = read_texts(config, seed) if kind == "text" else flat(data)
    labels = data.train.labels.numpy(), data.test.labels.numpy()
    return {
        name: float(model.fit(train, labels[0]).score(test, labels[1]))
        for name, model in classifiers(kind).items()
    }


def flat(data: Dataset) -> list:
    """Return the training and test inputs as the models get them, flat."""
    found = (data.preprocess(split.inputs) for split in (data.train, data.test))
    return [inputs.flatten(1).numpy() for inputs in found]


def read_texts(config: DataConfig, seed: int) -> list[list[str]]:
    """Return the training and test texts of a split."""
    splits, _ = load_texts(config.data, config.text_column, config.label_column)
    texts = [text for part, _ in splits.values() for text in part]
    rows = torch.arange(len(texts)).view(-1, 1).split([len(part) for part, _ in splits.values()])
    source = Source.of(
        {name: (index, splits[name][1]) for name, index in zip(splits, rows, strict=True)}
    )
    data = three_way(source, config.train_size, None if config.fixed_split else seed)
    return [[texts[k] for k in split.inputs.flatten()] for split in (data.train, data.test)]


def compare(folder: Path) -> list[list[str]]:
    """Return the rows of the table for a study: each classifier, and the model without mixing."""
    found = StudyFolder.open(folder).run_results()
    runs = {cell: result for cell, result in found.items() if cell.variant == "none"}
    ours = {cell.seed: result.test["accuracy"] for cell, result in runs.items()}
    theirs = {cell.seed: accuracies(cell.data, cell.seed, result) for cell, result in runs.items()}
    cell = [folder.name, f"{len(ours)}"]
    rows = [[*cell, "without mixing", shown(estimate([*ours.values()])), ""]]
    for name in next(iter(theirs.values())):
        found = estimate([theirs[seed][name] for seed in ours])
        ahead = estimate([ours[seed] - theirs[seed][name] for seed in ours])
        rows.append([*cell, name, shown(found), shown(ahead, difference=True)])
    return rows


def shown(found: Estimate, *, difference: bool = False) -> str:
    """Format an accuracy or a difference of accuracies with its interval."""
    show = metric_difference if difference else metric_text
    bounds = METRICS["accuracy"].bounds if not difference else (-1.0, 1.0)
    ends = interval(found, lambda value: show(value, "accuracy"), bounds)
    return f"{show(found.mean, 'accuracy')} ({ends})"


def main(folders: list[str]) -> None:
    """Print the table of some studies as Markdown."""
    head = ["data", "n", "model", "accuracy, %", "without mixing − model, points"]
    rows = [head, ["---"] * len(head), *(row for name in folders for row in compare(Path(name)))]
    sys.stdout.writelines(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    main(sys.argv[1:])
