"""The report as Markdown: the answer, the tables, the pictures as files, the conditions."""

from collections.abc import Iterable, Sequence

from layermix.geometry.quantities import SHARE
from layermix.reporting.figures import Figure
from layermix.reporting.formatting import (
    ABSENT,
    MEASURES,
    decimals,
    flip_test,
    in_percent,
    interval,
    number,
    orders_p_name,
    p_value,
    percent,
    percentage_points,
    place,
)
from layermix.reporting.layers import Cell, layer_table, rank_caption, rank_rows
from layermix.reporting.settings import in_words
from layermix.reporting.statistics.stats import Difference
from layermix.reporting.summary import Summary
from layermix.reporting.variant import VariantSummary


def markdown(summary: Summary, figures: Sequence[Figure]) -> str:
    """Return the whole report; pictures are linked as ``figures/NAME.svg``."""
    parts = [
        f"# Where to mix on {summary.data}?",
        " ".join(summary.verdict.sentences),
        "## Measures on test data",
        "Mean over seeds, with the 95% Student-t interval.",
        _measures(summary),
        *_differences(summary),
        "## The geometry of every layer",
        *_geometry(summary),
        "## Does geometry predict the best layer?",
        *_prediction(summary),
        "## Pictures",
        *(f"![{figure.alt}](figures/{figure.name}.svg)\n\n{figure.caption}" for figure in figures),
        "## How to read this",
        "\n".join(f"- {note}" for note in summary.verdict.notes),
        "## Conditions",
        _conditions(summary),
        f"```sh\n{summary.command}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def _measures(summary: Summary) -> str:
    headings = [measure.heading for measure in MEASURES.values()]
    header = ["variant", "seeds", *headings, "seconds", "images/s", "accuracy of each seed, %"]
    return as_table(
        header,
        (
            [name, seeds, *(_cells(row) if row else [ABSENT] * (len(header) - 2))]
            for name, seeds, row in summary.rows()
        ),
    )


def _cells(row: VariantSummary) -> list[str]:
    accuracy, seconds = row.test["accuracy"], row.timings["seconds"].mean
    others = [(row.test[name], m.bounds) for name, m in MEASURES.items() if name != "accuracy"]
    return [
        f"{percent(accuracy.mean)} ({interval(accuracy, in_percent, SHARE)})",
        *(f"{_precise(found.mean)} ({interval(found, _precise, ends)})" for found, ends in others),
        number(seconds, decimals(seconds)),
        number(row.timings["images_per_second"].mean, 0),
        ", ".join(map(in_percent, accuracy.values)),
    ]


def _precise(value: float) -> str:
    return number(value, 4)


def _differences(summary: Summary) -> Iterable[str]:
    for baseline, gaps in summary.differences.items():
        if gaps:
            yield f"## Test accuracy against {place(baseline)}"
            test = flip_test(max(gap.estimate.n for gap in gaps))
            yield f"Paired by seed; p from {test}, corrected by Holm's method."
            header = ["variant", "difference in points", "95% interval", "seeds", "p", "p (Holm)"]
            yield as_table(header, [_difference(gap) for gap in gaps])


def _difference(gap: Difference) -> list[str]:
    found = gap.estimate
    return [
        gap.variant,
        percentage_points(found.mean),
        interval(found, percentage_points),
        str(found.n),
        p_value(gap.p),
        p_value(gap.p_holm),
    ]


def _geometry(summary: Summary) -> Iterable[str]:
    found = layer_table(summary)
    if found.missing:
        yield f"This section is left out: {found.missing}."
        return
    yield (
        f"After training without mixing, on {summary.sizes['monitored']} held-out examples: mean "
        "over seeds, with the 95% Student-t interval. An arrow says where a quantity goes as "
        "classes come apart."
    )
    yield as_table(
        ["quantity", *found.layers],
        ([f"{q.heading} {q.arrow}", *map(with_interval, cells)] for q, cells in found.rows),
    )
    if found.notes:
        yield "\n".join(f"- {note}" for note in found.notes)


def _prediction(summary: Summary) -> Iterable[str]:
    found = summary.prediction
    yield from filter(None, [" ".join(found.sentences), found.baseline])
    if not found.ranks:
        return
    yield f"{rank_caption(len(found.layers))}."
    p = orders_p_name(len(found.layers))
    header = ["quantity", "expected", "rho", "rho of means", "seeds", p, "p (Holm)"]
    keys = ("heading", "expected", "rho", "of_means", "seeds", "p", "p_holm")
    rows = list(rank_rows(found.rows()))
    for row in rows:
        row["rho"] = with_interval(row["rho"])
        if row["baseline"]:
            row["heading"] = f"**{row['heading']}, the baseline**"
    yield as_table(header, [[row[key] for key in keys] for row in rows])
    yield "\n".join(f"- {note}" for note in found.notes)


def with_interval(cell: Cell) -> str:
    """Return a mean and its interval as one cell."""
    mean, ends = cell
    return mean if ends == ABSENT else f"{mean} ({ends})"


def _conditions(summary: Summary) -> str:
    lines = [f"- {name}: {value}" for name, value in summary.conditions.items()]
    sizes = ", ".join(f"{value:,} {name}" for name, value in summary.sizes.items())
    settings = "; ".join(f"{name}: {value}" for name, value in in_words(summary.config["used"]))
    return "\n".join([*lines, f"- sizes: {sizes}", f"- settings: {settings}"])


def as_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a bar in a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in lines
    )
