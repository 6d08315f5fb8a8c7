"""Log densities on R^d with everything known in closed form, shared by the tests of every algorithm.

A `Target` is an unnormalised log density with its gradient, the log of its integral, its mode and the Hessian
there, its mean and covariance, and exact independent draws. Nothing here is computed by the code under test:
the numbers come from NumPy and SciPy's special functions alone.

The functions take many points at once, one a row: an algorithm that asks for thousands of values gets them in one
call, as from a compiled model.

`ALL` holds every target, `by_name` finds one; `PEAKED` leaves out those with more than one mode.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, digamma, expit, gammaln, log_expit, polygamma

from workbench.numerics.objective import FunctionObjective, Objective, ObjectiveOfMany

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
LOG_TWO_PI = float(np.log(2 * np.pi))


@dataclass(frozen=True)
class RowsObjective:
    """An objective from a function of many points, which keeps the contract of `ObjectiveOfMany`.

    Attributes
    ----------
    dimension : int
    rows : callable
        ``rows(points) -> (values, gradients)``, shapes ``(m, d) -> (m,), (m, d)``.
    """

    dimension: int
    rows: Callable[[Matrix], tuple[Vector, Matrix]]

    def sweep(self, points: Matrix) -> tuple[Vector, Matrix]:
        """Values and gradients at many points; NaN is returned."""
        return self.rows(points)

    def value_and_gradient(self, z: Vector) -> tuple[float, Vector]:
        """Value and gradient at one; NaN is refused in the words of `FunctionObjective`."""
        return FunctionObjective(self.dimension, self._at).value_and_gradient(z)

    def value(self, z: Vector) -> float:
        """The value at one."""
        return self.value_and_gradient(z)[0]

    def _at(self, z: Vector) -> tuple[float, Vector]:
        value, gradient = self.rows(z[None])
        return value[0], gradient[0]


def rows_of(objective: Objective) -> Callable[[Matrix], tuple[Vector, Matrix]]:
    """Values and gradients of any objective at many points, one a row."""
    if isinstance(objective, ObjectiveOfMany):
        return objective.sweep

    def one_by_one(points: Matrix) -> tuple[Vector, Matrix]:
        found = [objective.value_and_gradient(point) for point in points]
        return np.array([value for value, _ in found]), np.array([gradient for _, gradient in found])

    return one_by_one


def _times(matrix: Matrix, points: Matrix) -> Matrix:
    """``matrix @ point`` for every row; a row's result does not depend on the others, as it would with BLAS."""
    return np.einsum("ij,mj->mi", matrix, points)


@dataclass(frozen=True)
class Target:
    """A log density on R^d of which everything is known.

    Attributes
    ----------
    name : str
    objective : RowsObjective
        Log f and its gradient, nats; f need not integrate to one.
    log_integral : float
        Log of the integral of f over R^d, nats.
    mode : ndarray, shape (d,)
        Place of the highest value.
    hessian : ndarray, shape (d, d)
        Of log f at the mode.
    mean : ndarray, shape (d,)
    covariance : ndarray, shape (d, d)
    draw : callable
        ``draw(m, generator)`` gives m exact independent draws from f / integral, shape ``(m, d)``.
    gaussian : bool
        Whether f is a Gaussian, for which Laplace's approximation is exact.
    modes : int
        The number of local maxima.
    """

    name: str
    objective: RowsObjective
    log_integral: float
    mode: Vector
    hessian: Matrix
    mean: Vector
    covariance: Matrix
    draw: Callable[[int, np.random.Generator], Matrix]
    gaussian: bool = False
    modes: int = 1

    @property
    def dimension(self) -> int:
        """The number d of coordinates."""
        return self.objective.dimension

    def __str__(self) -> str:
        return self.name


def _correlated(d: int, rho: float) -> Matrix:
    """Correlations rho^|i - j| of an autoregressive process, shape ``(d, d)``."""
    steps = np.abs(np.subtract.outer(np.arange(d), np.arange(d)))
    return rho**steps


