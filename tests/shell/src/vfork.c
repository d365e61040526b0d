/* SPDX-License-Identifier: MIT OR Apache-2.0
 * vfork DIR: the child works on its own descriptors and directory, in its parent's memory. */
#include "tap.h"
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct stat of(int fd)
{
    struct stat s;
    MUST(fstat(fd, &s) == 0);
    return s;
}

static int wait_for(pid_t pid)
{
    int status;
    MUST(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

int main(int argc, char **argv)
{
    char text[64] = "", cwd[PATH_MAX];
    MUST(argc == 2 && chdir(argv[1]) == 0);
    for (int round = 0; round < 3; round++) {
        int one = open("one", O_RDONLY), two = open("two", O_RDONLY), dir = open("d", O_RDONLY | O_DIRECTORY);
        int out = open("output", O_RDWR | O_CREAT | O_TRUNC, 0644);
        struct stat before_one = of(one), before_two = of(two), before_dir = of(dir), before_out = of(out);
        pid_t pid = vfork();
        if (!pid) {
            close(one);
            dup2(two, one);
            dup2(out, 1);
            close(two);
            close(out);
            if (fchdir(dir))
                _exit(3);
            close(dir);
            execl("/bin/sh", "sh", "-c", "cat f; pwd -P; : >../made_by_child", (char *)NULL);
            _exit(4);
        }
        OK(wait_for(pid) == 0, "the child runs in the directory that it changed to");
        ssize_t n = pread(out, text, sizeof text - 1, 0);
        text[n > 0 ? n : 0] = 0;
        snprintf(cwd, sizeof cwd, "in\n%s/d\n", argv[1]);
        OK(!strcmp(text, cwd), "and writes to the file that it put at descriptor 1");
        struct stat s;
        OK(of(one).st_ino == before_one.st_ino, "the parent's first descriptor is its own");
        OK(of(two).st_ino == before_two.st_ino && of(dir).st_ino == before_dir.st_ino, "so are those the child closed");
        OK(of(out).st_ino == before_out.st_ino && stat("output", &s) == 0 && s.st_ino == before_out.st_ino,
           "so is the one for writing");
        OK(read(one, text, 4) == 4 && !memcmp(text, "one\n", 4), "they read the right bytes");
        OK(getcwd(cwd, sizeof cwd) && !strcmp(cwd, argv[1]), "the parent's working directory is its own");
        OK(access("one", F_OK) == 0 && access("f", F_OK) < 0, "and relative paths start there");
        OK(access("made_by_child", F_OK) == 0, "what the child made is seen");
        close(one), close(two), close(dir), close(out);
    }
    /* A failed exec comes back into the child, which then leaves. */
    pid_t pid = vfork();
    if (!pid) {
        execl("./missing", "missing", (char *)NULL);
        _exit(errno == ENOENT ? 42 : 1);
    }
    OK(wait_for(pid) == 42, "a failed exec after vfork says ENOENT");
    OK(access("one", F_OK) == 0, "and the parent goes on");
    return tap_end();
}
