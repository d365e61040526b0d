#ifndef RECKON_SESSION_H
#define RECKON_SESSION_H

#include "reckon/env.h"
#include "reckon/error.h"
#include "reckon/format.h"
#include "reckon/history.h"

/* What one run of the calculator remembers between lines. */
struct session {
    struct env env;
    struct history history;
    enum number_format format;
};

/* Adds what the line gives to `out`; false if it went wrong, with `error` saying how.
 * A line that starts with ':' is a command. */
bool session_line(struct session *session, const char *line, struct strbuf *out, struct rk_error *error);
void session_free(struct session *session);

#endif
