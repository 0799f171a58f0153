# SPDX-License-Identifier: BSD-3-Clause
"""What the documents name is there: check.py SOURCES BUILD CTEST

- a relative link leads to a file, and to a heading where it has an anchor;
- `words/like/a/path` and `names.h` in backticks are files; a part NAME, in capitals, stands for any, of which there is one at least;
- mno_..., MNO_... and MEANODE_... are words of the sources, `name()` is a function of them;
- tests/README.md is a map of all tests: every test of this build is in a column "test" of it, and every name there is registered somewhere;
  "Guarded by" in a decision names tests;
- ARCHITECTURE.md has the rooms of tests/structure/includes.py, in their order;
- presets, labels and expressions in ctest's command lines mean something;
- every page under docs/ is reached by a link, and CITATION.cff has the version.

Code blocks are examples: only their command lines are looked at. Measurements and the changelog speak of their time, and are left out."""

import functools
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT, BUILD, CTEST = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
HISTORY = ("CHANGELOG.md", "bench/results/")
SOURCES = (".c", ".h", ".cu", ".cpp", ".py", ".cmake", ".txt", ".in", ".sh", ".json")
NAMED_ALONE = (".c", ".h", ".cu", ".cpp", ".py", ".md", ".cmake")
faults = []


def fault(where, line, what):
    faults.append(f"{where}:{line}: {what}")


def walk():
    """Files of the tree, builds and hidden folders other than .ci apart."""
    for folder, folders, names in os.walk(ROOT):
        at = pathlib.Path(folder).relative_to(ROOT)
        folders[:] = [f for f in folders if f == ".ci" or not f.startswith((".", "build")) and f != "__pycache__"]
        yield from (at / name for name in names)


FILES = {str(path) for path in walk()}
FOLDERS = {str(parent) for path in FILES for parent in pathlib.Path(path).parents}
DOCUMENTS = sorted(path for path in FILES if path.endswith(".md") and not path.startswith(HISTORY))


@functools.cache
def words():
    """Every identifier of the sources, and those that are called or defined with parentheses."""
    names, called = set(), set()
    for path in FILES:
        if path.endswith(SOURCES) and not path.startswith("tests/docs/"):
            text = (ROOT / path).read_text(errors="replace")
            names.update(re.findall(r"\w+", text))
            called.update(re.findall(r"(\w+) ?\(", text))
    return names, called


