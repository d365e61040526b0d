/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* System calls by this program's own instruction: own_calls nothing|open|stat|unlink|io_uring|HOW [PATH]
 * HOW: blocked|blocked_thread|in_handler|ignored, what SIGSYS is while the call is made. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static long own(long number, long a, long b, long c, long d)
{
    long result;
    register long r10 __asm__("r10") = d;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
    return result;
}

static const char *file;

static void handler(int signal)
{
    (void)signal;
    own(SYS_access, (long)file, R_OK, 0, 0);
}

/* Each time one call, then more of them where SIGSYS cannot be delivered. */
static long with_signals(const char *how, const char *path)
{
    struct sigaction action = {.sa_handler = handler}, old;
    sigset_t all;
    long first = own(SYS_access, (long)path, R_OK, 0, 0);
    file = path;
    sigfillset(&all);
    if (!strcmp(how, "blocked")) {
        if (sigprocmask(SIG_SETMASK, &all, NULL))
            return -EIO;
    } else if (!strcmp(how, "blocked_thread")) {
        if (pthread_sigmask(SIG_BLOCK, &all, NULL))
            return -EIO;
    } else if (!strcmp(how, "in_handler")) {
        action.sa_mask = all;
        if (sigaction(SIGUSR1, &action, NULL) || raise(SIGUSR1))
            return -EIO;
    } else {
        if (sigaction(SIGSYS, NULL, &old) || old.sa_handler != SIG_DFL || signal(SIGSYS, SIG_IGN) != SIG_DFL || raise(SIGSYS))
            return -EIO;
    }
    return own(SYS_access, (long)path, R_OK, 0, 0) == first ? first : -EIO;
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "?", *path = argc > 2 ? argv[2] : "";
    char parameters[120] = { 0 };
    struct stat stat;
    long result;
    if (!strcmp(command, "open")) result = own(SYS_openat, AT_FDCWD, (long)path, O_RDONLY, 0);
    else if (!strcmp(command, "stat")) result = own(SYS_stat, (long)path, (long)&stat, 0, 0);
    else if (!strcmp(command, "unlink")) result = own(SYS_unlink, (long)path, 0, 0, 0);
    else if (!strcmp(command, "io_uring")) result = own(SYS_io_uring_setup, 4, (long)parameters, 0, 0);
    else if (!strcmp(command, "nothing")) result = 0;
    else if (strstr("blocked blocked_thread in_handler ignored", command)) result = with_signals(command, path);
    else return 2;
    puts(result >= 0 ? "done" : strerrorname_np((int)-result));
    return 0;
}
