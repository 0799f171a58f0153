"""python3 -m meanode plot ...: what `meanode plot` runs."""

import argparse
import difflib
import sys

EXIT_USAGE, EXIT_INPUT, EXIT_UNAVAILABLE, EXIT_IO = 2, 65, 69, 74
PACKAGES = {"matplotlib": "python3-matplotlib", "xarray": "python3-xarray", "h5netcdf": "python3-h5netcdf",
            "h5py": "python3-h5py", "scipy": "python3-scipy", "numpy": "python3-numpy", "pandas": "python3-pandas"}


def count(text):
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'"{text}" is not a number from 0 on')
    return int(text)


def resolution(text):
    try:
        dpi = float(text)
    except ValueError:
        dpi = 0
    if not 10 <= dpi <= 2400:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number from 10 to 2400')
    return dpi


def parser(kinds):
    top = argparse.ArgumentParser(prog="meanode", allow_abbrev=False)
    commands = top.add_subparsers(dest="command", required=True)
    plot = commands.add_parser("plot", help="draw a figure of a result file", allow_abbrev=False)
    plot.add_argument("file", metavar="OUT.h5")
    plot.add_argument("-o", "--output", required=True, metavar="FIG.svg|.png|.pdf")
    plot.add_argument("--kind", default=None, metavar="NAME",
                      help=", ".join(kinds) + " (default: what the configuration's comment '# experiment: NAME' says, else law)")
    plot.add_argument("--step", type=count, default=None, help="the step to show (default: the last)")
    plot.add_argument("--quantity", choices=("output", "embedding"), default="output")
    plot.add_argument("--problem", type=count, default=0, help="which problem, from 0")
    plot.add_argument("--dpi", type=resolution, default=None)
    report = commands.add_parser("report", help="one HTML page with the figures and verdicts of result files", allow_abbrev=False)
    report.add_argument("files", metavar="FILE.h5", nargs="+")
    report.add_argument("-o", "--output", default="report.html", metavar="PAGE.html")
    return top


def main(arguments=None):
    try:
        from . import figures, reading  # the heavy imports, so that what is missing can be named
    except ImportError as missing:
        name = (missing.name or "").split(".")[0]
        package = PACKAGES.get(name, "python3-matplotlib python3-xarray python3-h5netcdf")
        print(f"meanode: {sys.executable} lacks {name or missing}: apt-get install {package}, or set MEANODE_PYTHON to an "
              "interpreter that has it", file=sys.stderr)
        return EXIT_UNAVAILABLE
    options = parser(figures.KINDS).parse_args(arguments)
    try:
        return COMMANDS[options.command](options)
    except reading.FileProblem as problem:
        print(f"meanode {options.command}: {problem}", file=sys.stderr)
        return exit_code(problem)
    except OSError as problem:
        print(f"meanode {options.command}: {problem}", file=sys.stderr)
        return EXIT_IO


def exit_code(problem):
    from .reading import FileInUse, NoSuchFile

    return EXIT_IO if isinstance(problem, (FileInUse, NoSuchFile)) else EXIT_INPUT


def plot(options):
    from . import figures

    if options.kind is not None and options.kind not in figures.KINDS:
        near = difflib.get_close_matches(options.kind, figures.KINDS, 1)
        hint = f'; did you mean "{near[0]}"?' if near else f"; there are {', '.join(figures.KINDS)}"
        print(f'meanode plot: unknown kind "{options.kind}"{hint}', file=sys.stderr)
        return EXIT_USAGE
    fig = figures.draw(options.file, options.output, options.kind, step=options.step, quantity=options.quantity,
                       problem=options.problem, dpi=options.dpi)
    for verdict in fig.verdicts:
        print(verdict)
    return 0


def report(options):
    from .report import write_report

    problems = write_report(options.files, options.output)
    for problem in problems:
        print(f"meanode report: {problem}", file=sys.stderr)
    drawn = len(options.files) - len(problems)
    if problems:
        page = f"{options.output} holds the other {drawn}" if drawn else f"{options.output} was not written"
        print(f"meanode report: {len(problems)} of {len(options.files)} files without a figure; {page}", file=sys.stderr)
    return max((exit_code(problem) for problem in problems), default=0)


COMMANDS = {"plot": plot, "report": report}


if __name__ == "__main__":
    sys.exit(main())
