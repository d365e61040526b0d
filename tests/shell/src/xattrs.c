/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Extended attributes: by path, by symlink, by fd; errors; who may. */
#include "tap.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static char value[70000];

static int is_value(ssize_t len, const char *want)
{
    return len == (ssize_t)strlen(want) && !memcmp(value, want, (size_t)len);
}

int main(void)
{
    struct stat before, after;
    OK(getxattr("file", "user.none", value, sizeof value) == -1 && errno == ENODATA, "none yet");
    OK(listxattr("file", value, sizeof value) == 0, "an empty list");
    MUST(stat("file", &before) == 0);
    usleep(20000);
    OK(setxattr("file", "user.one", "first", 5, 0) == 0, "setxattr");
    OK(stat("file", &after) == 0 && after.st_mtim.tv_nsec == before.st_mtim.tv_nsec &&
       (after.st_ctim.tv_sec > before.st_ctim.tv_sec || after.st_ctim.tv_nsec != before.st_ctim.tv_nsec),
       "moves the change time alone");
    OK(is_value(getxattr("file", "user.one", value, sizeof value), "first"), "getxattr");
    OK(getxattr("file", "user.one", NULL, 0) == 5, "its length");
    FAILS(ERANGE, getxattr("file", "user.one", value, 4), "too little room");
    OK(setxattr("file", "user.one", "second value", 12, XATTR_REPLACE) == 0 &&
       is_value(getxattr("file", "user.one", value, sizeof value), "second value"), "XATTR_REPLACE");
    FAILS(EEXIST, setxattr("file", "user.one", "x", 1, XATTR_CREATE), "XATTR_CREATE");
    FAILS(ENODATA, setxattr("file", "user.two", "x", 1, XATTR_REPLACE), "XATTR_REPLACE of none");
    FAILS(EINVAL, setxattr("file", "user.two", "x", 1, 64), "unknown flags");
    OK(setxattr("file", "user.empty", NULL, 0, XATTR_CREATE) == 0 && getxattr("file", "user.empty", value, 9) == 0, "an empty value");
    ssize_t len = listxattr("file", value, sizeof value);
    OK(len == 20 && memmem(value, 20, "user.one", 9) && memmem(value, 20, "user.empty", 11), "listxattr");
    OK(listxattr("file", NULL, 0) == 20, "its length");
    FAILS(ERANGE, listxattr("file", value, 19), "too little room for it");
    OK(removexattr("file", "user.empty") == 0 && listxattr("file", NULL, 0) == 9, "removexattr");
    FAILS(ENODATA, removexattr("file", "user.empty"), "removed");

    FAILS(ENOENT, setxattr("missing", "user.a", "x", 1, 0), "of nothing");
    FAILS(EOPNOTSUPP, setxattr("file", "nonsense", "x", 1, 0), "no such class");
    FAILS(EOPNOTSUPP, getxattr("file", "other.a", value, 9), "no such class to read");
    FAILS(EINVAL, setxattr("file", "user.", "x", 1, 0), "no name in the class");
    FAILS(ERANGE, setxattr("file", "", "x", 1, 0), "an empty name");
    char name[300] = "user.";
    memset(name + 5, 'n', 251);
    FAILS(ERANGE, setxattr("file", name, "x", 1, 0), "a name of 256 bytes");
    name[255] = 0;
    OK(setxattr("file", name, "x", 1, 0) == 0 && removexattr("file", name) == 0, "a name of 255 bytes");
    FAILS(E2BIG, setxattr("file", "user.big", value, 65537, 0), "a value above 64 KiB");
    FAILS(ENOSPC, setxattr("file", "user.big", value, 60000, 0), "more than a block");
    memset(value, 'v', 3000);
    OK(setxattr("file", "user.big", value, 3000, 0) == 0 && getxattr("file", "user.big", value, 4000) == 3000 &&
       value[2999] == 'v' && removexattr("file", "user.big") == 0, "3,000 bytes");

    MUST(symlink("file", "soft") == 0 && mkfifo("fifo", 0666) == 0 && mkdir("dir", 0755) == 0);
    OK(is_value(getxattr("soft", "user.one", value, sizeof value), "second value"), "getxattr follows");
    FAILS(ENODATA, lgetxattr("soft", "user.one", value, 9), "lgetxattr of a symlink");
    FAILS(EPERM, lsetxattr("soft", "user.one", "x", 1, 0), "lsetxattr of a symlink");
    FAILS(EPERM, setxattr("fifo", "user.one", "x", 1, 0), "of a fifo");
    OK(llistxattr("soft", value, 9) == 0, "llistxattr");
    OK(lsetxattr("dir", "user.d", "dir", 3, 0) == 0 && is_value(lgetxattr("dir", "user.d", value, 9), "dir"), "of a directory");
    OK(lremovexattr("dir", "user.d") == 0 && setxattr("dir", "user.stays", "here", 4, 0) == 0, "lremovexattr");

    int fd = open("file", O_RDONLY), path = open("file", O_PATH);
    OK(is_value(fgetxattr(fd, "user.one", value, sizeof value), "second value"), "fgetxattr");
    OK(fsetxattr(fd, "user.fd", "by fd", 5, 0) == 0 && is_value(getxattr("file", "user.fd", value, 9), "by fd"),
       "fsetxattr needs no fd for writing");
    OK(flistxattr(fd, NULL, 0) == 17 && fremovexattr(fd, "user.fd") == 0, "flistxattr, fremovexattr");
    FAILS(EBADF, fgetxattr(path, "user.one", value, 9), "not with O_PATH");

    OK(rename("file", "renamed") == 0 && is_value(getxattr("renamed", "user.one", value, 99), "second value"), "after a rename");
    OK(link("renamed", "hard") == 0 && is_value(getxattr("hard", "user.one", value, 99), "second value"), "by a hard link");
    fd = open("renamed", O_WRONLY | O_APPEND);
    OK(write(fd, "more", 4) == 4 && close(fd) == 0 && is_value(getxattr("hard", "user.one", value, 99), "second value"),
       "after a write");
    fd = open("new", O_CREAT | O_WRONLY, 0644);
    OK(fsetxattr(fd, "user.new", "n", 1, 0) == 0 && close(fd) == 0 && getxattr("new", "user.new", value, 9) == 1 &&
       unlink("new") == 0, "of a new file");
    fd = open("new", O_CREAT | O_WRONLY, 0644);
    OK(flistxattr(fd, value, 99) == 0, "not of the next at its name");
    close(fd);
    if (geteuid()) {
        FAILS(EPERM, setxattr("renamed", "trusted.a", "x", 1, 0), "trusted is for root");
        FAILS(ENODATA, getxattr("renamed", "trusted.a", value, 9), "which others do not see");
        FAILS(EPERM, setxattr("renamed", "security.a", "x", 1, 0), "security too");
        OK(getxattr("renamed", "security.capability", value, 9) == -1 && errno == ENODATA, "but may be asked for");
        MUST(chmod("new", 0200) == 0);
        FAILS(EACCES, getxattr("new", "user.a", value, 9), "no permission to read");
        MUST(chmod("new", 0400) == 0);
        FAILS(EACCES, setxattr("new", "user.a", "x", 1, 0), "no permission to write");
    } else {
        OK(setxattr("renamed", "trusted.a", "x", 1, 0) == 0 && getxattr("renamed", "trusted.a", value, 9) == 1, "trusted");
        OK(setxattr("renamed", "security.a", "x", 1, 0) == 0 && removexattr("renamed", "security.a") == 0, "security");
    }
    return tap_end();
}
