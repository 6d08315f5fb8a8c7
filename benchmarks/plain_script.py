"""What one writes without Workbench to get the same answers: PyMC and ArviZ, from the import to the saved draws.

``python -m benchmarks.plain_script MODEL [--draws 1000] [--seed 1] --out FILE`` finds the maximum of the likelihood
through a copy with flat priors, and the maximum of the posterior, both with standard errors; samples; computes the
pointwise log likelihood, leave-one-out cross-validation and posterior predictive draws; estimates the evidence by
sequential Monte Carlo; prints it all and saves the draws. The seconds of each part are printed last, as JSON.
"""

import time

BEGIN = time.perf_counter()

import argparse  # noqa: E402
import json  # noqa: E402

import arviz as az  # noqa: E402
import numpy as np  # noqa: E402
import pymc as pm  # noqa: E402

from benchmarks.cases import CASES, build_flat, build_model, read_columns  # noqa: E402

QUIET = {"progressbar": False}


def _log_evidence(tree):
    """The last stage's log evidence of every chain, in nats."""
    stages = np.asarray(tree["sample_stats"]["log_marginal_likelihood"].values)
    return [float(np.asarray(chain[-1], dtype=float).ravel()[-1]) for chain in stages]


def main(model_name, draws, seed, out):
    seconds = {"import": time.perf_counter() - BEGIN}

    def timed(part, function, *args, **kwargs):
        start = time.perf_counter()
        answer = function(*args, **kwargs)
        seconds[part] = time.perf_counter() - start
        return answer

    columns = read_columns(model_name)
    with build_flat(model_name, columns):
        maximum = timed("find_MAP, flat priors", pm.find_MAP, compute_hessian=True, return_inferencedata=True, **QUIET)
    with build_model(model_name, columns):
        mode = timed("find_MAP", pm.find_MAP, compute_hessian=True, return_inferencedata=True, **QUIET)
        tree = timed("sample", pm.sample, draws=draws, tune=draws, chains=4, nuts_sampler="nutpie", random_seed=seed,
                     **QUIET)  # fmt: skip
        timed("log_likelihood", pm.compute_log_likelihood, tree, **QUIET)
        loo = timed("loo", az.loo, tree)
        timed("predictive", pm.sample_posterior_predictive, tree, extend_inferencedata=True, random_seed=seed, **QUIET)
        smc = timed("smc", pm.sample_smc, draws=2 * draws, random_seed=seed, **QUIET)
    print("maximum of the likelihood", maximum["posterior"], maximum["fit"], sep="\n")
    print("maximum of the posterior", mode["posterior"], mode["fit"], sep="\n")
    print(timed("summary", az.summary, tree))
    print(loo)
    print("log evidence", _log_evidence(smc))
    timed("save", tree.to_netcdf, out, engine="h5netcdf")
    print(json.dumps(seconds))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=CASES)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", required=True)
    given = parser.parse_args()
    main(given.model, given.draws, given.seed, given.out)
