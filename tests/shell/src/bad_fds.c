/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Fds that are negative, closed, of the wrong kind or of O_PATH; AT_EMPTY_PATH; open's flags for directories and links. */
#include "tap.h"
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

static void every_call(int fd, const char *kind)
{
    struct stat s;
    struct statx x;
    struct statfs fs;
    char text[64], what[96];
#define EACH(call) do { snprintf(what, sizeof what, "%s: %.*s", kind, (int)strcspn(#call, "("), #call); FAILS(EBADF, call, what); } while (0)
    EACH(fstat(fd, &s));
    EACH(fstatat(fd, "file", &s, 0));
    EACH(fstatat(fd, "", &s, AT_EMPTY_PATH));
    EACH(statx(fd, "", AT_EMPTY_PATH, STATX_ALL, &x));
    EACH(fstatfs(fd, &fs));
    EACH(openat(fd, "file", O_RDONLY));
    EACH(openat(fd, "made", O_WRONLY | O_CREAT, 0644));
    EACH(faccessat(fd, "file", F_OK, 0));
    EACH(mkdirat(fd, "made", 0755));
    EACH(unlinkat(fd, "file", 0));
    EACH(renameat(fd, "file", AT_FDCWD, "made"));
    EACH(renameat(AT_FDCWD, "file", fd, "made"));
    EACH(linkat(fd, "file", AT_FDCWD, "made", 0));
    EACH(symlinkat("file", fd, "made"));
    EACH(readlinkat(fd, "link", text, sizeof text));
    EACH(fchmodat(fd, "file", 0644, 0));
    EACH(fchownat(fd, "file", -1, -1, 0));
    EACH(utimensat(fd, "file", NULL, 0));
    EACH(mknodat(fd, "made", S_IFREG | 0644, 0));
    EACH(mkfifoat(fd, "made", 0644));
    EACH(fchmod(fd, 0644));
    EACH(fchown(fd, -1, -1));
    EACH(futimens(fd, NULL));
    EACH(futimes(fd, NULL));
    EACH(fchdir(fd));
    EACH(dup(fd));
    EACH(dup2(fd, 90));
    EACH(fcntl(fd, F_GETFL));
    EACH(close(fd));
    EACH(read(fd, text, 1));
    EACH(write(fd, text, 1));
    EACH(ftruncate(fd, 0));
    EACH(fallocate(fd, 0, 0, 1));
    EACH(fsync(fd));
    EACH(fdopendir(fd) ? 0 : -1);
    EACH(fdopen(fd, "r") ? 0 : -1);
    EACH(syscall(SYS_getdents64, fd, text, sizeof text));
    EACH(copy_file_range(fd, NULL, fd, NULL, 1, 0));
    EACH(sendfile(fd, fd, NULL, 1));
}

static void wrong_kind(void)
{
    int file = open("file", O_RDONLY), dir = open("d", O_RDONLY | O_DIRECTORY), made = open("d/made", O_CREAT | O_WRONLY, 0644);
    struct stat s;
    char text[64];
    MUST(file >= 0 && dir >= 0 && made >= 0);
    FAILS(ENOTDIR, openat(file, "x", O_RDONLY), "openat from a file");
    FAILS(ENOTDIR, fstatat(file, "x", &s, 0), "fstatat from a file");
    FAILS(ENOTDIR, mkdirat(file, "x", 0755), "mkdirat from a file");
    FAILS(ENOTDIR, fchdir(file), "fchdir to a file");
    FAILS(ENOTDIR, fdopendir(file) ? 0 : -1, "fdopendir of a file");
    FAILS(ENOTDIR, syscall(SYS_getdents64, file, text, sizeof text), "getdents64 of a file");
    FAILS(EISDIR, read(dir, text, 1), "read of a directory");
    FAILS(EBADF, write(dir, text, 1), "write to a directory");
    FAILS(EBADF, write(file, text, 1), "write to what is open for reading");
    FAILS(EBADF, read(made, text, 1), "read of what is open for writing");
    FAILS(EINVAL, ftruncate(file, 0), "ftruncate of what is open for reading");
    FAILS(EBADF, fallocate(file, 0, 0, 1), "fallocate of what is open for reading");
    FAILS(EINVAL, lseek(file, -1, SEEK_SET), "lseek before the start");
    FAILS(ENODEV, mmap(NULL, 1, PROT_READ, MAP_PRIVATE, dir, 0) == MAP_FAILED ? -1 : 0, "mmap of a directory");
    FAILS(EACCES, mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) == MAP_FAILED ? -1 : 0, "a shared writable mapping of what is open for reading");
    FAILS(EBADF, dup2(file, -1), "dup2 to -1");
    FAILS(EBADF, dup2(file, 1 << 30), "dup2 beyond the limit");
    FAILS(EINVAL, dup3(file, file, 0), "dup3 onto itself");
    OK(dup2(file, file) == file, "dup2 onto itself");
    OK(openat(-1, "/dev/null", O_RDONLY) >= 0, "an absolute path from -1");
    close(file), close(dir), close(made);
}

