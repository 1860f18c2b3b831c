"""A method: how a step is found, as a run's settings or a row of a table say, and what it is called where."""

from __future__ import annotations

from typing import Any, NamedTuple

from frog_cli.settings.schema import ClassificationRun, Run, are_local, samples_tangents


class Method(NamedTuple):
    """A gradient, or a second-order step rule, with its tangents; None is what it does not have."""

    gradient: str
    k: int | None = None
    tangents: str | None = None
    angle: float | None = None  # in degrees, of tangents on a cone
    perturb: str | None = None  # of networks: weights or activities
    measure: str | None = None
    chunk_size: int | None = None
    lengths: str | None = None  # of steps, where they do not come from a learning rate

    def columns(self) -> dict[str, object]:
        """Return what a result depends on, as columns of a table."""
        angle = None if self.angle is None else f"{self.angle:g}"
        columns = {"gradient": self.gradient, "k": self.k, "tangents": self.tangents, "angle": angle}
        return {name: value for name, value in {**columns, "perturb": self.perturb}.items() if value is not None}

    def name_of_runs(self) -> str:
        """Return what stands for the method in the names of runs; normal tangents are not mentioned."""
        words = [self.gradient]
        if self.k is not None:
            words.append(f"k{self.k}")
        if self.angle is not None:
            words.append(f"cone{self.angle:g}")
        elif self.tangents is not None and self.tangents != "normal":
            words.append(self.tangents)
        return "-".join(words)

    def name_in_papers(self) -> str:
        """Return what the papers call the method."""
        if self.gradient == "fomoh_kd":
            return f"FoMoH-{self.k:g}D"
        if self.k is not None:
            return "$g_v$, k = 1" if self.gradient == "mean" and self.k == 1 else f"{self.gradient}, k = {self.k:g}"
        if self.tangents is not None and self.tangents.startswith("local"):
            return f"{self.gradient}, {self.tangents.replace('_', ' ')}"
        return {"backprop": "backprop", "newton": "Newton", "fomoh": "FoMoH", "fomoh_bp": "FoMoH-BP"}[self.gradient]

    def name_of_steps(self) -> str:
        """Return what a step is called when steps are measured, without k; normal tangents are not mentioned."""
        tangents = None if self.tangents == "normal" else self.tangents
        chunks = None if self.chunk_size is None else f"chunks of {self.chunk_size:g}"
        words = (self.gradient, self.measure, self.perturb, tangents, chunks, self.lengths)
        return ", ".join(word for word in words if word is not None)


def of_run(run: Run) -> Method:
    """Return the method of a run."""
    gradient = run.gradient.model_dump()
    draws = samples_tangents(run.gradient)
    return Method(
        gradient["name"],
        None if draws and are_local(run.tangents) else gradient.get("k"),
        run.tangents.called if draws else None,
        run.tangents.angle if draws else None,
        gradient.get("perturb") if isinstance(run, ClassificationRun) else None,  # functions have only weights
        gradient.get("measure"),
        gradient.get("chunk_size"),
        _lengths(run),
    )


def _lengths(run: Run) -> str | None:
    """Return how steps get their lengths, None if from a learning rate."""
    settings = run.curvature_length
    if settings is None:
        return None
    return "curvature" if settings.every == 1 else f"curvature at every {settings.every}th step"


def of_row(row: Any) -> Method:
    """Return the method of a row, a mapping or a row of a data frame, whose cells may be empty or missing."""
    cells = {name: _cell(row.get(name)) for name in Method._fields}
    k, chunk_size = (None if cells[name] is None else int(float(cells[name])) for name in ("k", "chunk_size"))
    angle = None if cells["angle"] is None else float(cells["angle"])
    return Method(**{**cells, "k": k, "chunk_size": chunk_size, "angle": angle})


def _cell(value: Any) -> Any:
    """Return a cell, None if it is empty; an empty cell of a data frame is not equal to itself."""
    return None if value is None or value == "" or value != value else value


def step_columns(run: ClassificationRun, ranks: int = 1) -> dict[str, Any]:
    """Return what tells a measured step from others of the same network, all columns in any case but those of ranks."""
    method = of_run(run)
    columns = {name: getattr(method, name) for name in ("gradient", "k", "measure", "perturb")}
    # the tangents as they are set, also if none are drawn
    columns |= {"tangents": run.tangents.called, "chunk_size": method.chunk_size}
    columns |= {"lengths": method.lengths}
    if run.parallel is not None:
        parallel = run.parallel if isinstance(run.parallel, str) else "x".join(map(str, run.parallel))
        columns |= {"ranks": ranks, "parallel": parallel, "exchange": run.exchange}
    return {**columns, "optimizer": run.optimizer.name}