def gaussian(name: str, mean: Vector, sd: Vector, correlation: Matrix, log_integral: float = 0.0) -> Target:
    """A Gaussian, scaled so that its integral is exp(log_integral)."""
    d = mean.size
    covariance = correlation * np.outer(sd, sd)
    whiten = np.linalg.inv(np.linalg.cholesky(correlation))  # of the correlation: well conditioned at any scale
    precision = whiten.T @ whiten / np.outer(sd, sd)
    log_normaliser = 0.5 * d * LOG_TWO_PI + np.log(sd).sum() - np.log(np.diag(whiten)).sum()
    factor = np.linalg.cholesky(correlation) * sd[:, None]

    def log_f(z: Matrix) -> tuple[Vector, Matrix]:
        white = _times(whiten, (z - mean) / sd)
        return log_integral - log_normaliser - 0.5 * np.sum(white**2, axis=1), -_times(whiten.T, white) / sd

    def draw(m: int, generator: np.random.Generator) -> Matrix:
        return mean + generator.standard_normal((m, d)) @ factor.T

    objective = RowsObjective(d, log_f)
    return Target(name, objective, log_integral, mean, -precision, mean, covariance, draw, gaussian=True)


def log_gamma(name: str, shape: Vector, rate: Vector) -> Target:
    """Independent z_i = log g_i with g_i ~ Gamma(shape_i, rate_i): log f = sum(shape z - rate e^z), skewed.

    The integral is the product of Gamma(shape_i) rate_i^-shape_i.
    """
    d = shape.size

    def log_f(z: Matrix) -> tuple[Vector, Matrix]:
        with np.errstate(over="ignore"):
            grown = rate * np.exp(z)
        return np.sum(shape * z - grown, axis=1), shape - grown

    def draw(m: int, generator: np.random.Generator) -> Matrix:
        # log Gamma(a) = log Gamma(a + 1) + log(U) / a: no underflow for a small shape (Marsaglia and Tsang 2000)
        uniform = 1.0 - generator.random((m, d))
        return np.log(generator.gamma(shape + 1.0, size=(m, d))) + np.log(uniform) / shape - np.log(rate)

    return Target(
        name,
        RowsObjective(d, log_f),
        log_integral=float(np.sum(gammaln(shape) - shape * np.log(rate))),
        mode=np.log(shape / rate),
        hessian=-np.diag(shape),
        mean=digamma(shape) - np.log(rate),
        covariance=np.diag(polygamma(1, shape)),
        draw=draw,
    )


def logit_beta(name: str, a: float, b: float) -> Target:
    """z = logit(p) with p ~ Beta(a, b): log f = a log p + b log(1 - p), integral B(a, b)."""

    def log_f(z: Matrix) -> tuple[Vector, Matrix]:
        return a * log_expit(z[:, 0]) + b * log_expit(-z[:, 0]), a * expit(-z) - b * expit(z)

    def draw(m: int, generator: np.random.Generator) -> Matrix:
        return (np.log(generator.gamma(a, size=m)) - np.log(generator.gamma(b, size=m)))[:, None]

    return Target(
        name,
        RowsObjective(1, log_f),
        log_integral=float(betaln(a, b)),
        mode=np.array([np.log(a / b)]),
        hessian=np.array([[-a * b / (a + b)]]),
        mean=np.array([digamma(a) - digamma(b)]),
        covariance=np.array([[polygamma(1, a) + polygamma(1, b)]]),
        draw=draw,
    )


def softmax_dirichlet(name: str, a: Vector) -> Target:
    """Log ratios z_i = log(p_i / p_k) of p ~ Dirichlet(a_1 .. a_k): log f = sum a_i log p_i, d = k - 1.

    The integral is the multivariate beta function of a; z_i = log g_i - log g_k for independent gammas.
    """
    total = a.sum()

    def log_p(z: Matrix) -> Matrix:
        padded = np.column_stack([z, np.zeros(len(z))])
        return padded - np.logaddexp.reduce(padded, axis=1, keepdims=True)

    def log_f(z: Matrix) -> tuple[Vector, Matrix]:
        logs = log_p(z)
        return np.sum(a * logs, axis=1), (a - total * np.exp(logs))[:, :-1]

    def draw(m: int, generator: np.random.Generator) -> Matrix:
        logs = np.log(generator.gamma(a, size=(m, a.size)))
        return logs[:, :-1] - logs[:, -1:]

    p = (a / total)[:-1]
    return Target(
        name,
        RowsObjective(a.size - 1, log_f),
        log_integral=float(gammaln(a).sum() - gammaln(total)),
        mode=np.log(a[:-1] / a[-1]),
        hessian=-total * (np.diag(p) - np.outer(p, p)),
        mean=digamma(a[:-1]) - digamma(a[-1]),
        covariance=np.diag(polygamma(1, a[:-1])) + polygamma(1, a[-1]),
        draw=draw,
    )


