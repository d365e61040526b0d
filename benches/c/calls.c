/* SPDX-License-Identifier: MIT OR Apache-2.0
 * One file call, many times: calls WHAT PATH COUNT prints nanoseconds per call.
 * WHAT is stat, missing (a stat that must fail with ENOENT), read (open, read, close) or spawn
 * (start PATH and wait for it). The same program runs natively and in the view; a call whose
 * result is wrong ends it with an error, so that a fast failure is never taken for a fast success. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static char buffer[65536];

static int call_stat(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && st.st_size > 0;
}

static int call_missing(const char *path)
{
    struct stat st;

    return stat(path, &st) == -1 && errno == ENOENT;
}

static int call_read(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len;

    if (fd < 0)
        return 0;
    len = read(fd, buffer, sizeof buffer);
    return close(fd) == 0 && len == 4096;
}

static int call_spawn(const char *path)
{
    char *argv[] = {(char *)path, NULL};
    int status;
    pid_t pid;

    if (posix_spawn(&pid, path, NULL, NULL, argv, environ) != 0)
        return 0;
    return waitpid(pid, &status, 0) == pid && status == 0;
}

static const struct {
    const char *name;
    int (*call)(const char *path);
} CALLS[] = {{"stat", call_stat}, {"missing", call_missing}, {"read", call_read}, {"spawn", call_spawn}};

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    long count = argc == 4 ? atol(argv[3]) : 0;
    double start = 0;

    for (size_t i = 0; i < sizeof CALLS / sizeof CALLS[0] && count > 0; i++) {
        if (strcmp(argv[1], CALLS[i].name) != 0)
            continue;
        for (long n = -(count / 10); n < count; n++) {
            if (n == 0)
                start = now_ns(); /* what came before was to warm up */
            if (!CALLS[i].call(argv[2])) {
                fprintf(stderr, "calls: %s %s: wrong result (%s)\n", argv[1], argv[2], strerror(errno));
                return 1;
            }
        }
        printf("%.1f\n", (now_ns() - start) / (double)count);
        return 0;
    }
    fputs("usage: calls stat|missing|read|spawn PATH COUNT\n", stderr);
    return 2;
}
