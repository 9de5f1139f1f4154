"""The report as Markdown: the answer, the tables, the pictures as files, the conditions."""

from collections.abc import Iterable, Sequence

from layermix.lab.figures import Figure
from layermix.lab.report.format import interval, number, p_value, percent
from layermix.lab.stats import Difference
from layermix.lab.summary import Summary, VariantSummary
from layermix.lab.verdict import place, points


def markdown(summary: Summary, figures: Sequence[Figure]) -> str:
    """Return the whole report; pictures are linked as ``figures/NAME.svg``."""
    parts = [
        f"# Where to mix on {summary.data}?",
        " ".join(summary.verdict.sentences),
        "## Measures on test data",
        "Mean over seeds, with the 95% Student-t interval.",
        _measures(summary.variants),
        *_differences(summary),
        "## Pictures",
        *(f"![{figure.alt}](figures/{figure.name}.svg)\n\n{figure.caption}" for figure in figures),
        "## How to read this",
        "\n".join(f"- {note}" for note in summary.verdict.notes),
        "## Conditions",
        _conditions(summary),
        f"```sh\n{summary.command}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def _measures(variants: Iterable[VariantSummary]) -> str:
    rows = []
    for row in variants:
        measures = [
            f"{number(row.test[name].mean, 4)} ({interval(row.test[name])})"
            for name in ("nll", "brier", "ece")
        ]
        accuracy = row.test["accuracy"]
        rows.append(
            [
                row.name,
                str(len(row.seeds)),
                f"{percent(accuracy.mean)} ({interval(accuracy, 100, 2)})",
                *measures,
                number(row.timings["seconds"].mean, 1),
                number(row.timings["images_per_second"].mean, 0),
                ", ".join(f"{100 * value:.2f}" for value in accuracy.values),
            ]
        )
    header = ["variant", "seeds", "accuracy", "NLL", "Brier", "ECE", "seconds", "images/s"]
    return _table([*header, "accuracy of each seed, %"], rows)


def _differences(summary: Summary) -> Iterable[str]:
    for baseline, gaps in summary.differences.items():
        yield f"## Test accuracy against {place(baseline)}"
        yield "Paired by seed; p from the exact sign-flip test, corrected by Holm's method."
        header = ["variant", "difference in points", "95% interval", "seeds", "p", "p (Holm)"]
        yield _table(header, [_difference(gap) for gap in gaps])


def _difference(gap: Difference) -> list[str]:
    found = gap.estimate
    return [
        gap.variant,
        points(found.mean),
        interval(found, 100, 2),
        str(found.n),
        p_value(gap.p),
        p_value(gap.p_holm),
    ]


def _conditions(summary: Summary) -> str:
    lines = [f"- {name}: {value}" for name, value in summary.conditions.items()]
    sizes = ", ".join(f"{value:,} {name}" for name, value in summary.sizes.items())
    return "\n".join([*lines, f"- sizes: {sizes}"])


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in lines
    )