class Document:
    """lines: [(number, text)] of the prose; commands: the same of its code blocks."""

    def __init__(self, path):
        self.path, self.lines, self.commands, self.headings = path, [], [], set()
        fenced, blank = False, True
        for number, line in enumerate((ROOT / path).read_text().splitlines(), 1):
            if line.lstrip().startswith("```"):
                fenced = not fenced
                continue
            indented = line.startswith("    ") and (blank or self.commands and self.commands[-1][0] == number - 1)
            (self.commands if fenced or indented else self.lines).append((number, line))
            blank = not line.strip()
            if line.startswith("#") and not fenced:
                self.headings.add(re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-"))

    def quoted(self):
        """(line, text) of what stands in backticks, which may begin on one line and end on the next."""
        for number, line in self.lines:
            for text in re.findall(r"`([^`]+)`", line):
                yield number, text


PAGES = {path: Document(path) for path in DOCUMENTS}


def exists(path):
    """Is it a file or folder? Parts in capitals stand for any name."""
    if path.rstrip("/") in FILES | FOLDERS:
        return True
    pattern = re.escape(path.rstrip("/")).replace(r"\*", "[^/]*")
    pattern = re.sub(r"(?<![A-Za-z])(NAME|FOLDER|KIND)(?![A-Za-z])", "[^/]+", pattern)
    return pattern != re.escape(path.rstrip("/")) and any(re.fullmatch(pattern, known) for known in FILES | FOLDERS)


def check_links(page):
    for number, line in page.lines:
        for target in re.findall(r"\]\(([^)\s]+)\)", line):
            if re.match(r"\w+:", target):
                continue
            name, _, anchor = target.partition("#")
            path = os.path.normpath(os.path.join(os.path.dirname(page.path), name)) if name else page.path
            if path not in FILES | FOLDERS:
                fault(page.path, number, f"the link {target} leads nowhere")
            elif anchor and path in PAGES and anchor not in PAGES[path].headings:
                fault(page.path, number, f"{path} has no heading #{anchor}")


def check_paths(page):
    tops = {path.split("/")[0] for path in FOLDERS}
    bases = {os.path.basename(path) for path in FILES}
    for number, text in page.quoted():
        if re.fullmatch(r"[\w.*-]+(/[\w.*-]+)+/?", text):
            beside = os.path.normpath(os.path.join(os.path.dirname(page.path), text))
            if text.split("/")[0] in tops and not exists(text) and not exists(beside):
                fault(page.path, number, f"there is no `{text}`")
        elif re.fullmatch(r"\w[\w-]*(\.\w+)+", text) and text.endswith(NAMED_ALONE) and text not in bases:
            fault(page.path, number, f"no file is called `{text}`")


def check_symbols(page):
    names, called = words()
    for number, line in page.lines:
        for symbol in re.findall(r"\b(?:mno|MNO|MEANODE)_\w+", line):
            stem = re.sub(r"NAME|_$", "", symbol)
            if symbol not in names and (stem == symbol or not any(name.startswith(stem) for name in names)):
                fault(page.path, number, f"the sources have no {symbol}")
        for function in re.findall(r"`(\w+)\(\)`", line):
            if function not in called:
                fault(page.path, number, f"the sources have no function {function}()")


@functools.cache
def registered():
    """The names that some build may register as tests, and the labels."""
    tests, labels = set(), set()
    for path in FILES:
        if path.startswith(("tests/", "bench/")) and path.endswith("CMakeLists.txt"):
            text = re.sub(r"#.*", "", (ROOT / path).read_text())
            for call in re.finditer(r"(?:meanode_\w*test|meanode_fuzz|add_test)\((?:NAME )?([\w${}]+)", text):
                variable = re.search(r"\$\{(\w+)\}", call[1])
                if variable:  # of the nearest loop above
                    loops = re.findall(rf"foreach\({variable[1]} ([^)]*)\)", text[:call.start()])
                    tests.update(call[1].replace(variable[0], item) for item in (loops[-1].split() if loops else ()))
                else:
                    tests.add(call[1])
            for several in re.findall(r"LABELS \"?((?:[a-z;]+[ \"]?)+)", text):
                labels.update(re.split(r"[; \"]+", several))
    return tests, labels - {""}


@functools.cache
def built():
    """The tests of this build."""
    text = subprocess.run([CTEST, "-N", "--test-dir", BUILD], capture_output=True, text=True, check=True).stdout
    return re.findall(r"Test +#\d+: (\S+)", text)


def is_test(name):
    return name in registered()[0] or name in built()


def columns(page, title):
    """(line, text) of the cells below this title in all tables of a page."""
    column = None
    for number, line in page.lines:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else None
        if cells is None:
            column = None
        elif title in cells:
            column = cells.index(title)
        elif column is not None and column < len(cells) and not re.fullmatch(r"[-:]+", cells[column]):
            yield number, cells[column]


def check_map():
    page, named = PAGES["tests/README.md"], set()
    for number, cell in columns(page, "test"):
        for name in re.findall(r"`([^`]+)`", cell):
            named.add(name)
            if not is_test(name):
                fault(page.path, number, f"there is no test {name}")
    for name in built():
        if name not in named:
            fault(page.path, 1, f"test {name} is not on the map: give it a line, or add it to the line of its promise")


def check_guards(page):
    paragraph = ""
    for number, line in [*page.lines, (0, "")]:
        paragraph = f"{paragraph} {line}" if line.strip() else ""
        if "Guarded by" in paragraph:
            for name in re.findall(r"`([a-z0-9_]+)`", line.rpartition("Guarded by")[2]):
                if not is_test(name):
                    fault(page.path, number, f"there is no test {name}")


def check_commands(page):
    presets = {p["name"] for p in json.loads((ROOT / "CMakePresets.json").read_text())["configurePresets"]}
    labels = registered()[1]
    for number, line in [*page.commands, *page.quoted()]:
        for preset in re.findall(r"--preset[ =]([\w-]+)", line):
            if preset not in presets and preset != "NAME":
                fault(page.path, number, f"there is no preset {preset}")
        if not re.search(r"\bctest\b", line):
            continue
        for label in re.findall(r"-L(?:E)? ([a-z]+)", line):
            if label not in labels:
                fault(page.path, number, f"no test has the label {label}")
        for _, expression in re.findall(r"-(?:R|E) ('?)([^\s'\"]+)\1", line):
            if expression != "NAME" and not any(re.search(expression, name) for name in built()):
                fault(page.path, number, f"no test matches {expression}")


def check_rooms():
    listed = re.search(r'ROOMS = """(.*?)"""', (ROOT / "tests/structure/includes.py").read_text(), re.DOTALL)[1].split()
    rooms = ["cuda" if room.startswith("cuda/") else f"host/{room}" for room in listed if room != "backend"]  # a table, no folder
    shown = [cell.strip("`") for _, cell in columns(PAGES["ARCHITECTURE.md"], "room")]
    if shown != list(dict.fromkeys(rooms)):
        fault("ARCHITECTURE.md", 1, f"the rooms of tests/structure/includes.py are {' '.join(dict.fromkeys(rooms))}, in this order")


def check_reached():
    reached = {os.path.normpath(os.path.join(os.path.dirname(page.path), target.partition("#")[0]))
               for page in PAGES.values() for _, line in page.lines for target in re.findall(r"\]\(([^)\s]+)\)", line)}
    quoted = {text for page in PAGES.values() for _, text in page.quoted()}
    for path in DOCUMENTS:
        if path.startswith("docs/") and path not in reached | quoted:
            fault(path, 1, "no document leads here")


def check_version():
    numbers = re.findall(r"#define MNO_VERSION_\w+ (\d+)", (ROOT / "include/meanode/version.h").read_text())
    if f"version: {'.'.join(numbers)}\n" not in (ROOT / "CITATION.cff").read_text():
        fault("CITATION.cff", 1, f"the version is {'.'.join(numbers)}")


for document in PAGES.values():
    check_links(document)
    check_paths(document)
    check_symbols(document)
    check_commands(document)
    if document.path.startswith("docs/decisions/"):
        check_guards(document)
check_map()
check_rooms()
check_reached()
check_version()
print(*faults, f"{len(DOCUMENTS)} documents, {len(faults)} faults", sep="\n")
sys.exit(1 if faults else 0)
