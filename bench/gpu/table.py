#!/usr/bin/env python3
"""One table from the lines that the measurements left: table.py LINES [PAGE.md]. The page is written when there are measured
times: what was printed, with card, program and date."""
import contextlib
import datetime
import io
import json
import pathlib
import sys

NONE = "not yet run on a GPU"


def cell(value, form="{:.3g}"):
    return form.format(value) if value is not None else NONE


def ms(seconds):
    return "-" if seconds is None else f"{1e3 * seconds:.3g}"


def show(lines):
    """A table; the first line has the heads."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for i, line in enumerate(lines):
        print("| " + " | ".join(text.ljust(width) for text, width in zip(line, widths)) + " |")
        if i == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    print()


def particles(rows, ceilings):
    """Passes over particles against their floors, and whole limits."""
    fma = {"f32": ceilings.get("fma32"), "f64": ceilings.get("fma64")}
    lines = [["pass over particles", "nodes x particles", "D, r", "", "ms", "memory floor", "FMA floor", "of floor"]]
    for floor in (r for r in rows if "pass" in r and "seconds" not in r):
        same = lambda r: all(r.get(k) == floor[k] for k in ("pass", "nodes", "particles", "D", "precision"))
        ours = next((r["seconds"] for r in rows if "pass" in r and "seconds" in r and same(r)), None)
        memory = floor["pass_bytes"] / ceilings["copy"] if "copy" in ceilings else None
        flops = floor["pass_flops"] / fma[floor["precision"]] if fma[floor["precision"]] else None
        share = max(memory, flops) / ours if ours and memory and flops else None
        lines.append([floor["pass"], "{nodes} x {particles}".format(**floor), "{D}, {r}".format(**floor), floor["precision"],
                      cell(ours and 1e3 * ours), ms(memory), ms(flops), "-" if share is None else f"{100 * share:.0f}%"])
    show(lines)
    for r in (r for r in rows if "limit" in r):
        print("- limit at D = {D}, K = {K}, tolerance {tolerance:g} on {engine}: {seconds} s, claimed {claimed} ({parameters})".format(**r))
    if not any(r.get("engine") == "cuda" for r in rows):
        print(f"- limit on cuda: {NONE}")
    print()


def table(rows):
    ceilings = next((r for r in rows if "two_to_one" in r), {})
    bandwidth, fma = ceilings.get("two_to_one"), {"f32": ceilings.get("fma32"), "f64": ceilings.get("fma64")}
    print("ceilings: copy", cell(ceilings.get("copy")), "B/s; 2:1 read:write", cell(bandwidth), "B/s; FMA f32",
          cell(fma["f32"]), "flop/s, f64", cell(fma["f64"]), "flop/s\n")
    key = lambda r: tuple(r.get(k) for k in ("D", "M", "L", "N", "instances", "precision"))
    heads = ["D, M, L, N x instances", "", "kernel", "ms/step", "modelled", "memory floor", "FMA floor", "of floor", "jax", "torch"]
    lines = [heads]
    for floor in (r for r in rows if "floor_bytes" in r):
        match = lambda r: key(r) == key(floor)
        ours = next((r["seconds_per_step"] for r in rows if "candidate" in r and r["candidate"] < 0 and match(r)), None)
        peers = {name: next((r.get("seconds_per_step") for r in rows if r.get("peer") == name and "D" in r and match(r)), None)
                 for name in ("jax", "torch")}
        memory = floor["floor_bytes"] / bandwidth if bandwidth else None
        flops = floor["floor_flops"] / fma[floor["precision"]] if fma[floor["precision"]] else None
        share = max(memory, flops) / ours if ours and memory else None
        ratio = [f"{p / ours:.2f}x" if p and ours else "-" for p in peers.values()]
        lines.append(["{D}, {M}, {L}, {N} x {instances:.0f}".format(**floor), floor["precision"], floor["kernel"],
                      cell(ours and 1e3 * ours), ms(floor["modelled_seconds"]), ms(memory), ms(flops),
                      "-" if share is None else f"{100 * share:.0f}%", *ratio])
    show(lines)
    particles(rows, ceilings)
    for r in (r for r in rows if r.get("candidate", -1) >= 0):
        print("- kernel candidate {candidate} at {D}, {M}, {L}, {N} x {instances} {precision}: {0} ms/step".format(
            ms(r["seconds_per_step"]), **r))
    for r in rows:
        if "error" in r:
            print("- {peer} at {D}, {M}, {L}, {N} x {instances} {precision}: {error}".format(**r))
    return any("seconds_per_step" in r and "candidate" in r for r in rows)


def main():
    text = open(sys.argv[1]).read().splitlines()
    rows = [json.loads(line) for line in text if line.startswith("{")]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        measured = table(rows)
    print("\n" + out.getvalue(), end="")
    if measured and len(sys.argv) > 2:
        facts = [line for line in text if line.startswith("meanode ") or "MiB" in line] + [
            r["library"] for r in rows if "library" in r]
        today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        pathlib.Path(sys.argv[2]).write_text("# Kernels on a GPU, measured\n\n" + "; ".join(facts) + f"; {today}; `bench/gpu.sh`\n\n"
                                             + out.getvalue())


if __name__ == "__main__":
    main()
