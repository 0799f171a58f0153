# SPDX-License-Identifier: BSD-3-Clause
"""Ways in which a result file can lack what a command needs: each changes an open file (h5py, r+), which drops the seal as h5py does."""

import numpy

LIMITS = ("limit_mean_ode", "limit_tangent_ode", "limit_joint", "limit_largest")
OF_RUNS = ("output", "embedding", "path_forward")
OF_TABLE = ("loss", "error_output", "error_embedding", "coupling", "decorrelation", "path_error_forward", "init_noise", "feature_update")


def problems(file):
    return [file[name] for name in sorted(file) if name.startswith("problem_")]


def limits(file, which=slice(None)):
    return [problem[name] for problem in problems(file)[which] for name in LIMITS if name in problem]


def fields(limit):
    return [limit[name] for name in ("output", "embedding", "state", "adjoint") if name in limit]


def set_limits(value, first=0, which=slice(None)):
    """The limits' numbers from step `first` (negative: from the end) on."""

    def change(file):
        for limit in limits(file, which):
            for field in fields(limit):
                field[first:] = value
    return change


def set_errors(value):
    def change(file):
        for limit in limits(file):
            for name in ("output_error", "embedding_error"):
                if name in limit:
                    limit[name][...] = value
    return change


def without_limits(file):
    for problem in problems(file):
        for name in LIMITS:
            if name in problem:
                del problem[name]


def without_first_limits(file):
    for name in LIMITS:
        if name in file["problem_0000"]:
            del file["problem_0000"][name]


def without_in_limits(*names):
    def change(file):
        for limit in limits(file):
            for name in names:
                if name in limit:
                    del limit[name]
    return change


def short_limits(file):
    """The limits end a step before the runs."""
    for limit in limits(file):
        steps = len(limit["step"]) - 1
        scale = limit["step"]
        of_step = [name for name, data in limit.items() if data.ndim and data.dims[0] and scale in data.dims[0].values()]
        kept = {name: (limit[name][:steps], [list(d.values()) for d in limit[name].dims][1:]) for name in of_step}
        for name in of_step:
            del limit[name]
        del limit["step"]
        limit.create_dataset("step", data=numpy.arange(steps)).make_scale("step")
        for name, (values, scales) in kept.items():
            data = limit.create_dataset(name, data=values)
            data.dims[0].attach_scale(limit["step"])
            for axis, of in enumerate(scales, 1):
                for one in of:
                    data.dims[axis].attach_scale(one)


def set_runs(value, chosen=lambda L, M, seed: seed >= 0, steps=slice(None), status=None, which=slice(None)):
    """Numbers of the chosen runs (L, M, seed: arrays -> mask), in groups and table; `value`: a number, or values -> values."""

    def change(file):
        L, M, seed = (file[name][...].astype(float) for name in ("L", "M", "seed"))
        for problem in problems(file)[which]:
            rows = problem["row"][...]
            mask = chosen(L[rows], M[rows], seed[rows])
            for name in OF_RUNS:
                if name in problem:
                    values = problem[name][...]
                    part = values[mask][:, steps]
                    values[numpy.ix_(numpy.flatnonzero(mask), range(values.shape[1])[steps])] = value(part) if callable(value) else value
                    problem[name][...] = values
            for name in OF_TABLE:
                if name in file and not callable(value):
                    values = file[name][...]
                    values[numpy.ix_(rows[mask], range(values.shape[1])[steps])] = value
                    file[name][...] = values
            if status is not None:
                values = file["status"][...]
                values[rows[mask]] = status
                file["status"][...] = values
    return change


def set_table(value):
    def change(file):
        for name in OF_TABLE:
            if name in file:
                file[name][...] = value
    return change


def scale(factor, of_limits=True):
    def change(file):
        for problem in problems(file):
            for data in [problem[name] for name in OF_RUNS if name in problem] + [f for limit in limits(file) for f in fields(limit) if of_limits]:
                if data.name.startswith(problem.name):
                    data[...] = data[...] * factor
    return change


def equal_seeds(file, to_limit=False):
    """Every run of a shape gets the numbers of the first; or those of the problem's first limit."""
    L, M = file["L"][...], file["M"][...]
    recorded = file["step"][...]
    for problem in problems(file):
        rows = problem["row"][...]
        first = next((problem[name] for name in LIMITS if name in problem), None)
        for name in OF_RUNS:
            if name not in problem:
                continue
            values = problem[name][...]
            if to_limit and first is not None and name in first:
                values[:] = first[name][...][recorded]
            else:
                of = {}
                for run, row in enumerate(rows):
                    values[run] = values[of.setdefault((L[row], M[row]), run)]
            problem[name][...] = values


