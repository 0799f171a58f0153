#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Rows from what `ncu --csv --page raw` wrote: ncu.py FILE NAME METRIC,METRIC..., NAME being what was profiled. Of the hundreds
of numbers on the page those that were asked for, the time and what limits the blocks of a processor; a metric that has no
number (unknown to this ncu, or not counted) gives no row."""
import csv
import json
import sys


ALWAYS = {"gpu__time_duration.sum", "launch__registers_per_thread", "launch__occupancy_limit_registers",
          "launch__occupancy_limit_shared_mem", "launch__grid_size"}


def metrics(text):
    """(kernel, metric, unit, value) of the raw page: a line of heads, one of units, one a kernel."""
    lines = [line for line in text.splitlines() if line.startswith('"')]
    heads = units = None
    for fields in csv.reader(lines):
        if "Kernel Name" in fields:
            heads, units = fields, None
        elif heads and units is None:
            units = fields
        elif heads:
            kernel = dict(zip(heads, fields)).get("Kernel Name", "")
            for head, unit, value in zip(heads, units, fields):
                if "__" in head:
                    try:
                        yield kernel, head, unit, float(value.replace(",", ""))
                    except ValueError:
                        pass


def main():
    with open(sys.argv[1], errors="replace") as file:
        wanted = ALWAYS | set(sys.argv[3].split(","))
        rows = [row for row in metrics(file.read()) if row[1] in wanted]
    for kernel, metric, unit, value in rows:
        print(json.dumps({"profile": sys.argv[2], "kernel": kernel[:80], "metric": metric, "value": value, "unit": unit}), flush=True)
    if not rows:
        sys.exit(f"ncu.py: no metric in {sys.argv[1].rsplit('/', 1)[-1]}")


if __name__ == "__main__":
    main()
