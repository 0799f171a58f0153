#include "config/schema.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(mno_activation) == sizeof(int) && sizeof(mno_data_kind) == sizeof(int) &&
                   sizeof(mno_loss) == sizeof(int) && sizeof(mno_weights) == sizeof(int) &&
                   sizeof(mno_limit_method) == sizeof(int),
               "choices are stored as int");

static const mno_choice data_kinds[] = {
    {"gaussian", MNO_DATA_GAUSSIAN}, {"digits", MNO_DATA_DIGITS}, {"file", MNO_DATA_FILE}};
static const mno_choice blocks[] = {{"perceptron", 0}, {"attention", MNO_NOT_COMPUTED}};
static const mno_choice activations[] = {
#define CHOICE(name, text, odd) {text, name},
    MNO_ACTIVATION_LIST(CHOICE)
#undef CHOICE
};
static const mno_choice optimizers[] = {
    {"gd", 0}, {"sgd", MNO_NOT_COMPUTED}, {"momentum", MNO_NOT_COMPUTED}, {"adam", MNO_NOT_COMPUTED}};
static const mno_choice losses[] = {{"squared", MNO_SQUARED}, {"cross-entropy", MNO_CROSS_ENTROPY}};
static const mno_choice limits[] = {{"mean-ode", MNO_LIMIT_MEAN_ODE},
                                    {"tangent-ode", MNO_LIMIT_TANGENT_ODE},
                                    {"joint", MNO_LIMIT_JOINT},
                                    {"largest", MNO_LIMIT_LARGEST},
                                    {"none", MNO_LIMIT_KINDS}};
static const mno_choice methods[] = {{"auto", MNO_METHOD_AUTO},
                                     {"closure", MNO_METHOD_CLOSURE},
                                     {"quadrature", MNO_METHOD_QUADRATURE},
                                     {"sobol", MNO_METHOD_SOBOL},
                                     {"sobol-full", MNO_METHOD_SOBOL_FULL}};
static const mno_choice pairs[] = {{"none", MNO_PAIRS_NONE},
                                   {"regroup", MNO_PAIRS_REGROUP},
                                   {"jackknife", MNO_PAIRS_JACKKNIFE},
                                   {"antithetic", MNO_PAIRS_ANTITHETIC}};
static const mno_choice weights[] = {
    {"none", MNO_WEIGHTS_NONE}, {"initial", MNO_WEIGHTS_INITIAL}, {"final", MNO_WEIGHTS_FINAL}, {"both", MNO_WEIGHTS_BOTH}};

#define AT(member) offsetof(mno_sweep, member)
#define RANGE(a, b) .from = (a), .to = (b)
#define REALS(a, b) .low = (a), .high = (b)
#define NAMES(list) .choice = (list), .choice_count = sizeof(list) / sizeof *(list)
#define NOT_KEPT MNO_NOWHERE
enum { SIZE = 1000000, DEPTH = 10000000, STEPS = 1000000 };

const mno_schema_section mno_schema_sections[MNO_SECTIONS] = {{"data", true},   {"model", true}, {"training", true},
                                                              {"limit", false}, {"sweep", true}, {"record", false}};

