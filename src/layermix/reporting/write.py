"""The report of a study, in four forms made from one summary: terminal, Markdown, JSON, HTML."""

from pathlib import Path

from layermix.experiments.store import write_json
from layermix.experiments.study import Study
from layermix.reporting.figures import draw_all
from layermix.reporting.html import html
from layermix.reporting.markdown import markdown
from layermix.reporting.summary import Summary, summarize


def write_report(study: Study) -> tuple[Summary, Path]:
    """Write ``results.json``, ``report.md``, ``report.html`` and ``figures/`` of a study.

    Parameters
    ----------
    study
        A study with one finished run at least.

    Returns
    -------
    summary, path
        What the study says, and where its ``report.html`` is.
    """
    summary = summarize(study)
    figures = draw_all(study, summary)
    write_json(study.folder / "results.json", summary.to_json())
    pictures = study.folder / "figures"
    pictures.mkdir(exist_ok=True)
    for figure in figures:
        (pictures / f"{figure.name}.svg").write_text(figure.standalone(), encoding="utf-8")
    (study.folder / "report.md").write_text(markdown(summary, figures), encoding="utf-8")
    path = study.folder / "report.html"
    path.write_text(html(summary, figures), encoding="utf-8")
    return summary, path
