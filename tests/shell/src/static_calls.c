/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Linked statically: what a program does that no preload library can reach. static_calls COMMAND ARGS... */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    return 1;
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    if (!strcmp(command, "write") && argc == 4) {
        int fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0644);
        if (fd < 0 || write(fd, argv[3], strlen(argv[3])) < 0) return fail(argv[2]);
        return 0;
    }
    /* In place: a hard link to sealed bytes would show it elsewhere. */
    if (!strcmp(command, "patch") && argc == 4) {
        int fd = open(argv[2], O_RDWR);
        if (fd < 0 || pwrite(fd, argv[3], strlen(argv[3]), 0) < 0) return fail(argv[2]);
        return 0;
    }
    if (!strcmp(command, "cat") && argc == 3) {
        char bytes[4096];
        ssize_t len;
        int fd = open(argv[2], O_RDONLY);
        if (fd < 0) return fail(argv[2]);
        while ((len = read(fd, bytes, sizeof bytes)) > 0)
            if (write(1, bytes, len) != len) return 1;
        return len < 0;
    }
    /* Writes, says so, and waits to be killed. */
    if (!strcmp(command, "linger") && argc == 4) {
        int fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0644);
        if (fd < 0 || write(fd, "half", 4) != 4) return fail(argv[2]);
        fd = open(argv[3], O_WRONLY | O_CREAT, 0644);
        if (fd < 0) return fail(argv[3]);
        dprintf(fd, "%d\n", (int)getpid());
        close(fd);
        for (;;) pause();
    }
    if (!strcmp(command, "run") && argc > 2) {
        int status;
        pid_t pid = fork();
        if (pid == 0) {
            execvp(argv[2], argv + 2);
            _exit(127);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid) return fail(argv[2]);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    if (!strcmp(command, "raise") && argc == 3) return raise(atoi(argv[2]));
    fprintf(stderr, "static_calls: no such command: %s\n", command);
    return 2;
}
