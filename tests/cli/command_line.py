# SPDX-License-Identifier: BSD-3-Clause
"""The command line as typed by a person: help, mistakes in options, exit codes."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import h5py

from meanode import figures

COMMANDS = ("run", "check", "merge", "status", "fit", "info")
ALL = (*COMMANDS, "plot", "report")  # the last two are Python's, but for their help


def meanode(*arguments):
    return subprocess.run([os.environ["MEANODE"], *arguments], capture_output=True, text=True, timeout=60)


class CommandLine(unittest.TestCase):
    def test_help_is_no_error(self):
        for command in ALL:
            done = meanode(command, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""), command)
            self.assertIn(f"\nusage: meanode {command} ", done.stdout)
            for arguments in ((command, "-h"), ("help", command)):
                self.assertEqual(meanode(*arguments).stdout, done.stdout)
            usage, details = done.stdout.split("usage:")[1].split("\n\n", 1) if "\n\n" in done.stdout.split("usage:")[1] else (done.stdout, "")
            for option in re.findall(r"--[a-z-]+", usage) if command != "check" else ():
                self.assertRegex(details, rf"(?m)^  (-o, )?{option}\b", "explained")
        for arguments in (["--help"], ["help"], ["-h"]):
            done = meanode(*arguments)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            for command in ALL:
                self.assertIn(f"  meanode {command} ", done.stdout)

    def test_help_on_keys_and_kinds(self):
        done = meanode("help", "config")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("\nlimit:\n  kind ", done.stdout)
        done = meanode("help", "confg")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        kinds = re.search(r"--kind NAME +([a-z, -]+?) \(default", meanode("help", "plot").stdout)[1]
        self.assertEqual(kinds.split(", "), list(figures.KINDS))

    def test_an_unknown_option_is_named(self):
        for command in COMMANDS:
            for given, named in (("--frobnicate", "--frobnicate"), ("-x", "-x")):
                done = meanode(command, given, "a.h5", "b.h5")
                self.assertEqual((done.returncode, done.stdout), (2, ""), (command, given))
                first, second = done.stderr.splitlines()[:2]
                self.assertEqual(first, f"meanode {command}: unknown option {named}")
                self.assertTrue(second.startswith(f"usage: meanode {command} "), done.stderr)
        self.assertIn("unknown option -x\n", meanode("run", "-xy", "a.yaml").stderr)
        self.assertIn("option -o needs a value\n", meanode("run", "a.yaml", "-o").stderr)
        self.assertIn("option --step needs a value\n", meanode("fit", "a.h5", "--step").stderr)

    def test_check_takes_the_options_of_run_that_its_usage_names(self):
        theirs = [set(re.findall(r"--[a-z-]+", meanode(command, "--help").stdout.split("usage:")[1].split("\n\n")[0]))
                  for command in ("run", "check")]
        self.assertEqual(theirs[1], {"--backend", "--precision", "--threads"})
        for option in theirs[0]:
            done = meanode("check", "absent.yaml", option)
            said = f"option {option} needs a value" if option in theirs[1] else f"unknown option {option}"
            self.assertEqual((done.returncode, done.stderr.split("\n")[0]), (2, f"meanode check: {said}"))

    def test_wrong_values(self):
        for arguments, words in ((["fit", "a.h5", "--step", ","], '"," is not a step'),
                                 (["fit", "a.h5", "--step", "-1"], '"-1" is not a step'),
                                 (["fit", "a.h5", "--quantity", "loss"], 'unknown quantity "loss"'),
                                 (["fit", "a.h5", "b.h5"], "one file, please"), (["info", "a.h5", "b.h5"], "not also b.h5"),
                                 (["run", "a.yaml", "--shard", "2/2"], "shard 2/2"), (["run"], "which configuration?"),
                                 (["run", "a.yaml", "--resume", "--force"], "exclude each other"),
                                 (["rum"], 'did you mean "run"?'), ([], "Exit codes")):
            done = meanode(*arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""), arguments)
            self.assertIn(words, done.stderr)

    def test_missing_files(self):
        for arguments in (["run", "absent.yaml"], ["check", "absent.yaml"], ["fit", "absent.h5"], ["info", "absent.h5"],
                          ["status", "absent.h5"], ["merge", "out.h5", "absent.h5"]):
            done = meanode(*arguments)
            self.assertEqual((done.returncode, done.stdout), (74, ""), arguments)
            self.assertIn("absent", done.stderr)

    def test_a_pipe_is_no_result_file(self):
        """Opening it would wait for a writer."""
        with tempfile.TemporaryDirectory() as name:
            pipe = f"{name}/pipe.h5"
            os.mkfifo(pipe)
            for command in ("fit", "info", "status"):
                done = meanode(command, pipe)
                self.assertEqual((done.returncode, done.stdout), (65, ""))
                self.assertIn("not a regular file", done.stderr)

    def test_nothing_to_fit(self):
        with tempfile.TemporaryDirectory() as name:
            config, results, limits = (pathlib.Path(name) / file for file in ("a.yaml", "a.h5", "limits.h5"))
            config.write_text("data: {kind: gaussian, samples: 2, inputs: 2, targets: 1}\nmodel: {D: 2}\ntraining: {steps: 1}\n"
                              "limit: {tolerance: 1e-1}\nsweep: {L: [2, 4], M: [1, 2], seeds: 3}\nrecord: {output: false}\n")
            self.assertEqual(meanode("run", config, "-o", results, "--progress", "none").returncode, 0)
            self.assertEqual(meanode("run", config, "-o", limits, "--limits-only", "--progress", "none").returncode, 0)
            for arguments, words in (((results,), "record: {output: true}"), ((results, "--json"), "record: {output: true}"),
                                     ((limits,), "none of its 12 instances is finished")):
                done = meanode("fit", *arguments)
                self.assertEqual((done.returncode, done.stdout), (65, ""), done.stderr)
                self.assertIn(f"{arguments[0]}: ", done.stderr)
                self.assertIn(words, done.stderr)

    def test_damaged_outputs_are_not_left_out(self):
        with tempfile.TemporaryDirectory() as name:
            config, results = (pathlib.Path(name) / file for file in ("a.yaml", "a.h5"))
            config.write_text("data: {kind: gaussian, samples: 2, inputs: 2, targets: 1}\nmodel: {D: 2}\ntraining: {steps: 1}\n"
                              "limit: {kind: none}\nsweep: {L: [2, 4], M: [1, 2], seeds: 3}\nrecord: {embedding: true}\n")
            self.assertEqual(meanode("run", config, "-o", results, "--progress", "none").returncode, 0)
            with h5py.File(results, "r+") as file:
                del file["problem_0000/output"]
                file["problem_0000/output"] = [[1.0, 2.0]]
            done = meanode("fit", results)
            self.assertEqual((done.returncode, done.stdout), (65, ""))
            self.assertIn("problem_0000/output: is not an array", done.stderr)

    def test_what_does_not_fit_is_refused_at_its_place(self):
        base = {"data": "{kind: gaussian, samples: 2, inputs: 2, targets: 1}", "model": "{D: 2}", "training": "{steps: 1}",
                "sweep": "{L: 2, M: 1}", "record": "{}"}
        with tempfile.TemporaryDirectory() as name:
            config, data = pathlib.Path(name) / "a.yaml", pathlib.Path(name) / "large.h5"
            with h5py.File(data, "w") as file:
                for dataset in ("x", "y"):  # sparse: chunks that were never written
                    file.create_dataset(dataset, shape=(1000000, 1000000), chunks=(1000, 1000), dtype="f8")
            for line, changes in ((1, {"data": "{kind: gaussian, samples: 1000000, inputs: 1000000, targets: 1000000}"}),
                                   (1, {"data": "{kind: file, path: large.h5}"}),
                                   (2, {"model": "{D: 1000000}", "data": "{kind: gaussian, samples: 1, inputs: 1000000, targets: 1000000}"}),
                                   (4, {"model": "{D: 1000000}", "sweep": "{L: 10000000, M: 1000000}"}),
                                   (5, {"record": "{weights: both}", "sweep": "{L: 10000000, M: 1000000}"}),
                                   (4, {"sweep": "{L: {from: 1, to: 1000, count: 1000, spacing: linear}, "
                                                      "M: {from: 1, to: 1000, count: 1000, spacing: linear}, seeds: 1000000}"})):
                config.write_text("".join(f"{key}: {value}\n" for key, value in {**base, **changes}.items()))
                done = meanode("check", config)
                self.assertEqual((done.returncode, done.stdout), (65, ""), done.stderr)
                self.assertIn(f"{config}:{line}:", done.stderr)
                self.assertRegex(done.stderr, r"needs \S+ GiB; \S+ GiB are free( \(.*\))?: use")
                self.assertEqual("large.h5" in done.stderr, "file" in changes.get("data", ""))


unittest.main()
