"""A scikit-learn classifier for tables that trains a small model with mixing.

    python examples/sklearn_estimator.py

It works wherever scikit-learn accepts an estimator: pipelines, `cross_val_score`, grid searches.
"""

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

import layermix as lm


class MixupClassifier(ClassifierMixin, BaseEstimator):
    def __init__(self, at="final", alpha=1.0, epochs=20, random_state=0):
        self.at, self.alpha, self.epochs, self.random_state = at, alpha, epochs, random_state

    def fit(self, X, y):
        X, y = validate_data(self, X, y, dtype=np.float32)
        self.classes_, codes = np.unique(y, return_inverse=True)
        x, y = torch.from_numpy(X), torch.from_numpy(codes)
        with torch.random.fork_rng(devices=[]):  # does not change the global generator
            torch.manual_seed(self.random_state)
            first = nn.Linear(x.shape[1], 32)
            self.net_ = nn.Sequential(first, nn.ReLU(), nn.Linear(32, len(self.classes_)))
        mixer = lm.Mixer(self.net_, at=self.at, alpha=self.alpha, seed=self.random_state)
        optimizer = torch.optim.AdamW(self.net_.parameters(), lr=1e-2)
        rng = torch.Generator().manual_seed(self.random_state)
        for _ in range(self.epochs):
            for i in torch.randperm(len(x), generator=rng).split(32):
                output, target = mixer(x[i], y[i])
                optimizer.zero_grad()
                target.loss(output).backward()
                optimizer.step()
        mixer.remove()
        self.net_.eval()
        return self

    def predict_proba(self, X):
        check_is_fitted(self)
        x = torch.from_numpy(validate_data(self, X, dtype=np.float32, reset=False))
        with torch.no_grad():
            return self.net_(x).softmax(1).numpy()

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(1)]


estimator = make_pipeline(StandardScaler(), MixupClassifier())
scores = cross_val_score(estimator, *load_breast_cancer(return_X_y=True))
print(f"accuracy in 5 folds: {', '.join(f'{s:.1%}' for s in scores)}; mean {scores.mean():.1%}")
