# SPDX-License-Identifier: BSD-3-Clause
"""meanode check, as a user meets it: exit codes, the place of an error, the plan in words."""
import os
import subprocess
import sys
import tempfile

MEANODE = os.environ["MEANODE"]

GOOD = """\
data: {kind: gaussian, samples: 10, inputs: 5, targets: 5}
model: {D: [4, 8], alpha: [1, 2, 4]}
training: {steps: 7}
sweep: {L: {from: 8, to: 64, count: 4}, M: [1, 4], seeds: 3, pairs: antithetic}
record: {steps: [0, 7]}
"""


def check(text, *options, name="my.yaml"):
    with tempfile.TemporaryDirectory() as folder:
        if text is not None:
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(text)
        done = subprocess.run([MEANODE, "check", name, *options], cwd=folder, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def size_of_the_file(settings, *options):
    """What check says of the size of the result file, and what the file of a run has."""
    units = {"B": 1, "KiB": 2**10, "MiB": 2**20}
    with tempfile.TemporaryDirectory() as folder:
        config, out = os.path.join(folder, "my.yaml"), os.path.join(folder, "my.h5")
        with open(config, "w", encoding="utf-8") as file:
            file.write(settings)
        said = subprocess.run([MEANODE, "check", config, *options], capture_output=True, text=True, timeout=60).stdout
        line = next(line for line in said.splitlines() if line.startswith("result file"))
        number, unit = line.split()[-2:]
        subprocess.run([MEANODE, "run", config, "-o", out, "--progress", "none", *options], capture_output=True, timeout=60)
        return float(number) * units[unit], os.path.getsize(out)


def expect(condition, *shown):
    if not condition:
        print(*shown, sep="\n")
        sys.exit(1)


def main():
    code, out, err = check(GOOD)
    expect(code == 0 and err == "", code, out, err)
    for words in ("problems     6: D 4, 8; alpha 1, 2, 4", "N 10, inputs 5, targets 5; tanh, squared loss, 7 steps",
                  "instances    288: L 8, 16, 32, 64; M 1, 4; 3 seeds; 144 of them pairs",
                  "limits       mean-ode of every problem, tolerance 0.0001", "records      2 of 8 steps; loss, output",
                  "memory       data ", "result file  about ", "work         "):
        expect(words in out, words, "is not in", out)

    code, out, err = check(GOOD.replace("training: {steps", "training: {stpes"))
    expect(code == 65 and out == "", code, out)
    expect(err == 'meanode check: my.yaml:3:12: unknown key "stpes" in training; did you mean "steps"?\n'
                  "training: {stpes: 7}\n           ^\n", err)

    code, _, err = check(GOOD.replace("samples: 10", "samples: 1000000").replace("inputs: 5", "inputs: 1000000"))
    expect(code == 65 and "the data needs 7.45e+03 GiB" in err, code, err)

    code, _, err = check(GOOD.replace("kind: gaussian, samples: 10, inputs: 5, targets: 5", "kind: file, path: no.h5"))
    expect(code == 65 and "my.yaml:1:26: no.h5: No such file or directory" in err, code, err)

    code, _, err = check(None, name="absent.yaml")
    expect(code == 74 and "absent.yaml: No such file or directory" in err, code, err)

    for limit, words in (("{method: closure}", "limit.method closure needs activation identity, not tanh (D = 4)"),
                         ("{method: quadrature}", "limit.method quadrature needs min(D, rank of the embeddings) <= 2, not 4"),
                         ("{method: sobol-ful}", 'limit.method is "sobol-ful"; did you mean "sobol-full"?'),
                         ("{kind: tangent-ode, method: sobol}", "limit.method sobol is for mean-ode")):
        code, out, err = check(GOOD + "limit: " + limit + "\n")
        place = limit.index("method: ") + len("limit: method: ") + 1
        expect(code == 65 and out == "" and f"my.yaml:6:{place}: limit.method" in err and words in err
               and err.endswith("\n" + " " * (place - 1) + "^\n"), code, out, err)
    code, out, err = check(GOOD + "limit: {kind: [tangent-ode, mean-ode], method: sobol}\n")
    expect(code == 0, code, out, err)

    for options, words in ((["--precision", "f16"], "f16"), (["--threads", "0"], "0"), (["--threads"], "needs a value"),
                           (["--frobnicate"], "--frobnicate"), (["other.yaml"], "other.yaml")):
        code, out, err = check(GOOD, *options)
        expect(code == 2 and words in err and "usage: meanode check" in err, options, code, err)
    code, _, err = check(GOOD, "--backend", "cpus")
    expect(code == 2 and 'did you mean "cpu"?' in err, code, err)

    code, out, _ = check(GOOD, "--precision", "f32", "--threads", "1", "--backend", "cpu")
    expect(code == 0 and "f32, 1 thread\n" in out, code, out)
    for record in ("{steps: [7]}", "{embedding: true}", "{weights: both}", "{path: true, coupling: true, features: true}"):
        for precision in ("f64", "f32"):
            settings = GOOD.replace("steps: [0, 7]", record[1:-1]) + "limit: {kind: mean-ode, tolerance: 0.1, nodes: 4, " \
                       "particles: 64, randomisations: 2}\n"
            said, there = size_of_the_file(settings, "--precision", precision)
            expect(0.8 < said / there < 1.25, record, precision, said, there)

    code, out, _ = check(GOOD, "--help")
    expect(code == 0 and "usage: meanode check CONFIG.yaml" in out, code, out)


main()
