#ifndef RECKON_EVAL_H
#define RECKON_EVAL_H

#include "reckon/ast.h"
#include "reckon/env.h"
#include "reckon/error.h"

/* The value of an expression into `to`, which must be zero; an assignment also sets its variable. */
bool eval(struct bigint *to, const struct node *node, struct env *env, struct rk_error *error);

#endif
