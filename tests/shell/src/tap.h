/* SPDX-License-Identifier: MIT OR Apache-2.0
 * TAP lines for the helper programs. The runner numbers them, so a program and the script
 * around it write to the same stream. */
#ifndef TAP_H
#define TAP_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int tap_failures;

__attribute__((format(printf, 2, 3), unused)) static int tap_line(int good, const char *format, ...)
{
    int saved = errno;
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    __atomic_add_fetch(&tap_failures, !good, __ATOMIC_RELAXED);
    printf("%s - %s\n", good ? "ok" : "not ok", text);
    if (!good)
        printf("errno now: %s\n", strerrorname_np(saved));
    /* Flushed at once, so that a fork does not print it twice. */
    fflush(stdout);
    return good;
}

/* The condition holds. It is evaluated before the text's arguments, which may be what it fills. */
#define OK(condition, ...)                                                                         \
    __extension__({                                                                                \
        int good_ = !!(condition);                                                                 \
        tap_line(good_, __VA_ARGS__);                                                              \
    })

/* The call fails with this errno. */
#define FAILS(wanted, call, what)                                                                  \
    do {                                                                                           \
        errno = 0;                                                                                 \
        int failed_ = (long)(call) == -1, got_ = errno;                                            \
        tap_line(failed_ && got_ == (wanted), "%s: %s%s%s", what, strerrorname_np(wanted),         \
                 failed_ && got_ == (wanted) ? "" : ", not ",                                      \
                 failed_ && got_ == (wanted) ? "" : failed_ ? strerrorname_np(got_) : "success");  \
    } while (0)

/* What must work for the rest to make sense. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            tap_line(0, "%s:%d: %s", __FILE__, __LINE__, #condition);                              \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

__attribute__((unused)) static int tap_end(void)
{
    return tap_failures ? 1 : 0;
}

#endif
