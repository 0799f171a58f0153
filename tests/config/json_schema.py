# SPDX-License-Identifier: BSD-3-Clause
"""meanode help config --json is a JSON Schema that takes and refuses what meanode check does."""
import copy
import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

try:
    import jsonschema
    import yaml
except ImportError as lacking:
    print(lacking)
    sys.exit(77)

MEANODE, ROOT = os.environ["MEANODE"], os.path.join(os.path.dirname(__file__), "..", "..")


class Loader(yaml.SafeLoader):
    """Numbers as in YAML 1.2: PyYAML takes 1e-4 for a text."""


Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)[eE][-+]?\d+$"), list("-+.0123456789"))

BASE = {
    "data": {"kind": "gaussian", "samples": 10, "inputs": 5, "targets": 5},
    "model": {"D": 8},
    "training": {"steps": 3},
    "limit": {"kind": "none"},
    "sweep": {"L": 4, "M": 2},
}
GOOD = {
    "model.D": [[8, 16], {"from": 8, "to": 64, "count": 4}, {"from": 8, "to": 64, "count": 4, "spacing": "linear"}],
    "model.alpha": [0.5, [1, 2.5], {"from": 0.1, "to": 10, "count": 3, "spacing": "log"}],
    "model.activation": ["erf", "identity"],
    "model.block": ["perceptron"],
    "model.sigma_u": [1e-6, 1000],
    "training.steps": [0],
    "training.eta_v": [0, 1e6],
    "training.optimizer": ["gd"],
    "limit.kind": ["joint", ["tangent-ode", "mean-ode"], ["none"]],
    "limit.tolerance": [1e-15, 0.999],
    "sweep.seeds": [3, [5, 0, 2**63 - 1]],
    "sweep.pairs": ["none", "antithetic", ["antithetic", "jackknife"]],
    "record.steps": ["all", 2, [0, 3]],
    "record.output": [False],
    "record.weights": ["both"],
    "data.seed": [[0, 1]],
}
BAD = {
    "model.D": [0, 1000001, -1, "8x", "8", [], [8, 8], [8, 0], [[8]], True, None, 8.5, {"from": 8, "to": 64},
                {"from": 8, "to": 64, "count": 0}, {"from": 8, "to": 64, "count": 10001},
                {"from": 8, "to": 64, "count": 4, "spacing": "lin"}, {"from": 8, "to": 64, "count": 4, "step": 2}],
    "model.alpha": [0, 1e-7, 2e6, "1", [1, 0], {"from": 0, "to": 1, "count": 2, "spacing": "linear"}],
    "model.activation": ["tanhh", 7, ["tanh"]],
    "model.block": ["attention", "perceptrons"],
    "model.sigma_u": [0, 1001, [1, 2]],
    "model.sigma_w": [1],
    "model.d": [8],
    "training.steps": [-1, 1000001, 2.5],
    "training.optimizer": ["adam", "sgd"],
    "training.eta_v": [-1e-9, 1e7],
    "training.loss": ["hinge"],
    "limit.kind": ["mean_ode", [], ["mean-ode", "mean-ode"], ["none", "mean-ode"], ["mean-ode", "none"]],
    "limit.tolerance": [1, 1e-16, 0],
    "limit.nodes": [129],
    "sweep.seeds": [0, 1000001, [-1], [1, 1], {"from": 1, "to": 2, "count": 2}],
    "sweep.pairs": ["regrup", ["none", "regroup"]],
    "sweep.eta_u": [1],
    "record.steps": ["last", [], [1, 1], -1],
    "record.output": ["yes", 1, None],
    "record.weights": ["all", ["initial"]],
    "data.kind": ["gausian", None],
    "data.path": [""],
}


class JsonSchema(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        text = subprocess.run([MEANODE, "help", "config", "--json"], capture_output=True, text=True, check=True).stdout
        cls.schema = json.loads(text)
        jsonschema.Draft202012Validator.check_schema(cls.schema)
        cls.validator = jsonschema.Draft202012Validator(cls.schema)

    def changed(self, key, value):
        section, name = key.split(".")
        config = copy.deepcopy(BASE)
        config.setdefault(section, {})[name] = value
        return config

    def checked(self, config):
        """What meanode check thinks of it: exit code, message."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "my.yaml")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(config, file)
            done = subprocess.run([MEANODE, "check", path, "--backend", "cpu", "--threads", "1"], capture_output=True, text=True)
        return done.returncode, done.stderr

    def test_configurations_of_the_project_are_valid(self):
        paths = [os.path.join(ROOT, "data", "quickstart.yaml"), *glob.glob(os.path.join(ROOT, "data", "experiments", "*.yaml"))]
        self.assertGreater(len(paths), 20)
        for path in paths:
            with self.subTest(path), open(path, encoding="utf-8") as file:
                self.validator.validate(yaml.load(file, Loader))

    def test_good_values_are_valid_and_accepted(self):
        for key, values in GOOD.items():
            for value in values:
                with self.subTest(key, value=value):
                    config = self.changed(key, value)
                    self.validator.validate(config)
                    self.assertEqual(self.checked(config), (0, ""))

    def test_bad_values_are_invalid_and_refused(self):
        for key, values in BAD.items():
            for value in values:
                with self.subTest(key, value=value):
                    config = self.changed(key, value)
                    self.assertFalse(self.validator.is_valid(config))
                    self.assertEqual(self.checked(config)[0], 65)

    def test_what_is_missing_is_refused(self):
        for section in BASE:
            without = {name: keys for name, keys in BASE.items() if name != section}
            self.assertEqual(self.validator.is_valid(without), section == "limit")
            self.assertEqual(self.checked(without)[0], 0 if section == "limit" else 65)
        for section, key in ("data", "kind"), ("model", "D"), ("training", "steps"), ("sweep", "L"), ("sweep", "M"):
            config = copy.deepcopy(BASE)
            del config[section][key]
            self.assertFalse(self.validator.is_valid(config))
            self.assertEqual(self.checked(config)[0], 65)

    def test_every_key_has_a_description_and_a_valid_default(self):
        for name, section in self.schema["properties"].items():
            for key, rules in section["properties"].items():
                self.assertTrue(rules["description"])
                self.assertEqual("default" in rules, key not in section["required"] and "without it: " not in rules["description"])
                if "default" in rules:
                    self.validator.validate(self.changed(f"{name}.{key}", rules["default"]))


if __name__ == "__main__":
    unittest.main()
