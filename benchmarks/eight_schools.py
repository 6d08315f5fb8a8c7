"""How much coaching raises a test score in eight schools that differ: a hierarchical model, non-centred.

**Question.** What does coaching add to the score of the verbal SAT, on average and in each of eight schools?

**Data.** Estimated effect and its standard error in eight randomised experiments (Rubin 1981, table 1). They are
written below, not in a file: the model serves the benchmarks, where everybody knows it.

**Model.** For the school i = 1 .. 8, with known standard errors s_i::

    effect_i | mu, tau, eta_i ~ Normal(mu + tau * eta_i, s_i)
    eta_i                     ~ Normal(0, 1)
    mu                        ~ Normal(0, mean_sd)
    tau                       ~ HalfCauchy(spread_scale)

| symbol | meaning | unit |
|---|---|---|
| effect_i | estimated gain of school i, observed | points |
| s_i | standard error of effect_i, known | points |
| mu, tau | mean of the schools' gains, and their standard deviation | points |
| eta_i | gain of school i in units of tau from mu | - |
| mean_sd, spread_scale | scales of the two priors | points |

**Why these priors.** A scale of 5 points for both says that coaching is not expected to move a score, whose standard
deviation is about 100 points, by more than a few points.

References
----------
- Rubin, D. B. (1981). Estimation in parallel randomized experiments. Journal of Educational Statistics 6, 377-401,
  https://doi.org/10.3102/10769986006004377.
"""

import numpy as np
import pymc as pm

EFFECT = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
STANDARD_ERROR = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def build(mean_sd=5.0, spread_scale=5.0):
    with pm.Model() as model:
        mu = pm.Normal("mu", mu=0.0, sigma=mean_sd)
        tau = pm.HalfCauchy("tau", beta=spread_scale)
        eta = pm.Normal("eta", mu=0.0, sigma=1.0, shape=8)
        gain = pm.Deterministic("gain", mu + tau * eta)
        pm.Normal("effect", mu=gain, sigma=STANDARD_ERROR, observed=EFFECT)
    return model
