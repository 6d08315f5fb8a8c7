"""Where the numbers come from: the manifest of the run, and what to cite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.report.content import Section, Table
from workbench.report.glossary import WORDS


def provenance_section(manifest: Mapping[str, Any]) -> Section:
    """Everything that the manifest records, one table a group.

    Parameters
    ----------
    manifest : mapping
        Plain values, lists and mappings; whatever is there is shown.

    Returns
    -------
    Section
    """
    single = tuple((str(key), _text(value)) for key, value in manifest.items() if not isinstance(value, Mapping))
    tables = [Table(("run", "value"), single)] if single else []
    for key, value in manifest.items():
        if isinstance(value, Mapping) and value:
            tables.append(Table((str(key), "value"), tuple(_flat(value))))
    sentence = "With the same model, data, seed and versions the same numbers come out. Hashes are SHA-256."
    if not tables:
        return Section("provenance", "Provenance", notes=("Nothing was recorded about this run.",))
    return Section("provenance", "Provenance", (sentence,), tables=tuple(tables))


def _flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested mappings as rows with dotted names."""
    rows: list[tuple[str, str]] = []
    for key, item in value.items():
        if isinstance(item, Mapping):
            rows += _flat(item, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", _text(item)))
    return rows


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_text(item) for item in value)
    return "–" if value is None or value == "" else str(value)


def glossary_section() -> Section:
    """Every word of the page in a sentence."""
    return Section("glossary", "Glossary", tables=(Table(("word", "meaning"), tuple(WORDS.items())),))


def citations() -> str:
    """What to cite for the diagnostics, as BibTeX from ArviZ; empty where this version of ArviZ cannot say."""
    import arviz_stats

    try:
        from arviz_base.citations import citations as cite

        text = cite(methods=[arviz_stats.rhat, arviz_stats.ess, arviz_stats.loo])  # type: ignore[func-returns-value]
        return str(text).strip()
    except (ImportError, AttributeError, OSError, ValueError):
        return ""
