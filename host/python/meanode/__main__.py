# SPDX-License-Identifier: BSD-3-Clause
"""What `meanode plot` and `meanode report` run, as a file of its own (host/cli/python.c) or as python3 -m meanode.

Until start() has arranged the process only modules of the standard library may be imported: numpy and matplotlib read the
environment, and the user's settings, when they are."""

import argparse
import contextlib
import difflib
import importlib.util
import os
import signal
import site
import sys

EXIT_INTERNAL, EXIT_USAGE, EXIT_INPUT, EXIT_UNAVAILABLE, EXIT_IO, EXIT_INTERRUPTED = 1, 2, 65, 69, 74, 75
PACKAGES = ("matplotlib", "xarray", "h5netcdf", "h5py", "scipy", "numpy", "pandas")  # python3-NAME in Debian


# ---- Arguments


def count(text):
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
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
    plot.add_argument("--kind", metavar="NAME",
                      help=", ".join(kinds) + " (default: what the configuration names as record.figure, else law)")
    plot.add_argument("--step", type=count, help="the step to show (default: the last)")
    plot.add_argument("--quantity", choices=("output", "embedding"), default="output")
    plot.add_argument("--problem", type=count, default=0, help="which problem, from 0")
    plot.add_argument("--dpi", type=resolution)
    report = commands.add_parser("report", help="one HTML page with the figures and verdicts of result files", allow_abbrev=False)
    report.add_argument("files", metavar="FILE.h5", nargs="+")
    report.add_argument("-o", "--output", default="report.html", metavar="PAGE.html")
    return top


# ---- Commands


def say(text):
    if sys.stderr is not None:  # closed: print would take the standard output
        print(text, file=sys.stderr)


def lack(why, lacking=()):
    install = " ".join(f"python3-{name}" for name in lacking or ("matplotlib", "xarray", "h5netcdf", "scipy"))
    say(f"meanode: {sys.executable} {why}: apt-get install {install}, or set MEANODE_PYTHON to an interpreter that has "
        f"{'it' if len(lacking) == 1 else 'them'}")
    return EXIT_UNAVAILABLE


def main(arguments=None):
    lacking = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if lacking:
        return lack(f"lacks {', '.join(lacking)}", lacking)
    try:
        import h5netcdf  # noqa: F401  xarray would hide why it cannot be loaded
        from meanode import figures, reading
    except MemoryError:
        raise
    except ModuleNotFoundError as missing:
        return lack(f"lacks {missing.name}")
    except ImportError as missing:
        return lack(f"cannot load {missing.name or 'a package'} ({first_line(missing)})")
    except Exception as broken:  # a package that does not fit the interpreter or another package
        say(f"meanode: {sys.executable} has packages that do not work ({type(broken).__name__}: {first_line(broken)}): install "
            "python3-matplotlib python3-xarray python3-h5netcdf python3-scipy again, or set MEANODE_PYTHON to another interpreter")
        return EXIT_UNAVAILABLE
    options = parser(figures.KINDS).parse_args(arguments)
    try:
        return COMMANDS[options.command](options)
    except reading.FileProblem as problem:
        say(f"meanode {options.command}: {problem}")
        return exit_code(problem)
    except BrokenPipeError:
        raise
    except OSError as problem:
        named = problem.filename is not None and problem.strerror
        say(f"meanode {options.command}: " + (f"{os.fsdecode(problem.filename)}: {problem.strerror}" if named else str(problem)))
        return EXIT_IO


def first_line(problem):
    """Of a message that may fill a screen."""
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return lines[0] if lines else type(problem).__name__


def exit_code(problem):
    from meanode.reading import FileNotReached

    return EXIT_IO if isinstance(problem, FileNotReached) else EXIT_INPUT


