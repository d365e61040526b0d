/* SPDX-License-Identifier: MIT OR Apache-2.0
 * deep DIR: paths around PATH_MAX, and directories that no single path can name. */
#include "tap.h"
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STEPS = 40, STEP = 200 };

/* Appends "/xxx..." so that the path becomes `len` bytes long. */
static void extend(char *path, size_t len, char fill)
{
    size_t at = strlen(path);
    MUST(len > at + 1 && len - at - 1 <= NAME_MAX);
    path[at] = '/';
    memset(path + at + 1, fill, len - at - 1);
    path[len] = 0;
}

static void longest_path(const char *root)
{
    char path[PATH_MAX + 64];
    struct stat a, b;
    int fd, made = 1;
    snprintf(path, sizeof path, "%s/long", root);
    MUST(mkdir(path, 0755) == 0);
    while (strlen(path) + STEP + 1 < PATH_MAX - 1 - NAME_MAX / 2) {
        extend(path, strlen(path) + STEP + 1, 'd');
        made &= mkdir(path, 0755) == 0;
    }
    OK(made, "directories are made down to a path of %zu bytes", strlen(path));
    size_t parent = strlen(path);
    extend(path, PATH_MAX - 1, 'f');
    OK((fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644)) >= 0, "a file at PATH_MAX - 1 bytes is made");
    OK(write(fd, "far", 3) == 3 && close(fd) == 0, "and written");
    OK(stat(path, &a) == 0 && a.st_size == 3, "and found");
    path[PATH_MAX - 1] = 'f';
    path[PATH_MAX] = 0;
    FAILS(ENAMETOOLONG, stat(path, &b), "stat at PATH_MAX");
    FAILS(ENAMETOOLONG, open(path, O_RDONLY), "open at PATH_MAX");
    FAILS(ENAMETOOLONG, open(path, O_WRONLY | O_CREAT, 0644), "creation at PATH_MAX");
    FAILS(ENAMETOOLONG, mkdir(path, 0755), "mkdir at PATH_MAX");
    FAILS(ENAMETOOLONG, unlink(path), "unlink at PATH_MAX");
    path[PATH_MAX - 1] = 0;
    char name[NAME_MAX + 1];
    snprintf(name, sizeof name, "%s", path + parent + 1);
    path[parent] = 0;
    OK(chdir(path) == 0 && stat(name, &b) == 0 && a.st_ino == b.st_ino, "chdir there, and the file by its name");
    MUST(chdir(root) == 0);
}

static void steps(void)
{
    char name[STEP + 1], up[3 * STEPS + 8] = "";
    int made = 1, fd;
    struct stat root, back;
    memset(name, 's', STEP);
    name[STEP] = 0;
    MUST(stat(".", &root) == 0 && mkdir("steps", 0755) == 0 && chdir("steps") == 0);
    for (int i = 0; i < STEPS; i++)
        made &= mkdir(name, 0755) == 0 && chdir(name) == 0;
    OK(made, "%d steps of %d bytes go below PATH_MAX", STEPS, STEP);
    OK((fd = open("file", O_RDWR | O_CREAT, 0644)) >= 0 && write(fd, "x", 1) == 1, "a file is made there");
    OK(stat("file", &back) == 0 && back.st_size == 1, "and found");
    FAILS(ERANGE, getcwd(name, sizeof name) ? 0 : -1, "getcwd into a short buffer");
    for (int i = 0; i <= STEPS; i++)
        strcat(up, "../");
    OK(stat(up, &back) == 0 && back.st_ino == root.st_ino, ".. leads all the way up");
    OK(chdir(up) == 0 && access("long", F_OK) == 0, "so does chdir");
}

int main(int argc, char **argv)
{
    MUST(argc == 2 && chdir(argv[1]) == 0);
    int fd = open("made", O_WRONLY | O_CREAT, 0644);
    MUST(fd >= 0 && write(fd, "made\n", 5) == 5 && close(fd) == 0);
    longest_path(argv[1]);
    steps();
    return tap_end();
}