static void empty_paths(void)
{
    int file = open("file", O_RDWR), dir = open("d", O_RDONLY), link_ = open("link", O_PATH | O_NOFOLLOW);
    struct stat s, t;
    struct statx x;
    char text[64];
    MUST(file >= 0 && dir >= 0 && stat("file", &s) == 0);
    OK(fstatat(file, "", &t, AT_EMPTY_PATH) == 0 && s.st_ino == t.st_ino, "fstatat of an fd");
    OK(statx(file, "", AT_EMPTY_PATH, STATX_INO, &x) == 0 && x.stx_ino == s.st_ino, "statx of an fd");
    OK(fstatat(AT_FDCWD, "", &t, AT_EMPTY_PATH) == 0 && stat(".", &s) == 0 && s.st_ino == t.st_ino, "fstatat of the working directory");
    OK(faccessat(file, "", R_OK, AT_EMPTY_PATH) == 0, "faccessat of an fd");
    OK(fchownat(file, "", -1, -1, AT_EMPTY_PATH) == 0, "fchownat of an fd");
    OK(utimensat(file, "", (struct timespec[]){{1, 0}, {2, 0}}, AT_EMPTY_PATH) == 0 && stat("file", &s) == 0 && s.st_mtime == 2, "utimensat of an fd");
    FAILS(ENOENT, fstatat(file, "", &t, 0), "fstatat of nothing");
    FAILS(ENOENT, faccessat(file, "", R_OK, 0), "faccessat of nothing");
    FAILS(ENOENT, fchownat(file, "", -1, -1, 0), "fchownat of nothing");
    FAILS(ENOENT, openat(dir, "", O_RDONLY), "openat of nothing");
    FAILS(ENOENT, open("", O_RDONLY), "open of nothing");
    FAILS(ENOENT, mkdir("", 0755), "mkdir of nothing");
    FAILS(ENOENT, unlink(""), "unlink of nothing");
    FAILS(ENOENT, chdir(""), "chdir to nothing");
    FAILS(ENOENT, readlink("", text, sizeof text), "readlink of nothing");
    FAILS(ENOENT, symlink("", "x"), "symlink to nothing");
    FAILS(EINVAL, fstatat(AT_FDCWD, "file", &t, 1 << 30), "fstatat, unknown flags");
    FAILS(EINVAL, unlinkat(AT_FDCWD, "file", 1 << 30), "unlinkat, unknown flags");
    FAILS(EINVAL, linkat(AT_FDCWD, "file", AT_FDCWD, "x", 1 << 30), "linkat, unknown flags");
    FAILS(EINVAL, fchownat(AT_FDCWD, "file", -1, -1, 1 << 30), "fchownat, unknown flags");
    FAILS(EINVAL, utimensat(AT_FDCWD, "file", NULL, 1 << 30), "utimensat, unknown flags");
    FAILS(EINVAL, faccessat(AT_FDCWD, "file", R_OK, 1 << 30), "faccessat, unknown flags");
    FAILS(EINVAL, fchmodat(AT_FDCWD, "file", 0644, 1 << 30), "fchmodat, unknown flags");
    FAILS(EINVAL, access("file", 8), "access, unknown mode");
    FAILS(EINVAL, renameat2(AT_FDCWD, "file", AT_FDCWD, "x", 1 << 30), "renameat2, unknown flags");
    FAILS(EINVAL, renameat2(AT_FDCWD, "file", AT_FDCWD, "x", RENAME_NOREPLACE | RENAME_EXCHANGE), "renameat2, flags that exclude each other");
    FAILS(EINVAL, truncate("file", -1), "truncate to less than nothing");
    if (link_ >= 0) {
        OK(readlinkat(link_, "", text, sizeof text) == 4 && !memcmp(text, "file", 4), "readlinkat of a link's fd");
        OK(fstat(link_, &s) == 0 && S_ISLNK(s.st_mode), "fstat of a link's fd");
    }
    OK(link_ >= 0, "O_PATH|O_NOFOLLOW of a link");
    close(file), close(dir), close(link_);
}

