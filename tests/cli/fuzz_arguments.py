# SPDX-License-Identifier: BSD-3-Clause
"""Arguments as nobody types them: real command lines, mutated, on the program itself.

    fuzz_arguments.py [SECONDS [SEED]]     the default is a short search, always the same one

Whatever is given, the program ends in time with a documented exit code and without a signal, says something on stderr when the code is not 0,
shows no traceback, and changes no file but its output, and none at all when the command line is wrong."""

import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

BINARY = os.environ["MEANODE"]
COMMANDS = ("run", "check", "merge", "status", "fit", "plot", "report", "info", "help")
PYTHON = ("plot", "report")  # a hundred times slower to start
DOCUMENTED = (0, 2, 3, 65, 69, 74, 75)
PATIENCE = 120  # seconds, on a loaded machine and under sanitizers

CONFIG = """data: {kind: gaussian, samples: 2, inputs: 2, targets: 1}
model: {D: 2}
training: {steps: 1}
limit: {kind: none}
sweep: {L: [2, 4], M: [1, 2], seeds: 2}
"""

# What the mutations start from.
LINES = [line.split() for line in """
run a.yaml -o new.h5
run a.yaml -o new.h5 --threads 1 --progress none --precision f32
run a.yaml -o a.h5 --resume
run a.yaml -o a.h5 --force
run a.yaml -o s0.h5 --resume --shard 0/2
run a.yaml -o new.h5 --shard 1/2 --backend cpu
run a.yaml -o new.h5 --shard slurm
run --from a.h5 -o new.h5
run a.yaml -o new.h5 --limits a.h5
run a.yaml --limits-only -o new.h5
run a.yaml --dry-run
run a.yaml
check a.yaml --backend cpu --precision f32 --threads 2
merge new.h5 s0.h5 s1.h5
merge new.h5 s0.h5 --partial
merge a.h5 s0.h5 s1.h5 --force
status a.h5 s0.h5 s1.h5 a.h5.journal
fit a.h5 --json --step 0 1 --quantity output
fit a.h5 --step 0,1
fit a.h5 --deterministic --step 1
info a.h5
info
help run
help config
help
--version
--help
plot a.h5 -o new.svg --kind law --step 1 --quantity output --problem 0
plot a.h5 -o new.png --dpi 20
report a.h5 s0.h5 -o new.html
""".strip().splitlines()]

WORDS = """a.yaml bad.yaml empty.yaml none.yaml a.h5 s0.h5 s1.h5 junk.h5 empty.h5 none.h5 link.h5 dangling.h5 fifo.h5 folder folder/new.h5 none/new.h5 /dev/null
/dev/full /dev/stdin /dev/stdout . ./a.h5 a.h5/ a.h5.journal .h5 h5 a.h5.lock new.h5 new.svg new.png new.pdf new.html NEW.PNG - -- --- = --= -= -o -h -x -oh -ho
-onew.h5 --output=new.h5 --output= --out --shar=1/2 --re --fo --f --p --precision=f64 --json=1 --force=yes -1 0 1 2 7 00 +1 0x1 1e3 1.5 nan inf -0 4096 4097
2147483647 2147483648 4294967296 9223372036854775807 9223372036854775808 99999999999999999999999 0/1 1/2 2/2 0/0 -1/2 1/-2 1/2/3 0/999999999 slurm auto cpu cuda
f32 f64 bar lines none output embedding law lazy shape authors config run 0,1 , ,, 0,,1 1,x %s %n $HOME * ? ~ ; | & > #c @a.yaml é ＊""".split()
STRANGE = [b"", b" ", b"\n", b"\t", b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"a\nb.h5", b"\x1b[31m.h5", b"n" * 255, b"n" * 256 + b".h5", b"-" * 5000, b"9" * 5000,
           b"x" * 100000, b"--" + b"y" * 70000, b"folder/" * 600 + b"x.h5", b"0," * 3000, b"1/" * 3000]


def options_of(command):
    text = subprocess.run([BINARY, "help", command], capture_output=True, text=True, check=True).stdout
    return sorted(set(re.findall(r"--[a-z][a-z-]*", text)))


