/* SPDX-License-Identifier: MIT OR Apache-2.0
 * dirfd: the *at calls, from descriptors of directories that stay, move and vanish. */
#include "tap.h"
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

static char text[PATH_MAX];

static int reads(int dir, const char *path, const char *want)
{
    int fd = openat(dir, path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    close(fd);
    return n == (ssize_t)strlen(want) && !memcmp(text, want, (size_t)n);
}

int main(void)
{
    struct stat s, here;
    int d = open("d", O_RDONLY | O_DIRECTORY), path = open("d", O_PATH), other = open("other", O_RDONLY), fd;
    MUST(d >= 0 && path >= 0 && other >= 0);
    OK(reads(d, "file", "data\n") && reads(path, "file", "data\n"), "openat, also with O_PATH");
    OK(reads(d, "../file", "top\n"), "openat through ..");
    OK(reads(d, "../../outside", "outside\n"), "openat out of the view");
    OK((fd = openat(d, "made", O_WRONLY | O_CREAT | O_EXCL, 0644)) >= 0 && write(fd, "made", 4) == 4, "openat makes a file");
    close(fd);
    OK(fstatat(d, "made", &s, 0) == 0 && s.st_size == 4, "fstatat");
    OK(fstatat(d, "", &s, AT_EMPTY_PATH) == 0 && stat("d", &here) == 0 && s.st_ino == here.st_ino, "AT_EMPTY_PATH");
    OK(faccessat(d, "made", R_OK, 0) == 0, "faccessat");
    OK(mkdirat(d, "new", 0755) == 0 && access("d/new", F_OK) == 0, "mkdirat");
    OK(symlinkat("file", d, "soft") == 0 && readlinkat(d, "soft", text, sizeof text) == 4, "symlinkat, readlinkat");
    OK(linkat(d, "file", other, "hard", 0) == 0 && stat("other/hard", &s) == 0 && s.st_nlink == 2, "linkat");
    OK(renameat(d, "new", other, "renamed") == 0 && access("other/renamed", F_OK) == 0, "renameat");
    OK(fchmodat(d, "made", 0600, 0) == 0 && stat("d/made", &s) == 0 && (s.st_mode & 0777) == 0600, "fchmodat");
    OK(utimensat(d, "made", (struct timespec[]){{1, 2}, {3, 4}}, 0) == 0 && stat("d/made", &s) == 0 &&
       s.st_mtim.tv_nsec == 4, "utimensat");
    OK(mkfifoat(d, "fifo", 0600) == 0 && unlinkat(d, "fifo", 0) == 0, "mkfifoat, unlinkat");
    FAILS(EISDIR, unlinkat(other, "renamed", 0), "unlinkat of a directory");
    OK(mkdirat(d, "gone", 0755) == 0 && unlinkat(d, "gone", AT_REMOVEDIR) == 0, "AT_REMOVEDIR");
    OK(readlinkat(open("d/soft", O_PATH | O_NOFOLLOW), "", text, sizeof text) == 4, "readlinkat of an O_PATH symlink");
    FAILS(ENOENT, openat(d, "", O_RDONLY), "an empty path");
    FAILS(ENOENT, openat(d, "missing", O_RDONLY), "a missing name");
    FAILS(EBADF, openat(999, "file", O_RDONLY), "a closed descriptor");
    fd = open("file", O_RDONLY);
    FAILS(ENOTDIR, openat(fd, "x", O_RDONLY), "a descriptor of a file");
    FAILS(ENOTDIR, mkdirat(fd, "x", 0755), "mkdirat there");
    OK(realpath("file", text) && fstatat(999, text, &s, 0) == 0, "an absolute path needs no descriptor");

    MUST(rename("d", "moved") == 0);
    OK(reads(d, "file", "data\n"), "the directory was renamed: its files are found");
    OK(reads(d, "../file", "top\n"), "and its parent");
    OK((fd = openat(d, "sub/in_sub", O_WRONLY | O_CREAT, 0644)) >= 0 && access("moved/sub/in_sub", F_OK) == 0,
       "and files are made at its new name");
    MUST(mkdir("d", 0755) == 0);
    FAILS(ENOENT, openat(open("d", O_RDONLY), "file", O_RDONLY), "a new directory at the old name is empty");
    OK(reads(d, "file", "data\n"), "which does not confuse the descriptor");
    MUST(rename("moved", "other/in") == 0);
    OK(reads(d, "../../file", "top\n"), ".. follows it to another parent");
    MUST(rename("other/in", "moved") == 0);

    MUST(mkdir("gone", 0755) == 0);
    int gone = open("gone", O_RDONLY);
    MUST(rmdir("gone") == 0);
    FAILS(ENOENT, openat(gone, "x", O_WRONLY | O_CREAT, 0644), "creation in a removed directory");
    FAILS(ENOENT, mkdirat(gone, "x", 0755), "mkdirat there");
    FAILS(ENOENT, fstatat(gone, "x", &s, 0), "fstatat there");
    OK(fstat(gone, &s) == 0 && s.st_nlink == 0, "fstat of it still answers, nlink 0");
    MUST(mkdir("gone", 0755) == 0);
    FAILS(ENOENT, openat(gone, "x", O_WRONLY | O_CREAT, 0644), "a new directory of that name is another one");
    return tap_end();
}
