"""Results of meanode as xarray, their fitted constants as a DataFrame, and figures.

    import meanode
    results = meanode.open("sweep.h5")            # xarray.Dataset, one row per instance
    problem = results.meanode.problem(0)          # outputs, data and coordinates L, M, seed of its runs
    limit = results.meanode.limit(0, "mean-ode")  # what they converge to
    constants = meanode.fit("sweep.h5")           # DataFrame with a, b, c, exponents and 95% intervals
    meanode.plot("sweep.h5", "law.pdf")           # or plot_law(results) for a matplotlib Figure
"""

from .fitting import fit, fit_json
from .reading import FileProblem, open  # noqa: A004  (the name is the documented one)
from .version import VERSION

__all__ = ["FileProblem", "fit", "fit_json", "kinds", "open", "plot", "plot_law"]
__version__ = VERSION


def kinds():
    """Names that plot() and `meanode plot --kind` accept, with one line each."""
    from .figures import KINDS

    return {name: kind.summary for name, kind in KINDS.items()}


def plot(path, output=None, kind=None, **options):
    """Draw a figure of a result file; save it if output is given (.svg, .png, .pdf). Returns the matplotlib Figure."""
    from .figures import draw

    return draw(path, output, kind, **options)


def plot_law(results, step=None, quantity="output"):
    """The error against L, M and L M with the fitted law. results: a path or what open() returned."""
    from .figures import draw

    return draw(results, None, "law", step=step, quantity=quantity)