def student_t(name: str, nu: float, location: Vector, scale: Matrix) -> Target:
    """A multivariate Student t with nu degrees of freedom (more than 2), normalised."""
    d = location.size
    precision = np.linalg.inv(scale)
    factor = np.linalg.cholesky(scale)
    constant = gammaln((nu + d) / 2) - gammaln(nu / 2) - 0.5 * d * np.log(nu * np.pi)
    constant -= np.log(np.diag(factor)).sum()

    def log_f(z: Matrix) -> tuple[Vector, Matrix]:
        slope = _times(precision, z - location)
        distance = np.sum((z - location) * slope, axis=1)
        weight = (nu + d) / (nu + distance)
        return constant - 0.5 * (nu + d) * np.log1p(distance / nu), -weight[:, None] * slope

    def draw(m: int, generator: np.random.Generator) -> Matrix:
        stretch = np.sqrt(nu / generator.chisquare(nu, size=(m, 1)))
        return location + stretch * (generator.standard_normal((m, d)) @ factor.T)

    return Target(
        name,
        RowsObjective(d, log_f),
        log_integral=0.0,
        mode=location,
        hessian=-(nu + d) / nu * precision,
        mean=location,
        covariance=nu / (nu - 2) * scale,
        draw=draw,
    )


def banana(name: str, centre: float, sd: float, bend: float, width: float, log_integral: float = 0.0) -> Target:
    """A Rosenbrock density: x ~ Normal(centre, sd), y given x ~ Normal(bend x^2, width).

    The map (x, y) -> (x, y - bend x^2) has Jacobian 1, so the integral is that of two Gaussians (Pagani, Wiegand and
    Nadarajah 2022, doi:10.1111/sjos.12532). E x^4 = m^4 + 6 m^2 s^2 + 3 s^4 gives the covariance.
    """
    log_normaliser = LOG_TWO_PI + np.log(sd) + np.log(width)

    def log_f(z: Matrix) -> tuple[Vector, Matrix]:
        x, y = z.T
        across, along = (x - centre) / sd, (y - bend * x**2) / width
        gradient = np.column_stack([-across / sd + 2 * bend * x * along / width, -along / width])
        return log_integral - log_normaliser - 0.5 * (across**2 + along**2), gradient

    def draw(m: int, generator: np.random.Generator) -> Matrix:
        x = centre + sd * generator.standard_normal(m)
        return np.column_stack([x, bend * x**2 + width * generator.standard_normal(m)])

    slope = 2 * bend * centre
    together = slope * sd**2
    precision = np.array([[1 / sd**2 + (slope / width) ** 2, -slope / width**2], [-slope / width**2, 1 / width**2]])
    variance = width**2 + bend**2 * (4 * centre**2 * sd**2 + 2 * sd**4)
    return Target(
        name,
        RowsObjective(2, log_f),
        log_integral=log_integral,
        mode=np.array([centre, bend * centre**2]),
        hessian=-precision,
        mean=np.array([centre, bend * (centre**2 + sd**2)]),
        covariance=np.array([[sd**2, together], [together, variance]]),
        draw=draw,
    )


