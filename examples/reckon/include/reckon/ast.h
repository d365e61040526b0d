#ifndef RECKON_AST_H
#define RECKON_AST_H

#include <stddef.h>

#include "reckon/bigint.h"

enum node_kind {
    NODE_NUMBER,
    NODE_NAME,
    NODE_ASSIGN,  /* name = children[0] */
    NODE_UNARY,   /* op children[0]; '!' stands behind it */
    NODE_BINARY,  /* children[0] op children[1] */
    NODE_CALL,    /* name(children...) */
    NODE_CONVERT, /* children[0] unit `name` to unit `to` */
};

/* Two-letter operators have a letter of their own. */
enum { OP_LE = 'l', OP_GE = 'g', OP_EQ = 'e', OP_NE = 'n' };

struct node {
    enum node_kind kind;
    size_t column;
    char op;
    char *name;
    char *to;
    struct bigint number;
    struct node **children;
    size_t children_len;
};

struct node *node_new(enum node_kind kind, size_t column);
void node_add(struct node *parent, struct node *child);
void node_free(struct node *node);
/* The expression with all its brackets, to show what was understood. */
void node_print(const struct node *node, struct strbuf *out);

#endif
