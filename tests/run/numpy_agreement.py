# SPDX-License-Identifier: BSD-3-Clause
"""Every recorded number equals a NumPy implementation that starts from the file's own initial weights."""

import itertools
import unittest

import numpy as np

import harness
import reference

SIZES = [1, 2, 3, 5, 7, 17, 33]


def problem_of(file, config):
    group = file["problem_0000"]
    return {
        **{name: group[name][...].astype(float) for name in ("x", "y", "w_embed", "w_unembed")},
        "activation": config["model"]["activation"],
        "alpha": config["model"]["alpha"],
        "eta_u": config["training"]["eta_u"],
        "eta_v": config["training"]["eta_v"],
        "loss": config["training"]["loss"],
    }


def relative(a, b):
    return np.max(np.abs(a - b)) / np.max(np.abs(b))


class NumpyAgreement(harness.Case):
    def check(self, changes, precision="f64", tolerance=1e-10):
        config = harness.deep_update(harness.BASE, changes)
        file = self.open(self.run_sweep(changes, "--precision", precision))
        problem, group = problem_of(file, config), file["problem_0000"]
        steps = config["training"]["steps"]
        for run, row in enumerate(group["row"][...]):
            start = group[f"weights/{row}"]
            u0, v0 = start["u0"][...].astype(float), start["v0"][...].astype(float)
            outputs, embeddings, losses, u, v = reference.train(problem, u0, v0, steps)
            where = f"{changes} run {run}"
            self.assertLess(relative(group["output"][run], outputs), tolerance, where)
            self.assertLess(relative(group["embedding"][run], embeddings), tolerance, where)
            self.assertLess(relative(file["loss"][row], losses), tolerance, where)
            self.assertLess(relative(start["u"][...], u), tolerance, where)
            self.assertLess(relative(start["v"][...], v), tolerance, where)

    def test_activations_and_losses(self):
        for activation, loss in itertools.product(reference.ACTIVATIONS, ["squared", "cross-entropy"]):
            changes = {"model": {"activation": activation, "alpha": 1.5}, "training": {"loss": loss, "eta_u": 0.7, "eta_v": 1.3}}
            if loss == "cross-entropy":
                changes["data"] = {"kind": "digits", "samples": 6}
                changes["replace_data"] = True
            with self.subTest(activation=activation, loss=loss):
                self.check_with_data(changes)

    def check_with_data(self, changes):
        if changes.pop("replace_data", False):
            data = changes.pop("data")
            saved = harness.BASE["data"]
            harness.BASE["data"] = data
            try:
                self.check(changes)
            finally:
                harness.BASE["data"] = saved
        else:
            self.check(changes)

    def test_odd_sizes(self):
        """Each size in each role, the others drawn from the same list by a fixed rule."""
        for i, size in enumerate(SIZES):
            other = [SIZES[(i + shift) % len(SIZES)] for shift in (1, 2, 3)]
            for role in range(4):
                L, M, D, N = [size if r == role else other[(r - role) % 4 - 1] for r in range(4)]
                with self.subTest(L=L, M=M, D=D, N=N):
                    self.check({"data": {"samples": N}, "model": {"D": D}, "sweep": {"L": [L], "M": [M], "seeds": 3}})

    def test_wide_and_long(self):
        """Shapes that the kernels treat by blocks: many units, many samples, many layers."""
        for L, M, D, N in [(3, 130, 9, 10), (2, 64, 32, 64), (300, 4, 8, 10), (2, 40, 70, 33), (5, 1, 1, 100)]:
            for activation in ("tanh", "softplus"):
                with self.subTest(L=L, M=M, D=D, N=N, activation=activation):
                    self.check({"data": {"samples": N}, "model": {"D": D, "activation": activation},
                                "sweep": {"L": [L], "M": [M], "seeds": 2}})

    def test_single_precision(self):
        """f32 within 1e-4 of f64 from the same draws, and both draw the same weights."""
        for activation in reference.ACTIVATIONS:
            changes = {"model": {"activation": activation, "D": 7}, "sweep": {"L": [20], "M": [2, 18], "seeds": 3},
                       "training": {"steps": 10}}
            double = self.open(self.run_sweep(changes, "--precision", "f64", name="f64.h5"))
            single = self.open(self.run_sweep(changes, "--precision", "f32", name="f32.h5"))
            with self.subTest(activation=activation):
                for name in ("output", "embedding"):
                    self.assertLess(relative(single["problem_0000"][name][...], double["problem_0000"][name][...]), 1e-4)
                for row in range(6):
                    for name in ("u0", "v0"):
                        difference = single[f"problem_0000/weights/{row}/{name}"][...] - double[f"problem_0000/weights/{row}/{name}"][...]
                        self.assertLess(np.max(np.abs(difference)), 1e-5)

    def test_updates_are_gradients(self):
        """One step moves a weight by -eta L M D / alpha^2 times the loss's derivative, by central differences."""
        for activation in ("tanh", "gelu", "softplus"):
            changes = {"model": {"activation": activation, "alpha": 1.2, "D": 3}, "training": {"steps": 1, "eta_u": 0.9, "eta_v": 0.8},
                       "sweep": {"L": [3], "M": [2], "seeds": 1}}
            config = harness.deep_update(harness.BASE, changes)
            file = self.open(self.run_sweep(changes))
            problem, weights = problem_of(file, config), file["problem_0000/weights/0"]
            arrays = {"u": weights["u0"][...], "v": weights["v0"][...]}
            size = arrays["u"].size
            for name, eta in (("u", 0.9), ("v", 0.8)):
                moved = weights[name][...] - arrays[name]
                for index in np.ndindex(moved.shape):
                    values = []
                    for sign in (1, -1):
                        shifted = {key: array.copy() for key, array in arrays.items()}
                        shifted[name][index] += sign * 1e-5
                        f = reference.forward(problem, shifted["u"], shifted["v"])[1]
                        values.append(reference.loss_and_gradient("squared", f, problem["y"])[0])
                    slope = (values[0] - values[1]) / 2e-5
                    self.assertAlmostEqual(moved[index], -eta * size / 1.2**2 * slope, delta=1e-7)


if __name__ == "__main__":
    unittest.main()
