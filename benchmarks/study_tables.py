"""Print the tables that the docs show of studies, as Markdown.

    benchmarks/studies.sh CIFAR_FOLDER runs
    python -m benchmarks.study_tables runs/digits runs/cifar

For each study: accuracy with the differences to no mixing and to the input, and the calibration
error; and for all that have geometry how its quantities rank the gains.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from layermix.experiments.store import read_json
from layermix.reporting.formatting import (
    heading,
    in_percent,
    interval,
    number,
    p_value,
    percentage_points,
)
from layermix.reporting.layers import rho_cell, sign
from layermix.reporting.markdown import as_table, with_interval
from layermix.reporting.statistics.stats import Estimate

Study = dict[str, Any]


def shown(found: Estimate, show: Callable[[float], str], unit: str = "") -> str:
    """Return a mean with its interval."""
    return with_interval((f"{show(found.mean)}{unit}", interval(found, show)))


def accuracy(study: Study) -> str:
    """Return how each variant did."""
    against = {base: gaps for base, gaps in study["differences"].items() if gaps}
    header = ["variant", "accuracy"]
    for baseline in against:
        header += [f"against {baseline}", "p (Holm)"]
    rows = []
    for row in study["variants"]:
        cells = [row["name"], shown(Estimate(**row["test"]["accuracy"]), in_percent, "%")]
        for gaps in against.values():
            own = [gap for gap in gaps if gap["variant"] == row["name"]]
            cells += _gap(own[0]) if own else ["", ""]
        error = shown(Estimate(**row["test"]["ece"]), lambda value: number(value, 3))
        rows.append([*cells, error])
    return as_table([*header, "calibration error"], rows)


def _gap(gap: dict[str, Any]) -> list[str]:
    """Return the cells of a difference."""
    p = f"{p_value(gap['p'])} ({p_value(gap['p_holm'])})"
    return [shown(Estimate(**gap["estimate"]), percentage_points), p]


def prediction(studies: dict[str, Study]) -> str:
    """Return how each quantity ranks the gains in each study."""
    header = ["quantity", "sign", *(cell for name in studies for cell in (name, "p"))]
    of_each = [[*s["prediction"]["ranks"], s["prediction"]["depth"]] for s in studies.values()]
    rows = []
    for ranks in zip(*of_each, strict=True):
        cells = []
        for rank in ranks:
            found = rank["estimate"]
            cells.append(with_interval(rho_cell(Estimate(**found))) if found else "")
            cells.append("" if rank["p"] is None else p_value(rank["p"]))
        rows.append([heading(ranks[0]["quantity"]), sign(ranks[0]["expected"]), *cells])
    return as_table(header, rows)


def main(folders: list[str]) -> None:
    """Print everything of some studies."""
    studies = {name: read_json(Path(name) / "results.json") for name in folders}
    for name, study in studies.items():
        sys.stdout.write(f"## {name}\n\n{study['command']}\n\n{accuracy(study)}\n\n")
        sys.stdout.write(" ".join(study["verdict"]["sentences"]) + "\n\n")
    told = {name: study for name, study in studies.items() if study["prediction"]["depth"]}
    if told:
        sys.stdout.write(prediction(told) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
