// SPDX-License-Identifier: MIT OR Apache-2.0
// A library to preload: the clock that people set is so many seconds off as the file JUMP_FILE says, for those who ask the C
// library (clock_gettime, time, gettimeofday) and for files that are touched (futimens with UTIME_NOW). What counts on
// without being set stays as it is.
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long long offset(void) {
    static const char *path;
    if (!path && !(path = getenv("JUMP_FILE"))) return 0;
    char text[32] = {0};
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    return len > 0 ? atoll(text) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += offset();
    return result;
}

time_t time(time_t *to) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (to) *to = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict to, void *restrict zone) {
    (void)zone;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    to->tv_sec = now.tv_sec;
    to->tv_usec = now.tv_nsec / 1000;
    return 0;
}

int futimens(int fd, const struct timespec times[2]) {
    struct timespec set[2];
    for (int i = 0; i < 2; i++) {
        if (!times || times[i].tv_nsec == UTIME_NOW) clock_gettime(CLOCK_REALTIME, &set[i]);
        else set[i] = times[i];
    }
    return syscall(SYS_utimensat, fd, NULL, set, 0);
}
