#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""One table from the rows that the measurements left: table.py LINES... [PAGE.md]. The page is written as soon as anything was
measured: what was printed, with card, program and date. Where several rows measure the same, the last one counts. Runs stop
half-way and programs fail: lines that are no rows are counted, fields that are missing or of another type are a dash."""
import contextlib
import datetime
import io
import json
import math
import os
import sys

NONE = "not yet run on a GPU"
SHAPE = ("D", "M", "L", "N", "instances", "precision")


def number(row, key):
    """A finite number of a row, or None."""
    value = row.get(key)
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < math.inf
    return value if good else None


def text(row, *keys):
    """What a row says, fit for a table."""
    return ", ".join(str(row.get(key, "-")).replace("|", "/").replace("\n", " ") for key in keys)


def ratio(a, b):
    return a / b if a is not None and b else None


def cell(value, form="{:.3g}", otherwise=NONE):
    return otherwise if value is None else form.format(value)


def ms(seconds):
    return cell(seconds and 1e3 * seconds, otherwise="-")


def share(floors, seconds):
    """The larger floor as a share of the time."""
    floors = [f for f in floors if f is not None]
    return cell(ratio(max(floors) if floors else None, seconds), "{:.0%}", "-")


def show(lines):
    """A table; the first line has the heads."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for i, line in enumerate(lines):
        print("| " + " | ".join(text.ljust(width) for text, width in zip(line, widths)) + " |")
        if i == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    print()


def last(rows, *keys):
    """Rows, the last one of those that agree in all keys, in order of their first."""
    kept = {}
    for row in rows:
        kept[tuple(str(row.get(key)) for key in keys)] = row
    return list(kept.values())


def find(rows, row, keys, value):
    """The last number of the rows that agree with a row in all keys."""
    found = [number(r, value) for r in rows if all(r.get(key) == row.get(key) for key in keys)]
    return next((x for x in reversed(found) if x is not None), None)


def ceilings_of(rows):
    """All numbers of the rows of ceilings."""
    return {key: r[key] for r in rows if "two_to_one" in r or "lds_broadcast" in r for key in r if number(r, key) is not None}


def fma(ceilings, row):
    return number(ceilings, {"f32": "fma32", "f64": "fma64"}.get(str(row.get("precision")), ""))


def stages(rows):
    """Only what was not done."""
    open_ones = [r for r in last([r for r in rows if "stage" in r], "stage") if r.get("outcome") != "done"]
    if open_ones:
        show([["stage not done", "", "s", "why"]] +
             [[text(r, "stage"), text(r, "outcome"), cell(number(r, "seconds"), "{:.1f}", "-"), text(r, "detail")] for r in open_ones])


def checks(rows):
    found = last([r for r in rows if "check" in r], "check")
    if found:
        show([["check", "", "detail"]] +
             [[text(r, "check"), "passed" if r.get("passed") is True else "FAILED", text(r, "detail")] for r in found])
    for r in last([r for r in rows if "loss_error" in r], "peer"):
        print(f"- losses of {text(r, 'peer')} differ from ours by {cell(number(r, 'loss_error'), otherwise='-')} (relative)")


def ceilings(rows):
    row = ceilings_of(rows)
    get = lambda key: cell(number(row, key))
    print(f"ceilings: copy {get('copy')} B/s; 2:1 read:write {get('two_to_one')} B/s; FMA f32 {get('fma32')} flop/s, "
          f"f64 {get('fma64')} flop/s\n")
    for name in ("broadcast", "distinct"):
        if number(row, f"lds_{name}") is not None:
            print(f"- 16-byte shared loads of {'one address' if name == 'broadcast' else 'distinct addresses'}: {get(f'lds_{name}')} B/s "
                  f"to the lanes, {cell(number(row, f'lds_{name}_cycles'), otherwise='-')} cycles a load and processor")
    told = {"copy", "two_to_one", "fma32", "fma64"} | {f"lds_{n}{c}" for n in ("broadcast", "distinct") for c in ("", "_cycles")}
    for key in row:
        if key not in told:
            print(f"- {key}: {row[key]:.6g}")
    if len(row) > 4:
        print()


def kernels(rows):
    row = ceilings_of(rows)
    bandwidth = number(row, "two_to_one")
    ours = [r for r in rows if (number(r, "candidate") or 0) < 0]
    lines = [["D, M, L, N x instances", "", "kernel", "ms/step", "modelled", "memory floor", "FMA floor", "of floor", "jax", "torch"]]
    for floor in last([r for r in rows if "floor_bytes" in r], *SHAPE):
        seconds = find(ours, floor, SHAPE, "seconds_per_step")
        memory, flops = ratio(number(floor, "floor_bytes"), bandwidth), ratio(number(floor, "floor_flops"), fma(row, floor))
        peers = []
        for name in ("jax", "torch"):
            theirs = find([r for r in rows if r.get("peer") == name], floor, SHAPE, "seconds_per_step")
            peers.append("-" if theirs is None else f"{ms(theirs)} ms" + cell(ratio(theirs, seconds), ", {:.2f}x", ""))
        lines.append([text(floor, "D", "M", "L", "N") + f" x {cell(number(floor, 'instances'), '{:.0f}', '-')}", text(floor, "precision"),
                      text(floor, "kernel"), cell(seconds and 1e3 * seconds), ms(number(floor, "modelled_seconds")), ms(memory), ms(flops),
                      share([memory, flops] if memory else [], seconds), *peers])
    show(lines)
    for r in last([r for r in rows if (number(r, "candidate") or -1) >= 0 or r.get("candidate") == 0], *SHAPE, "candidate"):
        if number(r, "seconds_per_step") is not None:
            print(f"- kernel candidate {r['candidate']} at {text(r, 'D', 'M', 'L', 'N')} x {text(r, 'instances')} {text(r, 'precision')}: "
                  f"{ms(number(r, 'seconds_per_step'))} ms/step")
    for r in last([r for r in rows if "peer" in r and "error" in r], "peer", *SHAPE):
        print(f"- {text(r, 'peer')} at {text(r, 'D', 'M', 'L', 'N')} x {text(r, 'instances')} {text(r, 'precision')}: {text(r, 'error')}")


