#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the inner loops of the kernels cost a warp, read from their machine code; needs no card.

loops.py [--write PAGE] NAME=FILE[,FILE]... [NAME=FILE[,FILE]...]
FILE: a cubin, or an object or library that holds code for compute capability 9.0. NAME: the column it goes to. Needs
nvdisasm and cuobjdump: on the PATH, or where the Python packages nvidia-cuda-nvdisasm and nvidia-cuda-cuobjdump put them.

Cycles come from an in-order scoreboard simulation of a warp alone: an instruction is issued when the stall count of the one
before has passed and the barriers that it waits for are free. A loop is known by what it contains.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import namedtuple

# Cycles from issue until a barrier is free. Instructions of fixed latency (FMA and ALU 4, f64 8) need none: the compiler
# wrote their latency into the stall counts.
SHARED, SPECIAL, OTHER, READ = 30, 20, 30, 10
CHUNK = 10  # samples of a row
FREE = 7    # an instruction's number for "no barrier"
BEGIN, END = "<!-- loops.py -->", "<!-- end of loops.py -->"

Instruction = namedtuple("Instruction", "words op guarded stall write read wait targets")
Kernel = namedtuple("Kernel", "name code")
Loop = namedtuple("Loop", "kernel precision role unit any items instructions fma loads cycles")


# Parsing
def decode(text, high, labels):
    """An instruction from its text and the upper half of its encoding; labels: those that it names."""
    words = re.sub(r"^@!?U?P\w+ ", "", text)
    return Instruction(words, words.split()[0], words != text, max(1, high >> 41 & 15), high >> 46 & 7, high >> 49 & 7,
                       high >> 52 & 63, labels)


def parse(listing):
    """The kernels of what `nvdisasm -c -hex` wrote: [Kernel]; a target is an index into the code."""
    kernels = []
    for section in re.split(r"\n\s*\.section\s+\.text\.", "\n" + listing)[1:]:
        name, code, places, text = section.split(",", 1)[0], [], {}, None
        for line in section.splitlines():
            label = re.match(r"(\.L_x_\w+):", line)
            first = re.match(r"\s+/\*[0-9a-f]{4,}\*/\s+(.*?)\s*;?\s*(\(\*.*\*\))?\s*;?\s*/\* 0x[0-9a-f]{16} \*/", line)
            second = re.match(r"\s+/\* 0x([0-9a-f]{16}) \*/", line)
            if label:
                places[label.group(1)] = len(code)
            elif first:
                text = first.group(1) + (first.group(2) or "")
            elif second and text:
                code.append(decode(text, int(second.group(1), 16), re.findall(r"\.L_x_\w+", text)))
                text = None
        kernels.append(Kernel(name, [i._replace(targets=[places[t] for t in i.targets if t in places]) for i in code]))
    return kernels


def registers_of(instruction):
    """Destination (None for stores and branches) and sources: names of registers."""
    found = re.findall(r"\bU?R\d+\b", instruction.words)
    if not found or instruction.op.startswith(("ST", "BRA", "RED")) or not re.match(r"\S+ U?R\d", instruction.words):
        return None, found
    return found[0], found[1:]


# Loops
def is_branch(instruction):
    return instruction.op.startswith(("BRA", "BRX"))


def all_loops(code):
    """[(first, last)]: from the target of a backward branch to the last branch there."""
    last = {}
    for i, instruction in enumerate(code):
        for target in instruction.targets if is_branch(instruction) else []:
            if target <= i:
                last[target] = i
    return sorted(last.items())


def fmas(code):
    return [i for i in code if re.match(r"[FD]FMA\b", i.op)]


def is_bound(instruction):
    """The bound on |x| with which a tanh begins: one of these is one tanh."""
    return re.match(r"DSETP\.MIN|FMNMX .* 9\.19999", instruction.words) is not None


