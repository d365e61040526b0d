/* SPDX-License-Identifier: MIT OR Apache-2.0
 * mkstemp DIR: the calls that invent names, with templates below DIR. */
#include "tap.h"
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

static char name[PATH_MAX];

/* The template was filled in, and the descriptor is the file of that name, private to its owner. */
static int made(int fd, const char *template)
{
    struct stat a, b;
    return fd >= 0 && strcmp(name, template) && !fstat(fd, &a) && !stat(name, &b) && a.st_ino == b.st_ino &&
           S_ISREG(a.st_mode) && (a.st_mode & 0777) == 0600 && write(fd, "x", 1) == 1 && !stat(name, &b) &&
           b.st_size == 1 && !close(fd) && !unlink(name);
}

#define TRY(call, template) OK((strcpy(name, template), made(call, template)), "%s", #call)

int main(int argc, char **argv)
{
    char absolute[PATH_MAX];
    struct stat s;
    MUST(argc == 2 && chdir(argv[1]) == 0);
    snprintf(absolute, sizeof absolute, "%s/d/abs.XXXXXX", argv[1]);
    TRY(mkstemp(name), "d/rel.XXXXXX");
    TRY(mkstemp(name), absolute);
    TRY(mkstemps(name, 2), "d/rel.XXXXXX.c");
    TRY(mkostemp(name, O_CLOEXEC), "d/rel.XXXXXX");
    TRY(mkostemps(name, 2, O_CLOEXEC), "d/rel.XXXXXX.c");
    strcpy(name, "d/close.XXXXXX");
    int fd = mkostemp(name, O_CLOEXEC);
    OK(fcntl(fd, F_GETFD) == FD_CLOEXEC && unlink(name) == 0, "mkostemp sets O_CLOEXEC");
    strcpy(name, "d/dir.XXXXXX");
    OK(mkdtemp(name) == name && !stat(name, &s) && (s.st_mode & 07777) == 0700 && S_ISDIR(s.st_mode), "mkdtemp");
    OK(rmdir(name) == 0, "its directory is removed");
    strcpy(name, "d/bad.XXX");
    FAILS(EINVAL, mkstemp(name), "a template that is too short");
    strcpy(name, "missing/x.XXXXXX");
    FAILS(ENOENT, mkstemp(name), "a template in a missing directory");
    OK(access("missing", F_OK) < 0, "which is not made");

    int distinct = 1;
    ino_t seen[100];
    for (int i = 0; i < 100; i++) {
        strcpy(name, "tmp/many.XXXXXX");
        fd = mkstemp(name);
        MUST(fd >= 0 && fstat(fd, &s) == 0);
        seen[i] = s.st_ino;
        for (int j = 0; j < i; j++)
            distinct &= seen[j] != s.st_ino;
        MUST(close(fd) == 0);
    }
    OK(distinct, "100 temporary files are 100 files");

    setenv("TMPDIR", argv[1], 1);
    char *invented = tempnam(NULL, "pre");
    OK(invented && !strncmp(invented, argv[1], strlen(argv[1])) && access(invented, F_OK) < 0, "tempnam in TMPDIR");
    fd = open(invented, O_RDWR | O_CREAT | O_EXCL, 0600);
    OK(fd >= 0 && rename(invented, "made_by_mkstemp") == 0, "its name can be made and renamed");

    FILE *f = tmpfile();
    OK(f && fputs("scratch", f) >= 0 && (rewind(f), fgets(name, sizeof name, f)) && !strcmp(name, "scratch"), "tmpfile");
    OK(fstat(fileno(f), &s) == 0 && s.st_nlink == 0 && s.st_size == 7, "has no name");
    /* A file system may lack it, as some do: then it says so, and programs take a name. */
    fd = open("d", O_TMPFILE | O_RDWR, 0644);
    OK(fd >= 0 || errno == EOPNOTSUPP, "O_TMPFILE is there or refused");
    if (fd >= 0) {
        OK(write(fd, "tmp", 3) == 3 && fstat(fd, &s) == 0 && s.st_nlink == 0, "O_TMPFILE");
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        OK(linkat(AT_FDCWD, name, AT_FDCWD, "d/linked", AT_SYMLINK_FOLLOW) == 0 && !stat("d/linked", &s) &&
               s.st_size == 3, "and linkat gives it a name");
        OK(unlink("d/linked") == 0, "which is removed");
    }
    return tap_end();
}
