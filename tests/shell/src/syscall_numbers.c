/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Path calls by their numbers, through syscall(2): each must do what the function of that name does. */
#include "tap.h"
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utime.h>

static long by_stat(const char *path, struct stat *s) { return syscall(SYS_stat, path, s); }

static int has(const char *path)
{
    struct stat s;
    return !lstat(path, &s);
}

static void names(void)
{
    struct stat s, t;
    char text[PATH_MAX];
    OK(syscall(SYS_mkdir, "n", 0755) == 0 && by_stat("n", &s) == 0 && S_ISDIR(s.st_mode), "mkdir, stat");
    OK(syscall(SYS_mkdirat, AT_FDCWD, "n/d", 0755) == 0 && has("n/d"), "mkdirat");
    int fd = syscall(SYS_creat, "n/f", 0644);
    OK(fd >= 0 && syscall(SYS_write, fd, "12345", 5) == 5 && syscall(SYS_close, fd) == 0, "creat, write, close");
    OK(syscall(SYS_lstat, "n/f", &s) == 0 && s.st_size == 5, "lstat");
    OK(syscall(SYS_newfstatat, AT_FDCWD, "n/f", &t, 0) == 0 && t.st_ino == s.st_ino, "newfstatat");
    struct statx x;
    OK(syscall(SYS_statx, AT_FDCWD, "n/f", 0, STATX_BASIC_STATS, &x) == 0 && x.stx_ino == s.st_ino, "statx");
    OK(syscall(SYS_symlink, "f", "n/s") == 0 && syscall(SYS_symlinkat, "d", AT_FDCWD, "n/s2") == 0, "symlink, symlinkat");
    OK(syscall(SYS_readlink, "n/s", text, sizeof text) == 1 && text[0] == 'f', "readlink");
    OK(syscall(SYS_readlinkat, AT_FDCWD, "n/s2", text, sizeof text) == 1 && text[0] == 'd', "readlinkat");
    OK(syscall(SYS_link, "n/f", "n/l") == 0 && syscall(SYS_linkat, AT_FDCWD, "n/f", AT_FDCWD, "n/l2", 0) == 0, "link, linkat");
    OK(by_stat("n/l", &t) == 0 && t.st_ino == s.st_ino && t.st_nlink == 3, "three names");
    OK(syscall(SYS_rename, "n/l", "n/r") == 0 && has("n/r") && !has("n/l"), "rename");
    OK(syscall(SYS_renameat, AT_FDCWD, "n/l2", AT_FDCWD, "n/r2") == 0 && has("n/r2"), "renameat");
    FAILS(EEXIST, syscall(SYS_renameat2, AT_FDCWD, "n/r2", AT_FDCWD, "n/s", RENAME_NOREPLACE), "renameat2");
    OK(syscall(SYS_mknod, "n/p", S_IFIFO | 0644, 0) == 0 && syscall(SYS_mknodat, AT_FDCWD, "n/p2", S_IFREG | 0644, 0) == 0, "mknod, mknodat");
    OK(syscall(SYS_unlink, "n/r") == 0 && syscall(SYS_unlinkat, AT_FDCWD, "n/r2", 0) == 0 && !has("n/r2"), "unlink, unlinkat");
    OK(syscall(SYS_rmdir, "n/d") == 0 && !has("n/d"), "rmdir");
    FAILS(ENOENT, syscall(SYS_open, "n/none", O_RDONLY), "open");
    FAILS(EEXIST, syscall(SYS_open, "n/f", O_CREAT | O_EXCL | O_WRONLY, 0644), "open, O_EXCL");
}

