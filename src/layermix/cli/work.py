"""`layermix work`: train the missing runs of a study together with other processes."""

from pathlib import Path

from tyro.conf import Positional

from layermix.lab import Execution
from layermix.lab.display import open_console, print_text
from layermix.lab.factors import studies_in
from layermix.lab.stop import stopped_as
from layermix.lab.study_training import continue_study


def work_on_study(
    folder: Positional[Path],
    execution: Execution = Execution(),
    wait: bool = True,
    trust: bool = False,
) -> None:
    """layermix work runs/digits --workers 1

    Train missing runs of a study until none is left. Any number of these processes, on one machine
    or on several that share the disk, train different runs of the study. `layermix compare` with
    the same settings begins a study, and reports it.

    Args:
        folder: Folder of the study, or of studies over factors.
        execution: How runs are executed; this does not change their results.
        wait: At the end, wait for the runs of other processes, and take over those of processes
            that end before; with --no-wait, leave them.
        trust: Import the code of the study's own model, package.module:factory.
    """
    console = open_console()
    try:
        for study in studies_in(folder, trust=trust):
            continue_study(study, execution, console=console, waits=wait)
    except KeyboardInterrupt as stop:
        raise stopped_as(stop, "Finished runs are kept; repeat the command to continue") from None
    print_text(console, f"No run is left. Report: layermix report {folder}")
