/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* System calls by this program's own instruction: own_calls open|stat|unlink|io_uring [PATH] */
#include <errno.h>
#include <fcntl.h>
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
    else return 2;
    puts(result >= 0 ? "done" : strerrorname_np((int)-result));
    return 0;
}
