"""Paths from a wide normal reference, or from a proposal, to the closed-form targets, and the classical hard cases."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_expit

from tests.targets import LOG_TWO_PI, RowsObjective, rows_of
from workbench.evidence.paths import PriorPath, ProposalPath, proposal_from
from workbench.numerics.gaussian import Gaussian


def _around(target, scale):
    """Centre and scale of a normal reference that covers a target."""
    if hasattr(target, "objective"):
        return target.mean, scale * np.sqrt(np.diag(target.covariance)), target.objective
    return np.zeros(target.dimension), np.full(target.dimension, scale), target


def prior_path(target, scale=4.0, seed=0):
    """From Normal(mean, (scale sd)^2), in the place of a prior, to a target; its likelihood is the ratio."""
    mean, sd, objective = _around(target, scale)
    d, target_of = objective.dimension, rows_of(objective)

    def log_r(z):
        away = (z - mean) / sd
        return -0.5 * d * LOG_TWO_PI - np.log(sd).sum() - 0.5 * np.sum(away**2, axis=1), -away / sd

    def weighed(t):
        def log_f(z):
            (r, slope), (f, gradient) = log_r(z), target_of(z)
            return (1 - t) * r + t * f, (1 - t) * slope + t * gradient

        return RowsObjective(d, log_f)

    def ratio(z):
        (r, slope), (f, gradient) = log_r(z), target_of(z)
        return f - r, gradient - slope

    draws = mean + sd * np.random.default_rng(seed).normal(size=(4096, d))
    return PriorPath(weighed, RowsObjective(d, ratio), draws)


def proposal_path(target, exact=False):
    """From a normal distribution fitted to exact draws, or from the target itself if it is normal."""
    draws = target.draw(2000, np.random.default_rng(17))
    reference = Gaussian(target.mean, np.linalg.cholesky(target.covariance)) if exact else proposal_from(draws)
    return ProposalPath(reference, target.objective, target.objective)


@dataclass(frozen=True)
class TwoModes:
    """Two unit normals at plus and minus `centre`; the integral is 1."""

    objective: RowsObjective
    centre: np.ndarray


def two_modes(d, share, away=5.0):
    """The second mode, at -away in every coordinate, holds `share` of the mass."""
    centre = np.full(d, away)
    logs = np.log([1 - share, share])

    def log_f(z):
        gaps = np.stack([z - centre, z + centre], axis=1)
        each = logs - 0.5 * np.sum(gaps**2, axis=2) - 0.5 * d * LOG_TWO_PI
        total = np.logaddexp(each[:, 0], each[:, 1])
        return total, -np.sum(np.exp(each - total[:, None])[:, :, None] * gaps, axis=1)

    return TwoModes(RowsObjective(d, log_f), centre)


def _uniform(d, low, high, likelihood, seed=0, n=2048):
    """A path from Uniform(low, high)^d, on z = logit of the position, over a likelihood of theta and its gradient."""

    def both(z):
        u = expit(z)
        value, gradient = likelihood(low + (high - low) * u)
        inner = u * (1 - u)
        prior = np.sum(log_expit(z) + log_expit(-z), axis=1)
        return prior, 1 - 2 * u, value, gradient * (high - low) * inner

    def weighed(t):
        def log_f(z):
            prior, slope, value, gradient = both(z)
            return prior + t * value, slope + t * gradient

        return RowsObjective(d, log_f)

    def alone(z):
        return both(z)[2:]

    u = np.random.default_rng(seed).uniform(size=(n, d))
    return PriorPath(weighed, RowsObjective(d, alone), np.log(u) - np.log1p(-u))


def shells(d):
    """Two thin Gaussian shells of radius 2 and width 0.1 around (3.5, 0, ..) and (-3.5, 0, ..) in Uniform(-6, 6)^d."""
    centres = np.zeros((2, d))
    centres[:, 0] = 3.5, -3.5

    def likelihood(theta):
        gaps = theta[:, None] - centres
        radius = np.sqrt(np.sum(gaps**2, axis=2))
        each = -0.5 * ((radius - 2.0) / 0.1) ** 2 - 0.5 * np.log(2 * np.pi * 0.01)
        total = np.logaddexp(each[:, 0], each[:, 1])
        share = -np.exp(each - total[:, None]) * (radius - 2.0) / 0.01 / radius
        return total, np.sum(share[:, :, None] * gaps, axis=1)

    return _uniform(d, -6.0, 6.0, likelihood)


def eggbox():
    """Log likelihood (2 + cos(x / 2) cos(y / 2))^5 over Uniform(0, 10 pi)^2: 18 modes."""

    def likelihood(theta):
        cosines, sines = np.cos(theta / 2), np.sin(theta / 2)
        inner = 2.0 + cosines.prod(axis=1)
        return inner**5, 5 * inner[:, None] ** 4 * -0.5 * sines * cosines[:, ::-1]

    return _uniform(2, 0.0, 10 * np.pi, likelihood)
