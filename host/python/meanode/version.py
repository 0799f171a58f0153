# SPDX-License-Identifier: BSD-3-Clause
"""The version of this module; that of the program is include/meanode/version.h, and a test keeps them equal."""

VERSION = "0.1.0"
