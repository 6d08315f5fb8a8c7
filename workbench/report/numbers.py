"""Numbers as a reader needs them: as many digits as their error leaves, and no more."""

from __future__ import annotations

import math

_SIGNIFICANT = 10  # digits that are shown at most
_PLACES = 10

WORDS = {0: "no", 1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine"}


def places(value: float, error: float, digits: int = 2) -> int:
    """Decimal places at which `error` has this many significant digits.

    Parameters
    ----------
    value, error : float
        In the same unit.
    digits : int

    Returns
    -------
    int
        Limited so that `value` has at most ten significant digits.

    Examples
    --------
    >>> places(175.8546, 0.3036), places(-1601.98, 2e-13)
    (2, 6)
    """
    wanted = digits - 1 - math.floor(math.log10(error))
    size = math.floor(math.log10(abs(value))) if value else 0
    return max(0, min(wanted, _SIGNIFICANT - 1 - size, _PLACES))


def number(value: float, error: float = math.nan, digits: int = 2) -> str:
    """A number with the digits that its error leaves; five significant ones where the error is not known.

    Parameters
    ----------
    value, error : float
        In the same unit.
    digits : int
        Significant digits of the error that are kept.

    Returns
    -------
    str

    Examples
    --------
    >>> number(175.8546, 0.3036), number(175.8546), number(float("nan")), number(0.0000123456)
    ('175.85', '175.85', '–', '1.2346e-05')
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if math.isfinite(error) and error > 0 and abs(value) < 1e9 and error > 1e-12 * abs(value):
        fixed = places(value, error, digits)
        if abs(value) >= 10.0**-6 or error >= 10.0**-6:
            return _signed(f"{value:.{fixed}f}")
    if value == int(value) and abs(value) < 1e9:
        return str(int(value))
    size = math.floor(math.log10(abs(value)))
    return f"{value:.{4 - size}f}" if -4 <= size <= 4 else f"{value:.5g}"


def _signed(text: str) -> str:
    """A number without the sign of a zero."""
    return text.lstrip("-") if not text.strip("-0.") else text


def measured(value: float, error: float) -> str:
    """A number and its error, such as ``6.643 ± 0.022``; the number alone where the error is not known.

    Parameters
    ----------
    value, error : float
        In the same unit.

    Returns
    -------
    str

    Examples
    --------
    >>> measured(6.64324, 0.021657), measured(1.5, float("nan"))
    ('6.643 ± 0.022', '1.5000')
    """
    if not math.isfinite(error) or not math.isfinite(value):
        return number(value)
    return f"{number(value, error)} ± {size(error)}"


def size(error: float) -> str:
    """A standard error with two significant digits.

    Parameters
    ----------
    error : float

    Returns
    -------
    str

    Examples
    --------
    >>> size(0.30357), size(2.3e-13), size(0.0)
    ('0.30', '2.3e-13', '0')
    """
    if not math.isfinite(error):
        return number(error)
    if error == 0:
        return "0"
    return f"{error:.{places(error, error)}f}" if 1e-5 <= error < 1e6 else f"{error:.1e}"


def nats(value: float, error: float = math.nan) -> str:
    """A log density or a difference of two: by its error, but at most four decimals, for nobody reads further.

    Parameters
    ----------
    value, error : float
        Nats.

    Returns
    -------
    str

    Examples
    --------
    >>> nats(-1601.9808947), nats(-1601.9808947, 0.02), nats(-1601.9808947, 2e-13)
    ('-1601.981', '-1601.981', '-1601.9809')
    """
    if not math.isfinite(value):
        return number(value)
    if abs(value) >= 1e7:
        return f"{value:.8g}"
    wanted = 3 if not math.isfinite(error) else 4 if error <= 0 else places(value, error)
    return _signed(f"{value:.{min(wanted, 4)}f}")


def amount(value: float, error: float) -> str:
    """A number of nats or bits and its error; an error far below a thousandth is not worth its place.

    Parameters
    ----------
    value, error : float
        In nats, or both in bits.

    Returns
    -------
    str

    Examples
    --------
    >>> amount(6.64324, 0.021657), amount(6.64324, 2e-13)
    ('6.643 ± 0.022', '6.6432')
    """
    return measured(value, error) if error >= 1e-4 else nats(value, error)


def nats_error(error: float) -> str:
    """The standard error of a number of nats; far below a thousandth it is only said to be small.

    Parameters
    ----------
    error : float
        Nats.

    Returns
    -------
    str

    Examples
    --------
    >>> nats_error(0.0217), nats_error(2e-13), nats_error(float("nan"))
    ('0.022', '< 0.0001', '–')
    """
    return "< 0.0001" if 0 < error < 1e-4 else size(error) if math.isfinite(error) else "–"


def interval(lower: float, upper: float, error: float = math.nan, digits: int = 2) -> str:
    """An interval in brackets, with the digits that `error` leaves.

    Parameters
    ----------
    lower, upper, error : float
        In the same unit.
    digits : int
        Significant digits of the error that are kept.

    Returns
    -------
    str

    Examples
    --------
    >>> interval(175.26, 176.45, 0.3), interval(float("nan"), 1.0)
    ('[175.26, 176.45]', '–')
    """
    if math.isnan(lower) or math.isnan(upper):
        return "–"
    return f"[{number(lower, error, digits)}, {number(upper, error, digits)}]"


def count(n: int, thing: str) -> str:
    """A number of things in words.

    Parameters
    ----------
    n : int
    thing : str
        Singular; the plural takes an s.

    Returns
    -------
    str

    Examples
    --------
    >>> count(1, "finding"), count(12, "draw")
    ('one finding', '12 draws')
    """
    return f"{WORDS.get(n, str(n))} {thing}{'' if n == 1 else 's'}"


def listed(names: list[str], limit: int = 6) -> str:
    """Names in a sentence: ``a, b and c``; the rest is counted.

    Parameters
    ----------
    names : list of str
    limit : int

    Returns
    -------
    str

    Examples
    --------
    >>> listed(["mu", "sigma"]), listed(list("abcdefgh"), limit=3)
    ('mu and sigma', 'a, b, c and 5 more')
    """
    if len(names) > limit:
        return f"{', '.join(names[:limit])} and {len(names) - limit} more"
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
