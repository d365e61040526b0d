/* SPDX-License-Identifier: MIT OR Apache-2.0
 * cwd DIR: chdir, fchdir and the calls that name the working directory. */
#include "tap.h"
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

static char got[PATH_MAX], want[PATH_MAX];

static int named(const char *root, const char *below)
{
    snprintf(want, sizeof want, "%s%s", root, below);
    int good = getcwd(got, sizeof got) == got && !strcmp(got, want);
    char *allocated = getcwd(NULL, 0);
    good &= allocated && !strcmp(allocated, want);
    free(allocated);
    setenv("PWD", "/wrong", 1); /* get_current_dir_name must not believe it */
    allocated = get_current_dir_name();
    good &= allocated && !strcmp(allocated, want);
    free(allocated);
    ssize_t n = readlink("/proc/self/cwd", got, sizeof got - 1);
    return good && n == (ssize_t)strlen(want) && !memcmp(got, want, (size_t)n);
}

int main(int argc, char **argv)
{
    MUST(argc == 2 && chdir(argv[1]) == 0);
    char *root = argv[1];
    OK(named(root, ""), "the root of the view");
    OK(chdir("z/moved") == 0 && named(root, "/z/moved"), "a directory below");
    OK(chdir("..") == 0 && named(root, "/z"), "..");
    int fd = open("../tmp", O_RDONLY | O_DIRECTORY), top = open("..", O_PATH);
    OK(fchdir(fd) == 0 && named(root, "/tmp"), "fchdir");
    OK(fchdir(top) == 0 && named(root, ""), "fchdir to an O_PATH descriptor");
    MUST((fd = open("by_fchdir", O_WRONLY | O_CREAT, 0644)) >= 0);
    FAILS(ENOTDIR, fchdir(fd), "fchdir to a file");
    FAILS(ERANGE, getcwd(got, 2) ? 0 : -1, "getcwd with a short buffer");
    FAILS(EINVAL, getcwd(got, 0) ? 0 : -1, "getcwd with an empty buffer");
    MUST(mkdir("new", 0755) == 0 && chdir("new") == 0);
    OK(named(root, "/new"), "a directory made in the view");
    MUST(rename("../new", "../tmp/newer") == 0);
    OK(named(root, "/tmp/newer"), "renamed to another parent");
    MUST(rmdir("../newer") == 0);
    FAILS(ENOENT, getcwd(got, sizeof got) ? 0 : -1, "getcwd in a removed directory");
    FAILS(ENOENT, open("x", O_WRONLY | O_CREAT, 0644), "creation there");
    struct stat s;
    OK(stat(".", &s) == 0 && s.st_nlink == 0, "stat of . there has nlink 0");
    OK(chdir(root) == 0 && named(root, ""), "and out again");
    OK(chdir("/") == 0 && named("/", ""), "the root folder");
    OK(chdir(root) == 0 && chdir("..") == 0 && getcwd(got, sizeof got) && !strncmp(root, got, strlen(got)),
       "the real parent");
    return tap_end();
}