def particles(rows):
    """Passes over particles against their floors, and whole limits."""
    row = ceilings_of(rows)
    keys = ("pass", "nodes", "particles", "D", "precision")
    passes = [r for r in rows if "pass" in r]
    lines = [["pass over particles", "nodes x particles", "D, r", "", "ms", "memory floor", "FMA floor", "of floor"]]
    for floor in last(passes, *keys):
        seconds = find(passes, floor, keys, "seconds")
        memory, flops = ratio(number(floor, "pass_bytes"), number(row, "copy")), ratio(number(floor, "pass_flops"), fma(row, floor))
        lines.append([text(floor, "pass"), f"{text(floor, 'nodes')} x {text(floor, 'particles')}", text(floor, "D", "r"),
                      text(floor, "precision"), cell(seconds and 1e3 * seconds), ms(memory), ms(flops),
                      share([memory, flops] if memory and flops else [], seconds)])
    show(lines)
    limits = last([r for r in rows if "limit" in r and "engine" in r], "limit", "D", "K", "tolerance", "engine")
    for r in limits:
        print(f"- limit at D = {text(r, 'D')}, K = {text(r, 'K')}, tolerance {cell(number(r, 'tolerance'), '{:g}', '-')} on "
              f"{text(r, 'engine')}: {text(r, 'seconds')} s, claimed {text(r, 'claimed')} ({text(r, 'parameters')})")
    if not any(r.get("engine") == "cuda" for r in limits):
        print(f"- limit on cuda: {NONE}")
    print()


def commands(rows):
    found = last([r for r in rows if "command" in r], "command", "backend", "threads", "instances")
    if found:
        seconds = lambda r, key: cell(number(r, key), "{:.2f}", "-")
        show([["whole command", "backend", "threads", "instances", "s", "user", "system", "detail"]] +
             [[text(r, "command"), text(r, "backend"), text(r, "threads"), text(r, "instances"), seconds(r, "seconds"), seconds(r, "user"),
               seconds(r, "system"), text(r, "detail")] for r in found])


def profiles(rows):
    """A line a metric, a column what was profiled."""
    found = last([r for r in rows if "profile" in r and "metric" in r], "profile", "metric")
    if found:
        columns = list(dict.fromkeys(text(r, "profile") for r in found))
        cells = {}
        for r in found:
            cells.setdefault((text(r, "metric"), text(r, "unit")), {})[text(r, "profile")] = cell(number(r, "value"), otherwise="-")
        show([["profile", "unit", *columns]] +
             [[*name, *(values.get(column, "-") for column in columns)] for name, values in cells.items()])


def table(rows):
    for section in (stages, checks, ceilings, kernels, particles, commands, profiles):
        try:
            section(rows)
        except Exception as error:  # the other sections are worth having
            print(f"\n(no more about {section.__name__}: {type(error).__name__}: {error})")
        print()


def read(paths):
    """Rows, lines that are facts, number of lines that are neither."""
    rows, facts, broken = [], [], 0
    for path in paths:
        try:
            with open(path, errors="replace") as file:
                lines = file.read().split("\n")
        except OSError as error:
            print(f"table.py: {error}", file=sys.stderr)
            continue
        for line in lines:
            try:
                row = json.loads(line) if line.startswith("{") else None
            except (ValueError, RecursionError):
                row, broken = None, broken + 1
            if isinstance(row, dict):
                rows.append(row)
                facts += [str(row[key]) for key in ("library", "fact") if key in row]
            elif line.startswith("meanode ") or "MiB" in line and not line.startswith("{"):
                facts.append(line.strip())
    return rows, list({fact.split(":")[0]: fact for fact in facts}.values()), broken  # of one kind the last


def measured(row):
    """Whether a row came from a card, or from a test or a command that was meant for one."""
    return any(key in row for key in ("two_to_one", "check", "command", "profile")) or (
        number(row, "seconds_per_step") is not None) or ("pass" in row and "seconds" in row) or row.get("engine") == "cuda"


def main():
    paths = sys.argv[1:]
    page = paths.pop() if len(paths) > 1 and paths[-1].endswith(".md") else None
    rows, facts, broken = read(paths)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        table(rows)
        if broken:
            print(f"{broken} lines could not be read.")
    lines = out.getvalue().strip().split("\n")
    body = "\n".join(line for i, line in enumerate(lines) if line or lines[i - 1]) + "\n"  # no two empty lines
    print("\n" + body, end="")
    if page and any(measured(row) for row in rows):
        today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        with open(page + ".new", "w", encoding="utf-8", errors="replace") as file:
            file.write("# Kernels on a GPU, measured\n\n" + "; ".join(facts) + f"; {today}; `bench/gpu.sh`\n\n" + body)
        os.replace(page + ".new", page)  # whole or not at all


if __name__ == "__main__":
    main()
