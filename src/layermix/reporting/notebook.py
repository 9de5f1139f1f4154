"""A study as text and as HTML for a notebook: its verdict, a table and the accuracies."""

from markupsafe import Markup, escape

from layermix.lab.study import StudyFolder
from layermix.reporting import text
from layermix.reporting.figures.intervals import accuracy
from layermix.reporting.show import summary_text
from layermix.reporting.study_summary import summarize
from layermix.reporting.tables import overview_table


def study_text(study: StudyFolder) -> str:
    """Return the verdict and a table of a study; without a finished run, its folder."""
    if not study.finished():
        return f"Study in {study.folder}, without a finished run"
    return summary_text(summarize(study))


def study_html(study: StudyFolder) -> str:
    """Return the verdict, a table and the figure of the accuracies as HTML."""
    summary = summarize(study)
    table = text.ENVIRONMENT.get_template("macros.html.j2").module.show(overview_table(summary))  # pyright: ignore[reportAttributeAccessIssue]
    parts = [Markup("<p>{}</p>").format(each) for each in text.verdict_text(summary)]
    figures = [Markup(figure.sized()) for figure in accuracy(summary)]
    return str(
        Markup('<div class="layermix-study">{}{}{}<p>{}</p></div>').format(
            Markup("").join(parts), table, Markup("").join(figures), escape(study.folder)
        )
    )
