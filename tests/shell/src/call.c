/* SPDX-License-Identifier: MIT OR Apache-2.0
 * call NAME ARGS...: makes one libc call and prints what it gave: 0 (or the text it returns),
 * or the name of its errno. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const struct { const char *name; long value; } NAMES[] = {
    {"O_RDONLY", O_RDONLY}, {"O_WRONLY", O_WRONLY}, {"O_RDWR", O_RDWR}, {"O_CREAT", O_CREAT},
    {"O_EXCL", O_EXCL}, {"O_TRUNC", O_TRUNC}, {"O_APPEND", O_APPEND}, {"O_DIRECTORY", O_DIRECTORY},
    {"O_NOFOLLOW", O_NOFOLLOW}, {"O_PATH", O_PATH}, {"RENAME_NOREPLACE", RENAME_NOREPLACE},
    {"RENAME_EXCHANGE", RENAME_EXCHANGE}, {"F_OK", F_OK}, {"R_OK", R_OK}, {"W_OK", W_OK}, {"X_OK", X_OK},
};

/* A|B of the names above. */
static int flags(const char *text)
{
    int value = 0;
    while (*text) {
        size_t len = strcspn(text, "|"), i = 0, count = sizeof NAMES / sizeof *NAMES;
        while (i < count && (strlen(NAMES[i].name) != len || strncmp(NAMES[i].name, text, len)))
            i++;
        if (i == count) {
            fprintf(stderr, "call: unknown flag: %s\n", text);
            exit(2);
        }
        value |= NAMES[i].value;
        text += len + (text[len] == '|');
    }
    return value;
}

static long octal(const char *text) { return strtol(text, NULL, 8); }

static int print_stat(const char *path, const char *field, int follow)
{
    struct stat s;
    if ((follow ? stat : lstat)(path, &s))
        return -1;
    if (!strcmp(field, "mode")) printf("%o\n", s.st_mode);
    else if (!strcmp(field, "nlink")) printf("%ju\n", (uintmax_t)s.st_nlink);
    else if (!strcmp(field, "ino")) printf("%ju\n", (uintmax_t)s.st_ino);
    else if (!strcmp(field, "dev")) printf("%ju\n", (uintmax_t)s.st_dev);
    else if (!strcmp(field, "size")) printf("%jd\n", (intmax_t)s.st_size);
    else if (!strcmp(field, "owner")) printf("%u:%u\n", s.st_uid, s.st_gid);
    else if (!strcmp(field, "mtime")) printf("%jd.%09ld\n", (intmax_t)s.st_mtim.tv_sec, s.st_mtim.tv_nsec);
    else if (!strcmp(field, "ctime")) printf("%jd.%09ld\n", (intmax_t)s.st_ctim.tv_sec, s.st_ctim.tv_nsec);
    else if (!strcmp(field, "atime")) printf("%jd.%09ld\n", (intmax_t)s.st_atim.tv_sec, s.st_atim.tv_nsec);
    else exit(2);
    exit(0);
}

static int print_text(const char *text)
{
    if (!text)
        return -1;
    puts(text);
    exit(0);
}

/* SECONDS.NANOSECONDS, "now" or "omit" */
static struct timespec when(const char *text)
{
    struct timespec t = {strtoll(text, NULL, 10), 0};
    const char *dot = strchr(text, '.');
    if (dot) t.tv_nsec = strtol(dot + 1, NULL, 10);
    if (!strcmp(text, "now")) t.tv_nsec = UTIME_NOW;
    if (!strcmp(text, "omit")) t.tv_nsec = UTIME_OMIT;
    return t;
}

static int call(const char *name, char **a, int n)
{
    static char buffer[PATH_MAX + 1];
#define IS(text, args) (!strcmp(name, text) && n == (args))
    if (IS("open", 2)) return open(a[0], flags(a[1]));
    if (IS("open", 3)) return open(a[0], flags(a[1]), octal(a[2]));
    if (IS("creat", 2)) return creat(a[0], octal(a[1]));
    if (IS("access", 2)) return access(a[0], flags(a[1]));
    if (IS("eaccess", 2)) return eaccess(a[0], flags(a[1]));
    if (IS("mkdir", 2)) return mkdir(a[0], octal(a[1]));
    if (IS("rmdir", 1)) return rmdir(a[0]);
    if (IS("unlink", 1)) return unlink(a[0]);
    if (IS("unlinkdir", 1)) return unlinkat(AT_FDCWD, a[0], AT_REMOVEDIR);
    if (IS("remove", 1)) return remove(a[0]);
    if (IS("rename", 2)) return rename(a[0], a[1]);
    if (IS("renameat2", 3)) return renameat2(AT_FDCWD, a[0], AT_FDCWD, a[1], flags(a[2]));
    if (IS("link", 2)) return link(a[0], a[1]);
    if (IS("linkfollow", 2)) return linkat(AT_FDCWD, a[0], AT_FDCWD, a[1], AT_SYMLINK_FOLLOW);
    if (IS("symlink", 2)) return symlink(a[0], a[1]);
    if (IS("mkfifo", 2)) return mkfifo(a[0], octal(a[1]));
    if (IS("chmod", 2)) return chmod(a[0], octal(a[1]));
    if (IS("chown", 3)) return chown(a[0], atoi(a[1]), atoi(a[2]));
    if (IS("lchown", 3)) return lchown(a[0], atoi(a[1]), atoi(a[2]));
    if (IS("truncate", 2)) return truncate(a[0], atoll(a[1]));
    if (IS("chdir", 1)) return chdir(a[0]);
    if (IS("opendir", 1)) return opendir(a[0]) ? 0 : -1;
    if (IS("stat", 1)) return stat(a[0], &(struct stat){0});
    if (IS("lstat", 1)) return lstat(a[0], &(struct stat){0});
    if (IS("stat", 2)) return print_stat(a[0], a[1], 1);
    if (IS("lstat", 2)) return print_stat(a[0], a[1], 0);
    if (IS("realpath", 1)) return print_text(realpath(a[0], NULL));
    if (IS("readlink", 1)) return print_text(readlink(a[0], buffer, PATH_MAX) < 0 ? NULL : buffer);
    if (IS("utimens", 3)) return utimensat(AT_FDCWD, a[0], (struct timespec[]){when(a[1]), when(a[2])}, 0);
    if (IS("lutimens", 3))
        return utimensat(AT_FDCWD, a[0], (struct timespec[]){when(a[1]), when(a[2])}, AT_SYMLINK_NOFOLLOW);
    if (IS("execv", 1)) return execv(a[0], a);
    fprintf(stderr, "call: unknown call: %s with %d arguments\n", name, n);
    exit(2);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    int result = call(argv[1], argv + 2, argc - 2);
    puts(result == -1 ? strerrorname_np(errno) : "0");
    return 0;
}
