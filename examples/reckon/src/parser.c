#include "reckon/parser.h"

#include <string.h>

#include "reckon/lexer.h"

struct parser {
    struct lexer lexer;
    struct rk_error *error;
    unsigned depth;
};

static struct node *parse_compare(struct parser *p);

static struct node *give_up(struct node *node)
{
    node_free(node);
    return NULL;
}

static bool next(struct parser *p)
{
    return lexer_next(&p->lexer, p->error);
}

static bool want(struct parser *p, const char *text)
{
    if (!lexer_at(&p->lexer, text))
        return rk_fail(p->error, p->lexer.current.column, "'%s' is missing here", text);
    return next(p);
}

static struct node *parse_call(struct parser *p, struct node *call)
{
    call->kind = NODE_CALL;
    if (!next(p))
        return give_up(call);
    while (!lexer_at(&p->lexer, ")")) {
        struct node *argument;

        if (call->children_len && !want(p, ","))
            return give_up(call);
        argument = parse_compare(p);
        if (!argument)
            return give_up(call);
        node_add(call, argument);
    }
    return next(p) ? call : give_up(call);
}

static struct node *parse_atom(struct parser *p)
{
    struct token token = p->lexer.current;
    struct node *node;

    if (lexer_at(&p->lexer, "(")) {
        node = next(p) ? parse_compare(p) : NULL;
        return node && !want(p, ")") ? give_up(node) : node;
    }
    if (token.kind == TOKEN_NUMBER) {
        node = node_new(NODE_NUMBER, token.column);
        big_from_digits(&node->number, token.text, token.len, token.radix);
    } else if (token.kind == TOKEN_NAME) {
        node = node_new(NODE_NAME, token.column);
        node->name = rk_copy_text(token.text, token.len);
    } else {
        rk_fail(p->error, token.column, "a number, a name or '(' is missing here");
        return NULL;
    }
    if (!next(p))
        return give_up(node);
    return node->kind == NODE_NAME && lexer_at(&p->lexer, "(") ? parse_call(p, node) : node;
}

static struct node *parse_postfix(struct parser *p)
{
    struct node *node = parse_atom(p);

    while (node && lexer_at(&p->lexer, "!")) {
        struct node *factorial = node_new(NODE_UNARY, p->lexer.current.column);

        factorial->op = '!';
        node_add(factorial, node);
        node = next(p) ? factorial : give_up(factorial);
    }
    return node;
}

static struct node *parse_unary(struct parser *p);

static struct node *parse_power(struct parser *p)
{
    struct node *base = parse_postfix(p);
    struct node *power, *exponent;

    if (!base || !lexer_at(&p->lexer, "^"))
        return base;
    power = node_new(NODE_BINARY, p->lexer.current.column);
    power->op = '^';
    node_add(power, base);
    exponent = next(p) ? parse_unary(p) : NULL;
    if (!exponent)
        return give_up(power);
    node_add(power, exponent);
    return power;
}

/* -2^2 is -(2^2), so the sign binds looser than the power. Each level of nesting passes here. */
static struct node *parse_unary(struct parser *p)
{
    struct node *node, *inner;

    if (++p->depth > RK_MAX_DEPTH) {
        rk_fail(p->error, p->lexer.current.column, "nested too deeply");
        return NULL;
    }
    if (!lexer_at(&p->lexer, "-")) {
        node = parse_power(p);
    } else {
        node = node_new(NODE_UNARY, p->lexer.current.column);
        node->op = '-';
        inner = next(p) ? parse_unary(p) : NULL;
        if (inner)
            node_add(node, inner);
        else
            node = give_up(node);
    }
    p->depth--;
    return node;
}

struct level {
    const char *text;
    char op;
};

static const struct level PRODUCTS[] = {{"*", '*'}, {"/", '/'}, {"%", '%'}, {NULL, 0}};
static const struct level SUMS[] = {{"+", '+'}, {"-", '-'}, {NULL, 0}};
static const struct level COMPARES[] = {{"<", '<'},     {">", '>'},     {"<=", OP_LE}, {">=", OP_GE},
                                        {"==", OP_EQ}, {"!=", OP_NE}, {NULL, 0}};

static char operator_at(struct parser *p, const struct level *level)
{
    for (; level->text; level++)
        if (lexer_at(&p->lexer, level->text))
            return level->op;
    return 0;
}

static struct node *parse_left(struct parser *p, const struct level *level, struct node *(*operand)(struct parser *))
{
    struct node *left = operand(p);
    char op;

    while (left && (op = operator_at(p, level)) != 0) {
        struct node *node = node_new(NODE_BINARY, p->lexer.current.column);
        struct node *right;

        node->op = op;
        node_add(node, left);
        right = next(p) ? operand(p) : NULL;
        if (!right)
            return give_up(node);
        node_add(node, right);
        left = node;
    }
    return left;
}

static struct node *parse_product(struct parser *p)
{
    return parse_left(p, PRODUCTS, parse_unary);
}

static struct node *parse_sum(struct parser *p)
{
    return parse_left(p, SUMS, parse_product);
}

static struct node *parse_compare(struct parser *p)
{
    return parse_left(p, COMPARES, parse_sum);
}

static struct node *parse_conversion(struct parser *p, struct node *value)
{
    struct node *convert = node_new(NODE_CONVERT, p->lexer.current.column);

    node_add(convert, value);
    convert->name = rk_copy_text(p->lexer.current.text, p->lexer.current.len);
    if (!next(p) || !want(p, "to"))
        return give_up(convert);
    if (p->lexer.current.kind != TOKEN_NAME) {
        rk_fail(p->error, p->lexer.current.column, "a unit is missing here");
        return give_up(convert);
    }
    convert->to = rk_copy_text(p->lexer.current.text, p->lexer.current.len);
    return next(p) ? convert : give_up(convert);
}

static struct node *parse_assignment(struct parser *p, struct node *name)
{
    struct node *value = next(p) ? parse_compare(p) : NULL;

    if (!value)
        return give_up(name);
    name->kind = NODE_ASSIGN;
    node_add(name, value);
    return name;
}

struct node *parse_line(const char *line, struct rk_error *error)
{
    struct parser p = {.error = error};
    struct node *node;

    memset(error, 0, sizeof *error);
    if (!lexer_start(&p.lexer, line, error) || p.lexer.current.kind == TOKEN_END)
        return NULL;
    node = parse_compare(&p);
    if (node && node->kind == NODE_NAME && lexer_at(&p.lexer, "="))
        node = parse_assignment(&p, node);
    else if (node && p.lexer.current.kind == TOKEN_NAME)
        node = parse_conversion(&p, node);
    if (node && p.lexer.current.kind != TOKEN_END) {
        rk_fail(error, p.lexer.current.column, "nothing more is expected here");
        return give_up(node);
    }
    return node;
}
