"""The glossary explains every word that the code uses, and its worked numbers are right."""

import inspect
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import workbench.probability as probability
from workbench.probability import Distribution, bayes, conditional_entropy, kl_divergence, mutual_information

ROOT = Path(__file__).parents[1]
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
ENTRIES = {
    word.strip("`*")
    for line in GLOSSARY.splitlines()
    for word in (
        re.findall(r"\*\*(.+?)\*\*", line.split(" - ")[0])
        if line.startswith("**")
        else re.findall(r"^\| (`\w+`) \|", line)
    )
}
WORDS = [
    "prior",
    "likelihood",
    "posterior",
    "evidence",
    "joint",
    "theta",
    "z",
    "log_prior",
    "log_likelihood",
    "log_jacobian",
    "log_joint",
    "log_target",
    "log_evidence",
    "observed_information",
    "covariance",
    "mcse",
    "std_error",
    "draws",
    "mode",
    "latent",
    "elpd",
    "nat",
    "bit",
]
QUESTIONS = ["probability", "marginal", "conditional", "expectation", "variance"]  # methods of a Distribution


def public_names() -> list[str]:
    """Functions and classes of `workbench.probability`."""
    return [
        name
        for name, thing in vars(probability).items()
        if not name.startswith("_") and inspect.getmodule(thing) is probability and callable(thing)
    ]


def shown(pattern: str) -> float:
    """Number that the glossary shows where the pattern has its group."""
    found = re.search(pattern, GLOSSARY.replace("\n", " "))
    assert found, pattern
    return float(found.group(1).replace(",", ""))


@pytest.mark.parametrize("word", [*WORDS, *QUESTIONS, *public_names()])
def test_every_word_has_an_entry(word):
    assert word in ENTRIES


def test_coin_numbers_are_those_of_the_closed_forms():
    data = pd.read_csv(ROOT / "models" / "data" / "coin_tosses.csv")
    k, n, theta = data.same_side.sum(), data.tosses.sum(), 0.51
    prior, posterior = stats.beta(50, 50), stats.beta(50 + k, 50 + n - k)

    def log_likelihood(p: float) -> float:
        return float(stats.binom.logpmf(data.same_side, data.tosses, p).sum())

    log_joint = log_likelihood(theta) + prior.logpdf(theta)
    log_evidence = log_joint - posterior.logpdf(theta)
    gained = posterior.expect(lambda p: posterior.logpdf(p) - prior.logpdf(p), lb=0.5, ub=0.515)
    log_jacobian = math.log(theta * (1 - theta))
    expected = {
        r"`theta = 0.51` is `z = ([\d.]+)`": special.logit(theta),
        r"`log_prior` .*?(-?[\d.]+) \|\s+\| `log_like": prior.logpdf(theta),
        r"20 times better \| (-?[\d.]+)": log_likelihood(theta),
        r"one of `z` \| (-?[\d.]+)": log_jacobian,
        r"posterior in `theta`, up to a constant \| (-?[\d.]+)": log_joint,
        r"posterior in `z`, up to a constant \| (-?[\d.]+)": log_joint + log_jacobian,
        r"the same at every `theta` \| (-?[\d.]+)": log_evidence,
        r"178078 / 350757 = ([\d.]+\d)": k / n,
        r"Coin:\* ([\d,]+)\s+nats, from": n / (k / n * (1 - k / n)),
        r"computation\. \*Coin:\*\s+([\d.]+\d)": math.sqrt(k / n * (1 - k / n) / n),
        r"172729\), mean ([\d.]+\d),": posterior.mean(),
        r"172729\), mean [\d.]+, standard deviation ([\d.]+\d)": posterior.std(),
        r"is in general another place\. \*Coin:\* ([\d.]+\d)": (49 + k) / (98 + n),
        r"Coin:\* ([\d.]+) nats = 5.19 bits": gained,
        r"nats = ([\d.]+) bits, which": gained / math.log(2),
        r"-355.893 = (-[\d.]+) - 3.596": log_evidence + gained,
        r"-355.893 \+ 351.797 = (-[\d.]+\d)": log_evidence - log_likelihood(k / n),
    }
    for pattern, value in expected.items():
        text = re.search(pattern, GLOSSARY.replace("\n", " "))
        assert text, pattern
        digits = len(text.group(1).partition(".")[2])
        assert shown(pattern) == pytest.approx(value, abs=0.51 * 10.0**-digits), pattern
    np.testing.assert_allclose(posterior.ppf([0.025, 0.975]), [0.50604, 0.50935], rtol=0, atol=5e-6)


def test_medical_test_numbers_are_right():
    prior = Distribution.from_table({"ill": 0.01, "well": 0.99}, "state")
    rows = {"ill": {"+": 0.90, "-": 0.10}, "well": {"+": 0.05, "-": 0.95}}
    result = bayes(prior, rows, observed={"test": "+"})
    joint = result.joint
    shared = mutual_information(joint, "state", "test", "bits")
    remaining = conditional_entropy(joint, "test", "state", "bits")
    assert shown(r"0.99 \* 0.05 = ([\d.]+\d)") == pytest.approx(result.evidence, abs=1e-12)
    assert shown(r"/ 0.0585 = ([\d.]+\d)") == pytest.approx(result.posterior.probability(state="ill"), abs=5e-4)
    assert shown(r"state and test: ([\d.]+) bits") == pytest.approx(shared, abs=5e-4)
    assert shown(r"given the state: ([\d.]+) bits") == pytest.approx(remaining, abs=5e-4)
    divergence = kl_divergence([0.5, 0.5], [0.25, 0.75], "bits")
    assert shown(r"the same: ([\d.]+) bits") == pytest.approx(divergence, abs=5e-4)
