"""Tables beside users' data: ids, clusters, groups, bands, and what is refused."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from suite.errors import InputError
from tasks.own import table
from tasks.own.common import Common, validated

LINES = "id,patient,site,age\n001,p1,A,39\n002,p1,,70\n003,p2,B,\n"


def described(**fields: object) -> Common:
    return validated(Common, {"name": "set", "kind": "segmentation", "table": "t.csv", **fields}, "set.toml")


def written(folder: Path, text: str = LINES, name: str = "t.csv") -> table.Table:
    (folder / name).write_text(text, encoding="utf-8")
    return table.read(folder / name)


def test_ids_stay_text_and_missing_groups_are_a_group(tmp_path):
    known = table.attributes(
        written(tmp_path), described(cluster="patient", groups=["site", "age"], bands={"age": [40, 65]})
    )
    assert list(known) == ["001", "002", "003"]
    assert [one.cluster for one in known.values()] == ["p1", "p1", "p2"]
    assert known["002"].groups == {"site": table.MISSING, "age": ">=65"}
    assert table.group_values(known.values()) == {
        "site": {"A": 1, "B": 1, "(missing)": 1},
        "age": {"<40": 1, ">=65": 1, "(missing)": 1},
    }


def test_where_lets_rows_in(tmp_path):
    assert list(table.attributes(written(tmp_path), described(where={"patient": "p2"}))) == ["003"]
    with pytest.raises(InputError, match="no row has patient = 'p9'"):
        table.attributes(written(tmp_path), described(where={"patient": "p9"}))


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_and_parquet_say_the_same(tmp_path, delimiter):
    import pyarrow.parquet as pq

    wanted = table.attributes(written(tmp_path), described(groups=["site"]))
    other = written(tmp_path, LINES.replace(",", delimiter), "t.tsv")
    assert table.attributes(other, described(groups=["site"])) == wanted
    pq.write_table(other.columns, tmp_path / "t.parquet")
    assert table.attributes(table.read(tmp_path / "t.parquet"), described(groups=["site"])) == wanted
    assert np.array_equal(other.numbers("age"), [39, 70, np.nan], equal_nan=True)


@pytest.mark.parametrize(
    ("text", "fields", "words"),
    [
        ("id\n1\n1\n", {}, "'1' is given twice"),
        ("id,x\n1,a\n,b\n", {}, "row 2 has no id"),
        ("id,sit\n1,a\n", {"groups": ["site"]}, "did you mean 'sit'"),
        ("id,age\n1,old\n", {"groups": ["age"], "bands": {"age": [40]}}, "'old', which is not a number"),
        ("id,site\n1,a=b\n", {"groups": ["site"]}, "may not hold any of"),
        ("id\n", {}, "has no rows"),
        ("", {}, "not a readable table"),
    ],
)
def test_refused_in_one_line(tmp_path, text, fields, words):
    with pytest.raises(InputError, match=words) as refused:
        table.attributes(written(tmp_path, text), described(**fields))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("empty", [None, "", "NA", "N/A", "NaN", "nan", "null", " NA "])
def test_what_is_empty_in_text_is_empty_in_parquet(tmp_path, empty):
    """A group of its own, no band, and no cluster that strangers share."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    age = float("nan") if empty == "nan" else None
    cells = {"id": ["a", "b", "c"], "patient": ["p", empty, empty], "site": ["A", "B", empty], "age": [30.0, 50.0, age]}
    fields = described(cluster="patient", groups=["site", "age"], bands={"age": [40]})
    pq.write_table(pa.table(cells), tmp_path / "t.parquet")
    known = table.attributes(table.read(tmp_path / "t.parquet"), fields)
    lines = [",".join("" if cell is None else str(cell) for cell in row) for row in zip(*cells.values(), strict=True)]
    assert known == table.attributes(written(tmp_path, "\n".join([",".join(cells), *lines])), fields)
    assert known["c"] == table.Attributes("c", {"site": table.MISSING, "age": table.MISSING})
    assert known["b"] == table.Attributes("b", {"site": "B", "age": ">=40"})


def test_numbers_that_are_missing_in_parquet_are_no_group(tmp_path):
    """pandas writes whole numbers with a gap as floats with NaN."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"id": ["a", "b"], "site": [1.0, float("nan")], "x": ["7", "NA"]}), tmp_path / "t.parquet")
    rows = table.read(tmp_path / "t.parquet")
    assert [one.groups["site"] for one in table.attributes(rows, described(groups=["site"])).values()] == [
        "1.0",
        table.MISSING,
    ]
    assert np.array_equal(rows.numbers("x"), [7, np.nan], equal_nan=True)


def test_dates_and_lists_are_no_numbers(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    cells = {"id": ["a", "b"], "since": [None, date(2020, 5, 17)], "x": [[1.0], [2.0]]}
    pq.write_table(pa.table(cells), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="'since' holds '2020-05-17', which is not a number"):
        table.attributes(table.read(tmp_path / "t.parquet"), described(groups=["since"], bands={"since": [40]}))
    with pytest.raises(InputError, match=r"'x' holds '\[1.0\]', which is not a number"):
        table.read(tmp_path / "t.parquet").numbers("x")


def test_a_column_named_twice_is_refused_where_it_is_asked_for(tmp_path):
    """Spreadsheets write further columns without a name, which nobody asks for."""
    rows = written(tmp_path, "id,site,site,,\n001,A,B,,\n002,A,B,,\n")
    assert list(table.attributes(rows, described())) == ["001", "002"]
    with pytest.raises(InputError, match="has 2 columns 'site'; give each a name of its own"):
        table.attributes(rows, described(groups=["site"]))


def test_an_item_without_a_row_is_refused(tmp_path):
    known = table.attributes(written(tmp_path), described())
    with pytest.raises(InputError, match=r"no row for 'x' \(and 1 more\)"):
        table.of_items(["001", "x", "y"], known, Path("t.csv"))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"clases": ["a"]}, "unknown key 'clases'; did you mean 'classes'"),
        ({"table": None, "groups": ["site"]}, "add table"),
        ({"bands": {"age": [40]}}, "bands of 'age', which is not among the groups"),
        ({"groups": ["age"], "bands": {"age": [40, 40]}}, "must rise"),
        ({"classes": ["a", "a"]}, "a name is given twice"),
        ({"name": "a b"}, "name ="),
    ],
)
def test_wrong_descriptions_are_explained(fields, words):
    with pytest.raises(InputError, match=words):
        described(**fields)


def test_words_for_people_do_not_change_the_digest():
    assert described(title="a").meaning_sha256() == described(title="b").meaning_sha256()
    assert described(version="1").meaning_sha256() != described(version="2").meaning_sha256()
