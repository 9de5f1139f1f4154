"""The results of a study: tables, figures and the report, also as a view in a notebook."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layermix.errors import InputError, unknown
from layermix.lab.evaluation import EvaluationConfig, evaluate_study
from layermix.lab.models import Factory
from layermix.lab.study import StudyFolder
from layermix.reporting import Summary, summarize, write_report
from layermix.reporting.figures import Figure, draw_all
from layermix.reporting.notebook import study_html, study_text
from layermix.reporting.variant import VariantSummary

if TYPE_CHECKING:
    from pandas import DataFrame


class Study(StudyFolder):
    """A study in its folder. In a notebook it shows its verdict, a table and a figure.

    `compare` returns it. ``Study.open(Path("runs/digits"))`` opens a folder, also of a study that
    the command line has trained.
    """

    def results(self) -> "DataFrame":
        """Return the results of all finished runs, a row for each variant and seed.

        The columns are ``variant``, ``seed``, the test metrics (``accuracy``, ``nll``, ``brier``,
        ``ece`` and others), those of validation data as ``val_accuracy`` and so on, those with
        clean norm statistics as ``clean_accuracy`` and so on, and ``seconds`` of training.
        """
        import pandas as pd  # comes with datasets

        rows = []
        for cell, result in self.run_results().items():
            row: dict[str, Any] = {"variant": cell.variant, "seed": cell.seed, **result.test}
            row |= {f"val_{name}": value for name, value in result.val.items()}
            clean = (result.clean or {}).get("test", {})
            row |= {f"clean_{name}": value for name, value in clean.items()}
            rows.append({**row, "seconds": result.timings["seconds"]})
        return pd.DataFrame(rows)

    def summary(self) -> "DataFrame":
        """Return the means over seeds on test data, a row for each variant.

        The columns are ``seeds``; ``accuracy`` with its 95% interval, ``low`` and ``high``;
        ``difference``, the paired difference in accuracy from the baseline, with its interval,
        ``difference_low`` and ``difference_high``, its ``verdict`` and its corrected ``p``;
        ``clean_accuracy``; ``nll``, ``brier`` and ``ece``. `layermix.reporting.summarize` has all
        numbers of the report.
        """
        import pandas as pd

        summary = summarize(self)
        rows = {row.name: _row(summary, row) for row in summary.variants}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("variant")

    def plot(self, name: str = "accuracy") -> Figure:
        """Return a figure of the report by its name, such as ``"accuracy"``; a notebook shows it.

        An unknown name raises an `InputError` that lists the figures of this study.
        """
        figures = {figure.name: figure for figure in draw_all(self, summarize(self))}
        if name not in figures:
            raise unknown("figure", name, figures)
        return figures[name]

    def evaluate(
        self,
        ood: Sequence[str] = (),
        shifted: Sequence[str] = (),
        corruptions: Sequence[str] | None = None,
        *,
        model: Factory | None = None,
        workers: int | None = None,
    ) -> None:
        """Evaluate all runs on other data from their weights; the report shows the results.

        Parameters
        ----------
        ood, shifted
            Data sets of other classes, and other data of the same classes, as on the command line.
        corruptions
            Corruptions of the test images. Default: all.
        model
            The function that builds the model, if `compare` got one.
        workers
            Number of parallel processes. Default: one for each core, or one on a GPU.
        """
        chosen = EvaluationConfig.corruptions if corruptions is None else tuple(corruptions)
        config = EvaluationConfig(chosen, tuple(ood), tuple(shifted))
        evaluate_study(self, config, workers=workers, factory=model)

    def report(self) -> Path:
        """Write the report of the study into its folder; return the path of ``report.html``."""
        return write_report(self)[1]

    def __str__(self) -> str:
        return study_text(self)

    def _repr_html_(self) -> str:
        try:
            return study_html(self)
        except InputError as error:  # no run is finished
            return f"<p>{error}</p>"


def _row(summary: Summary, row: VariantSummary) -> dict[str, Any]:
    accuracy, gap = row.test["accuracy"], summary.difference(row.name, "accuracy")
    found: dict[str, Any] = {"seeds": len(row.seeds), "accuracy": accuracy.mean}
    found |= {"low": accuracy.low, "high": accuracy.high}
    if gap:
        found |= {"difference": gap.estimate.mean, "difference_low": gap.estimate.low}
        found |= {"difference_high": gap.estimate.high, "verdict": gap.outcome, "p": gap.p_holm}
    if row.clean:
        found["clean_accuracy"] = row.clean["accuracy"].mean
    return found | {m: row.test[m].mean for m in ("nll", "brier", "ece") if m in row.test}