static void attributes(void)
{
    struct stat s;
    struct statfs fs;
    MUST(syscall(SYS_fchmodat, AT_FDCWD, "file", 0640) == 0);
    OK(by_stat("file", &s) == 0 && (s.st_mode & 07777) == 0640, "fchmodat");
    OK(syscall(SYS_chmod, "file", 0604) == 0 && by_stat("file", &s) == 0 && (s.st_mode & 07777) == 0604, "chmod");
    int fd = syscall(SYS_openat, AT_FDCWD, "file", O_RDONLY);
    MUST(fd >= 0);
    OK(syscall(SYS_fchmod, fd, 0644) == 0 && syscall(SYS_fstat, fd, &s) == 0 && (s.st_mode & 07777) == 0644, "fchmod, fstat");
    OK(syscall(SYS_chown, "file", -1, -1) == 0 && syscall(SYS_lchown, "file", -1, -1) == 0 && syscall(SYS_fchown, fd, -1, -1) == 0 &&
       syscall(SYS_fchownat, AT_FDCWD, "file", -1, -1, 0) == 0, "the four chowns");
    OK(syscall(SYS_utime, "file", &(struct utimbuf){1, 2}) == 0 && by_stat("file", &s) == 0 && s.st_mtime == 2, "utime");
    OK(syscall(SYS_utimes, "file", (struct timeval[]){{3, 0}, {4, 0}}) == 0 && by_stat("file", &s) == 0 && s.st_mtime == 4, "utimes");
    OK(syscall(SYS_futimesat, AT_FDCWD, "file", (struct timeval[]){{5, 0}, {6, 0}}) == 0 && by_stat("file", &s) == 0 && s.st_mtime == 6, "futimesat");
    OK(syscall(SYS_utimensat, AT_FDCWD, "file", (struct timespec[]){{7, 0}, {8, 9}}, 0) == 0 && by_stat("file", &s) == 0 && s.st_mtim.tv_nsec == 9, "utimensat");
    OK(syscall(SYS_utimensat, fd, NULL, (struct timespec[]){{7, 0}, {10, 0}}, 0) == 0 && by_stat("file", &s) == 0 && s.st_mtime == 10, "utimensat of an fd");
    OK(syscall(SYS_truncate, "file", 3L) == 0 && by_stat("file", &s) == 0 && s.st_size == 3, "truncate");
    OK(syscall(SYS_access, "file", R_OK) == 0 && syscall(SYS_faccessat, AT_FDCWD, "file", W_OK) == 0, "access, faccessat");
    FAILS(ENOENT, syscall(SYS_access, "none", F_OK), "access of nothing");
    FAILS(ENOENT, syscall(SYS_faccessat, AT_FDCWD, "none", F_OK), "faccessat of nothing");
    OK(syscall(SYS_statfs, "file", &fs) == 0 && fs.f_bsize > 0, "statfs");
    MUST(close(fd) == 0);
    fd = open("file", O_RDONLY);
    int copy = syscall(SYS_dup, fd);
    OK(syscall(SYS_fstat, copy, &s) == 0 && s.st_size == 3, "dup");
    OK(syscall(SYS_dup2, fd, 70) == 70 && syscall(SYS_dup3, fd, 71, O_CLOEXEC) == 71 && fstat(71, &s) == 0 && s.st_size == 3, "dup2, dup3");
    OK(syscall(SYS_fcntl, fd, F_DUPFD, 80) == 80 && fstat(80, &s) == 0 && s.st_size == 3, "fcntl, F_DUPFD");
    OK(syscall(SYS_close_range, 70, 80, 0) == 0 && fstat(80, &s) == -1, "close_range");
    mode_t old = syscall(SYS_umask, 027);
    OK(old == 022 && syscall(SYS_mkdir, "masked", 0777) == 0 && by_stat("masked", &s) == 0 && (s.st_mode & 0777) == 0750, "umask");
    syscall(SYS_umask, old);
}

static void folders(void)
{
    char here[PATH_MAX], there[PATH_MAX];
    MUST(getcwd(here, sizeof here));
    OK(syscall(SYS_chdir, "d") == 0, "chdir");
    long len = syscall(SYS_getcwd, there, sizeof there);
    OK(len == (long)strlen(here) + 3 && len == (long)strlen(there) + 1 && !strcmp(there + len - 3, "/d"), "getcwd gives the length");
    FAILS(ERANGE, syscall(SYS_getcwd, there, 3L), "getcwd without room");
    int up = open("..", O_RDONLY | O_DIRECTORY);
    OK(syscall(SYS_fchdir, up) == 0 && getcwd(there, sizeof there) && !strcmp(here, there), "fchdir");
    /* Both record forms name the same entries of the same types. */
    char bytes[4096];
    struct { char name[32]; unsigned char type; } seen[32] = {0};
    int count = 0, matched = 0, fd = open("d", O_RDONLY | O_DIRECTORY);
    long got = syscall(SYS_getdents64, fd, bytes, sizeof bytes);
    for (long at = 0; at < got && count < 32;) {
        struct dirent64 *entry = (void *)(bytes + at);
        strncpy(seen[count].name, entry->d_name, 31), seen[count++].type = entry->d_type;
        at += entry->d_reclen;
    }
    OK(count == 4, "getdents64: %d entries", count);
    MUST(lseek(fd, 0, SEEK_SET) == 0);
    got = syscall(SYS_getdents, fd, bytes, sizeof bytes);
    for (long at = 0; at < got;) {
        unsigned short len_here;
        memcpy(&len_here, bytes + at + 16, 2);
        for (int i = 0; i < count; i++)
            matched += !strcmp(seen[i].name, bytes + at + 18) && seen[i].type == (unsigned char)bytes[at + len_here - 1];
        at += len_here;
    }
    OK(matched == count, "getdents: the same entries");
    off_t base = -1;
    MUST(lseek(fd, 0, SEEK_SET) == 0);
    OK(getdirentries(fd, bytes, sizeof bytes, &base) > 0 && base == 0, "getdirentries");
}

