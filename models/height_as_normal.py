"""How tall grown-up sons are, and how much they differ: heights as one Normal distribution.

**Question.** Describe the adult heights of one sex by two numbers: the mean of the population and the
spread around it.

**Data.** 481 adult sons of 179 families, from the notebook of Francis Galton (1886); inches turned into
centimetres. The file has the columns `family` (not used here) and `height` (cm). Provenance:
`data/README.md`. One sex only: the means of the two lie 13 cm apart, so that one Normal for both would be
wrong. The sons are taken because there are more of them (481 against 453); the daughters are in
`data/heights_daughters.csv`, in the same form.

**Model.** For the person i = 1 .. n::

    height_i | mu, sigma ~ Normal(mu, sigma)
    mu                   ~ Normal(prior_mean, prior_sd)
    sigma                ~ HalfNormal(sigma_scale)

| symbol | meaning | unit |
|---|---|---|
| height_i | height of person i, observed | cm |
| mu | mean height of the population | cm |
| sigma | standard deviation of height in the population | cm |
| prior_mean, prior_sd | centre and standard deviation of the prior of mu | cm |
| sigma_scale | scale of the prior of sigma | cm |

**Why these priors.** Each says only what one knows about adults before opening the file.

- mu ~ Normal(170, 20): 95% between 131 and 209 cm. In 200 countries the mean adult height of either sex
  lies between about 149 and 183 cm (NCD-RisC 2016), well inside; the prior is wider than it need be and
  favours neither sex.
- sigma ~ HalfNormal(10): half of it lies below 6.7 cm and 95% below 19.6 cm. About 95% of people are within
  two sigma of the mean, so a sigma of 20 would spread them over 80 cm, more than is seen in adults of one
  sex.
- The heights that the two priors imply together have mean 170 and standard deviation 22 cm: 95% between
  about 126 and 214 cm, and below zero less than once in a million.

**What the model ignores.** Brothers are not independent: about 0.39 of the variance lies between families,
and a family has 2.7 sons on average, so that the error of mu is about 40% larger than this model says.
Galton also rounded: 70% of the sons stand at a whole number of inches, a step of 2.54 cm against a sigma of
about 6.7 cm.

References
----------
- Galton, F. (1886). Regression towards mediocrity in hereditary stature. Journal of the Anthropological
  Institute 15, 246-263.
- Hanley, J. A. (2004). "Transmuting" women into men: Galton's family data on human stature. The American
  Statistician 58, 237-243, https://doi.org/10.1198/000313004X1558.
- NCD Risk Factor Collaboration (2016). A century of trends in adult human height. eLife 5, e13410,
  https://doi.org/10.7554/eLife.13410.
"""

import pymc as pm

DATA = "data/heights.csv"


def build(height, prior_mean=170.0, prior_sd=20.0, sigma_scale=10.0):
    """Heights as independent draws from one Normal distribution: height_i ~ Normal(mu, sigma).

    Parameters
    ----------
    height : array of float, shape (n,)
        Observed heights of n people, in cm.
    prior_mean, prior_sd : float
        Centre and standard deviation of the Normal prior of mu, in cm.
    sigma_scale : float
        Scale of the half-Normal prior of sigma, in cm.

    Returns
    -------
    pymc.Model
        Free variables `mu` and `sigma` (cm), observed variable `height` (cm).
    """
    with pm.Model() as model:
        mu = pm.Normal("mu", mu=prior_mean, sigma=prior_sd)
        sigma = pm.HalfNormal("sigma", sigma=sigma_scale)
        pm.Normal("height", mu=mu, sigma=sigma, observed=height)
    return model