def without_runs_of(*names):
    def change(file):
        for problem in problems(file):
            for name in names:
                if name in problem:
                    del problem[name]
    return change


def first(values):
    return lambda L, M, seed: (L == L.min()) & (M == M.min()) if values == "shape" else seed == seed.min()


LAST = slice(-1, None)
CHANGES = {
    # the limit
    "no limit": without_limits,
    "no limit in the first problem": without_first_limits,
    "limit NaN": set_limits(numpy.nan),
    "limit NaN at the last step": set_limits(numpy.nan, -1),
    "limit NaN from step 1 on": set_limits(numpy.nan, 1),
    "limit infinite at the last step": set_limits(-numpy.inf, -1),
    "limit NaN in the first problem": set_limits(numpy.nan, 0, slice(0, 1)),
    "limit 1e200": set_limits(1e200),
    "limit zero": set_limits(0.0),
    "limit ends before the runs": short_limits,
    "limit without embedding and fields": without_in_limits("embedding", "embedding_error", "state", "adjoint"),
    "error of the limit NaN": set_errors(numpy.nan),
    "error of the limit infinite": set_errors(numpy.inf),
    "error of the limit 1e6": set_errors(1e6),
    "error of the limit 1e200": set_errors(1e200),
    "error of the limit zero": set_errors(0.0),
    "error of the limit missing": without_in_limits("output_error", "embedding_error"),
    # the networks
    "all runs diverged": set_runs(numpy.nan, status=1),
    "all runs diverged at the last step": set_runs(numpy.nan, steps=LAST, status=1),
    "all runs NaN at the last step": set_runs(numpy.nan, steps=LAST),
    "all runs infinite": set_runs(numpy.inf),
    "all runs missing": set_runs(numpy.nan, status=-1),
    "half of the seeds missing": set_runs(numpy.nan, lambda L, M, seed: seed % 2 == 1, status=-1),
    "half of the seeds diverged at the last step": set_runs(numpy.nan, lambda L, M, seed: seed % 2 == 1, LAST, 1),
    "one shape diverged": set_runs(numpy.nan, first("shape"), status=1),
    "one shape missing": set_runs(numpy.nan, first("shape"), status=-1),
    "one seed": set_runs(numpy.nan, lambda L, M, seed: seed != seed.min(), status=-1),
    "two seeds": set_runs(numpy.nan, lambda L, M, seed: seed > seed.min() + 1, status=-1),
    "three seeds": set_runs(numpy.nan, lambda L, M, seed: seed > seed.min() + 2, status=-1),
    "one L": set_runs(numpy.nan, lambda L, M, seed: L != L.max(), status=-1),
    "one M": set_runs(numpy.nan, lambda L, M, seed: M != M.max(), status=-1),
    "one shape": set_runs(numpy.nan, lambda L, M, seed: (L != L.max()) | (M != M.max()), status=-1),
    "one instance": set_runs(numpy.nan, lambda L, M, seed: (L != L.max()) | (M != M.max()) | (seed != seed.min()), status=-1),
    "first problem diverged": set_runs(numpy.nan, status=1, which=slice(0, 1)),
    "first problem missing": set_runs(numpy.nan, status=-1, which=slice(0, 1)),
    "all seeds equal": equal_seeds,
    "all runs equal to the limit": lambda file: equal_seeds(file, to_limit=True),
    "one seed of two equal to the first": set_runs(lambda v: numpy.zeros_like(v), lambda L, M, seed: seed % 2 == 1),
    "all runs zero": set_runs(0.0),
    "runs times 1e200": scale(1e200, of_limits=False),
    "runs and limits times 1e200": scale(1e200),
    "runs and limits times 1e307": scale(1e307),
    "one seed times 1e200": set_runs(lambda v: v * 1e200, lambda L, M, seed: seed == seed.min()),
    "one shape times 1e150": set_runs(lambda v: v * 1e150, first("shape")),
    "runs and limits subnormal": scale(1e-312),
    "runs and limits times 1e-170": scale(1e-170),
    # what was recorded
    "no outputs": without_runs_of("output"),
    "no embeddings": without_runs_of("embedding"),
    "no states over depth": without_runs_of("path_forward"),
    "neither outputs nor embeddings": without_runs_of("output", "embedding"),
    "table NaN": set_table(numpy.nan),
    "table zero": set_table(0.0),
    "table infinite": set_table(numpy.inf),
    "table 1e200": set_table(1e200),
}