def inner_loops(code):
    """Loops with eight FMA or more that contain no other such loop, but may contain Newton's iteration or a sum over slices."""
    worth = [(a, b) for a, b in all_loops(code) if len(fmas(code[a:b + 1])) >= 8]
    return [(a, b) for a, b in worth if not any((a, b) != (c, d) and a <= c and d <= b for c, d in worth)]


def shortest(code, begin, end, last):
    """Indices from begin up to end, end not among them, forward and within the loop that ends at last; None: no way."""
    ways = {end: (0, None)}
    for i in range(end - 1, begin - 1, -1):
        instruction, after = code[i], [i + 1]
        if is_branch(instruction):
            after = [t for t in instruction.targets if i < t <= last]
            if instruction.guarded:
                after.append(i + 1)
        elif re.match(r"CALL|EXIT|RET", instruction.op) and not instruction.guarded:
            after = []
        known = [(ways[t][0] + 1, t) for t in after if t in ways]
        if known:
            ways[i] = min(known)
    if begin not in ways:
        return None
    path = []
    while begin != end:
        path.append(begin)
        begin = ways[begin][1]
    return path


def turns(code, path, begin, end):
    """How often the loop path[begin:end + 1] is gone through: what its counter is set to on the way there, otherwise once."""
    for i in path[begin:end + 1]:
        counter = re.match(r"(?:UIADD3|IADD3|VIADD) (U?R\d+), \1, (?:-0x1|0xffffffff)\b", code[i].words)
        if counter:
            for j in reversed(path[:begin]):
                written = re.match(r"\S+ (U?R\d+), (?:U?RZ, U?RZ, )?(0x[0-9a-f]+)$", code[j].words)
                if written and written.group(1) == counter.group(1):
                    return int(written.group(2), 16)
    return 1


def body(code, first, last):
    """The instructions of a trip: the shortest way through all its stores and tanh or, where there is no tanh, all its FMA,
    with the loops on that way; None if there is no such way."""
    inside, tanhs = range(first, last + 1), any(map(is_bound, code[first:last + 1]))
    musts = [i for i in inside if code[i].op.startswith("STS") or (is_bound(code[i]) if tanhs else fmas([code[i]]))]
    path = []
    for begin, end in zip([first] + musts, musts + [last]):
        part = shortest(code, begin, end, last)
        if part is None:
            return None
        path += part
    path.append(last)
    result, at = [], 0
    for k, i in enumerate(path):
        back = [t for t in code[i].targets if is_branch(code[i]) and first < t <= i]
        if back and back[0] in path:
            begin = path.index(back[0])
            result += path[at:k + 1] + path[begin:k + 1] * (turns(code, path, begin, k) - 1)
            at = k + 1
    return [code[i] for i in result + path[at:]]


# Simulation
def latency(instruction):
    if instruction.op.startswith("LDS"):
        return SHARED
    return SPECIAL if re.match(r"MUFU|[IF]2[IF]", instruction.op) else OTHER


def issue_time(code):
    """When the last instruction of straight code has been issued and its stall count has passed."""
    free, now = [0] * FREE, 0
    for instruction in code:
        now = max([now] + [free[b] for b in range(6) if instruction.wait >> b & 1])
        for barrier, cycles in ((instruction.write, latency(instruction)), (instruction.read, READ)):
            if barrier != FREE:
                free[barrier] = max(free[barrier], now + cycles)
        now += instruction.stall
    return now


def cycles_per_trip(code, warm=4, measured=16):
    """Cycles of a trip of a loop in the steady state: long runs less short ones."""
    return (issue_time(code * (warm + measured)) - issue_time(code * warm)) / measured


# What a loop is
def carried(code):
    """How many sums a loop carries from trip to trip: what its FMA add to and write again."""
    written, waiting, sums = set(), set(), set()
    for instruction in code:
        to, sources = registers_of(instruction)
        if fmas([instruction]):
            if sources and sources[-1] not in written:
                waiting.add(sources[-1])
        if to:
            written.add(to)
            if fmas([instruction]) and to in waiting:
                sums.add(to)
    return len(sums)


