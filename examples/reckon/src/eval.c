#include "reckon/eval.h"

#include <stdlib.h>
#include <string.h>

#include "reckon/builtins.h"
#include "reckon/units.h"

static bool too_large(const struct node *node, struct rk_error *error)
{
    return rk_fail(error, node->column, "the result has more than %d digits", BIG_MAX_LIMBS * BIG_LIMB_DIGITS);
}

static bool power(struct bigint *to, const struct bigint *a, const struct bigint *b, const struct node *node,
                  struct rk_error *error)
{
    uint64_t exponent;

    if (b->negative)
        return rk_fail(error, node->column, "a negative exponent gives no whole number");
    if (!big_to_u64(b, &exponent))
        return too_large(node, error);
    return big_pow(to, a, exponent) || too_large(node, error);
}

static bool divide(struct bigint *to, const struct bigint *a, const struct bigint *b, const struct node *node,
                   struct rk_error *error)
{
    if (big_is_zero(b))
        return rk_fail(error, node->column, "division by zero");
    if (node->op == '/')
        big_div(to, NULL, a, b);
    else
        big_div(NULL, to, a, b);
    return true;
}

static bool compare(struct bigint *to, const struct bigint *a, const struct bigint *b, char op)
{
    int order = big_compare(a, b);
    bool holds = op == '<'     ? order < 0
                 : op == '>'   ? order > 0
                 : op == OP_LE ? order <= 0
                 : op == OP_GE ? order >= 0
                 : op == OP_EQ ? order == 0
                               : order != 0;

    big_from_u64(to, holds);
    return true;
}

static bool binary(struct bigint *to, const struct bigint *a, const struct bigint *b, const struct node *node,
                   struct rk_error *error)
{
    switch (node->op) {
    case '+':
        big_add(to, a, b);
        return true;
    case '-':
        big_sub(to, a, b);
        return true;
    case '*':
        return big_mul(to, a, b) || too_large(node, error);
    case '/':
    case '%':
        return divide(to, a, b, node, error);
    case '^':
        return power(to, a, b, node, error);
    default:
        return compare(to, a, b, node->op);
    }
}

static bool call(struct bigint *to, const struct bigint *arguments, const struct node *node, struct rk_error *error)
{
    const struct builtin *builtin = builtin_find(node->name);

    if (!builtin)
        return rk_fail(error, node->column, "no function is called '%s'", node->name);
    if (node->children_len < builtin->least || node->children_len > builtin->most)
        return rk_fail(error, node->column, "wrong number of arguments: %s", builtin->help);
    if (builtin->run(to, arguments, node->children_len, error))
        return true;
    error->column = node->column;
    return false;
}

static bool convert(struct bigint *to, const struct bigint *value, const struct node *node, struct rk_error *error)
{
    const struct unit *from_unit = unit_find(node->name), *to_unit = unit_find(node->to);
    struct bigint factor = BIG_ZERO, rest = BIG_ZERO;
    bool exact;

    if (!from_unit || !to_unit)
        return rk_fail(error, node->column, "no unit is called '%s'", from_unit ? node->to : node->name);
    if (strcmp(from_unit->kind, to_unit->kind) != 0)
        return rk_fail(error, node->column, "'%s' is %s, '%s' is %s", from_unit->name, from_unit->kind,
                       to_unit->name, to_unit->kind);
    big_from_u64(&factor, from_unit->factor);
    if (!big_mul(to, value, &factor)) {
        big_free(&factor);
        return too_large(node, error);
    }
    big_from_u64(&factor, to_unit->factor);
    big_div(to, &rest, to, &factor);
    exact = big_is_zero(&rest);
    big_free(&factor);
    big_free(&rest);
    return exact || rk_fail(error, node->column, "that is no whole number of '%s'", to_unit->name);
}

static bool name_value(struct bigint *to, const struct node *node, const struct env *env, struct rk_error *error)
{
    const struct bigint *value = env_get(env, node->name);

    if (!value)
        return rk_fail(error, node->column, "'%s' has no value yet", node->name);
    big_copy(to, value);
    return true;
}

static bool apply(struct bigint *to, const struct bigint *values, const struct node *node, struct env *env,
                  struct rk_error *error)
{
    switch (node->kind) {
    case NODE_NUMBER:
        big_copy(to, &node->number);
        return true;
    case NODE_NAME:
        return name_value(to, node, env, error);
    case NODE_ASSIGN:
        big_copy(to, &values[0]);
        env_set(env, node->name, to);
        return true;
    case NODE_BINARY:
        return binary(to, &values[0], &values[1], node, error);
    case NODE_CALL:
        return call(to, values, node, error);
    case NODE_CONVERT:
        return convert(to, &values[0], node, error);
    case NODE_UNARY:
        break;
    }
    if (node->op == '-') {
        big_sub(to, to, &values[0]);
        return true;
    }
    if (factorial(to, &values[0], error))
        return true;
    error->column = node->column;
    return false;
}

bool eval(struct bigint *to, const struct node *node, struct env *env, struct rk_error *error)
{
    struct bigint *values = rk_alloc(node->children_len * sizeof *values);
    bool done = true;

    for (size_t i = 0; i < node->children_len; i++) {
        values[i] = (struct bigint)BIG_ZERO;
        done = done && eval(&values[i], node->children[i], env, error);
    }
    done = done && apply(to, values, node, env, error);
    for (size_t i = 0; i < node->children_len; i++)
        big_free(&values[i]);
    free(values);
    return done;
}