def fill(folder):
    """What the command lines find."""
    (folder / "a.yaml").write_text(CONFIG)
    (folder / "bad.yaml").write_text("data: {kind: gausian\n")
    (folder / "empty.yaml").write_text("")
    for name, arguments in (("a.h5", ()), ("s0.h5", ("--shard", "0/2")), ("s1.h5", ("--shard", "1/2"))):
        subprocess.run([BINARY, "run", "a.yaml", "-o", name, "--progress", "none", *arguments], cwd=folder, check=True, capture_output=True)
    (folder / "junk.h5").write_bytes(bytes(range(256)) * 40)
    (folder / "empty.h5").write_bytes(b"")
    (folder / "link.h5").symlink_to("a.h5")
    (folder / "dangling.h5").symlink_to("absent.h5")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "fifo.h5")


def tree(folder):
    """{path: what is there}"""
    found = {}
    for place, folders, files in os.walk(os.fsencode(folder)):
        for name in folders + files:
            path = os.path.join(place, name)
            about = os.lstat(path)
            key = os.path.relpath(path, os.fsencode(folder))
            found[key] = (about.st_mode, about.st_size, about.st_mtime_ns, about.st_ino) if not os.path.isdir(path) else about.st_mode
    return found


def outputs(arguments):
    """Names that a command line may write to, as getopt reads it; generous where that is not clear."""
    command, rest = arguments[0], list(arguments[1:])
    if command not in (b"run", b"merge", b"plot", b"report"):
        return set()
    named, plain, only_plain = set(), [], False
    for index, one in enumerate(rest):
        following = rest[index + 1] if index + 1 < len(rest) else None
        if one == b"--":
            only_plain = True
        elif only_plain or not one.startswith(b"-") or one == b"-":
            plain.append(one)
        name, _, value = one.partition(b"=")
        if one.startswith(b"--o") and b"--output".startswith(name):
            named.add(value if b"=" in one else following)
        elif re.match(rb"-[^-]*o", one) and not one.startswith(b"--"):
            named.add(one[one.index(b"o") + 1:].removeprefix(b"=") or following)
            named.add(one[one.index(b"o") + 1:])
    if command == b"merge":
        named |= set(plain[:1])
    if command == b"run":
        for config in plain:
            stem = os.path.basename(config)
            stem = stem[:stem.rindex(b".")] if b"." in stem[1:] else stem
            named |= {stem + b".h5"} | {stem + f".shard-{i}-of-{n}.h5".encode() for n in range(2, 3) for i in range(n)}
    if command == b"report":
        named.add(b"report.html")
    named.discard(None)
    real = {b"link.h5": b"a.h5", b"dangling.h5": b"absent.h5"}
    named = {os.path.normpath(name) for name in named if name}
    named |= {real[name] for name in named if name in real}
    return {name + suffix for name in named for suffix in (b"", b".journal")}