const mno_field mno_schema[] = {
    {"data", "kind", MNO_FIELD_CHOICE, true, NULL, AT(data.kind), NOT_KEPT, NAMES(data_kinds),
     .meaning = "where inputs x and targets y come from"},
    {"data", "samples", MNO_FIELD_INTEGER, false, NULL, AT(data.samples), AT(data.samples_mark), RANGE(1, SIZE),
     .absent = "all there are; gaussian: required", .meaning = "N; the first N of a file or of the 1797 digits"},
    {"data", "inputs", MNO_FIELD_INTEGER, false, NULL, AT(data.inputs), NOT_KEPT, RANGE(1, SIZE),
     .absent = "gaussian: required", .meaning = "dimension of x; digits have 64, a file has its own"},
    {"data", "targets", MNO_FIELD_INTEGER, false, NULL, AT(data.targets), NOT_KEPT, RANGE(1, SIZE),
     .absent = "gaussian: required", .meaning = "dimension of y; digits have 10, a file has its own"},
    {"data", "seed", MNO_FIELD_INTEGERS, false, "1", AT(data.seed), NOT_KEPT, RANGE(0, INT64_MAX),
     .meaning = "draws x and y (gaussian) and the embeddings W_E, W_U"},
    {"data", "path", MNO_FIELD_TEXT, false, NULL, AT(data.path), .mark = AT(data.path_mark), .absent = "file: required",
     .meaning = "HDF5 file, relative to the folder of the configuration"},

    {"model", "block", MNO_FIELD_CHOICE, false, "perceptron", NOT_KEPT, NOT_KEPT, NAMES(blocks),
     .meaning = "residual block"},
    {"model", "activation", MNO_FIELD_CHOICE, false, "tanh", AT(model.activation), AT(model.activation_mark),
     NAMES(activations), .meaning = "rho"},
    {"model", "D", MNO_FIELD_INTEGERS, true, NULL, AT(model.D), NOT_KEPT, RANGE(1, SIZE), .meaning = "embedding dimension"},
    {"model", "alpha", MNO_FIELD_REALS, false, "1", AT(model.alpha), NOT_KEPT, REALS(1e-6, 1e6),
     .meaning = "residual scale"},
    {"model", "sigma_u", MNO_FIELD_REAL, false, "1", AT(model.sigma_u), NOT_KEPT, REALS(1e-6, 1e3),
     .meaning = "scale of the initial u: entries N(0, sigma_u^2 D)"},
    {"model", "sigma_v", MNO_FIELD_REAL, false, "1", AT(model.sigma_v), NOT_KEPT, REALS(1e-6, 1e3),
     .meaning = "scale of the initial v"},

    {"training", "steps", MNO_FIELD_INTEGER, true, NULL, AT(training.steps), AT(training.steps_mark), RANGE(0, STEPS),
     .meaning = "K gradient steps; 0 is initialisation only"},
    {"training", "optimizer", MNO_FIELD_CHOICE, false, "gd", NOT_KEPT, NOT_KEPT, NAMES(optimizers),
     .meaning = "full-batch gradient descent"},
    {"training", "eta_u", MNO_FIELD_REAL, false, "1", AT(training.eta_u), NOT_KEPT, REALS(0, 1e6),
     .meaning = "learning rate of u; 0 freezes it"},
    {"training", "eta_v", MNO_FIELD_REAL, false, "1", AT(training.eta_v), NOT_KEPT, REALS(0, 1e6),
     .meaning = "learning rate of v; 0 freezes it"},
    {"training", "loss", MNO_FIELD_CHOICE, false, "squared", AT(training.loss), AT(training.loss_mark), NAMES(losses),
     .meaning = "cross-entropy needs rows of y that are probabilities"},

    {"limit", "kind", MNO_FIELD_LIMITS, false, "mean-ode", NOT_KEPT, NOT_KEPT, NAMES(limits),
     .meaning = "one or a list; errors refer to the first; joint: the Mean ODE as D -> infinity"},
    {"limit", "tolerance", MNO_FIELD_REAL, false, "1e-4", AT(limit.tolerance), AT(limit.tolerance_mark), REALS(1e-15, 1),
     .below = true, .meaning = "wanted relative RMS error of the limit's output"},
    {"limit", "seconds", MNO_FIELD_REAL, false, NULL, AT(limit.seconds), NOT_KEPT, REALS(1e-3, 1e9), .absent = "none",
     .meaning = "time budget of one limit"},
    {"limit", "memory", MNO_FIELD_REAL, false, NULL, AT(limit.memory), NOT_KEPT, REALS(1e-3, 1e6), .absent = "what is free",
     .meaning = "memory budget of one limit, GiB"},
    {"limit", "method", MNO_FIELD_CHOICE, false, "auto", AT(limit.method), AT(limit.method_mark), NAMES(methods),
     .meaning = "how the Mean ODE computes expectations"},
    {"limit", "particles", MNO_FIELD_INTEGER, false, NULL, AT(limit.particles), NOT_KEPT, RANGE(1, 1000000000),
     .absent = "chosen", .meaning = "particles per depth node"},
    {"limit", "nodes", MNO_FIELD_INTEGER, false, NULL, AT(limit.nodes), NOT_KEPT, RANGE(1, 128), .absent = "chosen",
     .meaning = "depth nodes"},
    {"limit", "randomisations", MNO_FIELD_INTEGER, false, NULL, AT(limit.randomisations), NOT_KEPT, RANGE(1, 10000),
     .absent = "chosen", .meaning = "independent randomisations"},

    {"sweep", "L", MNO_FIELD_INTEGERS, true, NULL, AT(sweep.L), AT(sweep.L_mark), RANGE(1, DEPTH), .meaning = "depth"},
    {"sweep", "M", MNO_FIELD_INTEGERS, true, NULL, AT(sweep.M), AT(sweep.M_mark), RANGE(1, SIZE), .meaning = "hidden width"},
    {"sweep", "seeds", MNO_FIELD_SEEDS, false, "1", NOT_KEPT, AT(sweep.seeds_mark), RANGE(1, 1000000),
     .meaning = "seeds of the initial weights; a count n is 0..n-1"},
    {"sweep", "pairs", MNO_FIELD_BITS, false, "none", AT(sweep.pairs), AT(sweep.pairs_mark), NAMES(pairs),
     .meaning = "one or a list: extra instances that sharpen the fit; regroup needs an even L, jackknife an even M"},

    {"record", "steps", MNO_FIELD_STEPS, false, "all", NOT_KEPT, NOT_KEPT, RANGE(0, STEPS),
     .meaning = "steps whose results are kept"},
    {"record", "output", MNO_FIELD_FLAG, false, "true", AT(record.output), .mark = NOT_KEPT,
     .meaning = "outputs of every sample at these steps"},
    {"record", "embedding", MNO_FIELD_FLAG, false, "false", AT(record.embedding), .mark = NOT_KEPT,
     .meaning = "embeddings h^L of every sample at these steps"},
    {"record", "weights", MNO_FIELD_CHOICE, false, "none", AT(record.weights), NOT_KEPT, NAMES(weights),
     .meaning = "weights of every network"},
    {"record", "coupling", MNO_FIELD_FLAG, false, "false", AT(record.coupling), .mark = AT(record.coupling_mark),
     .meaning = "distance of units to the coupled units of the Mean ODE, decorrelation of distinct units"},
    {"record", "path", MNO_FIELD_FLAG, false, "false", AT(record.path), .mark = AT(record.path_mark),
     .meaning = "states over depth and their largest distance to the Mean ODE"},
    {"record", "features", MNO_FIELD_FLAG, false, "false", AT(record.features), .mark = AT(record.features_mark),
     .meaning = "initial noise, local feature update, movement of the parameters"},
};
const size_t mno_schema_count = sizeof mno_schema / sizeof *mno_schema;

