/* SPDX-License-Identifier: BSD-3-Clause */
/* What defines a training problem beside its sizes, as tables: its hyper-parameters and its arrays. Ids hash them, result
 * files hold them (attributes and datasets of a problem's group) and are read by them. */
#ifndef MNO_PLAN_PROBLEM_H
#define MNO_PLAN_PROBLEM_H

#include "core/choice.h"
#include "meanode/plan.h"

typedef enum mno_parameter_type {
  MNO_PARAMETER_INTEGER, /* size_t */
  MNO_PARAMETER_REAL,    /* double */
  MNO_PARAMETER_NAME     /* one of a list, by its name */
} mno_parameter_type;

typedef struct mno_parameter {
  char name[32]; /* the attribute in result files */
  mno_parameter_type type;
  size_t offset;              /* in mno_problem */
  const mno_choices *choices; /* of a name that is an enum */
  const char *implied;        /* a name that goes without saying: it is neither in ids nor in files; NULL: all are */
} mno_parameter;

/* Parameter i of a problem; false: there are no more. The first ones are the block and the optimiser; which others there are
 * (sigma_TENSOR, eta_TENSOR, knobs of the optimiser) follows from those two, so that a reader can fill a problem in turn. */
bool mno_problem_parameter(const mno_problem *problem, size_t i, mno_parameter *parameter);

/* The value, as the type says: a number, or a name. Setting a name that is not on the list: false. */
double mno_parameter_number(const mno_problem *problem, const mno_parameter *parameter);
void mno_parameter_set_number(mno_problem *problem, const mno_parameter *parameter, double value);
const char *mno_parameter_name(const mno_problem *problem, const mno_parameter *parameter);
bool mno_parameter_set_name(mno_problem *problem, const mno_parameter *parameter, const char *name);

/* Does the problem have what goes without saying? */
bool mno_parameter_is_implied(const mno_problem *problem, const mno_parameter *parameter);

/* The arrays of numbers of a problem: x, y, w_embed, w_unembed. */
enum { MNO_PROBLEM_ARRAYS = 4 };
typedef struct mno_problem_array {
  const char *name, *long_name; /* the dataset in result files */
  size_t offset;                /* in mno_problem, of the double * [rows][columns] */
  bool by_sample, by_input;     /* rows are samples, or coordinates of the embedding; columns are inputs, or targets */
  size_t rows, columns;
} mno_problem_array;

mno_problem_array mno_problem_array_of(const mno_problem *problem, size_t i /* 0..MNO_PROBLEM_ARRAYS-1 */);
double *mno_problem_array_value(const mno_problem *problem, const mno_problem_array *array);
void mno_problem_set_array(mno_problem *problem, const mno_problem_array *array, double *value);

#endif