class Fuzzer:
    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.options = {command: options_of(command) or ["--help"] for command in COMMANDS if command != "help"}
        self.ran = dict.fromkeys(COMMANDS, 0)
        self.codes = {}

    def word(self, command):
        kind = self.chance.random()
        if kind < 0.35:
            return self.chance.choice(self.options.get(command) or self.options["run"]).encode()
        if kind < 0.42:
            return self.chance.choice(self.options[self.chance.choice(list(self.options))]).encode()
        if kind < 0.92:
            return self.chance.choice(WORDS).encode()
        return self.chance.choice(STRANGE)

    def bent(self, word):
        """The word with something done to it."""
        at = self.chance.randrange(len(word) + 1)
        return self.chance.choice((lambda: word[:at], lambda: word[:at] + bytes([self.chance.randrange(1, 256)]) + word[at:],
                                   lambda: word[:at] + word[at + 1:], lambda: word + word, lambda: word.swapcase(), lambda: b"--" + word,
                                   lambda: word + b"=" + self.chance.choice(WORDS).encode()))()

    def line(self, slow):
        while True:
            arguments = [word.encode() for word in self.chance.choice(LINES)]
            command = arguments[0].decode()
            if (command in PYTHON) == slow:
                break
        for _ in range(self.chance.choice((0, 1, 1, 1, 2, 2, 3, 5, 8))):
            at, what = self.chance.randrange(1, len(arguments) + 1), self.chance.randrange(7)
            there = at < len(arguments)
            if what <= 1 or not there:
                arguments.insert(at, self.word(command))
            elif what == 2:
                del arguments[at]
            elif what == 3:
                arguments.insert(at, self.chance.choice(arguments))
            elif what == 4:
                arguments[at] = self.word(command)
            elif what == 5:
                arguments[at] = self.bent(arguments[at])
            else:
                other = self.chance.randrange(1, len(arguments))
                arguments[at], arguments[other] = arguments[other], arguments[at]
        if self.chance.random() < 0.02:
            arguments[0] = self.bent(arguments[0])
        return [argument.replace(b"\0", b"") for argument in arguments]

    def environment(self, folder):
        out = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
        for name in ("ID", "COUNT", "MIN", "MAX", "STEP"):
            if self.chance.random() < 0.7:
                out[f"SLURM_ARRAY_TASK_{name}"] = self.chance.choice(("0", "0", "1", "1", "2", "5", "x", "", "-1", "999999999"))
        return {**out, "HOME": str(folder)}

    def one(self, folder, before, arguments):
        """Runs a line; returns what is wrong, or None, and whether the folder has changed."""
        command = arguments[0].decode(errors="replace")
        self.ran[command if command in COMMANDS else "help"] += 1
        try:
            done = subprocess.run([os.fsencode(BINARY), *arguments], cwd=folder, env=self.environment(folder), capture_output=True, timeout=PATIENCE,
                                  stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return "does not end", True
        self.codes[done.returncode] = self.codes.get(done.returncode, 0) + 1
        after = tree(folder)
        changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
                   and not name.startswith((b".cache", b".config"))}  # matplotlib's, in what is the home here
        foreign = changed - outputs(arguments)
        tail = done.stderr.decode(errors="replace")[-1500:]
        if done.returncode not in DOCUMENTED:
            return f"exit code {done.returncode}: {tail}", True
        if done.returncode not in (0, 3) and not done.stderr.strip():
            return f"exit code {done.returncode} without a word", True
        if re.search(rb"Traceback|Sanitizer|runtime error:|HDF5-DIAG|Assertion", done.stderr):
            return tail, True
        if done.returncode == 2 and changed:
            return f"exit code 2, but {changed} changed: {tail}", True
        if foreign:
            return f"exit code {done.returncode}, but {foreign} changed: {tail}", True
        return None, before != after


def safe(arguments):
    """Nothing outside of the folder, whoever runs this, and nothing that waits for a writer as it should: a configuration may be a pipe."""
    for one in arguments:
        for part in (one, one.partition(b"=")[2], one[2:] if one.startswith(b"-o") else b"", one[1:].partition(b"o")[2]):
            if part.startswith((b"/", b"~")) and part not in (b"/dev/null", b"/dev/full", b"/dev/stdin", b"/dev/stdout"):
                return False
        if b".." in one or (arguments[0] in (b"run", b"check") and b"fifo" in one):
            return False
    return sum(map(len, arguments)) < 500000 and all(len(one) < 131000 for one in arguments)


def main(seconds, seed):
    fuzzer, wrong, count, slow = Fuzzer(seed), 0, 0, 0
    with tempfile.TemporaryDirectory(prefix="meanode-arguments-") as top:
        master, folder = pathlib.Path(top) / "master", pathlib.Path(top) / "work"
        master.mkdir()
        fill(master)

        def renew():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for item in os.scandir(master):
                if item.is_symlink():
                    (folder / item.name).symlink_to(os.readlink(item.path))
                elif item.is_file():
                    shutil.copy2(item.path, folder / item.name)
                elif item.is_dir():
                    (folder / item.name).mkdir()
                else:
                    os.mkfifo(folder / item.name)
            return tree(folder)

        before, end = renew(), time.monotonic() + seconds
        while time.monotonic() < end:
            arguments = fuzzer.line(count % 200 == 199)
            count += 1
            if not arguments or not safe(arguments):
                continue
            slow += arguments[0].decode(errors="replace") in PYTHON
            problem, changed = fuzzer.one(folder, before, arguments)
            if problem:
                wrong += 1
                print(f"WRONG ({seed}, {count}): {[one[:200] for one in arguments]}\n  {problem}", flush=True)
            if changed:
                before = renew()
    print(f"seed {seed}: {sum(fuzzer.ran.values())} command lines ({', '.join(f'{k} {v}' for k, v in fuzzer.ran.items() if v)}); "
          f"exit codes {dict(sorted(fuzzer.codes.items()))}; {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 8, int(sys.argv[2]) if len(sys.argv) > 2 else 1))
