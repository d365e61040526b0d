/* SPDX-License-Identifier: MIT OR Apache-2.0
 * fork: what a child shares with its parent and what it does not. */
#include "tap.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int wait_for(pid_t pid)
{
    int status;
    MUST(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

int main(void)
{
    char text[16] = "";
    struct stat before, s;
    int digits = open("digits", O_RDONLY), out = open("shared", O_RDWR | O_CREAT, 0644);
    MUST(digits >= 0 && out >= 0 && fstat(digits, &before) == 0 && read(digits, text, 3) == 3);

    pid_t pid = fork();
    if (!pid) {
        int fd = open("from_child", O_WRONLY | O_CREAT, 0644);
        int good = fd >= 0 && write(fd, "child", 5) == 5 && close(fd) == 0;
        good &= fstat(digits, &s) == 0 && s.st_ino == before.st_ino;
        good &= read(digits, text, 3) == 3 && !memcmp(text, "345", 3);
        good &= write(out, "child ", 6) == 6 && chdir("d") == 0 && access("f", F_OK) == 0;
        /* The parent still has both open. */
        good &= close(digits) == 0 && close(out) == 0;
        _exit(!good);
    }
    OK(wait_for(pid) == 0, "the child reads, writes, creates and changes its directory");
    OK(stat("from_child", &s) == 0 && s.st_size == 5, "the parent sees what the child made");
    OK(read(digits, text, 3) == 3 && !memcmp(text, "678", 3), "the offset is shared");
    OK(fstat(digits, &s) == 0 && s.st_ino == before.st_ino, "the descriptor keeps its identity");
    OK(access("d", F_OK) == 0 && access("f", F_OK) < 0, "the parent's working directory is its own");
    OK(write(out, "parent", 6) == 6 && stat("shared", &s) == 0 && s.st_size == 12, "both wrote one after the other");
    OK(pread(out, text, 12, 0) == 12 && !memcmp(text, "child parent", 12), "and nothing is lost");

    /* A child that is the last writer: the parent closed before it wrote. */
    int go[2];
    MUST(pipe(go) == 0);
    int late = open("late", O_WRONLY | O_CREAT, 0644);
    pid = fork();
    if (!pid) {
        char c;
        close(go[1]);
        _exit(read(go[0], &c, 1) != 0 || write(late, "late bytes", 10) != 10);
    }
    MUST(close(late) == 0 && stat("late", &s) == 0 && s.st_size == 0 && close(go[1]) == 0);
    OK(wait_for(pid) == 0, "a child writes after its parent closed");
    OK(stat("late", &s) == 0 && s.st_size == 10, "its bytes are there");

    /* Grandchildren whose parent is gone. */
    int ready[2];
    char c;
    MUST(pipe(ready) == 0);
    pid = fork();
    if (!pid) {
        if (fork())
            _exit(0);
        int fd = open("from_orphan", O_WRONLY | O_CREAT, 0644);
        _exit(fd < 0 || write(ready[1], "x", 1) != 1);
    }
    MUST(wait_for(pid) == 0 && close(ready[1]) == 0);
    OK(read(ready[0], &c, 1) == 1 && access("from_orphan", F_OK) == 0, "an orphan is in the view too");
    return tap_end();
}
