"""The command line as typed by a person: help, mistakes in options, exit codes."""

import os
import subprocess
import unittest

COMMANDS = ("run", "check", "merge", "status", "fit", "info")  # plot and report are argparse's


def meanode(*arguments):
    return subprocess.run([os.environ["MEANODE"], *arguments], capture_output=True, text=True, timeout=60)


class CommandLine(unittest.TestCase):
    def test_help_is_no_error(self):
        for command in COMMANDS:
            done = meanode(command, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""), command)
            self.assertIn(f"\nusage: meanode {command} ", done.stdout)
        for arguments in (["--help"], ["help"], ["-h"]):
            done = meanode(*arguments)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            for command in (*COMMANDS, "plot", "report"):
                self.assertIn(f"  meanode {command} ", done.stdout)

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


unittest.main()
