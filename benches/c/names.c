/* SPDX-License-Identifier: MIT OR Apache-2.0
 * names STEP COUNT FOLDER: COUNT calls in FOLDER, which `create` makes: files of 1 KiB; `rename` of them; `mkdir` beside
 * them; `unlink` of them; `together` makes all four steps. Prints the nanoseconds of one call, a line each step. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
    long count = argc == 4 ? atol(argv[2]) : 0;
    int all = argc == 4 && !strcmp(argv[1], "together");
    char name[32], other[32];

    if (count <= 0 || ((all || !strcmp(argv[1], "create")) && mkdir(argv[3], 0755) != 0) || chdir(argv[3]) != 0)
        return 2;
    for (size_t i = 0; i < sizeof STEPS / sizeof STEPS[0]; i++) {
        double start = now_ns();
        if (!all && strcmp(argv[1], STEPS[i].what))
            continue;
        for (long n = 0; n < count; n++) {
            /* Directories take the names that the files had before they were renamed. */
            snprintf(name, sizeof name, "n%06ld", n);
            snprintf(other, sizeof other, "o%06ld", n);
            if (!STEPS[i].call(name, other)) {
                perror(STEPS[i].what);
                return 1;
            }
        }
        printf("%.1f\n", (now_ns() - start) / (double)count);
    }
    return 0;
}