def same_file(one, other):
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def plot(options):
    from meanode import figures

    if options.kind is not None and options.kind not in figures.KINDS:
        near = difflib.get_close_matches(options.kind, figures.KINDS, 1)
        hint = f'; did you mean "{near[0]}"?' if near else f"; there are {', '.join(figures.KINDS)}"
        say(f'meanode plot: unknown kind "{options.kind}"{hint}')
        return EXIT_USAGE
    if same_file(options.output, options.file):
        say(f"meanode plot: {options.output} is both the output and the input")
        return EXIT_USAGE
    fig = figures.draw(options.file, options.output, options.kind, step=options.step, quantity=options.quantity,
                       problem=options.problem, dpi=options.dpi)
    for verdict in fig.verdicts:
        print(verdict)
    return 0


def report(options):
    from meanode.report import write_report

    if any(same_file(options.output, file) for file in options.files):
        say(f"meanode report: {options.output} is both the output and an input")
        return EXIT_USAGE
    problems = write_report(options.files, options.output)
    for problem in problems:
        say(f"meanode report: {problem}")
    drawn = len(options.files) - len(problems)
    if problems:
        page = f"{options.output} holds the other {drawn}" if drawn else f"{options.output} was not written"
        say(f"meanode report: {len(problems)} of {len(options.files)} files without a figure; {page}")
    return max((exit_code(problem) for problem in problems), default=0)


COMMANDS = {"plot": plot, "report": report}


# ---- The process


def arrange_path():
    """The module itself first; what the user's own folders (PYTHONPATH, pip --user) have comes last, so that it adds packages that the
    interpreter lacks and replaces none. The working folder is not among them, however it was named."""
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    here = ("", os.curdir)
    sys.path[:] = [own] + [folder for folder in sys.path if folder not in here and folder != own]
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep) + [site.getusersitepackages()]
    for folder in given:
        if os.path.isabs(folder) and os.path.isdir(folder) and not same_file(folder, os.curdir) and folder not in sys.path:
            sys.path.append(folder)


def arrange_environment():
    """Nothing that libraries read from it may change a figure: not the number of threads of sums, not settings of drawing."""
    for name in list(os.environ):
        if name.startswith(("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "GOTO_", "BLIS_", "NUMEXPR_", "NPY_", "NUMPY_",
                            "MPLBACKEND", "SOURCE_DATE_EPOCH")):
            del os.environ[name]
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1",
                      MATPLOTLIBRC=os.devnull)  # not the user's; one in the working folder comes before it, see import_matplotlib


def import_matplotlib():
    """From a folder without a matplotlibrc, and quiet about a home that it cannot write its cache of fonts to."""
    import logging
    import warnings

    logging.getLogger("matplotlib").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")
    try:
        here = os.open(os.curdir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        here = None
    os.chdir("/")
    with contextlib.suppress(Exception):  # main says so
        import matplotlib.font_manager  # noqa: F401
    if here is not None:
        os.fchdir(here)
        os.close(here)


ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def on_signal(number, frame):
    signal.signal(number, signal.SIG_IGN)
    on_signal.happened = True
    raise KeyboardInterrupt


on_signal.happened = False


def catch_signals():
    """What the program held back until now ends the command tidily."""
    for number in ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, on_signal)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def plain_streams():
    """A name that is no UTF-8 is printed as it is, as the program itself does."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(errors="surrogateescape")


def ended(code):
    """The code, once all that was printed is out."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except OSError as problem:
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, sys.stdout.fileno())  # what cannot be told is not told again when the interpreter ends
        os.close(sink)
        if isinstance(problem, BrokenPipeError):
            return code  # the reader has seen enough
        say(f"meanode: cannot write the standard output: {problem.strerror}")
        return code or EXIT_IO


def start():
    """Run the command and leave; without a traceback for what a person, a disk or a package does."""
    try:
        catch_signals()
        plain_streams()
        arrange_path()
        arrange_environment()
        import_matplotlib()
        code = main()
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else EXIT_USAGE if left.code else 0
    except BrokenPipeError:
        code = 0
    except MemoryError:
        say("meanode: out of memory")
        code = EXIT_INTERNAL
    except BaseException:
        if not on_signal.happened:
            raise
        say("meanode: interrupted")
        code = EXIT_INTERRUPTED
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # too late to interrupt anything
    sys.exit(ended(code))


if __name__ == "__main__":
    start()