static void path_fds(void)
{
    int file = open("file", O_PATH), dir = open("d", O_PATH | O_DIRECTORY);
    struct stat s, t;
    char text[64], here[PATH_MAX];
    MUST(file >= 0 && dir >= 0);
    OK(fstat(file, &s) == 0 && stat("file", &t) == 0 && s.st_ino == t.st_ino, "O_PATH: fstat");
    OK(fstatat(dir, "inner", &s, 0) == 0, "O_PATH: fstatat from it");
    int inner = openat(dir, "inner", O_RDONLY);
    OK(inner >= 0 && read(inner, text, 5) == 5, "O_PATH: openat from it");
    OK(dup(file) >= 0 && fcntl(file, F_GETFD) >= 0, "O_PATH: dup, F_GETFD");
    FAILS(EBADF, read(file, text, 1), "O_PATH: read");
    FAILS(EBADF, write(file, text, 1), "O_PATH: write");
    FAILS(EBADF, fchmod(file, 0600), "O_PATH: fchmod");
    FAILS(EBADF, fchown(file, -1, -1), "O_PATH: fchown");
    FAILS(EBADF, futimens(file, NULL), "O_PATH: futimens");
    FAILS(EBADF, ftruncate(file, 0), "O_PATH: ftruncate");
    FAILS(EBADF, fsync(file), "O_PATH: fsync");
    FAILS(EBADF, syscall(SYS_getdents64, dir, text, sizeof text), "O_PATH: getdents64");
    FAILS(ENOTDIR, open("file", O_PATH | O_DIRECTORY), "O_PATH|O_DIRECTORY of a file");
    FAILS(ENOENT, open("none", O_PATH), "O_PATH of nothing");
    MUST(getcwd(here, sizeof here));
    OK(fchdir(dir) == 0 && access("inner", F_OK) == 0 && chdir(here) == 0, "O_PATH: fchdir");
    close(file), close(dir), close(inner);
}

static void open_flags(void)
{
    struct stat s;
    FAILS(ENOTDIR, open("file", O_RDONLY | O_DIRECTORY), "O_DIRECTORY of a file");
    FAILS(ENOTDIR, open("file/", O_RDONLY), "a file with a slash");
    FAILS(EISDIR, open("d", O_WRONLY), "a directory for writing");
    FAILS(EISDIR, open("d", O_RDONLY | O_CREAT, 0644), "O_CREAT of a directory");
    FAILS(EISDIR, open("none/", O_WRONLY | O_CREAT, 0644), "O_CREAT of a name with a slash");
    FAILS(ELOOP, open("link", O_RDONLY | O_NOFOLLOW), "O_NOFOLLOW of a link");
    OK(open("dlink/inner", O_RDONLY | O_NOFOLLOW) >= 0, "O_NOFOLLOW: a link on the way");
    FAILS(ENOTDIR, open("dlink", O_RDONLY | O_NOFOLLOW | O_DIRECTORY), "O_NOFOLLOW|O_DIRECTORY of a link");
    OK(open("dlink", O_RDONLY | O_DIRECTORY) >= 0, "O_DIRECTORY through a link");
    FAILS(EEXIST, open("dangling", O_WRONLY | O_CREAT | O_EXCL, 0644), "O_CREAT|O_EXCL through a dangling link");
    FAILS(ENOENT, lstat("nowhere", &s), "which made nothing");
    FAILS(ENOENT, open("dangling", O_RDONLY), "a dangling link");
    int fd = open("dangling", O_WRONLY | O_CREAT, 0644);
    OK(fd >= 0 && stat("nowhere", &s) == 0 && S_ISREG(s.st_mode), "O_CREAT through a dangling link makes its target");
    FAILS(EEXIST, open("nowhere", O_WRONLY | O_CREAT | O_EXCL, 0644), "O_CREAT|O_EXCL of what is there");
    FAILS(ENOENT, open("none/deeper", O_WRONLY | O_CREAT, 0644), "O_CREAT below nothing");
    FAILS(ENOTDIR, open("file/deeper", O_WRONLY | O_CREAT, 0644), "O_CREAT below a file");
}

int main(void)
{
    every_call(-1, "fd -1");
    every_call(INT_MIN, "the least fd");
    every_call(90, "a closed fd");
    every_call(INT_MAX, "the greatest fd");
    wrong_kind();
    empty_paths();
    path_fds();
    open_flags();
    return tap_end();
}
