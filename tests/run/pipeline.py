# SPDX-License-Identifier: BSD-3-Clause
"""The main job from the outside: exit codes, exact cases, divergence, interruption, real data."""

import json
import signal
import subprocess
import time
import unittest

import h5py
import numpy as np

import harness


class Pipeline(harness.Case):
    def test_never_overwrites(self):
        out = self.run_sweep()
        before = out.read_bytes()
        again = harness.meanode("run", self.folder / "sweep.yaml", "-o", out)
        self.assertEqual(again.returncode, 2)
        self.assertIn("--force", again.stderr)
        self.assertEqual(out.read_bytes(), before)

    def test_force_never_replaces_an_input(self):
        """problem.yaml, data.path problem.h5: the default output would be the data."""
        data = self.folder / "sweep.h5"
        with h5py.File(data, "w") as file:
            file["x"] = np.eye(3)
            file["y"] = np.ones((3, 1))
        config = self.folder / "sweep.yaml"
        config.write_text(json.dumps({**harness.BASE, "data": {"kind": "file", "path": "sweep.h5"}}))
        link = self.folder / "link.h5"
        link.symlink_to(data)
        for output in (data, link, config):
            before = output.read_bytes()
            done = harness.meanode("run", config, "--force", "-o", output)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("choose another output", done.stderr)
            self.assertEqual(output.read_bytes(), before)

    def test_step_zero_does_not_depend_on_training(self):
        """The limit at step 0 is the linear map W_U^T W_E x / D; networks scatter around it as 1/sqrt(L M)."""
        changes = {"limit": {"kind": "mean-ode", "tolerance": 1e-2}, "sweep": {"L": [50], "M": [8], "seeds": 200},
                   "record": {"weights": "none"}}
        group = self.open(self.run_sweep(changes))["problem_0000"]
        exact = group["x"][...] @ group["w_embed"][...].T @ group["w_unembed"][...] / 4
        np.testing.assert_allclose(group["limit_mean_ode/output"][0], exact, rtol=1e-12, atol=1e-13)
        output = group["output"][:, 0]
        spread = output.std(axis=0, ddof=1) / np.sqrt(len(output))
        self.assertLess(np.max(np.abs(output.mean(axis=0) - exact) / spread), 5)

    def test_divergence_is_a_status_of_the_instance(self):
        changes = {"model": {"activation": "identity"}, "training": {"steps": 60, "eta_u": 300, "eta_v": 300},
                   "sweep": {"L": [2, 30], "M": [2], "seeds": 4}, "record": {"weights": "none"}}
        file = self.open(self.run_sweep(changes, expect=3))
        status = file["status"][...]
        self.assertGreater(np.sum(status == 1), 0)
        for row in np.flatnonzero(status == 1):
            self.assertTrue(np.isnan(file["loss"][row][-1]))
            self.assertTrue(np.isfinite(file["loss"][row][0]))
        for row in np.flatnonzero(status == 0):
            self.assertTrue(np.all(np.isfinite(file["loss"][row])))
        again = harness.meanode("run", self.folder / "sweep.yaml", "-o", self.folder / "out.h5", "--resume", "--progress", "none")
        self.assertEqual(again.returncode, 3, again.stderr)
        self.assertIn(f"{np.sum(status == 1)} diverged", again.stdout)

    def test_interrupt_then_resume(self):
        changes = {"sweep": {"L": [400], "M": [40], "seeds": 150}, "training": {"steps": 40}, "record": {"weights": "none"}}
        config, out = self.write(changes), self.folder / "out.h5"
        command = [harness.BINARY, "run", str(config), "-o", str(out), "--progress", "none"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        journal = self.folder / "out.h5.journal"
        while process.poll() is None and not journal.exists():
            time.sleep(0.005)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        message = process.communicate(timeout=60)[1]
        self.assertEqual(process.returncode, 75, message)
        self.assertIn("--resume", message)
        done = subprocess.run([*command, "--resume"], capture_output=True, text=True, timeout=900)
        self.assertEqual(done.returncode, 0, done.stderr)
        whole = self.run_sweep(changes, name="whole.h5")
        with h5py.File(out) as a, h5py.File(whole) as b:
            self.assertTrue(np.array_equal(a["loss"][...], b["loss"][...]))
            self.assertTrue(np.array_equal(a["error_output"][...], b["error_output"][...], equal_nan=True))
            order_a, order_b = np.argsort(a["problem_0000/row"][...]), np.argsort(b["problem_0000/row"][...])
            self.assertTrue(np.array_equal(a["problem_0000/output"][...][order_a], b["problem_0000/output"][...][order_b]))

    def test_killed_then_asked(self):
        """The journal stands for its file; a file that is cut off without one is refused with what can be done."""
        changes = {"sweep": {"L": [400], "M": [40], "seeds": 150}, "training": {"steps": 40}, "record": {"weights": "none"}}
        config, out = self.write(changes), self.folder / "out.h5"
        process = subprocess.Popen([harness.BINARY, "run", config, "-o", out, "--progress", "none"])
        while process.poll() is None and not (self.folder / "out.h5.journal").exists():
            time.sleep(0.005)
        process.kill()
        self.assertEqual(process.wait(), -signal.SIGKILL)
        told = harness.meanode("status", out)
        self.assertIn("missing", told.stdout)
        self.assertEqual(harness.meanode("status", f"{out}.journal").stdout, told.stdout)
        (self.folder / "out.h5.journal").unlink()
        out.write_bytes(out.read_bytes()[:3000])
        refused = harness.meanode("run", config, "-o", out, "--resume")
        self.assertEqual(refused.returncode, 65, refused.stderr)
        self.assertIn("damaged", refused.stderr)
        self.assertIn("--force", refused.stderr)

    def test_largest_that_diverge_stop_nothing(self):
        """Every largest network of alpha = 1e6 diverges; the other problem and all instances are there."""
        changes = {"model": {"alpha": [1e6, 1], "activation": "gelu"}, "training": {"steps": 4}, "limit": {"kind": "largest"},
                   "sweep": {"L": [2, 3], "M": [2], "seeds": 3}, "record": {"weights": "none"}}
        out = self.run_sweep(changes, expect=3)
        file = self.open(out)
        self.assertEqual(np.sum(file["status"][...] >= 0), 12)
        for problem, diverged in (("problem_0000", True), ("problem_0001", False)):
            limit = file[problem]["limit_largest"]
            self.assertTrue(np.isfinite(limit["output"][0]).all())
            self.assertEqual(np.isnan(limit["output"][4]).any(), diverged)
            self.assertEqual(limit.attrs["diverged"] >= 0, diverged)
            self.assertEqual(limit.attrs["certified"], 0)
        self.assertEqual(harness.meanode("fit", out).returncode, 0)

    def test_errors_are_distances_to_the_limit(self):
        file = self.open(self.run_sweep({"limit": {"kind": "mean-ode", "tolerance": 1e-2}}))
        group = file["problem_0000"]
        for run, row in enumerate(group["row"][...]):
            for name, error in (("output", "error_output"), ("embedding", "error_embedding")):
                gap = group[name][run] - group[f"limit_mean_ode/{name}"][...]
                np.testing.assert_allclose(file[error][row], np.sqrt(np.mean(gap**2, axis=(1, 2))), rtol=1e-10)

    def test_largest_is_the_average_of_the_largest_networks(self):
        changes = {"limit": {"kind": "largest"}, "sweep": {"L": [3, 9], "M": [2, 5], "seeds": 6}, "record": {"weights": "none"}}
        file = self.open(self.run_sweep(changes))
        group = file["problem_0000"]
        largest = [run for run, row in enumerate(group["row"][...]) if (file["L"][row], file["M"][row]) == (9, 5)]
        self.assertEqual(len(largest), 6)
        mean = group["output"][...][largest].mean(axis=0)
        np.testing.assert_allclose(group["limit_largest/output"][...], mean, rtol=1e-12, atol=1e-15)
        gap = group["output"][0] - mean
        np.testing.assert_allclose(file["error_output"][group["row"][0]], np.sqrt(np.mean(gap**2, axis=(1, 2))), rtol=1e-9)

    def test_diagnostics(self):
        """Coupled units start together and part as networks scatter; distances shrink as L M grows."""
        changes = {"limit": {"kind": "mean-ode", "tolerance": 5e-3}, "sweep": {"L": [8, 64], "M": [16], "seeds": 4},
                   "record": {"weights": "none", "coupling": True, "path": True, "features": True}}
        file = self.open(self.run_sweep(changes))
        coupling = file["coupling"][...]
        self.assertTrue(np.all(coupling[:, 0] == 0))
        self.assertTrue(np.all(coupling[:, -1] > 0))
        depth = file["L"][...]
        self.assertLess(coupling[depth == 64, -1].mean(), 0.6 * coupling[depth == 8, -1].mean())
        for name in ("decorrelation", "path_error_forward", "path_error_backward", "init_noise", "feature_update", "parameter_movement"):
            self.assertTrue(np.all(np.isfinite(file[name][...][:, 1:-1])), name)
        self.assertTrue(np.all(file["feature_update"][...][:, 0] == 0))
        self.assertTrue(np.all(file["path_error_forward"][...] > 0))

    def test_data_seed(self):
        """Each problem says which data.seed it comes from: in the file, extended, merged, repeated, fitted and shown."""
        changes = {"data": {"seed": [7, 3]}, "model": {"D": [4, 5]}, "sweep": {"M": [2, 3], "seeds": 3}, "record": {"weights": "none"}}

        def check(path):
            with h5py.File(path) as file:
                self.assertEqual([file[f"problem_{p:04d}"].attrs["data_seed"] for p in range(4)], [7, 7, 3, 3])
                self.assertTrue(np.array_equal(file["data_seed"][...], np.where(file["problem"][...] < 2, 7, 3)))

        out = self.run_sweep(changes)
        check(out)
        shown = harness.meanode("info", out).stdout
        self.assertIn("problem_0001: N = 5, d_in = 3, d_out = 2, D = 5, alpha = 1, data.seed = 7, ", shown)
        self.assertIn("problem_0002: N = 5, d_in = 3, d_out = 2, D = 4, alpha = 1, data.seed = 3, ", shown)
        fits = json.loads(harness.meanode("fit", out, "--json").stdout)["problems"]
        self.assertEqual([one["data_seed"] for one in fits], [7, 7, 3, 3])
        self.assertIn("problem_0003: D = 5, alpha = 1, data.seed = 3, ", harness.meanode("fit", out).stdout)
        self.assertEqual(harness.meanode("run", "--from", out, "-o", self.folder / "again.h5", "--progress", "none").returncode, 0)
        check(self.folder / "again.h5")
        more = self.write(changes | {"sweep": {"L": [4], "M": [2, 3], "seeds": 5}})
        self.assertEqual(harness.meanode("run", more, "-o", out, "--resume", "--progress", "none").returncode, 0)
        check(out)
        parts = [self.run_sweep(changes, "--shard", f"{i}/2", name=f"part{i}.h5") for i in range(2)]
        self.assertEqual(harness.meanode("merge", self.folder / "whole.h5", *parts).returncode, 0)
        check(self.folder / "whole.h5")
        with h5py.File(out, "r+") as file:  # an older file
            del file["data_seed"]
        self.assertNotIn("data.seed", harness.meanode("info", out).stdout.split("config:")[0])
        self.assertNotIn("data_seed", json.loads(harness.meanode("fit", out, "--json").stdout)["problems"][0])

    def test_names_that_this_version_does_not_know(self):
        out = self.run_sweep({"sweep": {"seeds": 2}, "record": {"weights": "none"}})
        for attribute, command in (("optimizer", ["fit", out, "--deterministic"]), ("block", ["info", out])):
            with h5py.File(out, "r+") as file:
                file["problem_0000"].attrs[attribute] = "of\ttomorrow"
            done = harness.meanode(*command)
            self.assertEqual(done.returncode, 65)
            self.assertIn(f"out.h5: /problem_0000: its {attribute} \"of tomorrow\" is none of this meanode's", done.stderr)

    def test_digits(self):
        changes = {"model": {"D": 16}, "training": {"steps": 20},
                   "sweep": {"L": [5, 10, 20], "M": [4, 8, 16], "seeds": 8}, "record": {"weights": "none"}}
        saved = harness.BASE["data"]
        harness.BASE["data"] = {"kind": "digits", "samples": 64}
        try:
            file = self.open(self.run_sweep(changes))
        finally:
            harness.BASE["data"] = saved
        loss = file["loss"][...]
        self.assertEqual(loss.shape, (72, 21))
        self.assertTrue(np.all(loss[:, -1] < loss[:, 0]))
        self.assertLess(np.mean(loss[:, -1]), 0.5 * np.mean(loss[:, 0]))

    def test_usage(self):
        for arguments, word in [(["run"], "configuration"), (["run", "a.yaml", "--precisoin", "f32"], "precisoin"),
                                (["run", "a.yaml", "--threads", "none"], "threads"), (["rnu"], "run")]:
            done = harness.meanode(*arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn(word, done.stderr)
        missing = harness.meanode("run", self.folder / "no.yaml")
        self.assertEqual(missing.returncode, 74)
        self.assertIn("no.yaml", missing.stderr)
        backend = harness.meanode("run", self.write(), "-o", self.folder / "x.h5", "--backend", "cuda")
        self.assertIn(backend.returncode, (0, 69))

    def test_refuses_what_does_not_fit(self):
        done = harness.meanode("run", self.write({"sweep": {"L": [1000000], "M": [100000]}}), "-o", self.folder / "x.h5")
        self.assertEqual(done.returncode, 65)
        self.assertIn("GiB", done.stderr)
        self.assertFalse((self.folder / "x.h5").exists())


if __name__ == "__main__":
    unittest.main()
