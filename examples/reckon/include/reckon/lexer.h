#ifndef RECKON_LEXER_H
#define RECKON_LEXER_H

#include <stdbool.h>
#include <stddef.h>

#include "reckon/error.h"

enum token_kind {
    TOKEN_END,
    TOKEN_NUMBER,
    TOKEN_NAME,
    TOKEN_OPERATOR, /* one of + - * / % ^ ! ( ) , = < > or <= >= == != */
};

/* A piece of the line; `text` points into the line that is read. */
struct token {
    enum token_kind kind;
    const char *text;
    size_t len;
    size_t column;
    unsigned radix; /* of a number, whose text is then its digits alone */
};

struct lexer {
    const char *line;
    size_t at;
    struct token current;
};

bool lexer_start(struct lexer *lexer, const char *line, struct rk_error *error);
bool lexer_next(struct lexer *lexer, struct rk_error *error);
/* Is the current token this operator or word? */
bool lexer_at(const struct lexer *lexer, const char *text);

#endif
