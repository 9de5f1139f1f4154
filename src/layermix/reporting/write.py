"""Write the report of a study: HTML, Markdown, JSON and figures, made from one summary."""

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

import layermix
from layermix.lab.store import write_json
from layermix.lab.study import StudyFolder
from layermix.reporting import text
from layermix.reporting.configuration import setting_text
from layermix.reporting.figures import Figure, draw_all
from layermix.reporting.study_summary import summarize
from layermix.reporting.summary import Summary
from layermix.reporting.tables import all_tables


def write_report(study: StudyFolder) -> tuple[Summary, Path]:
    """Write ``results.json``, ``report.md``, ``report.html`` and ``figures/`` of a study.

    Parameters
    ----------
    study
        A study with at least one finished run.

    Returns
    -------
    summary, path
        The results of the study, and the path of ``report.html``.
    """
    summary = summarize(study)
    figures = draw_all(study, summary)
    texts = {"text": text.verdict_text(summary), "warnings": text.warning_texts(summary)}
    content = summary.to_json() | texts
    write_json(study.folder / "results.json", content)
    folder = study.folder / "figures"
    folder.mkdir(exist_ok=True)
    for former in folder.glob("*.svg"):
        former.unlink()
    for figure in figures:
        (folder / f"{figure.name}.svg").write_text(figure.standalone(), encoding="utf-8")
    for name in ("report.md", "report.html"):
        (study.folder / name).write_text(render(name, summary, figures), encoding="utf-8")
    return summary, study.folder / "report.html"


def read_css() -> str:
    """Return the style sheet of all reports."""
    return Path(__file__).with_name("templates").joinpath("report.css").read_text()


def render(name: str, summary: Summary, figures: Sequence[Figure]) -> str:
    """Return ``report.html`` or ``report.md`` as text.

    The HTML report is one file without scripts and loads nothing from a network. In Markdown the
    figures are linked as ``figures/NAME.svg``.
    """
    unmixed = summary.unmixed
    return text.ENVIRONMENT.get_template(f"{name}.j2").render(
        summary=summary,
        figures=figures,
        verdict=text.verdict_text(summary),
        notes=text.verdict_notes(summary),
        warnings=text.warning_texts(summary),
        tables=all_tables(summary),
        geometry_notes=text.geometry_notes(ends)
        if (ends := unmixed and unmixed.geometry_end)
        else [],
        settings={
            name.replace("_", " "): setting_text(value)
            for name, value in summary.config["used"].items()
        },
        version=layermix.__version__,
        css=Markup(read_css()),
        markup=Markup,
    )
