"""Columns of a data file: numbers, labels, and what is neither."""

import numpy as np
import pandas as pd
import pytest

import workbench as wb
from workbench.model.load import load_model

MODEL = '''"""Means of groups."""
import numpy as np
import pymc as pm


def build(y, group):
    names, index = np.unique(group, return_inverse=True)
    with pm.Model(coords={"group": names}) as model:
        mu = pm.Normal("mu", 0, 10, dims="group")
        pm.Normal("out", mu[index], 1, observed=y)
    return model
'''


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "groups.py"
    path.write_text(MODEL)
    return path


def _csv(file, text):
    path = file.with_suffix(".csv")
    path.write_text(text)
    return path


def test_a_column_of_labels_arrives_as_strings_and_names_the_estimates(file):
    study = wb.load(file, _csv(file, "y,group\n1,b\n2,a\n5,b\n"), seed=1)
    assert study.likelihood.maximum().theta == pytest.approx({"mu[a]": 2.0, "mu[b]": 3.0}, abs=1e-8)


@pytest.mark.parametrize("kind", ["category", "object", "string"])
def test_labels_of_a_data_frame_arrive_whatever_their_type(file, kind):
    frame = pd.DataFrame({"y": [1.0, 2.0, 5.0], "group": ["b", "a", "b"]}, index=[7, 8, 9])
    frame["group"] = frame["group"].astype(kind)
    columns = load_model(file, frame).columns
    assert columns["group"].tolist() == ["b", "a", "b"]
    assert columns["y"].dtype == np.float64


def test_categories_that_are_numbers_stay_numbers(file):
    frame = pd.DataFrame({"y": [1.0, 2.0], "group": pd.Categorical([2, 1])})
    assert load_model(file, frame).columns["group"].tolist() == [2, 1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("y,group\n1,b\n2,3\n", "has text where a number belongs: 'b' in row 0"),
        ('y,group\n"1,5",b\n"2,5",a\n', "decimals with a point"),
        ("y,group\n1,b\n2,\n", r"no labels \(1 missing\): row 1"),
        ("y,group\n1,\n2,\n", r"no finite numbers \(2 missing\): rows 0, 1"),
        ("y,group\n1 m,b\n2 m,a\n", "column 'y' holds labels, as '1 m'"),
    ],
)
def test_a_column_that_is_neither_is_refused_by_its_row(file, text, said):
    with pytest.raises(wb.WorkbenchError, match=said):
        wb.load(file, _csv(file, text))
