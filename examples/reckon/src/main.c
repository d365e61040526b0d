/* reckon: a calculator for whole numbers of any length.
 *   reckon EXPRESSION...   prints the value of each
 *   reckon                 reads lines from standard input
 * Exit code 0, 1 if a line went wrong, 2 if the input could not be read. */
#include <stdio.h>
#include <string.h>

#include "reckon/session.h"

static bool run_line(struct session *session, const char *line)
{
    struct strbuf out = RK_STRBUF_EMPTY;
    struct rk_error error = {"", 0};
    bool done = session_line(session, line, &out, &error);

    if (out.len)
        fputs(out.text, stdout);
    if (!done)
        printf("error: %s\n  %s\n  %*s^\n", error.text, line, (int)error.column, "");
    strbuf_free(&out);
    return done;
}

static bool run_input(struct session *session)
{
    struct strbuf line = RK_STRBUF_EMPTY;
    bool done = true;
    int c;

    strbuf_clear(&line);
    while ((c = getchar()) != EOF) {
        if (c != '\n') {
            strbuf_put(&line, (char)c);
            continue;
        }
        done = run_line(session, line.text) && done;
        strbuf_clear(&line);
    }
    if (line.len)
        done = run_line(session, line.text) && done;
    strbuf_free(&line);
    return done;
}

int main(int argc, char **argv)
{
    struct session session = {.format = FORMAT_DECIMAL};
    bool done = true;

    if (argc == 1)
        done = run_input(&session);
    for (int i = 1; i < argc; i++)
        done = run_line(&session, argv[i]) && done;
    session_free(&session);
    if (ferror(stdin) || fflush(stdout) != 0) {
        perror("reckon");
        return 2;
    }
    return done ? 0 : 1;
}
