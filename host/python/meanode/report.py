# SPDX-License-Identifier: BSD-3-Clause
"""One self-contained HTML page from result files: for each its figure, verdicts, constants and configuration."""

import datetime
import html
import os
import re

from . import __version__, figures, fitting, reading, writing
from .verdict import with_interval

STYLE = """
body { font: 16px/1.45 serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #111 }
h1 { font-size: 1.6rem } h2 { font-size: 1.25rem; margin-top: 2.5rem; border-top: 1px solid #bbb; padding-top: 1rem }
svg { width: 100%; height: auto } table { border-collapse: collapse; font-size: 0.85rem; margin: 0.7rem 0 }
th, td { text-align: left; padding: 0.15rem 0.8rem 0.15rem 0; border-bottom: 1px solid #ddd; vertical-align: top }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap }
.agrees::before { content: "\\2713  " } .differs { font-weight: bold } .differs::before { content: "\\2717  " }
pre { background: #f5f5f5; padding: 0.7rem; overflow-x: auto; font-size: 0.8rem } .small { font-size: 0.85rem; color: #444 }
"""


def write_report(paths, output):
    """Write the page; every file is drawn as the kind that its configuration names. Returns the FileProblems, one for each file without a
    figure: their messages stand on the page. No page if no file has a figure. Raises FileProblem for a bad output, writing.CannotWrite."""
    if not os.fspath(output).lower().endswith((".html", ".htm")):
        raise reading.FileProblem(f"{output}: the name must end in .html")
    writing.target(output)
    sections, problems = [], []
    for index, path in enumerate(paths):
        try:
            sections.append(section(path, f"f{index}-"))
        except reading.FileProblem as problem:
            problems.append(problem.naming(path))
            sections.append(f"<h2>{shown(os.path.basename(path))}: no figure</h2>\n<p>{shown(str(problems[-1]))}</p>")
    if len(problems) == len(paths):
        return problems
    page = (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>meanode report</title>\n<style>{STYLE}</style>'
            f"</head><body>\n<h1>meanode report</h1>\n<p class=small>{len(paths)} result "
            f"file{'s' if len(paths) != 1 else ''}; meanode {__version__}; {datetime.date.today().isoformat()}. Intervals are at 95%.</p>\n"
            + "\n".join(sections) + "\n</body></html>\n")
    writing.write(output, page.encode("utf-8", "backslashreplace"))
    return problems


def shown(text):
    """A name or message on the page."""
    return html.escape(writing.visible(text))


def with_prefix(svg, prefix):
    """Names of elements are unique on the page, not only in their drawing."""
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}", svg)


def section(path, prefix):
    results = reading.open(path)
    kind = figures.default_kind(results)
    fig = figures.draw(results, kind=kind)
    with figures.style.look():
        svg = figures.drawn(fig, "svg").decode()
    text = html.escape(results.meanode.config)
    attributes = {name: results.attrs[name] for name in ("source", "backend", "device", "precision") if name in results.attrs}
    return (f"<h2>{shown(os.path.basename(path))}: {html.escape(figures.KINDS[kind].summary)}</h2>\n"
            f"<p class=small>{html.escape('; '.join(f'{k} {v}' for k, v in attributes.items()))}</p>\n"
            + with_prefix(svg[svg.index("<svg"):], prefix) + verdict_table(fig.verdicts) + (constants_table(path) if kind == "law" else "")
            + f"<details><summary>Configuration</summary><pre>{text}</pre></details>")


def cells(contents, kind="td"):
    return "".join(f"<{kind}>{content}</{kind.split()[0]}>" for content in contents)


def verdict_table(verdicts):
    rows = []
    for v in verdicts:
        measured = "not determined" if v.value is None else with_interval(v.value, v.low, v.high)
        theory = "" if v.expected is None else f"{v.expected:.4g}"
        word = {True: "agrees", False: "differs", None: ""}[v.agrees]
        rows.append(f"<tr>{cells([html.escape(v.name)])}{cells([measured, theory], 'td class=number')}"
                    f'<td class="{word}">{word}</td>{cells([html.escape(v.note)])}</tr>')
    return f"<table><tr>{cells(('quantity', 'measured', 'theory', 'verdict', 'note'), 'th')}</tr>{''.join(rows)}</table>"


def constants_table(path):
    names = ("a", "b", "c", "slope_fluctuation", "slope_bias")
    head = cells("D alpha data.seed step quantity a b c".split() + ["fluctuation exponent", "bias exponent", "note"], "th")
    rows, notes = [], {}
    for problem in fitting.fit_json(path)["problems"]:
        for fit in problem["fits"]:
            warning = fitting.warnings_of(fit)
            note = notes.setdefault(warning, f"({len(notes) + 1})") if warning else ""
            place = [problem["D"], f"{problem['alpha']:g}", problem.get("data_seed", ""), fit["step"], fit["quantity"]]
            ends = [[fit[name][key] for key in ("value", "low", "high")] for name in names]
            numbers = ["none" if value is None else with_interval(value, low, high) for value, low, high in ends]
            rows.append(f"<tr>{cells(place)}{cells([*numbers, note], 'td class=number')}</tr>")
    said = "<br>\n".join(f"{note} {html.escape(text)}" for text, note in notes.items())
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>" + (f"\n<p class=small>{said}</p>" if said else "")
