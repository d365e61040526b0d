/* SPDX-License-Identifier: MIT OR Apache-2.0
 * One file is one inode for all who have it open: what others write is seen, and locks exclude. */
#include "tap.h"
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs in another process; its result. */
static int elsewhere(int (*call)(const char *), const char *path)
{
    int status;
    pid_t child = fork();
    if (!child)
        _exit(call(path));
    MUST(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int appends(const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND);
    return fd < 0 || write(fd, "+more", 5) != 5;
}

static int overwrites(const char *path)
{
    int fd = open(path, O_RDWR);
    return fd < 0 || pwrite(fd, "NEW", 3, 0) != 3;
}

static int empties(const char *path)
{
    int fd = open(path, O_WRONLY | O_TRUNC);
    return fd < 0 || write(fd, "x", 1) != 1;
}

static int cuts(const char *path) { return truncate(path, 2) != 0; }

/* 0 locked, 1 refused. */
static int flocks(const char *path)
{
    int fd = open(path, O_RDONLY);
    return fd < 0 ? 99 : flock(fd, LOCK_EX | LOCK_NB) != 0;
}

static int flocks_for_writing(const char *path)
{
    int fd = open(path, O_RDWR);
    return fd < 0 ? 99 : flock(fd, LOCK_EX | LOCK_NB) != 0;
}

static int locks(const char *path, int command)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 3};
    int fd = open(path, O_RDWR);
    return fd < 0 ? 99 : fcntl(fd, command, &lock) != 0;
}

static int locks_posix(const char *path) { return locks(path, F_SETLK); }
static int locks_ofd(const char *path) { return locks(path, F_OFD_SETLK); }

static char text[256];

static int reads(int fd, const char *want)
{
    ssize_t n = pread(fd, text, sizeof text, 0);
    return n == (ssize_t)strlen(want) && !memcmp(text, want, (size_t)n);
}

/* What nobody writes is final, as after it was left alone for a while. */
static void seal(void)
{
    int dir = open(".", O_RDONLY | O_DIRECTORY);
    MUST(dir >= 0 && syncfs(dir) == 0);
    close(dir);
}

int main(void)
{
    struct stat s, t;
    int fd = open("read", O_RDONLY);
    char *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    MUST(fd >= 0 && map != MAP_FAILED && reads(fd, "old bytes"));
    OK(elsewhere(appends, "read") == 0 && reads(fd, "old bytes+more"), "a reader sees what another process appends");
    OK(elsewhere(overwrites, "read") == 0 && reads(fd, "NEW bytes+more") && !memcmp(map, "NEW bytes", 9),
       "and what it overwrites, also in a mapping");
    seal();
    OK(elsewhere(appends, "read") == 0 && reads(fd, "NEW bytes+more+more"), "again, after it was left alone for a while");
    OK(fstat(fd, &s) == 0 && stat("read", &t) == 0 && s.st_size == 19 && t.st_size == 19 && s.st_ino == t.st_ino, "its size");
    OK(elsewhere(cuts, "read") == 0 && reads(fd, "NE") && fstat(fd, &s) == 0 && s.st_size == 2, "truncate");
    OK(elsewhere(empties, "read") == 0 && reads(fd, "x"), "O_TRUNC");
    int equal = open("equal", O_RDONLY);
    OK(equal >= 0 && reads(equal, "old bytes"), "a file of equal content has its own");

    fd = open("lock", O_RDONLY);
    MUST(fd >= 0 && flock(fd, LOCK_EX) == 0);
    OK(elsewhere(flocks, "lock") == 1, "flock excludes another process");
    OK(elsewhere(flocks, "lock2") == 0, "but not on another empty file");
    OK(elsewhere(flocks_for_writing, "lock") == 1, "also one that opens it for writing");
    seal();
    OK(elsewhere(flocks, "lock") == 1 && elsewhere(flocks_for_writing, "lock") == 1, "also after a while");
    OK(elsewhere(appends, "lock") == 0 && elsewhere(flocks, "lock") == 1, "also after it was written");
    seal();
    OK(elsewhere(flocks, "lock") == 1, "and left alone");
    MUST(flock(fd, LOCK_UN) == 0);
    OK(elsewhere(flocks, "lock") == 0, "until it is unlocked");

    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 1, .l_len = 1};
    fd = open("posix", O_RDONLY);
    MUST(fd >= 0 && fcntl(fd, F_SETLK, &lock) == 0);
    OK(elsewhere(locks_posix, "posix") == 1, "a lock of fcntl excludes a writer");
    seal();
    OK(elsewhere(locks_posix, "posix") == 1, "also after a while");
    lock.l_type = F_UNLCK;
    MUST(fcntl(fd, F_SETLK, &lock) == 0);
    OK(elsewhere(locks_posix, "posix") == 0, "until it is unlocked");
    fd = open("ofd", O_RDONLY);
    lock.l_type = F_RDLCK;
    MUST(fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock) == 0);
    OK(elsewhere(locks_ofd, "ofd") == 1, "a lock of the open file description");
    close(fd);
    OK(elsewhere(locks_ofd, "ofd") == 0, "until it is closed");
    return tap_end();
}
