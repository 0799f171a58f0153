# SPDX-License-Identifier: BSD-3-Clause
"""The sweeps of the golden guard: tiny, and together they touch every choice of a configuration.

Each is a configuration, what it says added to BASE. Sizes are chosen so that every memory layout of the CPU kernels runs, at
and beside its borders (host/cpu/dispatch.c): seeds on lanes (M < 16 or D M <= 128), units on lanes, and samples on lanes
(N >= 16, or 48 for small networks, with lanes 7/8 full: N = 50 is that in double and not in single precision).

The learning rates with an alpha of 0.9 times a power of two, and sigma, are numbers with which eta/alpha and sigma sqrt(D)
round otherwise when they are computed in another order or precision.
"""

BASE = {
    "data": {"kind": "gaussian", "samples": 3, "inputs": 3, "targets": 2, "seed": 1},
    "model": {"activation": "tanh", "D": 4, "alpha": 0.9, "sigma_u": 0.83, "sigma_v": 1.17},
    "training": {"steps": 3, "eta_u": 0.79, "eta_v": 1.21},
    "limit": {"kind": "none"},
    "sweep": {"L": [1, 5], "M": [3], "seeds": 2},
    "record": {"embedding": True},
}

SAMPLED = {"kind": "mean-ode", "tolerance": 0.3, "method": "sobol", "particles": 128, "nodes": 3, "randomisations": 3}
DIAGNOSED = {"coupling": True, "path": True, "features": True}

