#include "reckon/lexer.h"

#include <ctype.h>
#include <string.h>

static size_t digits_len(const char *text, unsigned radix)
{
    size_t len = 0;

    for (;; len++) {
        unsigned char c = (unsigned char)text[len];

        if (c == '_' && len > 0)
            continue;
        if (radix == 16 ? !isxdigit(c) : (c < '0' || c >= '0' + radix))
            return len;
    }
}

static bool read_number(struct lexer *lexer, struct token *token, struct rk_error *error)
{
    const char *text = lexer->line + lexer->at;
    size_t prefix = 0;

    token->kind = TOKEN_NUMBER;
    token->radix = 10;
    if (text[0] == '0' && strchr("xXbB", text[1]) && text[1]) {
        token->radix = (text[1] | 32) == 'x' ? 16 : 2;
        prefix = 2;
    }
    token->text = text + prefix;
    token->len = digits_len(token->text, token->radix);
    lexer->at += prefix + token->len;
    if (token->len == 0)
        return rk_fail(error, token->column, "a number without digits");
    if (isalnum((unsigned char)lexer->line[lexer->at]))
        return rk_fail(error, lexer->at, "'%c' does not belong to a number", lexer->line[lexer->at]);
    return true;
}

static void read_name(struct lexer *lexer, struct token *token)
{
    token->kind = TOKEN_NAME;
    while (isalnum((unsigned char)lexer->line[lexer->at]) || lexer->line[lexer->at] == '_')
        lexer->at++;
    token->len = lexer->at - token->column;
}

static bool read_operator(struct lexer *lexer, struct token *token, struct rk_error *error)
{
    const char *text = lexer->line + lexer->at;

    token->kind = TOKEN_OPERATOR;
    if (!strchr("+-*/%^!(),=<>", text[0]))
        return rk_fail(error, token->column, "'%c' means nothing here", text[0]);
    token->len = strchr("<>=!", text[0]) && text[1] == '=' ? 2 : 1;
    lexer->at += token->len;
    return true;
}

bool lexer_next(struct lexer *lexer, struct rk_error *error)
{
    struct token *token = &lexer->current;
    unsigned char c;

    while (isspace((unsigned char)lexer->line[lexer->at]))
        lexer->at++;
    c = (unsigned char)lexer->line[lexer->at];
    *token = (struct token){TOKEN_END, lexer->line + lexer->at, 0, lexer->at, 0};
    if (c == '\0' || c == '#')
        return true;
    if (isdigit(c))
        return read_number(lexer, token, error);
    if (isalpha(c) || c == '_') {
        read_name(lexer, token);
        return true;
    }
    return read_operator(lexer, token, error);
}

bool lexer_start(struct lexer *lexer, const char *line, struct rk_error *error)
{
    lexer->line = line;
    lexer->at = 0;
    return lexer_next(lexer, error);
}

bool lexer_at(const struct lexer *lexer, const char *text)
{
    const struct token *token = &lexer->current;

    return token->kind != TOKEN_END && token->kind != TOKEN_NUMBER && strlen(text) == token->len &&
           memcmp(token->text, text, token->len) == 0;
}
