# SPDX-License-Identifier: BSD-3-Clause
"""Results of meanode as xarray, their fitted constants as a DataFrame, and figures.

    import meanode
    results = meanode.open("sweep.h5")            # xarray.Dataset, one row per instance
    problem = results.meanode.problem(0)          # outputs, data and coordinates L, M, seed of its runs
    limit = results.meanode.limit(0, "mean-ode")  # what they converge to
    constants = meanode.fit("sweep.h5")           # DataFrame with a, b, c, exponents and 95% intervals
    meanode.plot("sweep.h5", "law.pdf")           # or plot_law(results), plot_lazy(results), ...: matplotlib Figures
"""

import functools

from .fitting import fit, fit_json
from .reading import FileProblem, open  # noqa: A004  (the name is the documented one)

__all__ = ["FileProblem", "fit", "fit_json", "kinds", "open", "plot"]
__version__ = "0.1.0"  # that of include/meanode/version.h


def kinds():
    """Names that plot() and `meanode plot --kind` accept, with one line each."""
    from .figures import KINDS

    return {name: kind.summary for name, kind in KINDS.items()}


def plot(results, output=None, kind=None, **options):
    """Draw a figure of a result file (a path, or what open() returned); save it if output is given (.svg, .png, .pdf). Returns the
    matplotlib Figure, with .verdicts."""
    from .figures import draw

    return draw(results, output, kind, **options)


def __getattr__(name):
    """plot_law, plot_dimension, ...: one function per kind, plot_KIND(results, **options) -> matplotlib Figure with .verdicts; results: a
    path or what open() returned; options: step, quantity, problem."""
    kind = name.removeprefix("plot_").replace("_", "-")
    if name.startswith("plot_") and kind in kinds():
        return functools.partial(plot, kind=kind, output=None)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return [*globals(), *(f"plot_{kind.replace('-', '_')}" for kind in kinds())]
