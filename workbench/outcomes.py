"""Labels that occur, against those that the model expects: where its cross-entropy comes from.

With p the shares of the K labels in the data and q the average predictive of the model,

    q(k) = (1/n) sum_i E_post[p(y_i = k | theta)],
    H(p, q) = H(p) + KL(p || q):

the mean surprise of one who believes q is the entropy of the data, which nobody avoids, and the divergence, which the
model adds. Where the model predicts every observation alike, H(p, q) is its cross-entropy in sample; where it tells
them apart, it may predict each better than q does.

References: Cover and Thomas 2006, Elements of Information Theory, section 2.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.model.density import LogDensity
from workbench.model.observations import Observations, measure_of
from workbench.numerics.monte_carlo import mcse_of_mean
from workbench.probability import cross_entropy, entropy, kl_divergence

_EVALUATIONS = 20_000_000  # probabilities of single labels: seconds
_MOST = 200  # labels
_REST = 1e-9  # probability of what is no label of the data, below which it is rounding
OTHERS = "any other"


@dataclass(frozen=True)
class Outcomes:
    """The labels of one observed variable.

    Attributes
    ----------
    shares : dict of str to (float, float)
        Label -> share in the data, probability by the average predictive.
    entropy, divergence, cross_entropy : float
        H(p), KL(p || q), H(p, q), nats.
    mcse : float
        Of the last two, nats.
    """

    shares: dict[str, tuple[float, float]]
    entropy: float
    divergence: float
    cross_entropy: float
    mcse: float


def expected_outcomes(density: LogDensity, z: NDArray[np.float64]) -> dict[str, Outcomes]:
    """Labels of every observed variable that has some, in the data and by the model.

    Parameters
    ----------
    density : LogDensity
    z : ndarray, shape (chains, draws, d)
        Posterior draws; every so many of them are used where there are many observations and labels.

    Returns
    -------
    dict of str to Outcomes
        Without variables that have more than 200 labels, or vectors of them, or that share a summed label with others.
    """
    found: dict[str, Outcomes] = {}
    observations: Observations | None = None
    for name, shape in density.likelihood_shapes.items():
        values = density.symbolic.observed[name]
        if values.shape != shape or not values.size or measure_of(density, name) != "labels":
            continue
        if density.summation is not None and name in density.summation.joined:
            continue  # each term is a probability of this label and of other data
        labels = np.arange(min(0, int(values.min())), int(values.max()) + 1)
        if labels.size > _MOST:
            continue
        observations = observations or Observations(density)
        cost = z.shape[0] * z.shape[1] * density.n_observations * labels.size
        some = z[:, :: -(-cost // _EVALUATIONS)]
        chances = observations.probabilities(name, labels, some.reshape(-1, z.shape[-1]))
        p = np.array([float(np.mean(values == label)) for label in labels])
        found[name] = compare_shares([str(label) for label in labels], p, chances.reshape(*some.shape[:2], -1))
    return found


def compare_shares(labels: list[str], p: NDArray[np.float64], chances: NDArray[np.float64]) -> Outcomes:
    """Shares of labels against the probabilities that draws give them.

    Parameters
    ----------
    labels : list of str
    p : ndarray, shape (K,)
        Shares in the data, together one.
    chances : ndarray, shape (chains, draws, K)
        Probability of each label at each draw, averaged over observations.

    Returns
    -------
    Outcomes
    """
    q = chances.mean(axis=(0, 1))
    seen = p > 0
    influence = np.sum(p[seen] * chances[..., seen] / q[seen], axis=-1)
    rest = 1.0 - float(q.sum())
    if rest > _REST:
        labels, p, q = [*labels, OTHERS], np.append(p, 0.0), np.append(q, rest)
    q = q / q.sum()
    shares = {label: (float(a), float(b)) for label, a, b in zip(labels, p, q, strict=True)}
    return Outcomes(shares, entropy(p), kl_divergence(p, q), cross_entropy(p, q), mcse_of_mean(influence))