def funnel(name: str, sd: float) -> Target:
    """Neal's funnel (2003, doi:10.1214/aos/1056562461): v ~ Normal(0, sd), x given v ~ Normal(0, exp(v / 2))."""

    def log_f(z: Matrix) -> tuple[Vector, Matrix]:
        v, x = z.T
        with np.errstate(over="ignore", invalid="ignore"):
            pull = np.where(x == 0, 0.0, 0.5 * x**2 * np.exp(-v))
            slope = np.where(x == 0, 0.0, x * np.exp(-v))
        value = -0.5 * (v / sd) ** 2 - np.log(sd) - 0.5 * v - pull - LOG_TWO_PI
        return value, np.column_stack([-v / sd**2 - 0.5 + pull, -slope])

    def draw(m: int, generator: np.random.Generator) -> Matrix:
        v = sd * generator.standard_normal(m)
        return np.column_stack([v, np.exp(v / 2) * generator.standard_normal(m)])

    top = -0.5 * sd**2
    return Target(
        name,
        RowsObjective(2, log_f),
        log_integral=0.0,
        mode=np.array([top, 0.0]),
        hessian=-np.diag([sd**-2, np.exp(-top)]),
        mean=np.zeros(2),
        covariance=np.diag([sd**2, np.exp(0.5 * sd**2)]),
        draw=draw,
    )


def normal_inverse_gamma(name: str, y: Vector, m0: float, k0: float, a0: float, b0: float) -> Target:
    """Heights with mean mu and sd sigma under the conjugate prior, on z = (mu, log sigma); the integral is p(y).

    sigma^2 ~ InverseGamma(a0, b0), mu given sigma ~ Normal(m0, sigma / sqrt(k0)), y_i ~ Normal(mu, sigma). The
    density is summed over the observations as a model would do it; the answers come from the updated parameters
    (Murphy 2007, "Conjugate Bayesian analysis of the Gaussian distribution", section 6).
    """
    n, mean_y = y.size, y.mean()
    k, a = k0 + n, a0 + n / 2
    m = (k0 * m0 + n * mean_y) / k
    b = b0 + 0.5 * np.sum((y - mean_y) ** 2) + 0.5 * k0 * n * (mean_y - m0) ** 2 / k
    log_evidence = gammaln(a) - gammaln(a0) + a0 * np.log(b0) - a * np.log(b) + 0.5 * np.log(k0 / k)
    log_evidence -= 0.5 * n * LOG_TWO_PI

    def log_f(z: Matrix) -> tuple[Vector, Matrix]:
        mu, s = z.T
        with np.errstate(over="ignore"):
            tau = np.exp(-2 * s)
        residuals, off = y - mu[:, None], mu - m0
        squares = np.sum(residuals**2, axis=1)
        likelihood = -0.5 * n * LOG_TWO_PI - n * s - 0.5 * tau * squares
        prior_mu = -0.5 * LOG_TWO_PI + 0.5 * np.log(k0) - s - 0.5 * k0 * tau * off**2
        prior_sigma = a0 * np.log(b0) - gammaln(a0) - 2 * (a0 + 1) * s - b0 * tau
        jacobian = np.log(2) + 2 * s  # d sigma^2 / d log sigma = 2 sigma^2
        gradient = np.column_stack(
            [
                tau * (residuals.sum(axis=1) - k0 * off),
                -(n + 1) - 2 * (a0 + 1) + 2 + tau * (squares + k0 * off**2 + 2 * b0),
            ]
        )
        return likelihood + prior_mu + prior_sigma + jacobian, gradient

    def draw(count: int, generator: np.random.Generator) -> Matrix:
        sigma = np.sqrt(b / generator.gamma(a, size=count))
        return np.column_stack([m + sigma / np.sqrt(k) * generator.standard_normal(count), np.log(sigma)])

    variance = 2 * b / (2 * a + 1)  # sigma^2 at the mode on z
    return Target(
        name,
        RowsObjective(2, log_f),
        log_integral=float(log_evidence),
        mode=np.array([m, 0.5 * np.log(variance)]),
        hessian=-np.diag([k / variance, 2 * (2 * a + 1)]),
        mean=np.array([m, 0.5 * (np.log(b) - digamma(a))]),
        covariance=np.diag([b / (k * (a - 1)), polygamma(1, a) / 4]),
        draw=draw,
    )


