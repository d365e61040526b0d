#ifndef RECKON_PARSER_H
#define RECKON_PARSER_H

#include "reckon/ast.h"
#include "reckon/error.h"

/* Deeper nesting than this is refused: the parser and the evaluator recurse. */
#define RK_MAX_DEPTH 500

/* Grammar, loosest first:
 *   line    = NAME "=" compare | compare [UNIT "to" UNIT]
 *   compare, sum, product: left to right; unary minus is looser than "^", which goes to the right;
 *   "!" stands behind
 * NULL with `error` filled in if the line is none; an empty line is NULL with an empty error. */
struct node *parse_line(const char *line, struct rk_error *error);

#endif
