#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""bench/gpu/loops.py on small listings whose loops were gone through by hand; needs neither toolkit nor card.

inner_loops.py SOURCES
"""
import sys

sys.path.insert(0, sys.argv[1] + "/bench/gpu")
import loops  # noqa: E402

NONE = 7  # no barrier


def listing(name, *lines):
    """As nvdisasm writes it. A line: a label, or (text, stall, write barrier, read barrier, mask of barriers to wait for)."""
    text, at = f"\t.section\t.text._ZN1_{name}14mno_train_args,\"ax\",@progbits\n", 0
    for line in lines:
        if isinstance(line, str):
            text += line + ":\n"
            continue
        words, stall, write, read, wait = (line + (1, NONE, NONE, 0)[len(line) - 1:])[:5]
        high = stall << 41 | write << 46 | read << 49 | wait << 52
        text += f"        /*{at:04x}*/   {words} ;   /* 0x{0:016x} */\n   /* 0x{high:016x} */\n"
        at += 16
    return text


def sums(width, weight, first=0, wait=0, opcode="FFMA"):
    """Ten FMA onto R0.. (or R0, R2, ...) with the weight in a register; the first waits for barriers."""
    return [(f"{opcode} R{(first + i) * width}, R{60 + i * width}, {weight}, R{(first + i) * width}", 1, NONE, NONE, 0 if i else wait)
            for i in range(10)]


# One row: loads at 0, 4, 8, 12; the weight's is there at 42, the ten FMA are issued at 42 to 51; then 52, 53 and 54 with a stall
# of 4, the branch at 58 with a stall of 5: 63.
def row(move):
    return [".L_x_1", ("LDS.128 R60, [R79]", 4, 1), ("LDS.128 R64, [R79+0x10]", 4, 1), ("LDS.64 R68, [R79+0x20]", 4, 2),
            ("LDS R81, [R80]", 2, 0), *sums(1, "R81", wait=0b111), ("IADD3 R79, R79, 0x30, RZ",), (move,),
            ("ISETP.GT.AND P0, PT, R78, 0x1, PT", 4), ("@P0 BRA `(.L_x_1)", 5)]


# A row for two projections in f64: 12 loads with a stall of 2; the last was issued at 22 and is there at 52, twenty FMA until 72,
# a branch with a stall of 10: 82.
def two():
    loads = [(f"LDS.128 R{60 + 4 * i}, [R50+{16 * i:#x}]", 2, 0) for i in range(10)]
    loads += [("LDS.64 R110, [R51]", 2, 0), ("LDS.64 R112, [R51+0x8]", 2, 0)]
    return [".L_x_1", *loads, *sums(2, "R110", wait=1, opcode="DFMA"), *sums(2, "R112", first=10, opcode="DFMA"),
            ("@P0 BRA `(.L_x_1)", 10)]


# An update of one u and one v. Loads at 0, 4, 8, there at 38: the first FMA is issued at 38, a chain of 17 with stalls of 4 from 39
# to 107; stores at 107 and 108, whose operands have been read by 118; the address waits for that, the branch at 119 has a stall
# of 5: 124.
def update():
    chain = [(f"FFMA R20, R{30 + i}, R{40 + i}, R20", 4) for i in range(17)]
    return [".L_x_1", ("LDS R10, [R80]", 4, 0), ("LDS R11, [R81]", 4, 1), ("LDS.128 R20, [R82]", 4, 2),
            ("FFMA R21, R5, R20, R10", 1, NONE, NONE, 0b101), *chain, ("STS [R80], R20", 1, NONE, 3), ("STS [R81], R21", 1, NONE, 3),
            ("IADD3 R80, R80, 0x4, RZ", 1, NONE, NONE, 0b1000), ("@P0 BRA `(.L_x_1)", 5)]


# A unit of W0: its tanh has a slow part, which the path avoids, and Newton's iteration, twice 4 instructions. In order: load at
# 0, UMOV 1, FMNMX 30, branch over the slow part 31 (stall 5), Newton 36 to 49, ten FMA 50 to 59, branch 60 (stall 5): 65.
def unit():
    slow = [(f"FADD R90, R90, R{i}",) for i in range(30)]
    return [".L_x_1", ("LDS.128 R60, [R79]", 1, 0), ("UMOV UR4, 0x2",),
            ("FMNMX R50, R60, 9.1999998092651367188, PT", 1, NONE, NONE, 1), ("@P1 BRA `(.L_x_3)", 5), *slow, ".L_x_3", ".L_x_2",
            ("FFMA R51, -R50, R52, R53", 1), ("UIADD3 UR4, UR4, -0x1, URZ",), ("ISETP.NE.AND P2, PT, RZ, UR4, PT",),
            ("@P2 BRA `(.L_x_2)", 4), *sums(1, "R51"), ("@P0 BRA `(.L_x_1)", 5)]


W, W64, W0 = "5trainIfLb0ELb0ELi2EEEv", "5trainIdLb0ELb0ELi1EEEv", "5lanesIfLi10ELi16EEEv"
CASES = [
    # listing; kernel, precision, role, unit, any, items, instructions, FMA, loads, cycles of a trip
    (listing(W, *row("IADD3 R80, R80, 0x4, RZ")), ("W, C", "f32", "project", "row", False, 1, 18, 10, 4, 63)),
    (listing(W, *row("LEA R80, R77, R80, 0x2")), ("W, C", "f32", "combine", "row", False, 1, 18, 10, 4, 63)),
    (listing(W64, *two()), ("W, C", "f64", "project of two", "row", False, 1, 33, 20, 12, 82)),
    (listing(W, *update()), ("W, C", "f32", "update, many chunks", "row", False, 1, 25, 18, 3, 124)),
    (listing(W0, *unit()), ("W0", "f32", "forward", "unit", False, 1, 23, 12, 1, 65)),
]


def main():
    faults = []
    for text, wanted in CASES:
        found = [tuple(loop) for loop in loops.measure(loops.parse(text))]
        if found != [wanted]:
            faults.append(f"wanted {wanted}\n   found {found}")
    # What waits for memory is not modelled, and a kernel with its state in memory has no place in the table.
    for name, lines in ((W, [".L_x_1", ("LDG.E R60, [R2.64]",), *row("IADD3 R80, R80, 0x4, RZ")[1:]]),
                        (W.replace("Lb0ELb0", "Lb0ELb1"), row("IADD3 R80, R80, 0x4, RZ"))):
        if loops.measure(loops.parse(listing(name, *lines))):
            faults.append(f"a loop of {name} that is none of the table's")
    # Two copies of a loop, and what is left to one that takes fewer rows: its own line.
    copies = [loops.Loop("X", "f32", "combine", "row", False, *rest) for rest in ((4, 64, 40, 16, 108), (4, 64, 40, 16, 112),
                                                                               (1, 19, 10, 4, 51))]
    table = "\n".join(loops.rows(["now"], [(loops.with_rests(copies), {("X", "f32"): {(119, 900)}})]))
    for line in ("| X | f32 | 119 | 900 |", "| X | f32 | combine | row | 4 | 16 | 10 | 4.0 | 27 / 28 |",
                 "| X | f32 | combine, rest | row | 1 | 19 | 10 | 4.0 | 51 |"):
        if line not in table:
            faults.append(f"no line {line} in\n{table}")
    for fault in faults:
        print("FAILED:", fault)
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
