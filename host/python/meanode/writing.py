# SPDX-License-Identifier: BSD-3-Clause
"""Files that appear whole or not at all: written aside, brought to the disk, renamed."""

import contextlib
import errno
import os
import re
import stat


class CannotWrite(OSError):
    """The message says which file, why and what to do. errno is that of the failure."""

    def __init__(self, path, why, number):
        super().__init__(f"cannot write {os.fspath(path)}: {why}")
        self.errno = number


def target(path):
    """Where a file of this name goes: a link, even one that leads nowhere yet, stays and what it names is written. Raises CannotWrite
    where that could not be done, so that it is known before the work."""
    found = os.path.realpath(path)
    folder = os.path.dirname(found)
    try:
        mode = os.stat(found).st_mode
    except FileNotFoundError:
        if not os.path.isdir(folder):
            raise CannotWrite(path, f"there is no folder {folder}", errno.ENOENT) from None
    except OSError as problem:
        raise CannotWrite(path, problem.strerror, problem.errno) from None
    else:
        if not stat.S_ISREG(mode):
            what = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            raise CannotWrite(path, f"it is {what}; choose another name", errno.EISDIR)
        if not os.access(found, os.W_OK):
            raise CannotWrite(path, "it is write-protected", errno.EACCES)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CannotWrite(path, f"the folder {folder} takes no new files", errno.EACCES)
    return found


def write(path, content):
    """Give the file these bytes. An old one stays whole until the new one is on the disk, whatever fails, and keeps its mode and, where
    that is allowed, its owner. Raises CannotWrite."""
    found = target(path)
    aside = os.path.join(os.path.dirname(found), f".meanode-{os.getpid()}.new")  # short: the name itself may be as long as names can be
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                like(file.fileno(), found)
                os.fsync(file.fileno())
            os.replace(aside, found)
        except BaseException:
            os.unlink(aside)
            raise
        sync_folder(os.path.dirname(found))
    except OSError as problem:
        raise CannotWrite(path, problem.strerror, problem.errno) from problem


def like(descriptor, old):
    try:
        about = os.stat(old)
    except FileNotFoundError:
        return
    with contextlib.suppress(OSError):  # only root gives files away
        os.fchown(descriptor, about.st_uid, about.st_gid)  # before the mode, whose set-id bits it would clear
    os.fchmod(descriptor, stat.S_IMODE(about.st_mode))


def sync_folder(folder):
    """The new name survives a power cut; not every file system can promise that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def visible(text):
    """Text that any page or terminal can show: bytes that are no UTF-8 and characters that are not printed, such as a newline in a
    file's name, as \\xff and \\n."""
    def escaped(character):
        return re.sub(r"^\\udc(?=[89a-f])", r"\\x", character.encode("unicode_escape").decode("ascii"))

    return "".join(character if character.isprintable() else escaped(character) for character in text)
