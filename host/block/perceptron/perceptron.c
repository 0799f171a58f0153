/* The two-layer perceptron of the paper: a unit adds v rho(<u, h>/D). */
#include "block/block.h"

#include "block/formula.h"
#include "meanode/random.h"

#include "block/perceptron/unit.h"

static const mno_tensor_spec tensor[] = {
    [MNO_U] = {"u", "input weights", MNO_TENSOR_U, .flips = false},
    [MNO_V] = {"v", "output weights", MNO_TENSOR_V, .flips = true},
};

const mno_block mno_block_perceptron = {
    .name = "perceptron", .tensors = sizeof tensor / sizeof *tensor, .tensor = tensor, .unit = perceptron_unit};