static void append(char *buffer, size_t size, const char *text) {
  size_t used = strlen(buffer);
  snprintf(buffer + used, size - used, "%s", text);
}

/* A number without the filling of %g's exponents: 1e6, 1e-6. */
static void append_number(char *buffer, size_t size, double number) {
  char text[32], *exponent;
  snprintf(text, sizeof text, "%g", number);
  exponent = strchr(text, 'e');
  if (exponent && (exponent[1] == '+' || exponent[2] == '0')) {
    char *rest = exponent + 2 + (exponent[2] == '0'), *to = exponent + (exponent[1] == '+' ? 1 : 2);
    memmove(to, rest, strlen(rest) + 1);
  }
  append(buffer, size, text);
}

const char *mno_field_accepts(const mno_field *field, char *buffer, size_t size) {
  buffer[0] = '\0';
  switch (field->type) {
  case MNO_FIELD_SEEDS: snprintf(buffer, size, "a count from 1 to 1000000, or a list of integers from 0 to 2^63-1"); break;
  case MNO_FIELD_STEPS: append(buffer, size, "\"all\" or a list of steps from 0 to training.steps"); break;
  case MNO_FIELD_INTEGER:
  case MNO_FIELD_INTEGERS:
    if (field->to == INT64_MAX)
      snprintf(buffer, size, "integers from %" PRId64 " to 2^63-1", field->from);
    else
      snprintf(buffer, size, "integers from %" PRId64 " to %" PRId64, field->from, field->to);
    break;
  case MNO_FIELD_REAL:
  case MNO_FIELD_REALS:
    append(buffer, size, "numbers from ");
    append_number(buffer, size, field->low);
    append(buffer, size, field->below ? " to below " : " to ");
    append_number(buffer, size, field->high);
    break;
  case MNO_FIELD_FLAG: append(buffer, size, "true, false"); break;
  case MNO_FIELD_TEXT: append(buffer, size, "text that is not empty"); break;
  default:
    for (size_t i = 0, shown = 0; i < field->choice_count; i++) {
      if (field->choice[i].value == MNO_NOT_COMPUTED) continue;
      if (shown++) append(buffer, size, ", ");
      append(buffer, size, field->choice[i].name);
    }
  }
  return buffer;
}
