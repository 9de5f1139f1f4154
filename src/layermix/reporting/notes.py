"""What one must know to read a study's answer rightly, as sentences under the answer."""

import math

from layermix.experiments.store import RunResult
from layermix.geometry.quantities import SHARE
from layermix.reporting.claim import claim_pair
from layermix.reporting.formatting import (
    MEASURES,
    in_percent,
    interval,
    listed,
    percent,
    percentage_points,
    seeds_word,
)
from layermix.reporting.statistics.bounds import beyond
from layermix.reporting.statistics.stats import BASELINES, LEVEL, estimate, least_p

Results = dict[str, dict[int, RunResult]]
"""For each planned variant, in order, the result of each finished seed."""


def notes(sizes: dict[str, int], results: Results) -> list[str]:
    """Return the notes on a study's results.

    Parameters
    ----------
    sizes
        Number of images, classes and planned seeds.
    results
        For each planned variant what its finished seeds gave.
    """
    finished = {name: runs for name, runs in results.items() if runs}
    return [
        *_unfinished(sizes["seeds"], results),
        "Intervals are 95% Student-t over seeds. They cover initialisation, data order, "
        "augmentation and mixing, but not the choice of training and test images, which is the "
        "same for every run.",
        *_out_of_bounds(finished),
        f"One test image is {percentage_points(1 / sizes['test'])[1:]} points of accuracy.",
        *_views(finished),
        *_claim(finished),
        *_power(finished),
        *_same_place(finished),
        *_worse_than_guessing(sizes["classes"], finished),
    ]


def runs_done(results: Results) -> int:
    """Return the number of finished runs."""
    return sum(map(len, results.values()))


def _unfinished(seeds: int, results: Results) -> list[str]:
    if runs_done(results) == seeds * len(results):
        return []
    done = ", ".join(f"{name} {len(runs)}/{seeds}" for name, runs in results.items())
    return [
        f"The study is not finished; seeds done: {done}. Its answer may change: an answer counts "
        "when all the runs that were planned are done."
    ]


def _out_of_bounds(finished: Results) -> list[str]:
    """Tell of intervals that would reach where no value can be."""
    found = []
    for key, measure in MEASURES.items():
        values = {n: [run.test[key] for run in runs.values()] for n, runs in finished.items()}
        names = [n for n, own in values.items() if beyond(estimate(own), measure.bounds)]
        if names:
            found.append(f"{measure.heading} ({listed(names)})")
    if not found:
        return []
    return [
        "Some intervals are cut at the least or greatest possible value, as at 0 or 100%: "
        f"{listed(found)}. Student-t intervals are symmetric and know no bounds."
    ]


def _views(finished: Results) -> list[str]:
    """Tell the accuracy over views of each test image, where every run was judged by it too."""
    own = {
        name: [run.test_views["accuracy"] for run in runs.values() if run.test_views]
        for name, runs in finished.items()
    }
    found = {name: estimate(values) for name, values in own.items() if values}
    told = [
        f"{name} {percent(each.mean)} (95% interval {interval(each, in_percent, SHARE)}, "
        f"n = {each.n})"
        for name, each in found.items()
    ]
    if not told:
        return []
    return [
        "By the mean over shifted views of each test image, mirrored too where training mirrors, "
        "test accuracy is "
        f"{', '.join(told)}. Everything else here is of the images as they are."
    ]


def _claim(finished: Results) -> list[str]:
    if claim_pair(list(finished)) is None:
        return []
    return [
        "That final beats input was asked beforehand: in the answer its p stands uncorrected, in "
        "the tables it is corrected with all others."
    ]


def _power(finished: Results) -> list[str]:
    """Tell where the number of seeds keeps every p-value above the level."""
    seeds, compared = min(map(len, finished.values())), len(finished) - 1
    least = least_p(seeds)
    if least >= LEVEL:
        return [
            f"{seeds_word(seeds)} {'is' if seeds == 1 else 'are'} too few to tell: the exact test "
            f"cannot give less than p = {least:.3g}, and p < 0.05 takes 6 seeds or more."
        ]
    if compared * least >= LEVEL:
        return [
            f"With {seeds_word(seeds)} and {compared} comparisons no corrected p-value can fall "
            f"below {compared * least:.3g}; more seeds would help."
        ]
    return []


def _same_place(finished: Results) -> list[str]:
    """Tell of variants whose test measures are equal to the last digit on every seed."""
    groups: list[list[str]] = []
    for name, runs in finished.items():
        if name == "none":  # which mixes at no place
            continue
        for group in groups:
            if _equal(finished[group[0]], runs):
                group.append(name)
                break
        else:
            groups.append([name])
    return [_about_twins(group, finished) for group in groups if len(group) > 1]


def _equal(one: dict[int, RunResult], other: dict[int, RunResult]) -> bool:
    seeds = one.keys() & other.keys()
    return bool(seeds) and all(one[seed].test == other[seed].test for seed in seeds)


def _about_twins(names: list[str], finished: Results) -> str:
    told = f"{listed(names)} gave the same to the last digit on every seed: they mix at the same "
    if not any(baseline in finished and baseline not in names for baseline in BASELINES):
        return f"{told}place."
    times = "twice" if len(names) == 2 else f"{len(names)} times"
    return f"{told}place, and count {times} in Holm's correction."


def _worse_than_guessing(classes: int, finished: Results) -> list[str]:
    guess = math.log(classes)
    names = [
        f"{name}-seed{seed}"
        for name, runs in finished.items()
        for seed, run in runs.items()
        if run.test["nll"] > guess
    ]
    if not names:
        return []
    return [
        f"Worse than guessing: a test NLL above ln({classes}) = {guess:.2f}, which equal "
        f"probabilities for all classes give, in {listed(names)}. They count as they are."
    ]