static long open2(const char *path, unsigned long long flags, unsigned long long resolve)
{
    struct open_how how = {.flags = flags, .resolve = resolve};
    return syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
}

static void openat2_rules(void)
{
    struct stat s;
    char absolute[PATH_MAX], link_[PATH_MAX + 8];
    MUST(getcwd(absolute, sizeof absolute - 8));
    strcat(absolute, "/file");
    int fd = open2("file", O_RDONLY, 0);
    OK(fd >= 0 && fstat(fd, &s) == 0 && s.st_size == 3, "openat2");
    FAILS(ENOENT, open2("none", O_RDONLY, 0), "openat2 of nothing");
    FAILS(EINVAL, open2("file", 1ULL << 40, 0), "openat2, unknown flags");
    FAILS(EINVAL, open2("file", O_RDONLY, 1 << 20), "openat2, unknown resolve");
    FAILS(EINVAL, syscall(SYS_openat2, AT_FDCWD, "file", &(struct open_how){.mode = 0644}, sizeof(struct open_how)), "openat2, a mode without O_CREAT");
    FAILS(EINVAL, syscall(SYS_openat2, AT_FDCWD, "file", &(struct open_how){0}, 8L), "openat2, a short struct");
    struct { struct open_how how; long more; } larger = {{0}, 0};
    OK(syscall(SYS_openat2, AT_FDCWD, "file", &larger, sizeof larger) >= 0, "openat2, a larger struct of zeros");
    larger.more = 1;
    FAILS(E2BIG, syscall(SYS_openat2, AT_FDCWD, "file", &larger, sizeof larger), "openat2, a larger struct with more in it");
    MUST(symlink("../file", "d/up") == 0 && symlink("file", "here") == 0 && symlink(absolute, "abs") == 0);
    OK(open2("d/up", O_RDONLY, RESOLVE_BENEATH) >= 0, "beneath: down and up again");
    FAILS(EXDEV, open2("../tree/file", O_RDONLY, RESOLVE_BENEATH), "beneath: ..");
    FAILS(EXDEV, open2(absolute, O_RDONLY, RESOLVE_BENEATH), "beneath: an absolute path");
    FAILS(EXDEV, open2("abs", O_RDONLY, RESOLVE_BENEATH), "beneath: an absolute symlink");
    FAILS(ELOOP, open2("here", O_RDONLY, RESOLVE_NO_SYMLINKS), "no symlinks: at the end");
    FAILS(ELOOP, open2("d/up", O_RDONLY, RESOLVE_NO_SYMLINKS), "no symlinks: further down");
    OK(open2("d/../file", O_RDONLY, RESOLVE_NO_SYMLINKS) >= 0, "no symlinks: none there");
    OK(open2("/file", O_RDONLY, RESOLVE_IN_ROOT) >= 0 && open2("../../file", O_RDONLY, RESOLVE_IN_ROOT) >= 0, "in root: / and .. are the start");
    FAILS(ENOENT, open2("abs", O_RDONLY, RESOLVE_IN_ROOT), "in root: an absolute symlink");
    int made = syscall(SYS_openat2, AT_FDCWD, "d/new2", &(struct open_how){.flags = O_CREAT | O_RDWR, .mode = 0600, .resolve = RESOLVE_BENEATH}, sizeof(struct open_how));
    OK(made >= 0 && stat("d/new2", &s) == 0 && (s.st_mode & 0777) == 0600, "beneath: a new file");
    snprintf(link_, sizeof link_, "/proc/self/fd/%d", fd);
    FAILS(ELOOP, open2(link_, O_RDONLY, RESOLVE_NO_MAGICLINKS), "no magic links");
}

static void programs(const char *self)
{
    int status;
    pid_t pid = fork();
    if (!pid) {
        char *argv[] = {(char *)self, "child", NULL};
        syscall(SYS_execve, self, argv, environ);
        _exit(9);
    }
    OK(waitpid(pid, &status, 0) == pid && status == 0, "execve: the new program is in the view");
    OK(syscall(SYS_getpid) == getpid() && syscall(SYS_gettid) == gettid(), "calls without a path");
    FAILS(EBADF, syscall(SYS_read, -1, NULL, 0L), "errno of calls without a path");
    char out[8] = {0};
    int fd = open("file", O_RDONLY);
    loff_t from = 1;
    int sink = open("spliced", O_CREAT | O_RDWR, 0644);
    OK(syscall(SYS_copy_file_range, fd, &from, sink, NULL, 2L, 0L) == 2 && pread(sink, out, 8, 0) == 2 && out[0] == 'a', "six arguments");
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return !has("n/f");
    names();
    attributes();
    folders();
    openat2_rules();
    programs(argv[0]);
    return tap_end();
}
