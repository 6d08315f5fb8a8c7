"""What the prior integrates to when a potential is part of it.

A potential on the side of the prior tilts it: p(theta) exp(potential) / Z, with

    Z = integral of p(theta) exp(potential(theta)) d theta

unknown. It is an integral like the evidence, with the likelihood switched off, and is estimated by the same routes from
draws of its own: quadrature in one and two dimensions, a bridge, and a path of temperatures. Then
log p(y) = log integral of (prior x potential x likelihood) - log Z, and the errors, which are independent, add in
squares.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.check import Check
from workbench.errors import NumericalError, RefusalError, WorkbenchError
from workbench.evidence.bridge import bridge_sampling
from workbench.evidence.paths import ProposalPath, proposal_from
from workbench.evidence.tempering import temper
from workbench.model.density import PRIOR, LogDensity
from workbench.model.nuts import run_nuts
from workbench.numerics.line import integrate_lines
from workbench.numerics.moves import sweep_of
from workbench.numerics.objective import Objective
from workbench.numerics.quadrature import integrate
from workbench.numerics.turn import turn_around
from workbench.settings import Settings

_SIGMAS = 3.0  # combined standard errors, as between the routes to the evidence
_SLACK = 1e-6  # nats: a bridge whose proposal is exact states no error


@dataclass(frozen=True)
class PriorIntegral:
    """The log of the integral of the prior with its potentials.

    Attributes
    ----------
    log_integral, std_error : float
        Nats, by `method`.
    method : {"quadrature", "bridge", "tempering"}
    cross_checks : dict of str to (float, float)
        The other routes -> value and standard error, nats.
    checks : tuple of Check
    """

    log_integral: float
    std_error: float
    method: str
    cross_checks: dict[str, tuple[float, float]]
    checks: tuple[Check, ...]


def _by_quadrature(objective: Objective, draws: NDArray[np.float64]) -> tuple[float, float]:
    """Value and error by quadrature, in one or two dimensions, where draws of the density lie."""
    reference = proposal_from(draws)
    if objective.dimension == 1:
        sweep = sweep_of(objective)
        line = integrate_lines(lambda t: sweep(t)[0][:, None], reference.mean)
        return float(line.log_integral[0]), float(line.error[0])
    found = integrate(objective, reference.mean, reference.factor, draws)
    return found.log_integral, found.error


def integrate_prior(density: LogDensity, settings: Settings, seed: int) -> PriorIntegral:
    """The log of the integral of the prior with the potentials on its side.

    Parameters
    ----------
    density : LogDensity
    settings : Settings
        Chains, draws, warm-up and target acceptance of the draws; the error that is aimed at.
    seed : int

    Returns
    -------
    PriorIntegral

    Raises
    ------
    RefusalError
        If no route could be taken.
    NumericalError
        If the prior cannot be drawn from.
    """
    objective, d = density.objective(PRIOR), density.space.dimension
    draw_seed, bridge_seed, path_seed = (int(s.generate_state(1)[0]) for s in np.random.SeedSequence(seed).spawn(3))
    drawn = run_nuts(
        objective, density.space.start, draws=settings.draws, tune=settings.tune, chains=settings.chains,
        seed=draw_seed, target_accept=settings.target_accept,
    )  # fmt: skip
    turn = turn_around(drawn.z, density.space.angles)
    within, z = turn.within(objective), turn.folded(drawn.z)
    flat = z.reshape(-1, d)
    routes: dict[str, tuple[float, float]] = {}
    checks: dict[str, tuple[Check, ...]] = {}
    failure: WorkbenchError | None = None
    for route in ("quadrature", "bridge", "tempering") if d <= 2 else ("bridge", "tempering"):
        try:
            if route == "quadrature":
                routes[route] = _by_quadrature(within, flat)
                checks[route] = (Check("grid-converged", "ok", f"error below {routes[route][1]:.1e} nats"),)
            elif route == "bridge":
                log_f, target = drawn.statistics["lp"], settings.evidence_error
                bridge = bridge_sampling(within, z, log_f, bridge_seed, target)
                routes[route], checks[route] = (bridge.log_evidence, bridge.std_error), bridge.checks
            else:
                path = ProposalPath(proposal_from(flat), within, within)
                tempered = temper(path, path_seed)
                routes[route], checks[route] = (tempered.log_evidence, tempered.std_error), tempered.checks
        except (RefusalError, NumericalError) as error:
            failure = error
    if not routes:
        raise RefusalError(
            f"the integral of the prior with its potentials is not known: {failure.what if failure else ''}",
            "prior",
            "write the potential as a normalised distribution (pm.CustomDist), or declare it as likelihood if it is "
            "data",
        )
    method = next(iter(routes))
    if method == "quadrature" and "bridge" in routes and routes["bridge"][1] < routes["quadrature"][1]:
        method = "bridge"
    value, error_of = routes.pop(method)
    gaps = {n: abs(v - value) / np.hypot(max(e, _SLACK), error_of) for n, (v, e) in routes.items()}
    found = list(checks[method])
    if gaps:
        agree = all(gap <= _SIGMAS for gap in gaps.values())
        text = ", ".join(f"{name} {gap:.1f}" for name, gap in gaps.items())
        message = f"integral of the prior: distance from {method} in combined standard errors: {text}"
        remedy = "" if agree else "the prior with its potentials is hard to draw from: reparametrise it, or draw more"
        found.append(Check("routes-agree", "ok" if agree else "failed", message, remedy))
    return PriorIntegral(value, error_of, method, routes, tuple(found))
