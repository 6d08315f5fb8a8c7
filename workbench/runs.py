"""Run folders: everything about one fit in one place, written whole or not at all.

    manifest.json    versions, seed, settings, hashes of model and data, the command
    model.py         the model file as it was run (shown, never imported again)
    data.csv         the columns that were bound
    results.json     every answer, every field
    draws.nc         prior and posterior draws, netCDF 4 in the ArviZ schema
    report.html      the report
    checksums.json   SHA-256 of each file above, written last

A run is assembled in a temporary folder beside its place and moved there in one step, so a run that was interrupted
leaves nothing behind. Opening a run reads files; it imports no model and computes nothing.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from workbench import __version__, comparison, diagnosis, evidence_view, information, prediction, views
from workbench.errors import InputError, WorkbenchError
from workbench.model.load import sha256_of
from workbench.result import Refusal, Result, decode, encode

if TYPE_CHECKING:
    from workbench.study import Study

# A kind of result can be read back once its module is loaded; these load all that a run may hold.
_KINDS_LIVE_IN = (comparison, diagnosis, evidence_view, information, prediction, views)
SCHEMA = 1
_PACKAGES = ("pymc", "pytensor", "nutpie", "arviz", "numba", "numpy", "scipy", "xarray", "pandas")


def new_run_folder(out: Path, name: str) -> Path:
    """A run folder's path that does not exist yet: model name, date and time, a counter if need be.

    Parameters
    ----------
    out : Path
        Folder of run folders.
    name : str
        Of the model.

    Returns
    -------
    Path
    """
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    path = out / f"{name}-{stamp}"
    counter = 2
    while path.exists():
        path = out / f"{name}-{stamp}-{counter}"
        counter += 1
    return path


def manifest(study: Study) -> dict[str, Any]:
    """Where the numbers of a study come from: versions, seed, settings, hashes.

    Parameters
    ----------
    study : Study

    Returns
    -------
    dict
        Plain values only; environment variables are not recorded.
    """
    source = study.source
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "workbench": __version__,
        "name": study.name,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": ["workbench", *sys.argv[1:]] if "workbench" in sys.argv[0] else [Path(sys.argv[0]).name],
        "seed": study.seed,
        "settings": asdict(study.settings),
        "verdict": study.verdict(),
        "potentials": study.density.potentials,
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "observed": {n: _hash_of(a) for n, a in study.density.symbolic.observed.items()},
    }
    if source is not None:
        found["model"] = {
            "path": source.path,
            "sha256": sha256_of(source.text),
            "hyperparameters": source.hyperparameters,
        }
        found["data"] = {
            "path": source.data_path,
            "rows": len(source.columns),
            "columns": list(source.columns),
            "sha256": sha256_of(Path(source.data_path).read_bytes()) if source.data_path else "",
        }
    return found


def _hash_of(array: np.ndarray) -> str:
    """SHA-256 of the values of an array, so that runs on the same observations can be recognised."""
    return sha256_of(np.ascontiguousarray(array, dtype=np.float64).tobytes())


def save_run(study: Study, path: Path, extras: Mapping[str, Callable[[Path, dict[str, Any]], Any]]) -> Path:
    """Write a run folder.

    Parameters
    ----------
    study : Study
    path : Path
        The folder to make.
    extras : mapping of str to callable
        Further files: a name in the folder, and a function of the path to write and the manifest.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If the folder exists, or cannot be written.
    """
    if path.exists():
        raise InputError("this run folder exists already", str(path), "choose another name; runs are never overwritten")
    answers, draws = study.answers(), study.draws()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise InputError(
            f"the run folder cannot be made: {error.strerror}", str(path), "choose another --out"
        ) from error
    try:
        if study.source is not None:
            (draft / "model.py").write_text(study.source.text, encoding="utf-8")
            study.source.columns.to_csv(draft / "data.csv", index=False)
        results = {name: encode(answer) for name, answer in answers.items()}
        _write_json(draft / "results.json", results)
        draws.to_netcdf(draft / "draws.nc", engine="h5netcdf")
        provenance = manifest(study)
        for name, write in extras.items():
            write(draft / name, provenance)
        _write_json(draft / "manifest.json", provenance)
        sums = {file.name: sha256_of(file.read_bytes()) for file in sorted(draft.iterdir())}
        _write_json(draft / "checksums.json", sums)
        draft.chmod(0o755)
        os.replace(draft, path)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return path


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, allow_nan=False), encoding="utf-8")


class _Unreadable(Refusal):
    """An answer that another version wrote."""


@dataclass(frozen=True)
class Run:
    """A finished run, read from its folder.

    Attributes
    ----------
    path : Path
    manifest : dict
    """

    path: Path
    manifest: dict[str, Any]

    @cached_property
    def answers(self) -> dict[str, Result]:
        """Every answer of the run by question, such as ``evidence.estimate``.

        In place of one that another version wrote in another form stands a `Refusal` that says so.
        """
        found: dict[str, Any] = dict(self._read)
        for name, answer in found.items():
            if answer.apart:
                group = self.draws["posterior_predictive"]
                kept = {field: {n: a.values[0] for n, a in group.data_vars.items()} for field in answer.apart}
                found[name] = replace(answer, **kept)
        return found

    @cached_property
    def _read(self) -> dict[str, Result]:
        """Answers as they stand in results.json."""
        found: dict[str, Result] = {}
        for name, value in json.loads((self.path / "results.json").read_text(encoding="utf-8")).items():
            try:
                found[name] = decode(value)
            except InputError as error:
                version = self.manifest.get("workbench", "of another version")
                remedy = f"open the run with Workbench {version}, which wrote it, or fit the model again"
                found[name] = _Unreadable((), name, f"it cannot be read back: {error.what}", "results.json", remedy)
        return found

    @property
    def unreadable(self) -> dict[str, str]:
        """Question -> why, of the answers that another version wrote in a form that this one cannot read."""
        return {name: found.what for name, found in self._read.items() if isinstance(found, _Unreadable)}

    @cached_property
    def draws(self) -> xr.DataTree:
        """Prior and posterior draws in the ArviZ schema."""
        with xr.open_datatree(self.path / "draws.nc", engine="h5netcdf") as tree:
            return tree.load()

    @property
    def verdict(self) -> str:
        """The verdict that the run ended with."""
        return str(self.manifest["verdict"])

    def __getitem__(self, question: str) -> Result:
        """One answer; raises `InputError` for a question that the run did not ask."""
        if question not in self.answers:
            raise InputError(f"this run has no answer to {question!r}", str(self.path), f"it has {list(self.answers)}")
        return self.answers[question]

    def table(self) -> pd.DataFrame:
        """One row an answer: its kind and the status of its checks."""
        rows = {
            name: (type(a).__name__, ", ".join(sorted({c.status for c in a.checks})) or "-")
            for name, a in self.answers.items()
        }
        return pd.DataFrame.from_dict(rows, orient="index", columns=["kind", "checks"])

    def __repr__(self) -> str:
        lines = [
            f"run {self.path.name} of {self.manifest['created']}, verdict {self.verdict}",
            self.table().to_string(),
        ]
        lines += [f"{name}: {why}" for name, why in self.unreadable.items()]
        return "\n".join(lines)


def open_run(path: str | Path) -> Run:
    """Open a run folder; nothing of it is executed.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Run

    Raises
    ------
    InputError
        If it is no run folder, was written by a newer version, or a file differs from its checksum.
    """
    folder = Path(path)
    try:
        sums = json.loads((folder / "checksums.json").read_text(encoding="utf-8"))
        content = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        schema, named = int(content["schema"]), dict(sums)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError("this is no finished run folder", str(folder), "`workbench runs` lists the runs") from error
    if schema > SCHEMA:
        raise InputError(f"the run has schema {schema}, newer than {SCHEMA}", str(folder), "update Workbench")
    for name, expected in named.items():
        file = folder / name
        if Path(name).name != name or not file.is_file() or sha256_of(file.read_bytes()) != expected:
            raise InputError(f"{name} is missing or was changed since the run was written", str(folder), "run it again")
    return Run(folder, content)


def list_runs(folder: str | Path) -> list[Run]:
    """The finished runs in a folder, oldest first; what is no run is left out.

    Parameters
    ----------
    folder : str or Path

    Returns
    -------
    list of Run
    """
    found = []
    for entry in sorted(Path(folder).glob("*/manifest.json")):
        try:
            found.append(open_run(entry.parent))
        except WorkbenchError:
            continue
    return sorted(found, key=lambda run: run.manifest["created"])
