/* SPDX-License-Identifier: MIT OR Apache-2.0
 * reuse STEP: files that are made where others were removed.
 *   remove  makes and removes many files
 *   make    files made afterwards are new ones: empty, with the mode and the times of now
 *   ahead   what waits for a number becomes its file, if it is one
 *   dying   the daemon dies while it makes a file ahead; new files are new ones
 *   late    a file that is removed between the daemon's answer to an open and the open itself is not opened
 *   hold    files that somebody has open, in whatever way, are not among them
 *   race    several processes make, read and remove files under few names; what is read under a name was
 *           written under it */
#include "tap.h"
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FILES = 300, NAMES = 6, ROUNDS = 1500, WRITERS = 2, READERS = 2, LEN = 3000 };

static void name_file(char *to, const char *what, int n) { sprintf(to, "%s-%d", what, n); }

static int made(const char *name, mode_t mode, const char *text)
{
    int fd = open(name, O_RDWR | O_CREAT | O_EXCL, mode);
    MUST(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    return fd;
}

/* They are open until they are removed: what is closed is sealed after a while, and no staging file any more. */
static void remove_many(const char *what)
{
    int fds[FILES];
    char name[32];
    for (int n = 0; n < FILES; n++) {
        name_file(name, what, n);
        fds[n] = made(name, n % 2 ? 0755 : 0644, "bytes that nobody may see again");
    }
    for (int n = 0; n < FILES; n++) {
        name_file(name, what, n);
        MUST(unlink(name) == 0 && close(fds[n]) == 0);
    }
}

static void make_many(const char *what)
{
    struct timespec start;
    struct stat s;
    char name[32], text[64];
    int empty = 1, modes = 1, times = 1, bytes = 1;
    clock_gettime(CLOCK_REALTIME_COARSE, &start);
    for (int n = 0; n < FILES; n++) {
        mode_t mode = (mode_t[]){0600, 0644, 0755, 0444}[n % 4];
        name_file(name, what, n);
        int fd = open(name, O_RDWR | O_CREAT | O_EXCL, mode);
        MUST(fd >= 0 && fstat(fd, &s) == 0);
        empty &= s.st_size == 0 && s.st_blocks == 0 && read(fd, text, sizeof text) == 0;
        modes &= (s.st_mode & 07777) == mode && s.st_nlink == 1 && s.st_uid == geteuid();
        times &= s.st_mtim.tv_sec >= start.tv_sec && s.st_ctim.tv_sec >= start.tv_sec
                 && s.st_atim.tv_sec >= start.tv_sec;
        sprintf(text, "file %d", n);
        MUST(write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
    }
    for (int n = 0; n < FILES; n++) {
        char want[64];
        name_file(name, what, n);
        int fd = open(name, O_RDONLY);
        ssize_t len = read(fd, text, sizeof text - 1);
        text[len > 0 ? len : 0] = 0;
        sprintf(want, "file %d", n);
        bytes &= !strcmp(text, want);
        close(fd);
    }
    OK(empty, "new files are empty");
    OK(modes, "with the modes that were asked for");
    OK(times, "and the times of now");
    OK(bytes, "and hold what was written");
}

static void hold(void)
{
    struct stat s;
    char text[64] = "", link[64];
    int written = made("by-fd", 0640, "held by an fd");
    close(made("by-reader", 0604, "held by a reader"));
    int reader = open("by-reader", O_RDONLY);
    int fd = made("by-map", 0600, "held by a mapping");
    char *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    MUST(map != MAP_FAILED && close(fd) == 0);
    close(made("by-path", 0644, "held by O_PATH"));
    int path = open("by-path", O_PATH);
    fd = made("by-path-of-fd", 0644, "held by O_PATH of an fd");
    const char *names[] = {"by-fd", "by-reader", "by-map", "by-path", "by-path-of-fd"};
    for (int n = 0; n < 5; n++)
        MUST(unlink(names[n]) == 0);
    sprintf(link, "/proc/self/fd/%d", fd);
    int path_of_fd = open(link, O_PATH);
    MUST(path >= 0 && path_of_fd >= 0 && close(fd) == 0);
    OK(fstat(written, &s) == 0 && s.st_nlink == 0 && (s.st_mode & 07777) == 0640, "its fd knows that it is gone");
    remove_many("beside");
    /* The daemon looks at what was removed once it has nothing else to do. */
    struct timespec pause = {1, 500000000};
    nanosleep(&pause, NULL);
    make_many("instead");
    OK(pread(written, text, sizeof text, 0) == 13 && !strncmp(text, "held by an fd", 13), "by an fd");
    OK(pwrite(written, "HELD", 4, 0) == 4, "which still writes");
    OK(pread(reader, text, sizeof text, 0) == 16 && !strncmp(text, "held by a reader", 16), "by a reader");
    OK(fstat(reader, &s) == 0 && s.st_nlink == 0 && (s.st_mode & 07777) == 0604, "with its mode");
    OK(!strcmp(map, "held by a mapping"), "by a mapping");
    for (int n = 0; n < 2; n++) {
        sprintf(link, "/proc/self/fd/%d", n ? path_of_fd : path);
        fd = open(link, O_RDONLY);
        ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text);
        OK(len >= 14 && !strncmp(text, "held by O_PATH", 14), "by O_PATH%s", n ? ", of an fd" : "");
    }
}

/* The inode of a number's staging file; 0: there is none. Outside of the view. */
static ino_t staged(unsigned long number, mode_t *mode)
{
    char path[4096];
    struct stat s;
    snprintf(path, sizeof path, "%s/staging/00000001/%016lx", getenv("VRIFT_HOME"), number);
    if (lstat(path, &s) != 0)
        return 0;
    if (mode)
        *mode = s.st_mode;
    return s.st_ino;
}

/* After so many requests they go by a page, whose thread makes files ahead. */
static void many(const char *what)
{
    char name[32];
    for (int n = 0; n < 100; n++) {
        name_file(name, what, n);
        close(made(name, 0644, name));
    }
}

/* A new file, and the inode that waits for the next number, in ten seconds. */
static ino_t until_ahead(const char *name, unsigned long *number)
{
    struct timespec pause = {0, 5000000};
    struct stat s;
    ino_t inode = 0;
    int fd = made(name, 0644, name);
    MUST(fstat(fd, &s) == 0 && close(fd) == 0);
    *number = s.st_ino + 1;
    for (int tries = 0; tries < 2000 && !(inode = staged(*number, NULL)); tries++)
        nanosleep(&pause, NULL);
    return inode;
}

static void ahead(void)
{
    unsigned long number;
    struct stat s;
    mode_t mode = 0;
    char text[8];
    many("many");
    ino_t inode = until_ahead("first", &number);
    OK(inode != 0, "a file waits for the next number");
    int fd = open("second", O_RDWR | O_CREAT | O_EXCL, 0644);
    MUST(fd >= 0 && fstat(fd, &s) == 0);
    OK(s.st_ino == number && staged(number, &mode) == inode, "the next file is staged in it");
    OK(mode == (S_IFREG | 0644), "which has its mode from the start");
    OK(s.st_size == 0 && read(fd, text, sizeof text) == 0, "and is empty");
    MUST(close(fd) == 0);
    OK(until_ahead("third", &number) != 0, "another one waits");
    MUST(mkdir("dir", 0755) == 0 && stat("dir", &s) == 0);
    OK(s.st_ino == number && staged(number, NULL) == 0, "a directory that gets the number has none");
    OK(until_ahead("fourth", &number) != 0, "another one waits");
    MUST(mkfifo("fifo", 0644) == 0 && stat("fifo", &s) == 0);
    OK(s.st_ino == number && staged(number, &mode) && S_ISFIFO(mode), "what a fifo gets is a fifo");
}

static void dying(void)
{
    const char *die = getenv("VRIFT_TEST_DIE"), *steps[] = {"ahead make", "ahead made"};
    const char *later[] = {"later 1", "later 2"};
    char name[32];
    int good = 1;
    for (int step = 0; step < 2; step++) {
        many(steps[step]);
        int fd = open(die, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        MUST(fd >= 0 && write(fd, steps[step], strlen(steps[step])) > 0 && close(fd) == 0);
        /* The second at the latest finds nobody. */
        many(later[step]);
        OK(access(die, F_OK) == -1 && errno == ENOENT, "the daemon died: %s", steps[step]);
        for (int n = 0; n < 200; n++) {
            ssize_t len;
            name_file(name, n < 100 ? steps[step] : later[step], n % 100);
            char got[64] = "";
            fd = open(name, O_RDONLY);
            len = read(fd, got, sizeof got - 1);
            good &= len == (ssize_t)strlen(name) && !strcmp(got, name);
            close(fd);
        }
        OK(good, "%s: all files hold what was written", steps[step]);
    }
}

/* Has the daemon pause at a step; at `until`, that it does is waited for. */
static void arm(const char *step)
{
    int fd = open(getenv("VRIFT_TEST_DIE"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    MUST(fd >= 0 && write(fd, step, strlen(step)) > 0 && close(fd) == 0);
}
static void until(const char *marker, int there)
{
    struct timespec pause = {0, 2000000};
    char path[4096];
    snprintf(path, sizeof path, "%s.%s", getenv("VRIFT_TEST_DIE"), marker);
    if (!there)
        MUST(unlink(path) == 0);
    for (int tries = 0; there && access(path, F_OK) != 0; tries++)
        MUST(tries < 10000 && nanosleep(&pause, NULL) == 0);
}

static void late(void)
{
    int status;
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        /* By a page, whose thread may pause while others are served; open, so that it is not sealed. */
        many("before");
        int held = made("removed", 0644, "bytes");
        arm("pause answer Open");
        int fd = open("removed", O_WRONLY);
        _exit(held < 0 ? 100 : fd < 0 ? errno : 0);
    }
    until("answer-Open", 1);
    arm("pause spare");
    MUST(unlink("removed") == 0);
    until("spare", 1);
    until("answer-Open", 0);
    MUST(waitpid(child, &status, 0) == child && WIFEXITED(status));
    until("spare", 0);
    errno = WEXITSTATUS(status);
    OK(errno == ENOENT, "a file that was just removed is not opened: %s", strerror(errno));
}

/* Every file under a name is filled with the name's own letter. */
static int writes(unsigned seed)
{
    char name[32], own[64], text[LEN];
    for (int round = 0; round < ROUNDS; round++) {
        int n = rand_r(&seed) % NAMES;
        name_file(name, "race", n);
        sprintf(own, "%s.%d", name, getpid());
        memset(text, 'a' + n, sizeof text);
        const char *at = round % 2 ? name : own;
        int fd = open(at, O_WRONLY | O_CREAT | (round % 3 ? O_TRUNC : 0), 0644);
        if (fd < 0 || write(fd, text, sizeof text) != (ssize_t)sizeof text || close(fd) != 0)
            return 1;
        if (at == own && rename(own, name) != 0)
            return 2;
        if (round % 4 == 0 && unlink(name) != 0 && errno != ENOENT)
            return 3;
    }
    return 0;
}

static int reads(unsigned seed)
{
    char name[32], text[LEN];
    struct stat s;
    for (int round = 0; round < ROUNDS; round++) {
        int n = rand_r(&seed) % NAMES;
        name_file(name, "race", n);
        int fd = open(name, O_RDONLY);
        if (fd < 0 && errno == ENOENT)
            continue;
        if (fd < 0)
            return 4;
        ssize_t len = read(fd, text, sizeof text);
        for (ssize_t at = 0; at < len; at++)
            if (text[at] != 'a' + n)
                return 5;
        if (len < 0 || fstat(fd, &s) != 0 || s.st_size > LEN || close(fd) != 0)
            return 6;
    }
    return 0;
}

static void race(void)
{
    int good = 1;
    for (int n = 0; n < WRITERS + READERS; n++) {
        pid_t child = fork();
        MUST(child >= 0);
        if (child == 0)
            _exit(n < WRITERS ? writes(n + 1) : reads(n + 1));
    }
    for (int n = 0; n < WRITERS + READERS; n++) {
        int status;
        MUST(wait(&status) > 0);
        if (status != 0)
            printf("a child ended with %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
        good &= status == 0;
    }
    OK(good, "what is read under a name was written under it");
}

int main(int argc, char **argv)
{
    MUST(argc == 2);
    if (!strcmp(argv[1], "remove"))
        remove_many("first");
    else if (!strcmp(argv[1], "make"))
        make_many("second");
    else if (!strcmp(argv[1], "ahead"))
        ahead();
    else if (!strcmp(argv[1], "dying"))
        dying();
    else if (!strcmp(argv[1], "late"))
        late();
    else if (!strcmp(argv[1], "hold"))
        hold();
    else
        race();
    return tap_end();
}