def size(instruction):
    """Bytes of an access to shared memory."""
    width = re.search(r"\.(64|128)\b", instruction.op)
    return int(width.group(1)) // 8 if width else 4


def strided(code):
    """Whether an address moves by a number of the shape: in projections all of them move by constants."""
    bases = {r for i in code if i.op.startswith("LDS") for r in registers_of(i)[1]}
    return any(i.op in ("LEA", "IMAD") and registers_of(i)[0] in bases for i in code)


def classify(kernel, element, padded_D, code):
    """(role, unit, items a trip), or None for a loop that is not one of those of the passes."""
    stored = sum(size(i) for i in code if i.op.startswith("STS")) / element
    tanhs, sums, products = sum(map(is_bound, code)), carried(code), len(fmas(code))
    if kernel == "W0":
        if tanhs and sums == padded_D:
            return "backward" if stored else "forward", "unit", tanhs
        return ("update", "coordinate", stored / 2) if stored and not tanhs and not sums else None
    if kernel == "F":
        if stored or sums not in (CHUNK, 2 * CHUNK, 32):
            return None
        rows = any(size(i) == 16 for i in code if i.op.startswith("LDS"))  # of samples; fields are read number by number
        return ("Jacobian" if sums == 32 else "project" if rows and sums == CHUNK else "project of two" if rows else "drift",
                "row" if rows else "block", products / sums)
    if tanhs:
        return "activation" if stored == tanhs else "activation, backward", "number", tanhs
    if stored and sums in (0, CHUNK):
        return "update and combine" if sums else "update, many chunks", "row", stored / 2
    if not stored and sums in (CHUNK, 2 * CHUNK):
        return "project of two" if sums > CHUNK else "combine" if strided(code) else "project", "row", products / sums
    return None


def kernel_of(name):
    """(kernel, precision, bytes of a number, padded_D) from a mangled name; None for those without a place in the table."""
    compiled_for = r"(?:N3mno5block10perceptronENS\d*_9optimizer2gdE)?"  # none in builds before kernels knew others
    found = re.search(r"(train|lanes|field)I" + compiled_for + r"([fd])((?:L[bi]\d+E)+)E", name)
    if not found:
        return None
    what, kind, values = found.group(1), found.group(2), re.findall(r"L[bi](\d+)E", found.group(3))
    precision, element = ("f32", 4) if kind == "f" else ("f64", 8)
    if what == "lanes":
        return ("W0", precision, element, 10) if values[0] == "10" else None
    if values[1 if what == "train" else 0] == "1":  # the state in memory
        return None
    return ("F" if what == "field" else "X" if values[0] == "1" else "W, C"), precision, element, 0


def measure(kernels):
    """[Loop] of the kernels of a listing."""
    found = []
    for kernel in kernels:
        known = kernel_of(kernel.name)
        for first, last in inner_loops(kernel.code) if known else []:
            code = body(kernel.code, first, last)
            if not code or any(re.match(r"LDG?\b", i.op) for i in code):  # latency of memory: not modelled
                continue
            role = classify(known[0], known[2], known[3], code)
            if role:
                loads = sum(i.op.startswith("LDS") for i in code)
                of_any = any(i.op == "BRX" for i in code)
                found.append(Loop(*known[:2], *role[:2], of_any, role[2], len(code), len(fmas(code)), loads, cycles_per_trip(code)))
    return with_rests(found)


def with_rests(loops):
    """The loops, those that take what others of their role leave called so: fewer items at a time, or any activation."""
    def rank(loop):
        return loop.items, not loop.any
    best = {}
    for loop in loops:
        best[loop[:4]] = max(best.get(loop[:4], (0, False)), rank(loop))
    return [loop if rank(loop) == best[loop[:4]] else loop._replace(role=loop.role + ", rest") for loop in loops]


