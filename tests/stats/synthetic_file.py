# SPDX-License-Identifier: BSD-3-Clause
"""A result file in the documented layout whose law is known: f = limit + A/L + C/(L M) + b/(L M) sum over units of xi."""

import h5py
import numpy

CONFIG = "# synthetic\n"


def dimension(group, name, values):
    data = group.create_dataset(name, data=values)
    data.make_scale(name)
    return data


def attach(data, *scales):
    for axis, scale in enumerate(scales):
        data.dims[axis].attach_scale(scale)


def write(path, a=0.5, b=0.7, c=0.6, L=(8, 16, 32, 64), M=(2, 8, 32), seeds=24, steps=(0, 1, 5, 15), N=10, d_in=5, d_out=5,
          D=8, limit_error=1e-4, diverged=0, seed=1):
    """Writes the file; the constants hold for every step but 0, where there is no bias."""
    random = numpy.random.default_rng(seed)
    shapes = [(l, m) for l in L for m in M]
    rows = [(l, m, s) for l, m in shapes for s in range(seeds)]
    K = max(steps)

    def vector(size, level):
        v = random.normal(size=size)
        return level * v / numpy.sqrt(numpy.mean(v**2))

    with h5py.File(path, "w") as file:
        file.attrs["title"] = "synthetic"
        instance = dimension(file, "instance", numpy.arange(len(rows)))
        step = dimension(file, "step", numpy.array(steps, numpy.int64))
        for name, values in (("L", [r[0] for r in rows]), ("M", [r[1] for r in rows]), ("D", [D] * len(rows)),
                             ("problem", [0] * len(rows))):
            attach(file.create_dataset(name, data=numpy.array(values, numpy.int64)), instance)
        for name, values in (("seed", [r[2] for r in rows]), ("id", range(1, len(rows) + 1))):
            attach(file.create_dataset(name, data=numpy.array(values, numpy.uint64)), instance)
        attach(file.create_dataset("alpha", data=numpy.ones(len(rows))), instance)
        status = numpy.zeros(len(rows), numpy.int8)
        status[:diverged] = 1
        attach(file.create_dataset("status", data=status), instance)
        attach(file.create_dataset("seconds", data=numpy.ones(len(rows))), instance)
        for name in ("loss", "error_output", "error_embedding"):
            attach(file.create_dataset(name, data=numpy.ones((len(rows), len(steps)))), instance, step)
        chaos = numpy.array([[0.3 * (at + 1) / numpy.sqrt(l * m) for at in steps] for l, m, _ in rows])
        chaos *= 1 + 0.05 * random.normal(size=chaos.shape)
        attach(file.create_dataset("coupling", data=chaos), instance, step)
        file.create_dataset("config", data=CONFIG, dtype=h5py.string_dtype())

        problem = file.create_group("problem_0000")
        run = dimension(problem, "run", numpy.arange(len(rows)))
        scales = {name: dimension(problem, name, numpy.arange(size))
                  for name, size in (("sample", N), ("input", d_in), ("target", d_out), ("embed", D))}
        attach(problem.create_dataset("row", data=numpy.arange(len(rows))), run)
        for name, shape in (("x", ("sample", "input")), ("y", ("sample", "target")), ("w_embed", ("embed", "input")),
                            ("w_unembed", ("embed", "target"))):
            size = [len(scales[s]) for s in shape]
            attach(problem.create_dataset(name, data=random.normal(size=size)), *(scales[s] for s in shape))
        limit = problem.create_group("limit_mean_ode")
        limit_step = dimension(limit, "step", numpy.arange(K + 1))
        for name, axis, size in (("output", "target", d_out), ("embedding", "embed", D)):
            truth = random.normal(size=(K + 1, N, size))
            value = numpy.empty((len(rows), len(steps), N, size))
            noise = numpy.zeros((seeds, len(shapes), N * size))
            for s in range(seeds):
                deep, wide = max(L), max(M)
                # partial sums over layers and units: nested shapes share their units
                units = random.normal(size=(deep, wide, N * size)).cumsum(axis=0).cumsum(axis=1)
                for i, (l, m) in enumerate(shapes):
                    noise[s, i] = units[l - 1, m - 1] / (l * m)
            for k, at in enumerate(steps):
                A, C = (vector(N * size, level if at else 0) for level in (a, c))
                for r, (l, m, s) in enumerate(rows):
                    value[r, k] = truth[at] + (A / l + C / (l * m) + b * noise[s, shapes.index((l, m))]).reshape(N, size)
            value[:diverged] = numpy.nan
            attach(problem.create_dataset(name, data=value), run, step, scales["sample"], scales[axis])
            attach(limit.create_dataset(name, data=truth), limit_step, scales["sample"], scales[axis])
            attach(limit.create_dataset(f"{name}_error", data=numpy.full(K + 1, limit_error)), limit_step)
        attach(limit.create_dataset("loss", data=numpy.ones(K + 1)), limit_step)
    return path


if __name__ == "__main__":
    import sys

    write(sys.argv[1])
