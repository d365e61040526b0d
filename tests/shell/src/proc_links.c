/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Links of /proc and /dev to open files, programs and working directories, and what fcntl says of flags. */
#include "tap.h"
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static char here[PATH_MAX];

static const char *link_to(int fd)
{
    static char text[64];
    snprintf(text, sizeof text, "/proc/self/fd/%d", fd);
    return text;
}

static int holds(const char *path, const char *want)
{
    char bytes[64] = {0};
    int fd = open(path, O_RDONLY);
    ssize_t got = read(fd, bytes, sizeof bytes - 1);
    close(fd);
    return got == (ssize_t)strlen(want) && !strcmp(bytes, want);
}

static int leads(const char *link_, const char *want)
{
    char text[PATH_MAX], whole[PATH_MAX + 64];
    ssize_t len = readlink(link_, text, sizeof text - 1);
    if (len < 0)
        return 0;
    text[len] = 0;
    snprintf(whole, sizeof whole, "%s%s%s", here, *want ? "/" : "", want);
    if (strcmp(text, whole))
        printf("%s leads to %s\n", link_, text);
    return !strcmp(text, whole);
}

static void write_through(const char *format, const char *path, const char *twin)
{
    char name[64];
    int fd = open(path, O_RDONLY);
    MUST(fd >= 0);
    snprintf(name, sizeof name, format, fd);
    int again = open(name, O_WRONLY);
    OK(again >= 0 && write(again, "NEW", 3) == 3 && close(again) == 0, "%s opened for writing", format);
    OK(holds(path, "NEWe\n"), "%s: the file has what was written", format);
    OK(holds(twin, "same\n"), "%s: a file of equal bytes has not", format);
    close(fd);
}

static void attributes(void)
{
    struct stat s, t;
    int fd = open("attributes", O_RDONLY);
    MUST(fd >= 0 && fstat(fd, &s) == 0);
    OK(stat(link_to(fd), &t) == 0 && s.st_ino == t.st_ino && s.st_dev == t.st_dev && s.st_nlink == t.st_nlink, "stat through the link");
    OK(lstat(link_to(fd), &t) == 0 && S_ISLNK(t.st_mode), "lstat is of the link");
    OK(chmod(link_to(fd), 0600) == 0 && stat("attributes", &t) == 0 && (t.st_mode & 0777) == 0600, "chmod through the link");
    OK(utimes(link_to(fd), (struct timeval[]){{1, 0}, {2, 0}}) == 0 && stat("attributes", &t) == 0 && t.st_mtime == 2, "utimes through the link");
    OK(access(link_to(fd), R_OK) == 0, "access through the link");
    OK(truncate(link_to(fd), 2) == 0 && stat("attributes", &t) == 0 && t.st_size == 2, "truncate through the link");
    OK(holds("attributes2", "data\n"), "a file of equal bytes is as it was");
    FAILS(EEXIST, open(link_to(fd), O_CREAT | O_EXCL | O_WRONLY, 0644), "O_CREAT|O_EXCL");
    FAILS(ELOOP, open(link_to(fd), O_RDONLY | O_NOFOLLOW), "O_NOFOLLOW");
}

static void where(const char *self)
{
    char name[64];
    int fd = open("d/inner", O_RDONLY), status;
    MUST(fd >= 0 && chdir("d") == 0);
    OK(leads(link_to(fd), "d/inner") && leads("/proc/self/cwd", "d"), "/proc/self/fd and cwd");
    pid_t pid = fork();
    if (!pid) {
        execl(self, self, "wait", (char *)NULL);
        _exit(9);
    }
    snprintf(name, sizeof name, "/proc/%d/fd/%d", pid, fd);
    OK(leads(name, "d/inner"), "/proc/PID/fd of a child");
    snprintf(name, sizeof name, "/proc/%d/cwd", pid);
    OK(leads(name, "d"), "/proc/PID/cwd of a child");
    struct stat s, t;
    OK(stat(name, &s) == 0 && stat(".", &t) == 0 && s.st_ino == t.st_ino, "stat of it");
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    MUST(chdir("..") == 0);
}

static void streams(void)
{
    FILE *f = fopen("stream", "r");
    char text[8] = {0};
    MUST(f && fgets(text, 8, f) && freopen(NULL, "r", f));
    OK(fgets(text, 8, f) && !strcmp(text, "same\n"), "freopen without a path, for reading: from the start");
    OK((f = freopen(NULL, "r+", f)) && fputs("NEW", f) >= 0 && fclose(f) == 0 && holds("stream", "NEWe\n"), "freopen without a path, for writing");
    OK(holds("stream2", "same\n"), "a file of equal bytes is as it was");
    OK((f = fopen("stream2", "r")) && (f = freopen(NULL, "w", f)) && fclose(f) == 0 && holds("stream2", ""), "freopen without a path, truncating");
    OK(holds("stream3", "same\n"), "a file of equal bytes is as it was");
}

static void removed(void)
{
    char text[8] = {0};
    int fd = open("removed", O_RDONLY);
    MUST(fd >= 0 && unlink("removed") == 0);
    int again = open(link_to(fd), O_RDONLY);
    OK(again >= 0 && read(again, text, 5) == 5 && !strcmp(text, "same\n"), "a removed file read through the link");
    again = open(link_to(fd), O_WRONLY);
    if (again >= 0)
        MUST(write(again, "BAD", 3) == 3);
    OK(holds("removed2", "same\n"), "a file of equal bytes is never written through it");
}

static void shown_flags(void)
{
    char name[] = "madeXXXXXX";
    struct { const char *what; int fd, want; } all[] = {
        {"mkstemp", mkstemp(name), O_RDWR},
        {"O_RDONLY", open("d/inner", O_RDONLY), O_RDONLY},
        {"O_RDONLY|O_NOFOLLOW", open("d/inner", O_RDONLY | O_NOFOLLOW), O_RDONLY | O_NOFOLLOW},
        {"O_WRONLY|O_CREAT|O_APPEND", open("made1", O_WRONLY | O_CREAT | O_APPEND, 0644), O_WRONLY | O_APPEND},
        {"O_RDWR|O_CREAT|O_EXCL|O_NOFOLLOW", open("made2", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0644), O_RDWR | O_NOFOLLOW},
        {"O_RDWR|O_TRUNC|O_SYNC", open("made2", O_RDWR | O_TRUNC | O_SYNC), O_RDWR | O_SYNC},
        {"O_RDWR|O_NONBLOCK", open("made2", O_RDWR | O_NONBLOCK), O_RDWR | O_NONBLOCK},
        {"O_DIRECTORY", open("d", O_RDONLY | O_DIRECTORY), O_RDONLY | O_DIRECTORY},
        {"O_PATH", open("d/inner", O_PATH), O_PATH},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        MUST(all[i].fd >= 0);
        int got = fcntl(all[i].fd, F_GETFL) & ~0100000; /* O_LARGEFILE, which the kernel adds */
        OK(got == all[i].want, "F_GETFL of %s: %#o", all[i].what, got);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return pause();
    MUST(getcwd(here, sizeof here));
    write_through("/proc/self/fd/%d", "one", "one2");
    write_through("/dev/fd/%d", "two", "two2");
    write_through("/proc/thread-self/fd/%d", "three", "three2");
    attributes();
    where(argv[0]);
    streams();
    removed();
    shown_flags();
    return tap_end();
}