# Files and tables
def tool(name):
    places = [os.path.join(p, "nvidia", "cu13", "bin") for p in sys.path]
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(places))
    if not found:
        sys.exit(f"loops.py: no {name}: install the CUDA toolkit or `pip install nvidia-cuda-{name}`")
    return found


def output(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode:
        sys.exit(f"loops.py: {' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def cubins(file, folder):
    """Paths of the machine code for compute capability 9.0 in a file."""
    with open(file, "rb") as f:
        head = f.read(20)
    if head[:4] == b"\x7fELF" and head[18:20] == b"\xbe\x00":  # EM_CUDA
        return [file]
    os.makedirs(folder)
    output(tool("cuobjdump"), "-arch", "sm_90", "-xelf", "all", os.path.abspath(file), cwd=folder)
    return [os.path.join(folder, f) for f in sorted(os.listdir(folder))] or sys.exit(f"loops.py: no code for sm_90 in {file}")


def read(files):
    """([Loop], {(kernel, precision): {(registers, instructions)}}) of the files of a column."""
    loops, sizes = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for n, file in enumerate(files):
            for cubin in cubins(file, os.path.join(folder, str(n))):
                used = dict(re.findall(r"Function (\S+):\s+REG:(\d+)", output(tool("cuobjdump"), "-res-usage", cubin)))
                kernels = parse(output(tool("nvdisasm"), "-c", "-hex", cubin))
                loops += measure(kernels)
                for kernel in kernels:
                    known = kernel_of(kernel.name)
                    if known:
                        sizes.setdefault(known[:2], set()).add((int(used[kernel.name]), len(kernel.code)))
    return loops, sizes


def cells(copies, forms):
    """A row's cells: values of the copies of a loop, all in one order, or one value where all copies have it."""
    texts = sorted({tuple(form.format(value) for form, value in zip(forms, copy)) for copy in copies})
    return [" / ".join(column if len(set(column)) > 1 else column[:1]) for column in zip(*texts)] or [""] * len(forms)


def rows(names, columns):
    """The tables, as lines; columns: (loops, sizes) of each name."""
    order = ["W0", "W, C", "X", "F"]

    def key(row):
        return order.index(row[0]), *row[1:]
    def heads(texts):
        return " | ".join(" | ".join([f"{name}: {texts[0]}", *texts[1:]]) for name in names) + " |"
    lines = ["| kernel | | " + heads(["registers", "instructions"]), "|---|---|" + "---|---|" * len(names)]
    for row in sorted({k for _, sizes in columns for k in sizes}, key=key):
        values = [c for _, sizes in columns for c in cells(sizes.get(row, ()), ["{}", "{}"])]
        lines.append("| " + " | ".join([*row, *values]) + " |")
    lines += ["", "| kernel | | loop | per | " + heads(["a trip", "instructions", "FMA", "loads", "cycles"]),
              "|---|---|---|---|" + "---|" * 5 * len(names)]
    for row in sorted({loop[:4] for loops, _ in columns for loop in loops}, key=key):
        values = []
        for loops, _ in columns:
            copies = [(l.items, l.instructions / l.items, l.fma / l.items, l.loads / l.items, l.cycles / l.items)
                      for l in loops if l[:4] == row]
            values += cells(copies, ["{:g}", "{:.0f}", "{:.0f}", "{:.1f}", "{:.0f}"])
        lines.append("| " + " | ".join([*row, *values]) + " |")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", metavar="PAGE", help=f"replace what is between {BEGIN} and {END} there, instead of printing")
    parser.add_argument("columns", nargs="+", metavar="NAME=FILE[,FILE]...")
    options = parser.parse_args()
    names, files = zip(*(column.split("=", 1) for column in options.columns))
    text = "\n".join(rows(names, [read(some.split(",")) for some in files]))
    if not options.write:
        print(text)
        return
    with open(options.write) as f:
        page = f.read()
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    with open(options.write, "w") as f:
        f.write(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


if __name__ == "__main__":
    main()
