/* SPDX-License-Identifier: MIT OR Apache-2.0
 * large readdir DIR ROUNDS       lists DIR; nanoseconds of one listing
 * large stat LIST                stats the paths that the file LIST names, a line each; nanoseconds of one
 * large open LIST THREADS        opens and closes them, each thread all of them; nanoseconds of one
 * A wrong result ends it with an error. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char **paths;
static long path_count;

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void read_list(const char *file)
{
    char line[4096];
    FILE *list = fopen(file, "r");
    long room = 0;

    while (list && fgets(line, sizeof line, list)) {
        line[strcspn(line, "\n")] = 0;
        if (path_count == room && !(paths = realloc(paths, (room = room * 2 + 1024) * sizeof *paths)))
            die("memory");
        paths[path_count++] = strdup(line);
    }
    if (path_count == 0)
        die(file);
}

static long entries(const char *dir)
{
    DIR *open_dir = opendir(dir);
    long count = 0;

    if (!open_dir)
        die(dir);
    while (readdir(open_dir))
        count++;
    closedir(open_dir);
    return count;
}

static void *open_all(void *start)
{
    for (long n = 0, at = *(long *)start; n < path_count; n++, at = (at + 1) % path_count) {
        int fd = open(paths[at], O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            die(paths[at]);
        close(fd);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    struct stat st;
    double start, count = 0;

    if (!strcmp(what, "readdir") && argc == 4) {
        long rounds = atol(argv[3]), found = entries(argv[2]);
        start = now_ns();
        for (; count < rounds; count++)
            if (entries(argv[2]) != found)
                return 1;
    } else if (!strcmp(what, "stat")) {
        read_list(argv[2]);
        start = now_ns();
        for (; count < path_count; count++)
            if (stat(paths[(long)count], &st) != 0 || !S_ISREG(st.st_mode))
                die(paths[(long)count]);
    } else if (!strcmp(what, "open") && argc == 4) {
        long threads = atol(argv[3]), first[64];
        pthread_t ids[64];
        if (threads < 1 || threads > 64)
            return 2;
        read_list(argv[2]);
        start = now_ns();
        for (long n = 0; n < threads; n++) {
            first[n] = path_count * n / threads;
            if (pthread_create(&ids[n], NULL, open_all, &first[n]) != 0)
                die("thread");
        }
        for (long n = 0; n < threads; n++)
            pthread_join(ids[n], NULL);
        count = (double)path_count * threads;
    } else {
        return 2;
    }
    printf("%.1f\n", (now_ns() - start) / count);
    return 0;
}
