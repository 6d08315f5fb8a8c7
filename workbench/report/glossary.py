"""The words of the page, each in a sentence."""

from __future__ import annotations

WORDS: dict[str, str] = {
    "prior": "p(θ): what is held about the unknowns θ before seeing the data y.",
    "likelihood": (
        "p(y | θ), with y fixed at what was observed: how well each θ predicted the data. Not a distribution over θ."
    ),
    "posterior": "p(θ | y): what is held about θ after seeing the data.",
    "evidence": "p(y): the likelihood averaged over the prior; how well the model as a whole predicted the data.",
    "θ and z": (
        "the unknowns in the model's own units, and on a scale without limits on which optimiser and sampler move."
    ),
    "latent": (
        "an unknown that is part of the story of the data (a group's effect, a missing value): integrated out, "
        "never maximised."
    ),
    "MLE": "maximum likelihood estimate: the θ that predicted the data best.",
    "MAP": "maximum a posteriori: the θ at which prior times likelihood is highest; it depends on the scale of θ.",
    "std_error": (
        "spread of an estimator over repetitions: of the experiment for the MLE, of the computation for the evidence."
    ),
    "sd": "standard deviation of the posterior: what is still uncertain after the data.",
    "mcse": "Monte Carlo standard error: how far an average of finitely many draws is likely to be off.",
    "Wald interval": "the MLE plus and minus a multiple of its standard error.",
    "ETI": "equal-tailed interval: leaves the same posterior probability on both sides.",
    "HDI": "highest-density interval: the shortest that holds its probability.",
    "profile likelihood": "the likelihood of one parameter with all others at their best for it.",
    "draws": "random values of θ that are distributed as the posterior.",
    "chain": "a sequence of draws in which each depends on the one before it; several are compared with each other.",
    "R-hat": (
        "spread of all chains together over that within the chains; 1 when they agree, above 1.01 they have not mixed."
    ),
    "ESS": "effective sample size: how many independent draws would give the same Monte Carlo error.",
    "divergence": (
        "a step at which the sampler could not follow the posterior; a sign of a region that it does not explore."
    ),
    "nat, bit": (
        "units of information; 1 nat = 1.443 bits. A bit is the answer to one yes-or-no question of equal odds."
    ),
    "KL(posterior || prior)": "Kullback-Leibler divergence: the information that the data carried about θ.",
    "Occam factor": "evidence over the highest likelihood: the price of having had to find the best θ.",
    "contraction": "1 - posterior variance / prior variance: the share of it that the data took away.",
    "self-information": (
        "minus the logarithm of the probability of what happened: how surprising it was. One bit more is half as "
        "probable."
    ),
    "cross-entropy": "mean self-information of the observations under a predictor, nats or bits an observation.",
    "baseline": (
        "what one predicts who knows the other observations and nothing else; the ratio of perplexities to it has no "
        "unit."
    ),
    "elpd": "expected log predictive density of new data; here by leave-one-out, in nats.",
    "perplexity": (
        "exponential of the cross-entropy an observation: among how many equally likely outcomes the model hesitates."
    ),
    "Pareto k": "how much one observation dominates its own leave-one-out score; above 0.7 that score is not reliable.",
    "PIT": "probability integral transform: the share of replicated values below the observed one.",
    "EDM": "estimated distance to the maximum, in nats: how much higher the function could still be.",
}
