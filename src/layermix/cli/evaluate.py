"""`layermix evaluate`: evaluate a study on corrupted, shifted and other data, without training."""

from pathlib import Path

from tyro.conf import Positional

from layermix.lab.display import open_console, print_text
from layermix.lab.evaluation import EvaluationConfig, evaluate_study
from layermix.lab.study import StudyFolder


def evaluate_models(
    folder: Positional[Path],
    config: EvaluationConfig = EvaluationConfig(),
    workers: int | None = None,
    trust: bool = False,
) -> None:
    """layermix evaluate runs/digits --ood FOLDER

    Evaluate all models of a study, from their stored weights, on corrupted copies of the test
    images, on data of other classes and on shifted data. The results are added to the report.

    Args:
        folder: Folder of the study.
        config: The data.
        workers: Number of parallel processes. Default: one for each core, or one on a GPU.
        trust: Import the code of the study's own model, package.module:factory.
    """
    from layermix.reporting.show import show_evaluation

    console = open_console()
    study = StudyFolder.open(folder, trust=trust)
    evaluate_study(study, config, workers=workers, console=console)
    path = show_evaluation(study, console)
    print_text(console, f"Report: {path}")
