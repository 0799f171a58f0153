# SPDX-License-Identifier: BSD-3-Clause
"""Nothing includes upward: rooms (folders) in the order below, none includes one that stands after it; and inside a room the
files (a source and its header count as one) include each other without a circle.

usage: includes.py GENERATED, the folder of the headers that the build makes."""
import os
import re
import sys
import tempfile
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")

# From the bottom to the top. A public header belongs to the room that defines what it declares; "backend" is the table that
# backends fill.
ROOMS = """core math block optimizer config data plan record backend readout reference cpu limit
           cuda/common cuda/device cuda/kernels cuda/host backends store stats run mpi cli""".split()
PUBLIC = {
    "core": "model random status version",
    "config": "sweep",
    "plan": "plan",
    "record": "record",
    "backend": "backend",
    "limit": "limit diagnose",
    "store": "store result",
    "stats": "fit",
    "run": "run meanode",
}
ROOM_OF_HEADER = {f"meanode/{name}.h": room for room, names in PUBLIC.items() for name in names.split()}
GENERATED = ""
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', re.MULTILINE)


def sources(root):
    """Every C, C++ and CUDA file of host, cuda and include, from root."""
    for top in ("host", "cuda", "include"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                if name.endswith((".c", ".h", ".cpp", ".cu", ".cuh")):
                    yield os.path.relpath(os.path.join(folder, name), root)


def room(path):
    """The room of a file: host/ROOM/..., cuda/ROOM/..., include/meanode/NAME.h."""
    top, inner = path.split(os.sep, 1)
    first = inner.split(os.sep)[0]
    return ROOM_OF_HEADER.get(inner) if top == "include" else f"cuda/{first}" if top == "cuda" else first


def find(root, source, name):
    """The file that an include names, from root; None if there is none."""
    for folder in (os.path.dirname(source), "host", "cuda", "include", "."):
        path = os.path.normpath(os.path.join(folder, name))
        if os.path.exists(os.path.join(root, path)):
            return path
    return None


def edges(root):
    """(file, line, included file, room of it) of every include."""
    for source in sources(root):
        with open(os.path.join(root, source), encoding="utf-8") as file:
            text = file.read()
        for match in INCLUDE.finditer(text):
            name, line = match[1], text.count("\n", 0, match.start()) + 1
            target = find(root, source, name)
            if target:
                yield source, line, target, room(target)
            elif os.path.exists(os.path.join(GENERATED, name)) or name == "git_commit.h":
                yield source, line, None, os.path.dirname(name) or room(source)
            else:
                yield source, line, name, None


def upward(root):
    """What is wrong with the rooms, a line each."""
    for source, line, target, target_room in edges(root):
        here = room(source)
        if here not in ROOMS:
            yield f"{source}: its room {here} is not in the list of tests/structure/includes.py"
        elif target_room not in ROOMS:
            yield f"{source}:{line}: includes {target}, which is in no room of the list"
        elif ROOMS.index(target_room) > ROOMS.index(here):
            yield f"{source}:{line}: {here} includes {target}, which is in {target_room}, above it"


def circles(root):
    """Circles of files, a line each."""
    graph = {}
    for source, _, target, _ in edges(root):
        unit, other = (os.path.splitext(path)[0] if path else None for path in (source, target))
        if other and other != unit:
            graph.setdefault(unit, set()).add(other)
    done, stack = set(), []

    def visit(unit):
        if unit in stack:
            yield " -> ".join([*stack[stack.index(unit):], unit])
        elif unit not in done:
            stack.append(unit)
            for other in sorted(graph.get(unit, ())):
                yield from visit(other)
            done.add(stack.pop())

    for unit in sorted(graph):
        yield from visit(unit)


class Includes(unittest.TestCase):
    def test_nothing_includes_upward(self):
        self.assertEqual(list(upward(ROOT)), [])

    def test_no_circles(self):
        self.assertEqual(list(circles(ROOT)), [])

    def test_every_room_is_there(self):
        self.assertEqual({room(path) for path in sources(ROOT)}, set(ROOMS))

    def test_a_wrong_tree_is_found_out(self):
        files = {
            "host/core/a.c": '#include "plan/b.h"\n',
            "host/plan/b.h": '#include "plan/c.h"\n  #  include "core/gone.h"\n',
            "host/plan/c.c": '#include "plan/b.h"\n',
            "host/plan/c.h": "",
            "host/plan/d.c": '#include "meanode/record.h"\n',
            "host/new/e.c": '#include "core/f.h"\n',
            "host/core/f.h": "",
            "include/meanode/record.h": "",
        }
        with tempfile.TemporaryDirectory() as root:
            for path, text in files.items():
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                    file.write(text)
            self.assertEqual(sorted(upward(root)), [
                "host/core/a.c:1: core includes host/plan/b.h, which is in plan, above it",
                "host/new/e.c: its room new is not in the list of tests/structure/includes.py",
                "host/plan/b.h:2: includes core/gone.h, which is in no room of the list",
                "host/plan/d.c:1: plan includes include/meanode/record.h, which is in record, above it",
            ])
            self.assertEqual(list(circles(root)), ["host/plan/b -> host/plan/c -> host/plan/b"])


if __name__ == "__main__":
    GENERATED = os.path.abspath(sys.argv[1])
    unittest.main(argv=sys.argv[:1])
