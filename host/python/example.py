# SPDX-License-Identifier: BSD-3-Clause
"""A tour of the Python module; run it as `python3 example.py law.h5` (jupyter's cell marks are kept in `# %%`)."""

# %% Results are xarray: one row per instance, and groups for problems and limits.
import sys

import meanode

path = sys.argv[1]
results = meanode.open(path)
print(results)

# %% The runs of a problem, selected by coordinates.
problem = results.meanode.problem(0)
deepest = problem.where(problem.L == problem.L.max(), drop=True)
print(deepest["output"].sizes, "runs of the deepest networks")

# %% The error against the limit, by hand: RMS over seeds, samples and targets for every shape, at the last step.
limit = results.meanode.limit(0, "mean-ode")
last = int(problem.step[-1])
plain = (problem.draw_width == problem.M) & (problem.draw_offset == 0) & (problem.draw_sign == 1)  # not those of sweep.pairs
square = ((problem["output"].sel(step=last) - limit["output"].isel(step=last)) ** 2).mean(("sample", "target"))
table = square.where(plain, drop=True).to_dataframe("square").groupby(["L", "M"])["square"].mean() ** 0.5
print(table.unstack())

# %% The constants with their 95% intervals, as a DataFrame.
constants = meanode.fit(results)
print(constants[["step", "quantity", "a", "a_low", "a_high", "b", "c", "slope_bias"]].to_string())

# %% Figures are matplotlib figures; verdicts say what the theory says.
figure = meanode.plot(results)  # the kind that the configuration names; plot_law(results), plot_lazy(results), ... choose
for verdict in figure.verdicts:
    print(verdict)
