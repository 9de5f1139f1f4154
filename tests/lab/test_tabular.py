"""Tests of tables: numbers, categories, missing values, and a CSV file of one's own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from layermix.errors import InputError
from layermix.lab import DataConfig, Recipe, RunConfig, run
from layermix.lab.data import load
from layermix.lab.data.modalities import TableInputs
from layermix.lab.data.modalities.tabular import TableColumn
from layermix.lab.data.other import read_inputs, read_split
from layermix.lab.data.sources import decode

HEAD = "age,city,member,income,label"


def csv(path: Path, rows: list[str], head: str = HEAD) -> DataConfig:
    path.write_text("\n".join([head, *rows]))
    return DataConfig(str(path), label_column=head.rpartition(",")[2])


def people(count: int = 60) -> list[str]:
    """Return rows with numbers, categories, missing values and 9 in 10 of one class."""
    rng = np.random.default_rng(0)
    rows = []
    for k in range(count):
        age = "" if k % 7 == 0 else f"{rng.integers(20, 70)}"
        city = "?" if k % 11 == 0 else rng.choice(["Bern", "Rome", "Oslo"])
        income = f"{rng.normal(3000, 500):.1f}"
        rows.append(f"{age},{city},{rng.random() < 0.5},{income},{'no' if k % 10 else 'yes'}")
    return rows


def test_columns_are_numbers_or_categories(tmp_path: Path) -> None:
    source = decode(csv(tmp_path / "people.csv", people()))
    assert source.modality == TableInputs(
        (
            TableColumn("age", missing=True),
            TableColumn("city", ("(missing)", "Bern", "Oslo", "Rome")),
            TableColumn("member", ("0", "1")),
            TableColumn("income"),
        )
    )
    assert source.classes == ("no", "yes")
    ages = source.splits["train"].inputs[:, 0]
    assert ages.isnan().nonzero().flatten().tolist() == [*range(0, 60, 7)]


def test_numbers_are_standardized_as_by_scikit_learn() -> None:
    rows = torch.tensor([[1.0], [2.0], [4.0], [torch.nan]])
    encode = TableInputs((TableColumn("x", missing=True),)).encoding(rows)
    expected = StandardScaler().fit(rows.numpy())
    scaled = torch.from_numpy(expected.transform(rows.numpy()))[:3, 0]
    factor = (2 / 3) ** 0.5  # scikit-learn divides by the population deviation
    assert torch.allclose(encode(rows)[:3, 0], (scaled * factor).float())
    assert encode(rows)[3].tolist() == [0.0, 1.0]
    assert encode(rows)[:3, 1].tolist() == [0.0, 0.0, 0.0]


def test_categories_are_one_hot_and_unseen_ones_are_zero() -> None:
    columns = (TableColumn("city", ("Bern", "Oslo", "Rome")),)
    encode = TableInputs(columns).encoding(torch.tensor([[0.0], [2.0], [0.0]]))
    rows = torch.tensor([[0.0], [1.0], [2.0]])
    assert encode(rows).tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 1]]


def test_constant_and_extreme_numbers_stay_finite() -> None:
    rows = torch.tensor([[5.0, 0.0]] * 9 + [[5.0, 1e30]])
    encoded = TableInputs((TableColumn("a"), TableColumn("b"))).encoding(rows[:9])(rows)
    assert encoded[:, 0].eq(0).all()
    assert encoded[9, 1] == 10.0


def test_rare_categories_share_a_feature(tmp_path: Path) -> None:
    rows = [f"c{k if k < 60 else k % 20},{k % 2}" for k in range(400)]
    config = csv(tmp_path / "many.csv", rows, "city,label")
    source = decode(DataConfig(config.data, modality="table"))
    (column,) = source.modality.columns  # pyright: ignore[reportAttributeAccessIssue]
    assert len(column.categories) == 51
    assert column.categories[-1] == "(other)"


def test_numbers_with_other_marks_of_missing_values_are_numeric(tmp_path: Path) -> None:
    rows = [f"{'?' if k == 3 else k * 0.5},{k % 2}" for k in range(20)]
    config = DataConfig(csv(tmp_path / "x.csv", rows, "x,label").data, modality="table")
    (column,) = decode(config).modality.columns  # pyright: ignore[reportAttributeAccessIssue]
    assert column == TableColumn("x", missing=True)


def test_codes_of_categories_are_named(tmp_path: Path) -> None:
    rows = [f"{k % 3},{k % 2}" for k in range(20)]
    config = csv(tmp_path / "x.csv", rows, "code,label")
    source = decode(DataConfig(config.data, categorical_columns=("code",)))
    assert source.modality.columns == (TableColumn("code", ("0", "1", "2")),)  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("head", "row", "message"),
    [
        ("id,x,label", "{k},0.5,{c}", "column 'id' numbers the rows from 0 to 119: leave it out"),
        ("name,label", "n{k}x,{c}", "column 'name' has 120 different texts in 120 rows"),
        ("x,y", "0.5,{c}", "not clear which of the columns .* is the label: name it with --label"),
        ("x,label", "0.5,", "column 'label': split 'train' has"),
    ],
)
def test_errors_say_exactly_what_is_missing(tmp_path: Path, head, row, message) -> None:
    rows = [row.format(k=k, c="ab"[k % 2]) for k in range(120)]
    path = tmp_path / "x.csv"
    path.write_text("\n".join([head, *rows]))
    with pytest.raises(InputError, match=message):
        decode(DataConfig(str(path), modality="table"))


def test_dropped_columns_are_no_inputs(tmp_path: Path) -> None:
    rows = [f"{k},{k * 0.5},{k % 2}" for k in range(30)]
    config = csv(tmp_path / "x.csv", rows, "id,x,label")
    with pytest.raises(InputError, match="unknown column 'ids': did you mean 'id'"):
        decode(DataConfig(config.data, drop_columns=("ids",)))
    found = decode(DataConfig(config.data, drop_columns=("id",), categorical_columns=("x",)))
    assert [column.name for column in found.modality.columns] == ["x"]  # pyright: ignore[reportAttributeAccessIssue]


def test_table_of_one_s_own_trains(tmp_path: Path) -> None:
    config = csv(tmp_path / "people.csv", people(200))
    data = load(config)
    assert data.train.inputs.shape[1] == 2 + 4 + 2 + 1  # features of the four columns
    recipe = Recipe(epochs=2, monitor=1, geometry=False)
    result = run(RunConfig(config, "auto", recipe, "input", 0), tmp_path / "run")
    assert result.classes == ["no", "yes"]
    assert 0 <= result.test["accuracy"] <= 1


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Unnamed: 0", [2 * k for k in range(60)]),  # of chosen rows
        ("number", list(np.random.default_rng(0).permutation(60))),  # of shuffled rows
        ("ID", [k * k for k in range(60)]),
    ],
)
def test_row_numbers_raise(tmp_path: Path, name: str, values: list[int]) -> None:
    rows = [f"{value},{k % 2}" for k, value in enumerate(values)]
    with pytest.raises(InputError, match=f"column {name!r} numbers the rows from 0 to"):
        decode(csv(tmp_path / "x.csv", rows, f"{name},label"))


def test_whole_numbers_are_no_row_numbers(tmp_path: Path) -> None:
    rows = [f"{3 * k + 1},{k % 2}" for k in range(60)]
    assert decode(csv(tmp_path / "x.csv", rows, "price,label")).splits["train"].inputs.shape == (
        60,
        1,
    )


@pytest.mark.parametrize("text", ["{c}", "class {c}", "{c}0"])
def test_copy_of_the_labels_raises(tmp_path: Path, text: str) -> None:
    rows = [f"{k % 11},{text.format(c=k % 3)},{k % 3}" for k in range(60)]
    with pytest.raises(
        InputError, match="column 'copy' has another value for each value of 'label', and"
    ):
        decode(csv(tmp_path / "x.csv", rows, "x,copy,label"))


def test_several_label_columns_raise(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("\n".join(["x,label,class", *(f"{k % 5},{k % 2},{k % 3}" for k in range(60))]))
    with pytest.raises(InputError, match="not clear which of the columns"):
        decode(DataConfig(str(path)))
    assert len(decode(DataConfig(str(path), label_column="class")).classes) == 3


def test_large_numbers_keep_their_differences(tmp_path: Path) -> None:
    rows = [f"{1_700_000_000 + 20 * (k % 2) + k % 5},{k % 2}" for k in range(300)]
    data = load(csv(tmp_path / "x.csv", rows, "time,label"))
    means = [data.train.inputs[data.train.labels == c].mean() for c in (0, 1)]
    assert means[1] - means[0] > 1.9


def test_test_rows_do_not_change_the_features(tmp_path: Path) -> None:
    parts = {"train": ["red", "blue"] * 40, "test": ["green", "red"] * 20}
    for name, colors in parts.items():
        rows = [
            f"{c},{'' if name == 'test' and k < 5 else k % 7},{k % 3}" for k, c in enumerate(colors)
        ]
        (tmp_path / f"{name}.csv").write_text("\n".join(["color,x,label", *rows]))
    source = decode(DataConfig(str(tmp_path)))
    assert source.modality == TableInputs((TableColumn("color", ("blue", "red")), TableColumn("x")))
    data = load(DataConfig(str(tmp_path)))
    assert data.test.inputs[0].tolist() == [0, 0, 0]  # an unknown color and a missing number


def test_categories_are_equal_whatever_their_type(tmp_path: Path) -> None:
    config = DataConfig(str(tmp_path / "a.csv"), categorical_columns=("code",))
    codes = ["", *("1" if k % 2 else "2" for k in range(99))]  # a missing value makes floats
    csv(tmp_path / "a.csv", [f"{c},{k % 5},{k % 3}" for k, c in enumerate(codes)], "code,x,label")
    data = load(config)
    csv(tmp_path / "b.csv", [f"{1 + k % 2},{k % 5},{k % 3}" for k in range(99)], "code,x,label")
    found = read_inputs(str(tmp_path / "b.csv"), config, data)
    assert found[:2, 0].tolist() == [1, 2]
    csv(tmp_path / "b.csv", [f"{7 + k % 2},{k % 5},{k % 3}" for k in range(99)], "code,x,label")
    with pytest.raises(InputError, match="column 'code' has '7' and no value of the study's data"):
        read_inputs(str(tmp_path / "b.csv"), config, data)


def write_splits(folder: Path, **columns: str) -> DataConfig:
    """Write tables of splits with the given columns, and the class in the column label."""
    folder.mkdir()
    for name, head in columns.items():
        rows = [{"a": k % 5, "b": k % 7, "id": k, "label": "pq"[k % 2]} for k in range(30)]
        lines = (",".join(str(row.get(c or "id")) for c in head.split(",")) for row in rows)
        (folder / f"{name}.csv").write_text("\n".join([head, *lines]))
    return DataConfig(str(folder))


@pytest.mark.parametrize("column", ["id", ""])  # pandas names a column without a name
def test_dropped_column_can_be_in_one_split_alone(tmp_path: Path, column: str) -> None:
    config = write_splits(tmp_path / "set", train=f"{column},a,b,label", test="label,b,a")
    dropped = replace(config, drop_columns=(column or "Unnamed: 0",))
    assert decode(dropped).splits["test"].inputs[1].tolist() == [1, 1]
    with pytest.raises(InputError, match=f"has a column '{dropped.drop_columns[0]}', which"):
        decode(config)


def test_file_of_a_split_without_a_used_column_raises(tmp_path: Path) -> None:
    config = write_splits(tmp_path / "set", **{"train-0": "a,b,label", "train-1": "a,label"})
    with pytest.raises(InputError, match=r"has a column 'b', which .*train-1\.csv lacks"):
        decode(config)
    assert decode(replace(config, drop_columns=("b",))).splits["train"].inputs.shape == (60, 1)


def test_of_other_data_only_the_split_that_is_read_matters(tmp_path: Path) -> None:
    data = load(config := write_splits(tmp_path / "set", train="a,b,label"))
    other = write_splits(tmp_path / "x", train="id,a,b,label", validation="a,id", test="b,a").data
    assert read_inputs(other, config, data)[1].tolist() == [1, 1]
    with pytest.raises(InputError, match="has a column 'label', which"):
        read_split(other, config, data)
    other = write_splits(tmp_path / "y", train="a,b,label", test="a,label").data
    with pytest.raises(InputError, match="has a column 'b', which"):
        read_inputs(other, config, data)
