/* SPDX-License-Identifier: MIT OR Apache-2.0
 * utimes DIR: every libc call that sets times, checked by stat. */
#include "tap.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#include <utime.h>

static int has(const char *path, long sec, long nsec, int follow)
{
    struct stat s;
    MUST((follow ? stat : lstat)(path, &s) == 0);
    return s.st_mtim.tv_sec == sec && s.st_mtim.tv_nsec == nsec && s.st_atim.tv_sec == sec - 1;
}

int main(int argc, char **argv)
{
    MUST(argc == 2 && chdir(argv[1]) == 0);
    int fd = open("timed", O_WRONLY | O_CREAT, 0644), dir = open(".", O_RDONLY | O_DIRECTORY);
    MUST(fd >= 0 && dir >= 0 && write(fd, "x", 1) == 1 && symlink("timed", "timed_link") == 0);
    OK(utime("timed", &(struct utimbuf){99, 100}) == 0 && has("timed", 100, 0, 1), "utime");
#define TV(s) (struct timeval[]){{(s) - 1, 5}, {(s), 7}}
#define TS(s) (struct timespec[]){{(s) - 1, 123456789}, {(s), 987654321}}
    OK(utimes("timed", TV(200)) == 0 && has("timed", 200, 7000, 1), "utimes");
    OK(lutimes("timed_link", TV(300)) == 0 && has("timed_link", 300, 7000, 0), "lutimes sets the link");
    OK(has("timed", 200, 7000, 1), "lutimes leaves the target");
    OK(futimes(fd, TV(400)) == 0 && has("timed", 400, 7000, 1), "futimes");
    OK(futimesat(dir, "timed", TV(500)) == 0 && has("timed", 500, 7000, 1), "futimesat");
    OK(utimensat(dir, "timed_link", TS(600), 0) == 0 && has("timed", 600, 987654321, 1), "utimensat follows a link");
    OK(utimensat(dir, "timed_link", TS(700), AT_SYMLINK_NOFOLLOW) == 0 && has("timed_link", 700, 987654321, 0),
       "utimensat AT_SYMLINK_NOFOLLOW");
    OK(futimens(fd, TS(800)) == 0 && has("timed", 800, 987654321, 1), "futimens");
    OK(utimensat(fd, "", TS(900), AT_EMPTY_PATH) == 0 && has("timed", 900, 987654321, 1), "utimensat on an fd");
    struct timespec omit[] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
    OK(utimensat(dir, "timed", omit, 0) == 0 && has("timed", 900, 987654321, 1), "UTIME_OMIT keeps both");
    MUST(close(fd) == 0);
    OK(has("timed", 900, 987654321, 1), "close keeps the times that were set");
    fd = open("timed", O_RDONLY);
    MUST(fd >= 0);
    OK(futimens(fd, TS(1000)) == 0 && has("timed", 1000, 987654321, 1), "futimens on an fd opened for reading");
    OK(futimens(dir, TS(1100)) == 0 && has(".", 1100, 987654321, 1), "futimens on a directory");
    struct stat s;
    OK(utimes("timed", NULL) == 0 && stat("timed", &s) == 0 && s.st_mtime > 1000000000, "utimes NULL means now");
    FAILS(ENOENT, utimes("missing", NULL), "utimes of a missing file");
    FAILS(EINVAL, utimensat(dir, "timed", (struct timespec[]){{0, 1000000000}, {0, 0}}, 0), "a bad nanosecond");
    return tap_end();
}
