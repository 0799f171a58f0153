# SPDX-License-Identifier: BSD-3-Clause
"""Limits across files: taken with --limits where they are as good as what is asked, computed (and said so) where not."""

import shutil
import unittest

import h5py
import numpy as np

import harness

LIMIT = {"limit": {"kind": "mean-ode", "tolerance": 1e-2}, "sweep": {"L": [4, 8], "M": [2], "seeds": 3}, "record": {"weights": "none"}}


class Limits(harness.Case):
    def sweep(self, changes, *arguments, name="out.h5", expect=0):
        """Runs; returns the path of the file and what was printed."""
        out = self.folder / name
        config = self.write(harness.deep_update(LIMIT, changes), name=name + ".yaml")
        done = harness.meanode("run", config, "-o", out, "--progress", "none", *arguments)
        self.assertEqual(done.returncode, expect, done.stderr + done.stdout)
        return out, done.stdout + done.stderr

    def limits(self, path, kind="mean_ode"):
        group = self.open(path)[f"problem_0000/limit_{kind}"]
        return {name: group[name][...] for name in group if name not in ("sample", "target", "embed", "node")}, dict(group.attrs)

    def setUp(self):
        super().setUp()
        self.file, said = self.sweep({}, "--limits-only", name="limits.h5")
        self.assertIn("0 instances computed", said)
        self.assertIn("1 limit", said)

    def test_file_of_limits_only(self):
        file = self.open(self.file)
        self.assertTrue(np.all(file["status"][...] == -1))
        numbers, about = self.limits(self.file)
        self.assertEqual(about["certified"], 1)
        self.assertEqual(about["degrees"], 7)
        self.assertEqual(about["diverged"], -1)
        self.assertEqual(numbers["output_stderr"].shape, numbers["output"].shape)
        # The standard errors of the outputs make up the error of the output.
        size = np.sqrt(np.mean(numbers["output"] ** 2, axis=(1, 2)))
        spread = np.sqrt(np.mean(numbers["output_stderr"] ** 2, axis=(1, 2)))
        np.testing.assert_allclose(spread / size, numbers["output_error"], rtol=1e-10, atol=1e-18)
        # Such a file can be gone on with.
        _, said = self.sweep({}, "--resume", name="limits.h5")
        self.assertIn("6 instances computed", said)
        self.assertIn("(1 reused)", said)

    def test_reused_for_the_same_problem(self):
        other = {"sweep": {"L": [5, 6, 7], "M": [3, 4], "seeds": 2}}
        out, said = self.sweep(other, "--limits", self.file)
        self.assertIn("(1 reused)", said)
        self.assertNotIn("note", said)
        (ours, about), (theirs, about_theirs) = self.limits(out), self.limits(self.file)
        self.assertEqual(about["parameters"], about_theirs["parameters"])
        for name, numbers in theirs.items():
            self.assertTrue(np.array_equal(ours[name], numbers, equal_nan=True), name)
        computed, _ = self.sweep(other, name="computed.h5")
        self.assertTrue(np.array_equal(self.open(out)["error_output"][...], self.open(computed)["error_output"][...]))

    def test_reused_by_diagnostics(self):
        record = {"record": {"coupling": True, "path": True}}
        out, _ = self.sweep(record, "--limits", self.file)
        computed, _ = self.sweep(record, name="computed.h5")
        for name in ("coupling", "path_error_forward"):
            self.assertTrue(np.array_equal(self.open(out)[name][...], self.open(computed)[name][...]), name)

    def test_looser_is_not_enough(self):
        out, said = self.sweep({"limit": {"tolerance": 1e-4}}, "--limits", self.file)
        self.assertIn("the mean-ode limit of problem 0 was computed, not taken from", said)
        self.assertIn("is above the tolerance 0.0001", said)
        self.assertNotIn("reused", said)
        numbers, _ = self.limits(out)
        self.assertLessEqual(np.max(numbers["output_error"]), 1e-4)

    def test_tighter_is_enough(self):
        out, said = self.sweep({"limit": {"tolerance": 5e-2}}, "--limits", self.file)
        self.assertIn("(1 reused)", said)
        self.assertEqual(self.limits(out)[1]["tolerance"], 5e-2)

    def test_other_problem_kind_or_method(self):
        for changes, words in (({"model": {"alpha": 2}}, "it is not there"),
                               ({"limit": {"kind": "tangent-ode"}}, "the tangent-ode limit of problem 0 was computed"),
                               ({"limit": {"method": "sobol-full"}}, "its method is sobol, not sobol-full")):
            out, said = self.sweep(changes, "--limits", self.file, "--force")
            self.assertIn(words, said)
            self.assertNotIn("reused", said)
        _, said = self.sweep({"limit": {"kind": ["tangent-ode", "mean-ode"]}}, "--limits", self.file, "--force")
        self.assertIn("2 limits", said)
        self.assertIn("(1 reused)", said)

    def test_largest_only_of_the_same_networks(self):
        changes = {"limit": {"kind": "largest"}}
        first, _ = self.sweep(changes, name="first.h5")
        _, said = self.sweep(changes, "--limits", first, name="same.h5")
        self.assertIn("(1 reused)", said)
        _, said = self.sweep({**changes, "sweep": {"L": [4, 9]}}, "--limits", first, name="larger.h5")
        self.assertIn("it is an average of other networks (L 8, M 2", said)

    def test_largest_that_the_time_cut_short_says_so_whenever_it_is_used(self):
        changes = {"limit": {"kind": "largest", "seconds": 1e-3}, "sweep": {"L": [20000], "M": [64], "seeds": 4}}
        for arguments, name in ((["--limits-only"], "cut.h5"), (["--limits-only", "--resume"], "cut.h5"),
                                (["--limits-only", "--limits", self.folder / "cut.h5"], "taken.h5")):
            out, said = self.sweep(changes, *arguments, name=name)
            self.assertIn("stopped at the time budget", said)
            self.assertGreater(self.limits(out, "largest")[1]["missing"], 0)

    def test_shards_with_common_limits_merge(self):
        shards = [self.sweep({}, "--limits", self.file, "--shard", f"{i}/2", name=f"shard{i}.h5") for i in range(2)]
        for _, said in shards:
            self.assertIn("(1 reused)", said)
        # The shards must come from one configuration file.
        merged = self.folder / "merged.h5"
        done = harness.meanode("merge", merged, *[path for path, _ in shards])
        self.assertEqual(done.returncode, 0, done.stderr)
        whole, _ = self.sweep({}, name="whole.h5")
        self.assertTrue(np.array_equal(self.open(merged)["error_output"][...], self.open(whole)["error_output"][...]))
        self.assertTrue(np.array_equal(self.limits(merged)[0]["output_stderr"], self.limits(whole)[0]["output_stderr"]))

    def test_files_that_cannot_be_read(self):
        damaged = self.folder / "damaged.h5"
        shutil.copyfile(self.file, damaged)
        content = bytearray(damaged.read_bytes())
        content[len(content) // 2] ^= 1
        damaged.write_bytes(content)
        text = self.folder / "text.h5"
        text.write_text("no result")
        for path, code in ((self.folder / "absent.h5", 74), (damaged, 65), (text, 65)):
            out, said = self.sweep({}, "--limits", path, name="fresh.h5", expect=code)
            self.assertIn(path.name, said)
            self.assertFalse(out.exists(), "nothing is begun")

    def test_limit_of_other_sizes(self):
        """A file whose limit was replaced by hand: refused as damaged, not read out of bounds."""
        with h5py.File(self.file, "r+") as file:
            group = file["problem_0000/limit_mean_ode"]
            cut = group["output"][:2]
            del group["output"]
            group["output"] = cut
        out, said = self.sweep({}, "--limits", self.file, expect=65)
        self.assertIn("limit_mean_ode", said)


if __name__ == "__main__":
    unittest.main()
