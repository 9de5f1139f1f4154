"""Tests of the evaluation of a study on other data, from its stored weights."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from layermix.cli import run_cli
from layermix.errors import InputError, RunError
from layermix.lab import DataConfig, Execution, Recipe, StudyFolder, configure, train_study
from layermix.lab.data import load
from layermix.lab.data.sources import digits
from layermix.lab.evaluation import EvaluationConfig, evaluate_study, read_evaluation
from layermix.lab.evaluation.corruptions import corrupted
from layermix.lab.run_setup import fresh_model
from layermix.lab.store import read_result
from layermix.lab.training.metrics import main_metrics
from layermix.reporting import summarize
from stored_runs import edit_run, remove_file

RECIPE = Recipe(epochs=2, batch_size=20, monitor=1, geometry=False)
FEW = EvaluationConfig(("noise", "zoom"), ood=("digits",))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    config = configure(DataConfig(train_size=100), "mlp", RECIPE, ("none", "final"), seeds=2)
    folder = tmp_path_factory.mktemp("evaluated") / "study"
    found = train_study(config, folder, Execution(workers=1))
    evaluate_study(found, FEW, workers=1)
    return found


def test_unchanged_data_have_the_metrics_of_training(study: StudyFolder) -> None:
    found = read_evaluation(study)
    assert set(found) == set(study.finished())
    for cell, content in found.items():
        test = read_result(study.path(cell)).test
        assert content["clean"] == {name: test[name] for name in content["clean"]}


def test_corrupted_metrics_equal_a_plain_evaluation(study: StudyFolder) -> None:
    cell = study.finished()[1]
    data = load(cell.data, cell.seed)
    net = fresh_model("mlp", data, cell.seed).eval()
    net.load_state_dict(load_file(study.path(cell) / "weights.safetensors"))
    with torch.no_grad():
        logits = net(data.preprocess(corrupted(data.test.inputs, "zoom", 4)))
    found = read_evaluation(study)[cell]["corruptions"]["zoom"][3]
    expected = main_metrics(logits, data.test.labels)
    assert found["accuracy"] == expected["accuracy"]
    assert found["nll"] == pytest.approx(expected["nll"], rel=1e-3)  # stored as float16


def test_report_has_means_and_paired_differences(study: StudyFolder) -> None:
    other = summarize(study).other_data
    assert other is not None
    assert list(other.corrupted) == ["clean", "noise", "zoom", "all"]
    rows = {(c.variant, c.seed): r for c, r in read_evaluation(study).items()}
    accuracy = [row["accuracy"] for row in rows["final", 1]["corruptions"]["noise"]]
    assert other.corrupted["noise"]["final"][1] == pytest.approx(sum(accuracy) / 5)
    gap = other.gap(other.corrupted["all"], "final", "none")
    assert gap is not None
    both = other.corrupted["all"]
    assert gap.values == tuple(both["final"][s] - both["none"][s] for s in (0, 1))
    assert list(other.severities) == [0, 1, 2, 3, 4, 5]
    assert "digits, energy, AUROC" in other.ood


def test_command_adds_the_results_to_the_report(study: StudyFolder, tmp_path: Path, capsys) -> None:
    copy = tmp_path / "study"
    shutil.copytree(study.folder, copy)
    run_cli(["evaluate", str(copy), "--corruptions", "blur", "--workers", "1"])
    page = (copy / "report.html").read_text()
    assert "On other data" in page
    assert "Accuracy on corrupted test images" in capsys.readouterr().out
    assert (copy / "figures/severities.svg").exists()
    assert "On other data" in (copy / "report.md").read_text()


def test_shifted_folder_is_matched_by_class_names(study: StudyFolder, tmp_path: Path) -> None:
    source, folder = digits(None), tmp_path / "shifted"
    part = source.splits["test"][torch.arange(200)]
    for k, (image, label) in enumerate(zip(part.inputs, part.labels.tolist(), strict=True)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        big = Image.fromarray(image[0].numpy()).resize((16, 16))
        big.convert("RGB").save(folder / str(label) / f"{k}.png")
    copy = tmp_path / "study"
    shutil.copytree(study.folder, copy)
    found = StudyFolder.open(copy)
    evaluate_study(found, EvaluationConfig((), shifted=(str(folder),)), workers=1)
    (first, *_) = read_evaluation(found).values()
    assert 0.2 < first["shifted"][str(folder)]["accuracy"] <= 1
    (folder / "eleven").mkdir()
    shutil.copy(next((folder / "1").glob("*.png")), folder / "eleven" / "x.png")
    with pytest.raises(InputError, match="has the class 'eleven', which the data of the study"):
        evaluate_study(found, EvaluationConfig((), shifted=(str(folder),)), workers=1)


def test_unknown_corruption_raises(study: StudyFolder) -> None:
    with pytest.raises(InputError, match="unknown corruption 'nois': did you mean 'noise'"):
        evaluate_study(study, EvaluationConfig(("nois",)), workers=1)


def test_changed_weights_raise(study: StudyFolder, tmp_path: Path) -> None:
    copy = tmp_path / "study"
    shutil.copytree(study.folder, copy)
    path = next((copy / "runs").glob("*/weights.safetensors"))
    save_file({k: torch.zeros_like(v) for k, v in load_file(path).items()}, path)
    with pytest.raises(RunError, match=r"damaged: weights.safetensors was changed after the run"):
        evaluate_study(StudyFolder.open(copy), EvaluationConfig(("noise",)), workers=1)
    edit_run(path.parent, "result.json")  # the manifest has the new hash
    with pytest.raises(RunError, match=r"the weights of .* have a test accuracy of"):
        evaluate_study(StudyFolder.open(copy), EvaluationConfig(("noise",)), workers=1)


def test_runs_without_weights_raise(study: StudyFolder, tmp_path: Path) -> None:
    copy = tmp_path / "study"
    shutil.copytree(study.folder, copy)
    for path in (copy / "runs").iterdir():
        remove_file(path, "weights.safetensors")
    with pytest.raises(InputError, match="has no weights, which an evaluation needs"):
        evaluate_study(StudyFolder.open(copy), EvaluationConfig(("noise",)), workers=1)


def test_texts_of_no_known_class_are_detected(tmp_path: Path) -> None:
    rows = [{"text": f"{w} {w} film", "label": k} for w, k in (("good", "a"), ("bad", "b"))] * 40
    for name, part in (("known", rows), ("other", [{"text": "rain in Rome"}] * 20)):
        (tmp_path / name).mkdir()
        lines = "\n".join(json.dumps(row) for row in part)
        (tmp_path / name / "train.jsonl").write_text(lines)
    config = configure(DataConfig(str(tmp_path / "known")), "auto", RECIPE, ("none",), seeds=1)
    study = train_study(config, tmp_path / "study", Execution(workers=1))
    evaluate_study(study, EvaluationConfig(ood=(str(tmp_path / "other"),)), workers=1)
    (found,) = read_evaluation(study).values()
    assert set(found["ood"][str(tmp_path / "other")]) == {"max softmax", "max logit", "energy"}
    assert "corruptions" not in found


def test_evaluations_add_up_and_do_not_outlive_a_run(study: StudyFolder, tmp_path: Path) -> None:
    copy = tmp_path / "study"
    shutil.copytree(study.folder, copy)
    found = StudyFolder.open(copy)
    evaluate_study(found, EvaluationConfig(("blur",)), workers=1)
    for content in read_evaluation(found).values():
        assert list(content["corruptions"]) == ["noise", "zoom", "blur"]
        assert "digits" in content["ood"]
    edit_run(found.path(found.finished()[0]), "result.json", timings={"seconds": 1.0})
    assert len(read_evaluation(found)) == len(found.finished()) - 1
    other = summarize(found).other_data
    assert other is not None
    assert other.missing == 1
    run_cli(["report", str(copy)])
    assert "1 finished runs were not evaluated" in (copy / "report.md").read_text()


def test_data_sets_of_one_name_are_told_apart(study: StudyFolder, tmp_path: Path) -> None:
    images = digits(None).splits["test"].inputs[:20, 0].numpy()
    names = [str(tmp_path / part / "set") for part in ("one", "two")]
    for name in names:
        for k, image in enumerate(images):
            (Path(name) / "any").mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(Path(name) / "any" / f"{k}.png")
    copy = tmp_path / "study"
    shutil.copytree(study.folder, copy)
    evaluate_study(StudyFolder.open(copy), EvaluationConfig((), ood=tuple(names)), workers=1)
    other = summarize(StudyFolder.open(copy)).other_data
    assert other is not None
    assert {"one/set, energy, AUROC", "two/set, energy, AUROC"} <= set(other.ood)
