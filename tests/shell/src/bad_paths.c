/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Paths that are too long, and pointers that are null: the errno is the kernel's, and nothing else happens. */
#include "tap.h"
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

/* Each call that takes one path, which all fail with one errno. */
static void every_call(const char *volatile path, int wanted, const char *kind)
{
    struct stat s;
    struct statx x;
    struct statfs fs;
    struct statvfs vfs;
    char text[64], what[96];
    char *argv[] = {"x", NULL};
#define EACH(call) do { snprintf(what, sizeof what, "%s: %.*s", kind, (int)strcspn(#call, "("), #call); FAILS(wanted, call, what); } while (0)
    EACH(open(path, O_RDONLY));
    EACH(open(path, O_WRONLY | O_CREAT, 0644));
    EACH(openat(AT_FDCWD, path, O_RDONLY));
    EACH(creat(path, 0644));
    EACH(stat(path, &s));
    EACH(lstat(path, &s));
    EACH(fstatat(AT_FDCWD, path, &s, 0));
    EACH(statx(AT_FDCWD, path, 0, STATX_ALL, &x));
    EACH(access(path, F_OK));
    EACH(faccessat(AT_FDCWD, path, F_OK, 0));
    EACH(eaccess(path, F_OK));
    EACH(statfs(path, &fs));
    EACH(statvfs(path, &vfs));
    EACH(mkdir(path, 0755));
    EACH(mkdirat(AT_FDCWD, path, 0755));
    EACH(rmdir(path));
    EACH(unlink(path));
    EACH(unlinkat(AT_FDCWD, path, 0));
    EACH(remove(path));
    EACH(rename(path, "x"));
    EACH(rename("file", path));
    EACH(renameat2(AT_FDCWD, path, AT_FDCWD, "x", RENAME_NOREPLACE));
    EACH(link(path, "x"));
    EACH(link("file", path));
    if (!path || strlen(path) != 256) /* a target may have any name in it */
        EACH(symlink(path, "x"));
    EACH(symlink("file", path));
    EACH(readlink(path, text, sizeof text));
    EACH(mkfifo(path, 0644));
    EACH(mknod(path, S_IFREG | 0644, 0));
    EACH(chdir(path));
    EACH(truncate(path, 0));
    EACH(chmod(path, 0644));
    EACH(chown(path, -1, -1));
    EACH(lchown(path, -1, -1));
    EACH(utime(path, NULL));
    EACH(utimes(path, NULL));
    EACH(getxattr(path, "user.a", text, sizeof text));
    EACH(listxattr(path, text, sizeof text));
    EACH(removexattr(path, "user.a"));
    EACH(execve(path, argv, environ));
    EACH(syscall(SYS_stat, path, &s));
    EACH(syscall(SYS_open, path, O_RDONLY));
    EACH(fopen(path, "r") ? 0 : -1);
    if (!path)
        return; /* the C library itself reads the names that follow */
    struct dirent **list;
    EACH(opendir(path) ? 0 : -1);
    EACH(scandir(path, &list, NULL, NULL));
}

static char *repeated(const char *unit, size_t len, const char *end)
{
    char *text = malloc(len + 1);
    MUST(text && len > strlen(end));
    for (size_t i = 0; i < len; i++)
        text[i] = unit[i % strlen(unit)];
    strcpy(text + len - strlen(end), end);
    return text;
}

static void nulls(void)
{
    /* Not known to the compiler, which would warn. */
    void *volatile null = NULL;
    int fd = open("file", O_RDONLY), dir = open(".", O_RDONLY | O_DIRECTORY);
    FAILS(EFAULT, stat("file", null), "stat into null");
    FAILS(EFAULT, lstat("file", null), "lstat into null");
    FAILS(EFAULT, fstat(fd, null), "fstat into null");
    FAILS(EFAULT, fstatat(AT_FDCWD, "file", null, 0), "fstatat into null");
    FAILS(EFAULT, statx(AT_FDCWD, "file", 0, STATX_ALL, null), "statx into null");
    FAILS(EFAULT, statx(fd, null, 0, STATX_ALL, null), "statx of null");
    FAILS(EFAULT, statfs("file", null), "statfs into null");
    FAILS(EFAULT, readlink("link", null, 10), "readlink into null");
    FAILS(EFAULT, syscall(SYS_getdents64, dir, null, 1000L), "getdents64 into null");
    FAILS(EFAULT, syscall(SYS_getcwd, null, 1000L), "getcwd into null, by number");
    FAILS(EINVAL, utimensat(AT_FDCWD, null, null, 0), "utimensat of null");
    errno = 0;
    OK(!realpath(null, NULL) && errno == EINVAL, "realpath of null: EINVAL");
    close(fd), close(dir);
}

int main(void)
{
    void *volatile null = NULL;
    char here[PATH_MAX], *path;
    struct stat s, t;
    MUST(getcwd(here, sizeof here) && stat("file", &s) == 0);
    every_call(null, EFAULT, "null");
    every_call(repeated("./", PATH_MAX, "file"), ENAMETOOLONG, "PATH_MAX bytes");
    every_call(repeated("x", 256, ""), ENAMETOOLONG, "a name of 256 bytes");
    every_call(repeated("x/", 1 << 20, ""), ENAMETOOLONG, "1 MiB");
    asprintf(&path, "%s/%s", here, repeated("./", PATH_MAX, "file"));
    every_call(path, ENAMETOOLONG, "absolute, beyond PATH_MAX");
    path = repeated("./", PATH_MAX - 2, "file");
    OK(stat(path, &t) == 0 && t.st_ino == s.st_ino, "a path of PATH_MAX - 2 bytes");
    path = repeated("/", PATH_MAX - 1, "");
    memcpy(path, here, strlen(here)), memcpy(path + strlen(path) - 4, "file", 4);
    OK(stat(path, &t) == 0 && t.st_ino == s.st_ino, "an absolute path of PATH_MAX - 1 bytes");
    path = repeated("y", 255, "");
    OK(mkdir(path, 0755) == 0 && stat(path, &t) == 0 && rmdir(path) == 0, "a name of 255 bytes");
    nulls();
    OK(stat("file", &t) == 0 && !memcmp(&s.st_mtim, &t.st_mtim, sizeof s.st_mtim) && s.st_size == t.st_size, "the file is as it was");
    FAILS(ENOENT, lstat("x", &t), "nothing was made");
    return tap_end();
}