def two_peaks(name: str, centres: Matrix, weights: Vector, log_integral: float = 0.0) -> Target:
    """Two unit Gaussians so far apart that neither moves the other's mode by a rounding error; the first is higher."""
    d = centres.shape[1]

    def log_f(z: Matrix) -> tuple[Vector, Matrix]:
        away = z[:, None] - centres
        logs = np.log(weights) - 0.5 * np.sum(away**2, axis=2) - 0.5 * d * LOG_TWO_PI
        total = np.logaddexp.reduce(logs, axis=1)
        share = np.exp(logs - total[:, None])
        return log_integral + total, -np.sum(share[:, :, None] * away, axis=1)

    def draw(m: int, generator: np.random.Generator) -> Matrix:
        return centres[generator.choice(2, size=m, p=weights)] + generator.standard_normal((m, d))

    mean = weights @ centres
    spread = (centres - mean).T @ (weights[:, None] * (centres - mean))
    return Target(
        name,
        RowsObjective(d, log_f),
        log_integral=log_integral,
        mode=centres[0],
        hessian=-np.eye(d),
        mean=mean,
        covariance=np.eye(d) + spread,
        draw=draw,
        modes=2,
    )


_HEIGHTS = np.array([181.2, 169.5, 176.3, 172.8, 178.9, 166.1, 174.4, 183.0, 171.7, 175.5, 168.2, 179.6])

ALL: tuple[Target, ...] = (
    gaussian("gaussian in 1 dimension", np.array([3.0]), np.array([0.5]), np.eye(1), log_integral=-7.25),
    gaussian("gaussian with correlation 0.999", np.array([1.0, -2.0]), np.array([1.0, 3.0]), _correlated(2, 0.999)),
    gaussian("gaussian with scales 1e-6 and 1e6", np.array([2e-6, 5e6]), np.array([1e-6, 1e6]), _correlated(2, -0.5)),
    gaussian("gaussian in 5 dimensions", np.arange(5.0), np.logspace(-2, 2, 5), _correlated(5, 0.9), log_integral=12.5),
    gaussian("gaussian in 20 dimensions", np.zeros(20), np.ones(20), _correlated(20, 0.8), log_integral=-400.0),
    log_gamma("log gamma of shape 0.5", np.array([0.5]), np.array([2.0])),
    log_gamma("log gamma of shape 3", np.array([3.0]), np.array([0.1])),
    log_gamma("two log gammas", np.array([0.7, 4.0]), np.array([1.0, 30.0])),
    log_gamma("five log gammas", np.array([0.5, 1.0, 2.0, 5.0, 20.0]), np.array([1.0, 1e-3, 1e3, 2.0, 7.0])),
    logit_beta("logit beta of 2 and 5", 2.0, 5.0),
    logit_beta("logit beta of a million tosses", 508_000.0, 492_000.0),
    softmax_dirichlet("dirichlet on three categories", np.array([1.5, 4.0, 9.0])),
    softmax_dirichlet("dirichlet on five categories", np.array([0.8, 2.0, 3.0, 12.0, 1.1])),
    student_t("student t with 5 degrees", 5.0, np.array([-1.0]), np.array([[4.0]])),
    student_t("student t in 2 dimensions", 30.0, np.array([1.0, 2.0]), np.array([[2.0, 0.9], [0.9, 1.0]])),
    student_t("student t in 4 dimensions", 7.0, np.zeros(4), _correlated(4, 0.6)),
    banana("gentle banana", centre=0.0, sd=1.0, bend=0.5, width=1.0, log_integral=3.0),
    banana("thin banana", centre=1.0, sd=np.sqrt(10.0), bend=1.0, width=np.sqrt(0.1)),
    funnel("funnel", sd=3.0),
    normal_inverse_gamma("heights under a conjugate prior", _HEIGHTS, m0=170.0, k0=0.1, a0=2.0, b0=50.0),
    two_peaks("two peaks in 1 dimension", np.array([[6.0], [-7.0]]), np.array([0.7, 0.3]), log_integral=1.5),
    two_peaks("two peaks in 2 dimensions", np.array([[0.0, 0.0], [9.0, 9.0]]), np.array([0.6, 0.4])),
)

PEAKED = tuple(target for target in ALL if target.modes == 1)
GAUSSIANS = tuple(target for target in ALL if target.gaussian)


def by_name(name: str) -> Target:
    """The target of this name."""
    return {target.name: target for target in ALL}[name]
