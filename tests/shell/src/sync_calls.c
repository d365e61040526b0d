/* SPDX-License-Identifier: MIT OR Apache-2.0
 * sync_calls COMMAND: fsync, fdatasync, syncfs and sync, each after a new file was made. COMMAND prints how
 * many changes a power cut would lose now ("-": it cannot say). All fds stay open, so that what happens when
 * files are closed does not come in between. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int at_end;

static const char *ask(const char *command)
{
    static char line[64];
    FILE *f = popen(command, "r");
    if (!f || !fgets(line, sizeof line, f) || pclose(f) != 0)
        return "error";
    line[strcspn(line, "\n")] = 0;
    return line;
}

static void report(int good, const char *what, const char *call)
{
    printf("%s - %s: %s\n", good ? "ok" : "not ok", call, what);
}

static int sync_void(int fd)
{
    (void)fd;
    sync();
    return 0;
}

static const struct { const char *name; int (*call)(int fd); } CALLS[] = {
    {"fsync", fsync}, {"fdatasync", fdatasync}, {"syncfs", syncfs}, {"sync", sync_void}, {"directory", fsync},
};

int main(int argc, char **argv)
{
    const char *policy = getenv("VRIFT_FSYNC"), *left;
    char name[64];

    if (argc != 2)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    at_end = policy && !strcmp(policy, "end");
    sync();
    for (size_t i = 0; i < sizeof CALLS / sizeof *CALLS; i++) {
        int dir = !strcmp(CALLS[i].name, "directory");
        snprintf(name, sizeof name, "%s%s", at_end ? "late_" : "made_for_", CALLS[i].name);
        if (dir && mkdir(name, 0755) != 0)
            return 1;
        int fd = dir ? open(name, O_RDONLY | O_DIRECTORY) : open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
        if (fd < 0 || (!dir && write(fd, "bytes\n", 6) != 6))
            return 1;
        left = ask(argv[1]);
        report(!strcmp(left, "-") || atoi(left) > 0, "its file is not durable before", CALLS[i].name);
        report(CALLS[i].call(fd) == 0, "gives 0", CALLS[i].name);
        left = ask(argv[1]);
        if (at_end && CALLS[i].call != sync_void)
            report(!strcmp(left, "-") || atoi(left) > 0, "left to the end of the run", CALLS[i].name);
        else if (!at_end)
            report(!strcmp(left, "-") || !strcmp(left, "0"), "durable after", CALLS[i].name);
    }
    report(fsync(9999) == -1 && errno == EBADF, "EBADF for a closed fd", "fsync");
    report(fdatasync(-1) == -1 && errno == EBADF, "EBADF for -1", "fdatasync");
    report(syncfs(9999) == -1 && errno == EBADF, "EBADF for a closed fd", "syncfs");
    return 0;
}
