#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the compiled kernels must satisfy, read from the library itself; needs no card and no tool of the toolkit.

gates.py LIBRARY BUDGET ARCHITECTURES [--write | --checked]
- there is code for every architecture (semicolons between them);
- no kernel uses local memory (spills, arrays) or static shared memory, or more registers than BUDGET allows;
- in the PTX (of the oldest architecture and of the newest, which between them have all branches of the source): no atomic on
  floating-point numbers, since sums have a fixed order; no approximate function, no flushing, no contraction.
- no kernel has a trap.
--write makes the budget from what was found. --checked: the build is one with MEANODE_CUDA_CHECKED, where registers have no budget and
every loop that waits ends in a trap of its own: one for the host, two for the ring (the passes forward and backward).
"""
import csv
import re
import struct
import subprocess
import sys

FATBIN, KIND_PTX, KIND_ELF = 0xBA55ED50, 1, 2
FRAME_SIZE, REGISTERS = 0x11, 0x2F  # attributes of .nv.info
TRAP, SLEEP, TRY_WAIT = 0x95C, 0x95D, 0x5A7  # low bits of an instruction: BPT, NANOSLEEP, SYNCS.PHASECHK


def sections(data):
    """(name, flags for the section, content) of an ELF64 file."""
    offset, = struct.unpack_from("<Q", data, 0x28)
    size, count, names = struct.unpack_from("<HHH", data, 0x3A)
    heads = [struct.unpack_from("<IIQQQQII", data, offset + i * size) for i in range(count)]
    text = heads[names][4]
    for name, kind, _, _, at, length, _, _ in heads:
        label = data[text + name:data.index(b"\0", text + name)].decode()
        yield label, b"" if kind == 8 else data[at:at + length], length


def images(data):
    """(kind, architecture, content) of every image in the fat binaries of a file."""
    magic = struct.pack("<I", FATBIN)
    at = data.find(magic)
    while at >= 0:
        _, _, head, length = struct.unpack_from("<IHHQ", data, at)
        entry, end = at + head, at + head + length
        while entry < end:
            kind, _, size, payload = struct.unpack_from("<HHIQ", data, entry)
            packed, = struct.unpack_from("<I", data, entry + 16)
            architecture, = struct.unpack_from("<I", data, entry + 28)
            yield kind, architecture, data[entry + size:entry + size + payload]
            entry += size + payload
        at = data.find(magic, at + head)


def demangled(name):
    text = subprocess.run(["c++filt", name], capture_output=True, text=True).stdout.strip() or name
    return re.sub(r"\(anonymous namespace\)::|\(.*\)$|^void ", "", text)


def symbols(data):
    table = {label: content for label, content, _ in sections(data)}
    strings = table[".strtab"]
    for i in range(0, len(table[".symtab"]), 24):
        name, = struct.unpack_from("<I", table[".symtab"], i)
        yield strings[name:strings.index(b"\0", name)].decode()


def usage(data):
    """kernel -> [registers, stack bytes, static shared bytes] of one cubin."""
    found, names = {}, list(symbols(data))
    for label, content, length in sections(data):
        if label.startswith(".text."):
            found.setdefault(label[6:], [0, 0, 0])
    for label, content, length in sections(data):
        if label == ".nv.info":
            at = 0
            while at < len(content):
                form, attribute, size = struct.unpack_from("<BBH", content, at)
                if form == 4 and attribute in (FRAME_SIZE, REGISTERS):
                    symbol, value = struct.unpack_from("<II", content, at + 4)
                    if names[symbol] in found:
                        found[names[symbol]][attribute == FRAME_SIZE] = value
                at += 4 + (size if form == 4 else 0)
        if label.startswith(".nv.shared.") and label[11:] in found:
            found[label[11:]][2] = length
    return {demangled(name): values for name, values in found.items()}


def waits(data):
    """kernel -> (traps, sleeps, mbarriers that are polled) in the code of one cubin."""
    found = {}
    for label, content, _ in sections(data):
        if label.startswith(".text."):
            codes = [code & 0xFFF for code, _ in struct.iter_unpack("<QQ", content)]
            found[demangled(label[6:])] = [codes.count(code) for code in (TRAP, SLEEP, TRY_WAIT)]
    return found


def budget_faults(used, budget, wanted):
    for key in sorted(set(budget) | set(used)):
        if key[1] not in wanted:
            continue
        if key not in used or key not in budget:
            yield f"{key}: in the {'budget' if key in budget else 'library'} only"
        elif any(u > b for u, b in zip(used[key], budget[key])):
            yield f"{key}: registers, stack, shared {used[key]}, budget {budget[key]}"


def checked_faults(used, waiting):
    for key in sorted(used):
        traps, sleeps, polled = waiting[key]
        if used[key][1]:
            yield f"{key}: {used[key][1]} bytes of stack"
        if traps < sleeps + (2 if polled else 0):
            yield f"{key}: {traps} traps for {sleeps} waits for the host and {polled} polls of an mbarrier"
    if not any(sleeps for _, sleeps, _ in waiting.values()):
        yield "no kernel waits for the host: the code is not read as it should be"


def main():
    library, budget_file, architectures = sys.argv[1:4]
    wanted = {int(a.split("-")[0]) for a in architectures.split(",")}
    in_ptx = {int(a) for a in architectures.split(",") if a.isdigit()}  # 90-real is code alone
    data = open(library, "rb").read()
    used, waiting, ptx, written, faults = {}, {}, "", set(), []
    for kind, architecture, content in images(data):
        if kind == KIND_ELF and content[:4] != b"\x7fELF":
            sys.exit("an image is compressed: compile with -no-compress")
        if kind == KIND_ELF:
            for kernel, values in usage(content).items():
                used[kernel, architecture] = values
            for kernel, counts in waits(content).items():
                waiting[kernel, architecture] = counts
        if kind == KIND_PTX:
            ptx += content.decode("latin-1")
            written.add(architecture)
    missing = wanted - {architecture for _, architecture in used}
    if missing:
        faults.append(f"no code for compute capability {sorted(missing)}")
    if "--write" in sys.argv:
        with open(budget_file, "w", newline="") as out:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(["kernel", "architecture", "registers", "stack", "shared"])
            writer.writerows([*key, *values] for key, values in sorted(used.items()))
    if "--checked" in sys.argv:
        faults += checked_faults(used, waiting)
    else:
        budget = {(row["kernel"], int(row["architecture"])): [int(row[c]) for c in ("registers", "stack", "shared")]
                  for row in csv.DictReader(open(budget_file))}
        faults += budget_faults(used, budget, wanted)
        faults += [f"{key}: a trap in a build that is not checked" for key in sorted(waiting) if waiting[key][0]]
    print(f"{len(used)} kernels, architectures {sorted({a for _, a in used})}, "
          f"most registers {max(v[0] for v in used.values())}, stack {max(v[1] for v in used.values())}")
    if not in_ptx <= written:
        faults.append(f"PTX for {sorted(written)} only, not for {sorted(in_ptx)}")
    for line in ptx.splitlines():
        if re.search(r"\b(atom|red)\b[.\w]*\.(f16|f32|f64|bf16)", line):
            faults.append("an atomic on floating-point numbers: " + line.strip())
        if re.search(r"\.(approx|full|ftz)\b", line) or re.search(r"\bmad\.\S*f(32|64)", line):
            faults.append("an instruction that does not round as written: " + line.strip())
    for fault in faults:
        print("FAILED:", fault)
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
