/* SPDX-License-Identifier: MIT OR Apache-2.0
 * wordexp over names of the view. */
#include "tap.h"
#include <wordexp.h>

/* The words that come out, each in brackets. */
static const char *expanded(const char *text, int flags, int wanted)
{
    static char all[4096];
    wordexp_t words = {0};
    int result = wordexp(text, &words, flags);
    snprintf(all, sizeof all, "%d", result);
    if (result != wanted)
        return all;
    *all = 0;
    if (result == 0) {
        for (size_t i = 0; i < words.we_wordc; i++)
            snprintf(all + strlen(all), sizeof all - strlen(all), "[%s]", words.we_wordv[i]);
        MUST(!words.we_wordv[words.we_wordc]);
        wordfree(&words);
    }
    return all;
}

#define WORDS(text, want) do { const char *got_ = expanded(text, 0, 0); OK(!strcmp(got_, want), "%s: %s", text, got_); } while (0)
#define REFUSED(text, flags, want) OK(!*expanded(text, flags, want), "%s: refused with %s", text, #want)

int main(void)
{
    setenv("NAME", "made", 1);
    unsetenv("UNSET");
    WORDS("plain words", "[plain][words]");
    WORDS("made/*.c", "[made/one.c][made/two.c]");
    WORDS("$NAME/o*", "[made/one.c]");
    WORDS("\"made/*.c\" made/'*'.c made/\\*.c", "[made/*.c][made/*.c][made/*.c]");
    WORDS("made/[no]*.c none*", "[made/one.c][none*]");
    WORDS("gone*", "[gone*]");
    WORDS("$(cat made/one.c) `cat made/two.c`", "[1][2]");
    WORDS("$(echo \")\" ')' made/*)x", "[)][)][made/one.c][made/two.cx]");
    WORDS("${UNSET:-other} $((6 * 7)) made/t?o.c", "[other][42][made/two.c]");
    WORDS("\"$(echo 'a b')\" $UNSET \"\"", "[a b][]");
    WORDS("", "");
    REFUSED("$(echo x)", WRDE_NOCMD, WRDE_CMDSUB);
    REFUSED("\"`echo x`\"", WRDE_NOCMD, WRDE_CMDSUB);
    REFUSED("* ; ls", 0, WRDE_BADCHAR);
    REFUSED("* > made/evil", 0, WRDE_BADCHAR);
    REFUSED("*\nls", 0, WRDE_BADCHAR);
    REFUSED("* (x)", 0, WRDE_BADCHAR);
    REFUSED("* \"x", 0, WRDE_SYNTAX);
    REFUSED("* $(x", 0, WRDE_SYNTAX);
    REFUSED("* $UNSET", WRDE_UNDEF, WRDE_BADVAL);
    wordexp_t words = {.we_offs = 2};
    OK(wordexp("made/o*", &words, WRDE_DOOFFS) == 0 && words.we_wordc == 1 && !words.we_wordv[0] && !words.we_wordv[1], "WRDE_DOOFFS");
    OK(wordexp("made/t* last", &words, WRDE_DOOFFS | WRDE_APPEND) == 0 && words.we_wordc == 3 &&
       !strcmp(words.we_wordv[2], "made/one.c") && !strcmp(words.we_wordv[4], "last") && !words.we_wordv[5], "WRDE_APPEND");
    OK(wordexp("made/*", &words, WRDE_DOOFFS | WRDE_REUSE) == 0 && words.we_wordc == 2, "WRDE_REUSE");
    wordfree(&words);
    return tap_end();
}
