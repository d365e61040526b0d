/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Signal handlers that call into the view in the middle of calls, and fds that are closed by bare instructions. */
#include "tap.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

static volatile sig_atomic_t runs, wrong;

/* open, fstat, close, stat and a change: all of them async-signal-safe. */
static void handler(int number)
{
    int saved = errno;
    struct stat s, t;
    (void)number;
    int fd = open("file", O_RDONLY);
    if (fd < 0 || fstat(fd, &s) || close(fd) || stat("file", &t) || s.st_ino != t.st_ino || t.st_size != 5)
        wrong = wrong + 1;
    if (access("none", F_OK) == 0 || errno != ENOENT)
        wrong = wrong + 1;
    if (mkdir("by_handler", 0755) || rmdir("by_handler"))
        wrong = wrong + 1;
    runs = runs + 1;
    errno = saved;
}

static void signals(void)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    struct itimerval often = {{0, 700}, {0, 700}}, never = {{0, 0}, {0, 0}};
    struct stat s;
    char from[32], to[32];
    int good = 0, rounds = 0;
    MUST(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &often, NULL) == 0);
    while (runs < 200 && rounds < 100000) {
        snprintf(from, sizeof from, "work/%d", rounds), snprintf(to, sizeof to, "work/to%d", rounds);
        int fd = open(from, O_WRONLY | O_CREAT | O_EXCL, 0644);
        DIR *dir = opendir("work");
        int n = 0;
        while (dir && readdir(dir))
            n++;
        good += fd >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0 && rename(from, to) == 0 && stat(to, &s) == 0 &&
                s.st_size == 1 && unlink(to) == 0 && dir && closedir(dir) == 0 && n == 3;
        rounds++;
    }
    MUST(setitimer(ITIMER_REAL, &never, NULL) == 0);
    OK(runs >= 200 && wrong == 0, "%d handlers, %d of them wrong", (int)runs, (int)wrong);
    OK(good == rounds, "%d of %d interrupted rounds went well", good, rounds);
}

static long bare(long number, long a, long b, long c)
{
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

static void behind(void)
{
    struct stat s, t;
    int fd = open("file", O_RDONLY);
    MUST(fd >= 0 && fstat(fd, &s) == 0);
    OK(bare(SYS_close, fd, 0, 0) == 0 && bare(SYS_open, (long)"/dev/null", O_RDWR, 0) == fd, "a number closed and opened by bare instructions");
    OK(fstat(fd, &t) == 0 && S_ISCHR(t.st_mode), "fstat sees what is there now");
    OK(write(fd, "x", 1) == 1 && fchmod(fd, t.st_mode & 0777) <= 0, "and so does fchmod");
    OK(bare(SYS_close, fd, 0, 0) == 0 && fstat(fd, &t) == -1 && errno == EBADF, "closed by bare instructions");
    OK(open("d", O_RDONLY) == fd && fstat(fd, &t) == 0 && S_ISDIR(t.st_mode), "the number is used for a directory");
    int other = open("twin", O_RDONLY);
    OK(bare(SYS_dup2, other, fd, 0) == fd && fstat(fd, &t) == 0 && stat("twin", &s) == 0 && s.st_ino == t.st_ino, "dup2 by bare instructions");
    FAILS(ENOTDIR, fchdir(fd), "fchdir to it");
    for (int i = 3; i < 1024; i++)
        bare(SYS_close, i, 0, 0);
    OK(mkdir("after", 0755) == 0 && open("file", O_RDWR) >= 0, "changes work after all fds were closed by bare instructions");
}

int main(void)
{
    signals();
    behind();
    return tap_end();
}
