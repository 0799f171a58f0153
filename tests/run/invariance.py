# SPDX-License-Identifier: BSD-3-Clause
"""The same instance has the same bits alone, in any sweep, with any number of threads, in both precisions."""

import unittest

import numpy as np

import harness


def rows(file):
    """Instance by (L, M, seed): id and every recorded number."""
    out = {}
    for run, row in enumerate(file["problem_0000/row"][...]):
        key = tuple(int(file[name][row]) for name in ("L", "M", "seed"))
        weights = file[f"problem_0000/weights/{row}"]
        out[key] = (int(file["id"][row]), file["loss"][row], file["problem_0000/output"][run], file["problem_0000/embedding"][run],
                    *(weights[name][...] for name in ("u0", "v0", "u", "v")))
    return out


class Invariance(harness.Case):
    def same(self, a, b):
        for left, right in zip(a, b):
            self.assertTrue(np.array_equal(left, right))

    def test_alone_in_a_sweep_and_on_threads(self):
        full = {"sweep": {"L": [5, 12], "M": [1, 4, 20], "seeds": 19}}
        for precision in ("f64", "f32"):
            one = rows(self.open(self.run_sweep(full, "--precision", precision, "--threads", "1", name=f"one{precision}.h5")))
            two = rows(self.open(self.run_sweep(full, "--precision", precision, "--threads", "2", name=f"two{precision}.h5")))
            self.assertEqual(one.keys(), two.keys())
            for key in one:
                self.same(one[key], two[key])
            for L, M, seed in [(5, 1, 0), (5, 4, 18), (12, 20, 7), (12, 1, 3)]:
                small = {"sweep": {"L": [L], "M": [M], "seeds": [seed]}}
                alone = rows(self.open(self.run_sweep(small, "--precision", precision, name="alone.h5")))
                self.same(alone[L, M, seed], one[L, M, seed])
                reordered = {"sweep": {"L": [L, 3], "M": [M, 2], "seeds": [99, seed, 5]}}
                other = rows(self.open(self.run_sweep(reordered, "--precision", precision, name="other.h5")))
                self.same(other[L, M, seed], one[L, M, seed])

    def test_larger_networks_extend_smaller_ones(self):
        big = rows(self.open(self.run_sweep({"model": {"D": 9}, "sweep": {"L": [7], "M": [6], "seeds": 1}}, name="big.h5")))[7, 6, 0]
        for L, M, D in [(3, 6, 9), (7, 2, 9), (7, 6, 4)]:
            small = rows(self.open(self.run_sweep({"model": {"D": D}, "sweep": {"L": [L], "M": [M], "seeds": 1}})))[L, M, 0]
            for index in (4, 5):  # entries are sqrt(D) times a standard normal
                np.testing.assert_allclose(small[index] / np.sqrt(D), big[index][:L, :M, :D] / 3, rtol=1e-14)


if __name__ == "__main__":
    unittest.main()
