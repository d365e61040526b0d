/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* System calls by this program's own instruction: own_calls nothing|open|stat|unlink|io_uring|signals [PATH]
 * signals: one call, then more of them while SIGSYS is blocked, and while a handler has it blocked. */
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

static long with_signals(const char *path)
{
    struct sigaction action = {.sa_handler = handler}, old;
    sigset_t all;
    long first = own(SYS_access, (long)path, R_OK, 0, 0);
    file = path;
    sigfillset(&all);
    action.sa_mask = all;
    if (sigaction(SIGUSR1, &action, NULL) || raise(SIGUSR1))
        return -EIO;
    if (sigprocmask(SIG_SETMASK, &all, NULL) || own(SYS_access, (long)path, R_OK, 0, 0) != first)
        return -EIO;
    sigemptyset(&all);
    if (sigprocmask(SIG_SETMASK, &all, NULL) || sigaction(SIGSYS, NULL, &old) || old.sa_handler != SIG_DFL)
        return -EIO;
    action.sa_handler = SIG_IGN;
    if (sigaction(SIGSYS, &action, NULL) || raise(SIGSYS))
        return -EIO;
    return own(SYS_access, (long)path, R_OK, 0, 0);
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "", *path = argc > 2 ? argv[2] : "";
    char parameters[120] = { 0 };
    struct stat stat;
    long result;
    if (!strcmp(command, "open")) result = own(SYS_openat, AT_FDCWD, (long)path, O_RDONLY, 0);
    else if (!strcmp(command, "stat")) result = own(SYS_stat, (long)path, (long)&stat, 0, 0);
    else if (!strcmp(command, "unlink")) result = own(SYS_unlink, (long)path, 0, 0, 0);
    else if (!strcmp(command, "io_uring")) result = own(SYS_io_uring_setup, 4, (long)parameters, 0, 0);
    else if (!strcmp(command, "nothing")) result = 0;
    else if (!strcmp(command, "signals")) result = with_signals(path);
    else return 2;
    puts(result >= 0 ? "done" : strerrorname_np((int)-result));
    return 0;
}
