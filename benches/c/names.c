/* SPDX-License-Identifier: MIT OR Apache-2.0
 * names COUNT: makes COUNT files of 1 KiB, renames them, makes as many directories, and removes all of it;
 * prints the nanoseconds of one create+write+close, rename, mkdir and unlink, a line each. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char text[1024];

static int create(const char *name, const char *other)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);

    (void)other;
    return fd >= 0 && write(fd, text, sizeof text) == (ssize_t)sizeof text && close(fd) == 0;
}

static int move(const char *name, const char *other) { return rename(name, other) == 0; }

static int make_dir(const char *name, const char *other)
{
    (void)other;
    return mkdir(name, 0755) == 0;
}

static int remove_file(const char *name, const char *other)
{
    (void)name;
    return unlink(other) == 0;
}

static const struct {
    const char *what;
    int (*call)(const char *name, const char *other);
} STEPS[] = {{"create", create}, {"rename", move}, {"mkdir", make_dir}, {"unlink", remove_file}};

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    long count = argc == 2 ? atol(argv[1]) : 0;
    char name[32], other[32];

    for (size_t i = 0; i < sizeof STEPS / sizeof STEPS[0] && count > 0; i++) {
        double start = now_ns();
        for (long n = 0; n < count; n++) {
            /* Directories take the names that the files had before they were renamed. */
            snprintf(name, sizeof name, "n%06ld", n);
            snprintf(other, sizeof other, "o%06ld", n);
            if (!STEPS[i].call(name, other)) {
                perror(STEPS[i].what);
                return 1;
            }
        }
        printf("%s %.1f\n", STEPS[i].what, (now_ns() - start) / (double)count);
    }
    for (long n = 0; n < count; n++) {
        snprintf(name, sizeof name, "n%06ld", n);
        if (rmdir(name) != 0)
            return 1;
    }
    return count > 0 ? 0 : 2;
}
