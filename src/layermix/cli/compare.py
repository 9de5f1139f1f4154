"""`layermix compare`: train a model for each variant and each seed, and report the results."""

from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

from layermix import lab
from layermix.cli.level_flags import DEFAULT, DataLevels, StudyPresetChoice
from layermix.extras import require
from layermix.lab.display import open_console, print_text, show_status
from layermix.lab.factors import (
    at_level,
    level_name,
    levels,
    require_untuned,
    write_factors,
)
from layermix.lab.stop import stopped_as
from layermix.lab.tuning import parse_grid

# Libraries of the report. They are imported only after the last run.
_REPORT = ("jinja2", "markupsafe", "matplotlib", "scipy", "sklearn", "threadpoolctl")


def compare_variants(
    data: DataLevels = DataLevels(),
    preset: StudyPresetChoice = DEFAULT,
    variants: Annotated[tuple[str, ...], arg(help_behavior_hint="")] = (),
    seeds: int = 10,
    looks: Annotated[tuple[int, ...], arg(help_behavior_hint="")] = (),
    margin: float = 0.5,
    tune: Annotated[tuple[str, ...], arg(help_behavior_hint="")] = (),
    plan: float | None = None,
    out: Path | None = None,
    execution: lab.Execution = lab.Execution(),
    threads: int = 1,
) -> None:
    """layermix compare --data digits --out runs/digits

    Train a model for each mix point and each seed, and report which mix point is best.

    Args:
        data: The data to train on.
        preset: Model and recipe; further flags override them.
        variants: Where to mix: none, random, auto, input, final, logits or module paths; or a
            method such as cutmix or mixup@final:alpha=2 (see `layermix methods`); or several
            methods, of which each step uses one, such as mixup+cutmix. Default: none, input, each
            block, final, random and auto.
        seeds: Number of seeds, the same for every variant; a verdict needs 6 or more.
        looks: Numbers of seeds at which results are read, such as 10 20 30, instead of --seeds. The
            study stops at a look with a verdict. Their levels keep 5% errors of all looks together.
        margin: Accuracies that differ by less, in points, are practically equal.
        tune: Settings to tune for each variant by validation, such as alpha=0.2,1,2
            weight-decay=1e-3,2e-3,4e-3. All variants get as many tries as the one with the fewest
            combinations; those of others are drawn at random.
        plan: Train nothing; print how many seeds a difference of so many points needs, from the
            finished runs of the study in the output folder.
        out: Folder of the study; an interrupted study continues there, and seeds and variants may
            be added. Default: runs/DATA.
        execution: How runs are executed; this does not change their results.
        threads: CPU threads of each run.
    """
    from layermix.experiments import run_study

    require(*_REPORT)
    console, folder = open_console(), out or Path("runs") / data.short
    if plan is not None:
        from layermix.reporting.seed_plan import show_plan

        return show_plan(lab.StudyFolder.open(folder), plan, console)
    found = levels(preset.recipe.epochs, data.train_sizes, data.label_noise)
    try:
        common: Any = {"model": preset.model, "variants": variants, "seeds": seeds}
        common |= {"threads": threads, "margin": margin, "looks": looks}
        with show_status(console, f"Loading {data.data}"):
            settings = [at_level(data.first, preset.recipe.first, level) for level in found or [{}]]
            configs = [lab.configure(own, recipe=recipe, **common) for own, recipe in settings]
        execution.check()
        parse_grid(tune)
        if found:
            require_untuned(tune, found[0])
            write_factors(
                folder,
                found,
                {"data": data.first, "model": preset.model, "recipe": preset.recipe.first},
            )
        for number, (level, config) in enumerate(zip(found or [{}], configs, strict=True), 1):
            if level:
                print_text(console, f"Level {number} of {len(found)}: {level_name(level)}")
            run_study(config, folder / level_name(level), execution, tune=tune, console=console)
    except KeyboardInterrupt as stop:
        raise stopped_as(stop, "Finished runs are kept; repeat the command to continue") from None
    if found:
        from layermix.reporting.factor_report import show_factors

        show_factors(folder, console)
    return None
