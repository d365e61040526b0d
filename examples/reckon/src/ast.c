#include "reckon/ast.h"

#include <stdlib.h>

#include "reckon/error.h"

struct node *node_new(enum node_kind kind, size_t column)
{
    struct node *node = rk_alloc(sizeof *node);

    *node = (struct node){.kind = kind, .column = column};
    return node;
}

void node_add(struct node *parent, struct node *child)
{
    parent->children = rk_resize(parent->children, (parent->children_len + 1) * sizeof(struct node *));
    parent->children[parent->children_len++] = child;
}

void node_free(struct node *node)
{
    if (!node)
        return;
    for (size_t i = 0; i < node->children_len; i++)
        node_free(node->children[i]);
    free(node->children);
    free(node->name);
    free(node->to);
    big_free(&node->number);
    free(node);
}

static const char *op_text(char op, char single[2])
{
    switch (op) {
    case OP_LE: return "<=";
    case OP_GE: return ">=";
    case OP_EQ: return "==";
    case OP_NE: return "!=";
    default:
        single[0] = op;
        single[1] = '\0';
        return single;
    }
}

static void print_list(const struct node *node, struct strbuf *out)
{
    for (size_t i = 0; i < node->children_len; i++) {
        if (i)
            strbuf_add(out, ", ");
        node_print(node->children[i], out);
    }
}

void node_print(const struct node *node, struct strbuf *out)
{
    char single[2];

    switch (node->kind) {
    case NODE_NUMBER:
        big_print(&node->number, out);
        return;
    case NODE_NAME:
        strbuf_add(out, node->name);
        return;
    case NODE_ASSIGN:
        strbuf_addf(out, "%s = ", node->name);
        node_print(node->children[0], out);
        return;
    case NODE_CALL:
        strbuf_addf(out, "%s(", node->name);
        print_list(node, out);
        strbuf_put(out, ')');
        return;
    case NODE_UNARY:
        strbuf_put(out, '(');
        if (node->op != '!')
            strbuf_put(out, node->op);
        node_print(node->children[0], out);
        if (node->op == '!')
            strbuf_put(out, '!');
        strbuf_put(out, ')');
        return;
    case NODE_BINARY:
        strbuf_put(out, '(');
        node_print(node->children[0], out);
        strbuf_addf(out, " %s ", op_text(node->op, single));
        node_print(node->children[1], out);
        strbuf_put(out, ')');
        return;
    case NODE_CONVERT:
        strbuf_put(out, '(');
        node_print(node->children[0], out);
        strbuf_addf(out, " %s to %s)", node->name, node->to);
        return;
    }
}
