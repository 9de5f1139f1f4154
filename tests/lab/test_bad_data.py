"""Bad tables and texts: each is refused by a message with the cause, or read correctly."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bad_inputs import HTML, attempt
from command_line import start

pytestmark = pytest.mark.usefixtures("empty_caches")
RECIPE = "--epochs 1 --batch-size 8 --monitor 0 --no-geometry --variant none"
HEAD = "a,b,color,label"
COLUMNS = {"a": 0, "b": 1, "color": 2, "label": 3}
_RNG = np.random.default_rng(0)
NUMBERS = _RNG.normal(size=(24, 2)).round(4).tolist()
CLASSES = [k % 2 for k in range(24)]


def table(column: str = "a", value: Any = None, row: int | None = None) -> str:
    """Return a CSV file in which one cell, or a whole column by a list of values, is replaced."""
    cells = [
        [*map(str, numbers), "red" if k % 3 else "blue", "yes" if k % 2 else "no"]
        for k, numbers in enumerate(NUMBERS)
    ]
    for k, line in enumerate(cells):
        if value is not None and row in (None, k):
            line[COLUMNS[column]] = value[k % len(value)] if isinstance(value, list) else value
    return "\n".join([HEAD, *map(",".join, cells)]) + "\n"


def lines(**columns: Any) -> str:
    """Return a JSONL file of 24 rows; a value is a list, whose items are repeated."""
    rows = [{n: values[k % len(values)] for n, values in columns.items()} for k in range(24)]
    return "".join(json.dumps(row) + "\n" for row in rows)


A = [a for a, _ in NUMBERS]
PLAIN = table()
FILES: dict[str, tuple[str | bytes, str]] = {
    "zero.csv": ("", "zero.csv"),
    "head.csv": (f"{HEAD}\n", "no data"),
    "one.csv": (f"{HEAD}\n1,2,red,yes\n", "one class, 'yes'"),
    "two.csv": (f"{HEAD}\n1,2,red,yes\n2,3,red,no\n", "'no' has 1"),
    "zeros.csv": (b"\0" * 100, "zeros.csv"),
    "bytes.csv": (bytes(range(256)) * 4, "utf-8"),
    "utf16.csv": (PLAIN.encode("utf-16"), "utf-8"),
    "latin.csv": (table("color", "café", 3).encode("latin-1"), "utf-8"),
    "long-row.csv": (f"{PLAIN}1,2,red,yes,extra,more\n", "line 26"),
    "short-row.csv": (f"{PLAIN}1,2\n", "1 missing label"),
    "quote.csv": (f'{PLAIN}"1,2,red,yes\n', "EOF inside string"),
    "pipes.csv": (PLAIN.replace(",", "|"), "a|b|color|label"),
    "inf.csv": (table("a", "inf", 2), "'a' has infinite values"),
    "1e999.csv": (table("a", "-1e999", 2), "'a' has infinite values"),
    "no-label.csv": (table("label", "", 4), "1 missing label"),
    "no-labels.csv": (table("label", ""), "24 missing labels"),
    "float-labels.csv": (table("label", ["0.5", "1.5"]), "float64 labels"),
    "inf-labels.csv": (table("label", ["inf", "1"]), "'label'"),
    "nan-labels.csv": (table("label", ["nan", "1"]), "12 missing labels"),
    "negative-labels.csv": (table("label", ["-1", "0"]), "label -1"),
    "huge-labels.csv": (table("label", ["9" * 25, "8" * 25]), "label"),
    "one-label.csv": (table("label", "x"), "one class, 'x'"),
    "target.csv": (PLAIN.replace("label", "y", 1), "--label-column"),
    "labels-twice.csv": (PLAIN.replace("color,label", "label,label", 1), "label"),
    "copy.csv": (table("a", ["0", "1"]), "reveals the class"),
    "rows.csv": (table("a", [str(k) for k in range(24)]), "numbers the rows"),
    "bad.jsonl": ('{"a":1,', "JSON"),
    "empty.jsonl": ("", "empty.jsonl"),
    "list.json": ("[1,2,3]", "--label-column"),
    "number.json": ("3", "JSON"),
    "deep.json": ("[" * 100_000, "deep.json"),
    "same-keys.jsonl": ('{"a":1,"a":2,"label":0}\n' * 12, "Column(/a)"),
    "nested.jsonl": (lines(a=[{"b": 1}], label=[0, 1]), "'a' has values of type dict"),
    "list-column.jsonl": (lines(a=[[1, 2]], label=[0, 1]), "'a' has values of type list"),
    "list-labels.jsonl": (lines(a=A, label=[[0], [1]]), "(24, 1)"),
    "null-label.jsonl": (lines(a=A, label=[0, 1, None]), "8 missing labels"),
    "surrogate.jsonl": (lines(text=["\ud800"], label=[0, 1]), "JSON"),
    "zero.parquet": ("", "0 bytes"),
    "text.parquet": (PLAIN, "Parquet"),
    "magic.parquet": (b"PAR1" + b"\0" * 50 + b"PAR1", "magic.parquet"),
    "empty-texts.jsonl": (lines(text=["", "  "], label=[0, 1]), "every text is empty"),
}


def refuse(path: Path, part: str, capsys: pytest.CaptureFixture[str], flags: str = "") -> None:
    out = path.parent / "run"
    words = ["train", "--data", str(path), *flags.split(), *RECIPE.split(), "--out", str(out)]
    code, _, err = attempt(words, capsys)
    assert code in (1, 2)
    assert part in err.replace(str(path), path.name)
    assert "An error occurred" not in err  # which hides the cause
    assert list(path.parent.glob("run*")) == []


@pytest.mark.parametrize("name", FILES)
def test_bad_file_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, part = FILES[name]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    refuse(path, part, capsys)


@pytest.mark.parametrize("content", ["null", "null\n" * 3])
def test_json_file_of_null_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "null.json").write_text(content)
    process = start(f"train --data {tmp_path}/null.json --out {tmp_path}/run")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "null.json" in err


DATE = pa.array([np.datetime64("2020-01-01", "D").item()] * 24)
PARQUET: dict[str, tuple[dict[str, Any], str]] = {
    "dates": ({"a": DATE, "label": CLASSES}, "type date"),
    "bytes": ({"a": [b"\xff"] * 24, "label": CLASSES}, "type bytes"),
    "lists": ({"a": [[1.0]] * 24, "label": CLASSES}, "type list"),
    "dates as labels": ({"a": A, "label": DATE}, "2020"),
    "bytes as labels": ({"a": A, "label": [b"x", b"y"] * 12}, "label"),
    "nulls as labels": ({"a": A, "label": pa.nulls(24)}, "24 missing labels"),
    "2**64 as a label": (
        {"a": A, "label": pa.array([2**64 - 1, 0] * 12, pa.uint64())},
        "18446744073709551615",
    ),
    "no rows": ({"a": pa.array([], pa.float64()), "label": pa.array([], pa.int64())}, "x.parquet"),
    "labels alone": ({"label": CLASSES}, "label"),
    "bytes as images": ({"image": [b"no image"] * 24, "label": CLASSES}, "--image-column"),
    "no bytes, no path": ({"image": [{"bytes": None, "path": None}] * 24, "label": CLASSES}, "row"),
    "empty image": ({"image": [{"bytes": b"", "path": None}] * 24, "label": CLASSES}, "row 0"),
    "path outside": ({"image": [{"bytes": b"", "path": "../x"}] * 24, "label": CLASSES}, "../x"),
    "null images": ({"image": pa.nulls(24), "label": CLASSES}, "--image-column"),
    "no sound": ({"audio": [{"bytes": None, "path": None}] * 24, "label": CLASSES}, "row 0"),
}


@pytest.mark.parametrize("name", PARQUET)
def test_bad_column_is_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns, part = PARQUET[name]
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    refuse(tmp_path / "x.parquet", part, capsys)


def test_truncated_parquet_file_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pq.write_table(pa.table({"a": A, "label": CLASSES}), tmp_path / "x.parquet")
    (tmp_path / "x.parquet").write_bytes((tmp_path / "x.parquet").read_bytes()[:300])
    refuse(tmp_path / "x.parquet", "x.parquet", capsys)


SETTINGS = [
    ("--label-column nope", "'nope'"),
    ("--label-column a", "reveals the class"),
    (f"--label-column {HTML}", HTML),
    ("--drop-columns nope", "'nope'"),
    ("--drop-columns label", "label"),
    ("--drop-columns a b color", "column"),
    ("--categorical-columns nope", "'nope'"),
    ("--text-column label", "label"),
    ("--text-column nope", "'nope'"),
    ("--modality image", "--image-column"),
    ("--image-column color", "--image-column"),
    ("--audio-column a", "--audio-column"),
    ("--image-size 8", "image_size is 8"),
    ("--max-length 0", "max_length is 0"),
    ("--text-column color --tokenizer ../../x", "../../x"),
    ("--text-column color --tokenizer .", "'.'"),
]


@pytest.mark.parametrize(("flags", "part"), SETTINGS, ids=[flags for flags, _ in SETTINGS])
def test_bad_setting_of_a_table_is_refused(
    flags: str, part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.csv").write_text(PLAIN)
    refuse(tmp_path / "x.csv", part, capsys, flags)


TESTS = {
    "another column": (PLAIN.replace("color", "shade", 1), "shade"),
    "fewer columns": ("a,label\n1,yes\n2,no\n", "'b'"),
    "texts as numbers": (table("a", "abc"), "abc"),
    "another class": (table("label", "maybe", 1), "'maybe'"),
    "no rows": (f"{HEAD}\n", "no data"),
    "zero bytes": ("", "data"),
    "integers as labels": (table("label", ["0", "1"]), "class '0'"),
    "no labels": ("a,b,color\n1,2,red\n", "'label'"),
    "infinite numbers": (table("a", "inf", 1), "'a' has infinite values"),
}


@pytest.mark.parametrize("name", TESTS)
def test_test_split_that_differs_from_the_training_split_is_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, part = TESTS[name]
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.csv").write_text(PLAIN)
    (folder / "test.csv").write_text(content)
    refuse(folder, part, capsys)


def test_json_split_without_a_column_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/train.jsonl").write_text(lines(a=A, b=A, label=[0, 1]))
    (tmp_path / "data/test.jsonl").write_text(lines(a=A, label=[0, 1]))
    refuse(tmp_path / "data", "'b'", capsys)


ACCEPTED: dict[str, str | bytes] = {
    "bom": PLAIN.encode("utf-8-sig"),
    "crlf": PLAIN.replace("\n", "\r\n"),
    "tabs": PLAIN.replace(",", "\t"),
    "blank lines": PLAIN + "\n\n",
    "a missing number": table("a", "", 2),
    "no numbers": table("a", ""),
    "1e308": table("a", "1e308", 2),
    "40 digits": table("a", "9" * 40, 2),
    "booleans as labels": table("label", ["True", "False"]),
    "HTML": table("color", HTML).replace("a,", f"{HTML},", 1),
    "escape": table("color", ["\x1b[2J", "x", "y"]).replace("a,", "\x1b[31m,", 1),
    "labels with HTML": table("label", [HTML, "\x1b[2J"]),
    "1 MB": table("color", "x" * 1_000_000, 2),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_unusual_table_trains_to_a_number(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = ACCEPTED[name]
    (tmp_path / "x.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    words = ["train", "--data", str(tmp_path / "x.csv"), *RECIPE.split(), "--model", "mlp"]
    assert attempt([*words, "--out", str(tmp_path / "run")], capsys).code == 0
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert 0 <= result["test"]["accuracy"] <= 1
    assert np.isfinite(result["test"]["nll"])
    assert result["sizes"]["classes"] == 2
