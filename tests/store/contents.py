# SPDX-License-Identifier: BSD-3-Clause
"""What two result files of the same run have in common."""

import h5py
import numpy as np


def contents(path):
    """Everything in a file but wall times, as bytes."""
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset) and item.shape is not None and name.split("/")[-1] != "seconds":
            data = item[()]
            found[name] = data.tobytes() if isinstance(data, np.ndarray) else data

    with h5py.File(path) as file:
        file.visititems(visit)
    return found
