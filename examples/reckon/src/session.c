#include "reckon/session.h"

#include <string.h>

#include "reckon/builtins.h"
#include "reckon/eval.h"
#include "reckon/parser.h"

static bool show_tree(const char *line, struct strbuf *out, struct rk_error *error)
{
    struct node *node = parse_line(line, error);

    if (!node)
        return error->text[0] == '\0';
    node_print(node, out);
    strbuf_put(out, '\n');
    node_free(node);
    return true;
}

static bool command(struct session *session, const char *line, struct strbuf *out, struct rk_error *error)
{
    static const struct {
        const char *name;
        enum number_format format;
    } FORMATS[] = {{":dec", FORMAT_DECIMAL}, {":group", FORMAT_GROUPED}, {":hex", FORMAT_HEX}, {":bin", FORMAT_BINARY}};

    for (size_t i = 0; i < sizeof FORMATS / sizeof FORMATS[0]; i++) {
        if (strcmp(line, FORMATS[i].name) == 0) {
            session->format = FORMATS[i].format;
            return true;
        }
    }
    if (strcmp(line, ":history") == 0)
        history_print(&session->history, out);
    else if (strcmp(line, ":vars") == 0)
        env_print(&session->env, out);
    else if (strcmp(line, ":functions") == 0)
        builtins_print(out);
    else if (strncmp(line, ":tree ", 6) == 0)
        return show_tree(line + 6, out, error);
    else
        return rk_fail(error, 0, "commands are :dec :group :hex :bin :history :vars :functions :tree LINE");
    return true;
}

bool session_line(struct session *session, const char *line, struct strbuf *out, struct rk_error *error)
{
    struct bigint value = BIG_ZERO;
    struct node *node;
    bool done;

    if (line[0] == ':')
        return command(session, line, out, error);
    node = parse_line(line, error);
    if (!node)
        return error->text[0] == '\0';
    history_add(&session->history, line);
    done = eval(&value, node, &session->env, error);
    if (done) {
        env_set(&session->env, "ans", &value);
        format_number(&value, session->format, out);
        strbuf_put(out, '\n');
    }
    big_free(&value);
    node_free(node);
    return done;
}

void session_free(struct session *session)
{
    env_free(&session->env);
    history_free(&session->history);
}
