"""z and theta are one another's inverse, by name, with the labels that the user gave."""

import numpy as np
import pymc as pm
import pytensor
import pytest
from scipy import special

from tests.models_zoo import NAMES, build
from workbench.errors import InputError
from workbench.model.density import LogDensity


@pytest.mark.parametrize("name", NAMES)
def test_theta_of_z_of_theta_is_theta(density, points, name):
    space = density(name).space
    for z in points(density(name), 5):
        theta = {n: a[0] for n, a in space.theta(z).items()}
        free = {n: theta[n] for n in reversed(space.names)}  # by name: the order must not matter
        back = space.theta(space.z(free))
        for n in (*space.names, *space.deterministics):
            assert back[n][0] == pytest.approx(theta[n], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("circular",)])  # an angle comes back in (-pi, pi)
def test_z_of_theta_of_z_is_z(density, points, name):
    space = density(name).space
    z = points(density(name), 5)
    theta = space.theta(z)
    # Log odds of a bounded variable lose digits where it comes near its bound: cond = e^|z|, |z| < 10 here.
    assert space.z_of_draws({n: theta[n] for n in space.names}) == pytest.approx(z, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_blocks_cover_z_once_and_every_scalar_has_one_label(density, points, name):
    space = density(name).space
    covered = np.concatenate([np.arange(space.dimension)[block] for block in space.blocks.values()])
    assert covered.tolist() == list(range(space.dimension))
    theta = space.theta(points(density(name), 3))
    labels = [label for n in (*space.names, *space.deterministics) for label in space.labels(n)]
    assert len(set(labels)) == len(labels) == space.flat(theta).shape[1]
    for n, shape in space.shapes.items():
        assert theta[n].shape == (3, *shape)


def test_values_are_in_the_units_of_the_model(density):
    space = density("bounded").space
    z = np.array([0.3, -0.2, 1.5])
    theta = space.theta(z)
    assert theta["a"][0] == pytest.approx(-100 + 200 * special.expit(0.3), rel=1e-14)
    assert theta["b"][0] == pytest.approx(special.expit(-0.2), rel=1e-14)
    assert theta["c"][0] == pytest.approx(np.exp(1.5), rel=1e-14)


def test_labels_carry_the_coordinates_of_the_model(density):
    space = density("labelled").space
    assert space.labels("beta") == ["beta[control]", "beta[treated]", "beta[late]"]
    assert space.labels("sigma") == ["sigma"]
    assert space.labels("table")[:3] == [
        "table[control, first]",
        "table[control, second]",
        "table[treated, first]",
    ]
    assert density("logistic").space.labels("beta") == ["beta[0]", "beta[1]", "beta[2]"]


def test_flat_values_stand_in_the_order_of_the_labels(density):
    space = density("labelled").space
    theta = space.theta(np.array([1.0, 2.0, 3.0, 0.0]))
    flat = dict(zip((x for n in space.names for x in space.labels(n)), space.flat(theta, space.names)[0], strict=True))
    assert flat == {"beta[control]": 1.0, "beta[treated]": 2.0, "beta[late]": 3.0, "sigma": 1.0}
    everything = space.flat(theta)[0]
    assert everything[4:].tolist() == [1.0, 2.0, 2.0, 4.0, 3.0, 6.0]


def test_dataset_has_the_dimensions_and_coordinates_of_the_model(density):
    space = density("labelled").space
    dataset = space.dataset(space.theta(np.zeros((2, 4))), leading=("draw",))
    assert dataset["beta"].dims == ("draw", "group")
    assert dataset["table"].dims == ("draw", "group", "contrast")
    assert dataset["group"].values.tolist() == ["control", "treated", "late"]
    plain = density("logistic").space
    assert plain.dataset(plain.theta(np.zeros((1, 3))), ("draw",))["beta"].dims == ("draw", "beta_dim_0")


def test_start_is_the_initial_value_where_one_is_set():
    with pm.Model() as model:
        pm.Exponential("rate", 1, initval=7.0)
        pm.Normal("mu", 3, 1)
    space = LogDensity(model).space
    assert space.start == pytest.approx([np.log(7.0), 3.0], rel=1e-14)


@pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS")  # PyMC compiles its start through C
@pytest.mark.parametrize("name", NAMES)
def test_start_is_where_pymc_starts(density, name):
    # PyMC narrows the numbers here too (100 + 100 overflows in a Beta's mean), unless PyTensor is told not to.
    with pytensor.config.change_flags(cast_policy="numpy+floatX", mode="FAST_COMPILE", cxx=""):
        initial = build(name).initial_point()
    d = density(name)
    for n, value in d.symbolic.values.items():
        block = d.space.start[d.space.blocks[n]].reshape(d.space.block_shapes[n])
        assert block == pytest.approx(initial[value.name], rel=1e-12, abs=1e-12)


GOOD = {"a": 0.5, "b": 0.25, "c": 2.0}


@pytest.mark.parametrize(
    ("theta", "wanted"),
    [
        ({**GOOD, "mu": 1.0}, "'mu'"),
        ({"a": 0.5, "b": 0.25}, "no value for c"),
        ({**GOOD, "a": [1.0, 2.0]}, "a has shape"),
        ({**GOOD, "b": 1.5}, "b = 1.5 lies outside"),
        ({**GOOD, "b": 0.0}, "b = 0"),
        ({**GOOD, "c": -1.0}, "c = -1"),
        ({**GOOD, "a": 100.0}, "a = 100"),
        ({**GOOD, "a": 101.0}, "a = 101"),
        ({**GOOD, "a": np.nan}, "a = nan"),
        ({**GOOD, "c": np.inf}, "c = inf"),
    ],
)
def test_what_is_no_point_of_theta_is_refused_with_its_name(density, theta, wanted):
    with pytest.raises(InputError) as error:
        density("bounded").space.z(theta)
    assert wanted in error.value.what


def test_an_unknown_name_lists_the_names_there_are(density):
    with pytest.raises(InputError) as error:
        density("bounded").space.z({"q": 1.0})
    assert "a, b, c" in error.value.fix


@pytest.mark.parametrize(
    ("name", "theta", "guilty"),
    [
        ("simplex", {"w": [0.5, 0.5, 0.5, 0.5]}, "w"),
        ("simplex", {"w": [1.2, -0.2, 0.5, -0.5]}, "w"),
        ("ordered", {"cuts": [1.0, 0.0, 2.0], "eta": 0.0}, "cuts"),
        ("zero_sum", {"effects": [1.0, 1.0, 1.0, 1.0]}, "effects"),
        ("dependent_bounds", {"top": 1.0, "inside": 2.0}, "inside"),
    ],
)
def test_values_that_break_a_constraint_between_elements_are_refused(density, name, theta, guilty):
    with pytest.raises(InputError, match=guilty):
        density(name).space.z(theta)


def test_many_values_have_the_places_of_each_and_those_on_an_edge_are_told():
    with pm.Model() as model:
        pm.Uniform("u", 0.0, 2.0)
        pm.HalfNormal("s", shape=2)
    space = LogDensity(model).space
    theta = {"u": np.array([0.5, 0.0, 1.5, 3.0, 1.0]),
             "s": np.array([[1.0, 2.0], [1.0, 2.0], [0.3, 4.0], [1.0, 2.0], [1.0, 0.0]])}  # fmt: skip
    z, inside = space.z_where_inside(theta)
    assert inside.tolist() == [True, False, True, False, False]
    for i in range(5):
        one = {name: values[i] for name, values in theta.items()}
        if inside[i]:
            np.testing.assert_allclose(z[i], space.z(one), rtol=1e-14)
        else:
            with pytest.raises(InputError, match="lies outside"):
                space.z(one)


def test_the_coordinates_of_directions_are_angles_and_no_others():
    with pm.Model() as model:
        pm.Normal("a", shape=2)
        pm.VonMises("direction", 0.0, 1.0, shape=2)
        pm.Bernoulli("label", 0.5)
        pm.HalfNormal("b")
    assert LogDensity(model).space.angles.tolist() == [False, False, True, True, False]
