"""Every term has an owner and a role, and an index that lies outside its axis is refused."""

import numpy as np
import pymc as pm
import pytest
from scipy.sparse import csr_matrix

from tests.models_zoo import NAMES
from workbench.errors import RefusalError
from workbench.model.density import LogDensity
from workbench.model.terms import largest_array, symbolic_terms


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_of_the_model_owns_its_terms(density, name):
    d = density(name)
    model, symbolic = d.model, d.symbolic
    free = [rv.name for rv in model.free_RVs]
    assert list(symbolic.log_prior) == list(symbolic.values) == list(symbolic.free) == list(symbolic.start) == free
    assert list(symbolic.log_likelihood) == [rv.name for rv in model.observed_RVs]
    transformed = [rv.name for rv in model.free_RVs if model.rvs_to_transforms[rv] is not None]
    assert list(symbolic.log_jacobian) == transformed
    assert list(symbolic.potential) == [p.name for p in model.potentials]
    assert list(symbolic.deterministic) == [v.name for v in model.deterministics]


def test_observations_are_those_of_the_model(density):
    assert density("several").symbolic.observed["count"].tolist() == [1, 2, 3]
    assert density("several").symbolic.observed["size"].tolist() == [1.0, 2.0]
    assert density("coin").symbolic.observed["heads"] == 61
    assert density("missing").symbolic.observed["y_observed"].tolist() == [1.0, 2.0, 3.0]


def grouped(codes, elements=3, make=np.asarray):
    with pm.Model() as model:
        effect = pm.Normal("effect", 0, 1, shape=elements)
        pm.Normal("y", effect[make(codes)], 1, observed=np.zeros(len(codes)))
    return model


# Python counts -1 from the end, and pandas gives it to a missing category: both read a wrong element in silence.
@pytest.mark.parametrize("codes", [[1, 2, 3], [0, 1, 7], [-4, 0, 1], [-1, 0, 2]])
def test_codes_out_of_range_are_refused_with_the_variable_and_both_ranges(codes):
    with pytest.raises(RefusalError) as refusal:
        symbolic_terms(grouped(codes))
    assert refusal.value.where == "effect"
    assert f"from {min(codes)} to {max(codes)}" in refusal.value.what
    assert "3 elements, numbered from 0 to 2" in refusal.value.what
    assert "start at 1" in refusal.value.fix


@pytest.mark.parametrize("codes", [[0, 1, 2], [2, 2, 0]])
def test_codes_in_range_are_accepted(codes):
    assert list(symbolic_terms(grouped(codes)).log_prior) == ["effect"]


@pytest.mark.parametrize("position", [0, 1])
def test_codes_out_of_range_in_one_axis_of_a_matrix_are_refused(position):
    codes = [np.array([0, 1, 2]), np.array([0, 1, 3])]
    sizes = (3, 4) if position == 0 else (4, 3)
    picked = codes[::-1] if position == 0 else codes
    with pm.Model() as model:
        effect = pm.Normal("effect", 0, 1, shape=sizes)
        pm.Normal("y", effect[picked[0], picked[1]], 1, observed=np.zeros(3))
    with pytest.raises(RefusalError, match="effect"):
        symbolic_terms(model)


def test_codes_of_one_axis_beside_a_slice_are_judged_by_their_own_axis():
    with pm.Model() as model:
        effect = pm.Normal("effect", 0, 1, shape=(2, 5))
        pm.Normal("y", effect[:, np.array([4, 3, 0])].sum(axis=0), 1, observed=np.zeros(3))
    assert list(symbolic_terms(model).log_prior) == ["effect"]
    with pm.Model() as model:
        effect = pm.Normal("effect", 0, 1, shape=(5, 2))
        pm.Normal("y", effect[:, np.array([4, 3, 0])].sum(axis=0), 1, observed=np.zeros(3))
    with pytest.raises(RefusalError, match="effect"):
        symbolic_terms(model)


def test_codes_out_of_range_in_shared_data_are_refused_as_well():
    with pm.Model() as model:
        codes = pm.Data("codes", np.array([1, 2, 3]))
        effect = pm.Normal("effect", 0, 1, shape=3)
        pm.Normal("y", effect[codes], 1, observed=np.zeros(3))
    with pytest.raises(RefusalError, match="out of range"):
        LogDensity(model)


def test_a_distribution_without_a_density_is_refused():
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 1)
        pm.CustomDist("y", mu, random=lambda mu, rng=None, size=None: rng.normal(mu, size=size), observed=np.zeros(3))
    with pytest.raises(RefusalError, match="density"):
        symbolic_terms(model)


def test_a_sparse_matrix_is_refused_by_the_name_of_its_variable():
    with pm.Model() as model:
        pm.CAR(
            "field", mu=np.zeros(3), W=csr_matrix(np.diag(np.ones(2), 1) + np.diag(np.ones(2), -1)), alpha=0.5, tau=1.0
        )
    with pytest.raises(RefusalError, match="field is computed with a sparse matrix"):
        symbolic_terms(model)


def test_the_model_is_not_changed():
    model = grouped([0, 1, 2])
    before = [*model.basic_RVs, *model.value_vars]
    symbolic_terms(model)
    assert all(a is b for a, b in zip(before, [*model.basic_RVs, *model.value_vars], strict=True))


def test_the_largest_array_is_that_of_the_design_and_linear_algebra_has_none():
    design = np.ones((50, 3))
    with pm.Model() as regression:
        pm.Normal("y", pm.math.dot(design, pm.Normal("b", 0.0, 1.0, shape=3)), 1.0, observed=np.ones(50))
    assert largest_array(symbolic_terms(regression)) == 150
    with pm.Model() as process:
        scale = pm.HalfNormal("scale", 1.0)
        pm.MvNormal("y", np.zeros(9), scale * np.eye(9), observed=np.ones(9))
    assert largest_array(symbolic_terms(process)) == np.inf
