"""Create the summary of a study from its folder."""

from dataclasses import asdict, replace

from layermix.lab.store import RunResult, read_run
from layermix.lab.study import StudyFolder
from layermix.lab.study_config import as_json
from layermix.lab.training.environment import cpu_settings
from layermix.lab.tuning import read_tries
from layermix.reporting.condition_groups import condition_groups, joined_conditions
from layermix.reporting.configuration import compare_command, used_settings
from layermix.reporting.other_data import read_other_data
from layermix.reporting.stored_predictions import summarize_predictions
from layermix.reporting.summary import Summary
from layermix.reporting.variant import summarize_variant


def summarize(study: StudyFolder) -> Summary:
    """Summarize the finished runs of a study.

    Raises
    ------
    InputError
        If no run is finished.
    """
    with cpu_settings(1):  # the logits of each run are small
        return _summarized(study)


def _summarized(study: StudyFolder) -> Summary:
    results = study.require_results()
    runs: dict[str, dict[int, RunResult]] = {name: {} for name in study.config.variants}
    for cell, result in results.items():
        runs[cell.variant][cell.seed] = result
    cell, first = next(iter(results.items()))
    run_config, _ = read_run(study.path(cell))
    texts = dict.fromkeys(text for result in results.values() for text in result.warnings)
    stopped = study.failed()
    conditions = joined_conditions(list(results.values()))
    used = used_settings(study.config, run_config, first.subset, conditions["device"])
    summary = Summary(
        data=study.config.data.title,
        model=study.config.model.partition("#")[0],  # without the hash of a function
        sizes={**first.sizes, "seeds": len(study.config.seeds)},
        classes=first.classes,
        planned=list(runs),
        variants=[summarize_variant(name, by_seed) for name, by_seed in runs.items() if by_seed],
        chance=_chance(first),
        command=compare_command(study.config),
        config={"asked": as_json(study.config), "used": used},
        conditions=conditions,
        groups=condition_groups(results),
        warnings={
            text: list(dict.fromkeys(c.variant for c, r in results.items() if text in r.warnings))
            for text in texts
        },
        failed={c.variant: [s.seed for s in stopped if s.variant == c.variant] for c in stopped},
        damaged={cell.name: problem for cell, problem in study.damaged().items()},
        grown=[asdict(stage) for stage in study.grown],
        tries=read_tries(study.folder),
        other_data=read_other_data(study),
    )
    return replace(summary, predictions=summarize_predictions(study, results, summary.verdict))


def _chance(result: RunResult) -> float | None:
    found = result.records[0]["snnl"].values() if result.records else ()
    return next((each["chance"] for each in found), None)
