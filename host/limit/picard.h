/* The Mean ODE with particles where its drift is smooth only on average. At small alpha units are of size eta/alpha and rho
 * is a step to them: the law's drift is as smooth as ever, that of finitely many particles is a staircase, whose slope at a
 * point says nothing about the next. Newton's method needs that slope; here the equations are solved by its values. */
#ifndef MNO_LIMIT_PICARD_H
#define MNO_LIMIT_PICARD_H

#include "limit/ensemble.h"
#include "limit/trajectory.h"

/* Trains the ensemble, which holds the initial units. A step whose iteration comes to rest within the steps of the staircase
 * is solved: its error shows in the spread over randomisations. Errors: MNO_ERR_MEMORY, MNO_INTERRUPTED; a step without
 * solution is not an error. */
mno_status mno_trajectory_picard(const mno_system *system, mno_ensemble *ensemble, mno_trajectory *trajectory,
                                 mno_error *err);

#endif
