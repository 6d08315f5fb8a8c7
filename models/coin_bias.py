"""Whether a tossed coin tends to land on the side that it started from: tosses as one Binomial.

**Question.** With what probability does a coin, tossed by hand and caught, show the side that faced up
before the toss? Physics (Diaconis, Holmes and Montgomery 2007) predicts slightly more than one half, about
0.51, because a tossed coin wobbles and so spends more time with its first side up.

**Data.** 350,757 tosses by 48 people (Bartos et al. 2023); one row a person, with the columns `person` (not
used here), `same_side` (tosses that landed on the side they started from) and `tosses`. Together 178,078
landed on the same side, a share of 0.5077. Provenance: `data/README.md`.

**Model.** For the person i = 1 .. n, with one p for everybody::

    same_side_i | p ~ Binomial(tosses_i, p)
    p               ~ Beta(prior_a, prior_b)

| symbol | meaning | unit |
|---|---|---|
| same_side_i | tosses of person i that landed on the side they started from, observed | count |
| tosses_i | tosses of person i, known | count |
| p | probability of landing on the side the coin started from | probability |
| prior_a, prior_b | weight of the prior, as imagined tosses: same side, other side | count |

**Why this prior.** p ~ Beta(50, 50) has mean 0.5, standard deviation 0.05 and 95% of its probability between
0.40 and 0.60. Its mean is 0.5 so that it favours neither direction of a bias and only the data can. Its
width says that a coin which repeats its side more than 60 times in 100 would have been noticed in everyday
use, while the predicted 0.51 is entirely ordinary. It weighs as much as 100 tosses against 350,757: the
posterior hardly feels it, but the evidence does, since that asks how well the prior predicted the counts.

**Closed forms.** Let k and K be the sums of `same_side` and `tosses`, a = prior_a, b = prior_b, and B the
beta function. The likelihood is highest at k/K, with standard error sqrt(p (1 - p) / K) there; the posterior
is Beta(a + k, b + K - k); the evidence is B(a + k, b + K - k) / B(a, b) times the product over i of the
binomial coefficients C(tosses_i, same_side_i). Every answer for this model can be checked by hand.

**What the model ignores.** The 48 people differ (shares from 0.487 to 0.601) by more than Binomials with one
p would, so that the error of p is too small for a statement about people in general. Practice and the kind
of coin are left out as well.

References
----------
- Bartos, F. et al. (2023). Fair coins tend to land on the same side they started: evidence from 350,757
  flips. https://arxiv.org/abs/2310.04153; Journal of the American Statistical Association 120 (2025),
  2118-2127, https://doi.org/10.1080/01621459.2025.2516210.
- Diaconis, P., Holmes, S. and Montgomery, R. (2007). Dynamical bias in the coin toss. SIAM Review 49,
  211-235, https://doi.org/10.1137/S0036144504446436.
"""

import pymc as pm

DATA = "data/coin_tosses.csv"


def build(same_side, tosses, prior_a=50.0, prior_b=50.0):
    """Tosses with one probability for all: same_side_i ~ Binomial(tosses_i, p), p ~ Beta(prior_a, prior_b).

    Parameters
    ----------
    same_side : array of int, shape (n,)
        Tosses of each of n people that landed on the side they started from, a count.
    tosses : array of int, shape (n,)
        All tosses of each person, a count; at least `same_side`.
    prior_a, prior_b : float
        The two parameters of the Beta prior of p: imagined tosses on the same and on the other side.

    Returns
    -------
    pymc.Model
        Free variable `p` (probability), observed variable `same_side` (count).
    """
    with pm.Model() as model:
        p = pm.Beta("p", alpha=prior_a, beta=prior_b)
        pm.Binomial("same_side", n=tosses, p=p, observed=same_side)
    return model