SWEEPS = {
    # Activations and layouts. D = [1, 2, 4, 8, 20] with M = 16: D M = 128 is small, 320 is not.
    "tanh": {
        "model": {"D": [1, 2, 4, 8, 20], "activation": None, "alpha": None, "sigma_u": None, "sigma_v": None},
        "training": {"steps": 3, "eta_u": None, "eta_v": None},
        "data": {"samples": 10},
        "sweep": {"L": [1, 6], "M": [1, 3, 16, 40], "seeds": 3},
    },
    "erf": {
        "model": {"activation": "erf", "D": [1, 8, 20], "alpha": [0.1125, 28.8]},
        "data": {"samples": 50},
        "sweep": {"L": [4], "M": [3, 16, 40], "seeds": 2},
    },
    "gelu": {
        "model": {"activation": "gelu", "D": [2, 9]},
        "data": {"samples": 16},
        "sweep": {"M": [15, 16, 17], "seeds": 2},
    },
    "silu": {
        "model": {"activation": "silu", "D": [20]},
        "data": {"samples": 17},
        "sweep": {"L": [3], "M": [1, 33], "seeds": 19},
        "record": {"embedding": False},
    },
    "relu": {
        "model": {"activation": "relu", "D": [4, 8], "alpha": [0.9, 3.6]},
        "data": {"samples": 48},
        "sweep": {"M": [3, 16, 40], "seeds": 2},
        "limit": SAMPLED | {"kind": ["mean-ode", "tangent-ode"]},
    },
    "softplus": {
        "model": {"activation": "softplus", "D": 12},
        "training": {"eta_u": 0},
        "sweep": {"L": [300], "M": [1, 20], "seeds": 1},
    },
    "sin": {
        "model": {"activation": "sin", "D": [3, 16]},
        "training": {"eta_v": 0},
        "data": {"samples": 1, "seed": [0, 7]},
        "sweep": {"L": [2], "M": [2, 18], "seeds": [5, 9223372036854775807]},
    },
    "identity": {
        "model": {"activation": "identity", "D": [1, 5], "alpha": [0.45, 0.9]},
        "data": {"samples": 10},
        "limit": {"kind": ["mean-ode", "tangent-ode", "joint"], "method": "closure", "tolerance": 1e-3},
        "record": DIAGNOSED,
    },
    # Some 2e6 operations a layer: threads share an instance.
    "units-shared": {
        "model": {"D": 130},
        "data": {"samples": 10},
        "training": {"steps": 1},
        "sweep": {"L": [3], "M": [100], "seeds": 1},
        "record": DIAGNOSED | {"coupling": False, "path": False},
    },
    "samples-shared": {
        "model": {"D": 60, "activation": "silu"},
        "data": {"samples": 56},
        "training": {"steps": 2},
        "sweep": {"L": [3], "M": [50], "seeds": 1},
    },
    # Losses and data.
    "digits": {
        "data": {"kind": "digits", "samples": 20, "inputs": None, "targets": None},
        "training": {"loss": "cross-entropy", "eta_u": 1.07},
        "model": {"D": [3, 16]},
        "sweep": {"M": [3, 20], "seeds": 2},
        "limit": SAMPLED,
        "record": {"steps": [1, 3], "weights": "final"},
    },
    "file": {
        "data": {"kind": "file", "path": "data.h5", "samples": 4, "inputs": None, "targets": None},
        "model": {"D": 5},
        "training": {"loss": "cross-entropy"},
        "limit": SAMPLED | {"kind": ["tangent-ode", "mean-ode"], "particles": 100},
        "record": {"steps": [0], "weights": "initial", "output": False},
    },
    # What is recorded.
    "no-steps": {
        "training": {"steps": 0},
        "sweep": {"M": [2, 40], "seeds": 2},
        "limit": {"kind": ["mean-ode", "tangent-ode"], "tolerance": 0.1},
        "record": DIAGNOSED | {"weights": "both"},
    },
    "diagnosed": {
        "model": {"D": [2, 9], "alpha": 0.9},
        "data": {"samples": 10},
        "sweep": {"L": [1, 9], "M": [3, 40], "seeds": 2},
        "limit": SAMPLED,
        "record": DIAGNOSED | {"steps": [0, 2, 3]},
    },
    "weights": {"sweep": {"L": [3], "M": [2, 33], "seeds": 2}, "record": {"weights": "both", "steps": [3]}},
    "pairs": {
        "sweep": {"L": [4, 6], "M": [2, 20], "seeds": 3, "pairs": ["regroup", "jackknife", "antithetic"]},
        "limit": SAMPLED,
        "record": {"weights": "initial"},
    },
    "diverged": {
        "model": {"activation": "softplus", "alpha": [0.01, 1]},
        "training": {"eta_u": 8, "eta_v": 8, "steps": 5},
        "sweep": {"M": [3, 40], "seeds": 2},
    },
    # Limits.
    "quadrature": {
        "model": {"D": [1, 2], "activation": "sin", "alpha": 1.8},
        "training": {"steps": 1},
        "limit": {"kind": "mean-ode", "method": "quadrature", "tolerance": 0.1},
    },
    "chosen": {
        "model": {"D": [1, 3], "activation": "gelu"},
        "limit": {"kind": ["mean-ode", "joint"], "tolerance": 0.03},
    },
    "sobol": {
        "model": {"D": 8, "activation": "erf"},
        "data": {"samples": 10},
        "limit": SAMPLED | {"kind": ["tangent-ode", "mean-ode"], "tolerance": 1e-5},
        "record": {"path": True, "features": True},
    },
    "sobol-full": {
        "model": {"D": 8, "activation": "silu", "alpha": 3.6},
        "limit": SAMPLED | {"kind": ["mean-ode", "joint", "tangent-ode"], "method": "sobol-full"},
        "record": {"coupling": True},
    },
    "largest": {
        "model": {"D": [3, 9], "alpha": [1.8, 7.2]},
        "sweep": {"L": [2, 12], "M": [2, 20], "seeds": 3},
        "limit": {"kind": ["largest", "mean-ode"], "tolerance": 0.3, "particles": 128, "randomisations": 2, "nodes": 2},
    },
    "steep": {
        "model": {"D": 2, "alpha": 0.001},
        "training": {"steps": 2, "eta_u": 1, "eta_v": 1},
        "limit": {"kind": "mean-ode", "tolerance": 0.3, "randomisations": 2, "method": "sobol"},
        "sweep": {"L": [5]},
    },
    "grows": {
        "model": {"D": 3, "alpha": 0.00001, "activation": "identity"},
        "training": {"steps": 3, "eta_u": 1, "eta_v": 1},
        "limit": {"kind": ["mean-ode", "joint"], "tolerance": 0.1},
        "sweep": {"L": [5]},
    },
}


def configuration(name):
    """The whole configuration of a sweep; a key that is None in the table is left out."""
    whole = {section: dict(keys) for section, keys in BASE.items()}
    for section, keys in SWEEPS[name].items():
        if section == "limit":
            whole[section] = {}
        whole[section].update(keys)
    return {section: {key: value for key, value in keys.items() if value is not None} for section, keys in whole.items()}
