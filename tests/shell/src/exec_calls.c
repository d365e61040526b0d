/* SPDX-License-Identifier: MIT OR Apache-2.0
 * exec_calls DIR: each libc call that starts a program, with one that lives in the view (bin/self
 * prints its argv[0], its path and its number of arguments; the first is its exit code). */
#include "tap.h"
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

static char want[PATH_MAX], absolute[PATH_MAX], got[2 * PATH_MAX];
static char *ARGV[] = {"name", "5", NULL};

static void start(const char *way)
{
    int fd = open("bin/self", O_RDONLY | O_CLOEXEC), dir = open("bin", O_PATH);
#define WAY(text) if (!strcmp(way, text))
    WAY("execv") execv("bin/self", ARGV);
    WAY("execve") execve(absolute, ARGV, environ);
    WAY("execvp") execvp("self", ARGV);
    WAY("execvpe") execvpe("self", ARGV, environ);
    WAY("execl") execl("bin/self", "name", "5", (char *)NULL);
    WAY("execlp") execlp("self", "name", "5", (char *)NULL);
    WAY("execle") execle(absolute, "name", "5", (char *)NULL, environ);
    WAY("fexecve") fexecve(fd, ARGV, environ);
    WAY("execveat") execveat(dir, "self", ARGV, environ, 0);
    WAY("execveat of a descriptor") execveat(fd, "", ARGV, environ, AT_EMPTY_PATH);
    _exit(99);
}

static int wait_for(pid_t pid)
{
    int status;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const char *drain(int fd)
{
    ssize_t n, at = 0;
    while ((n = read(fd, got + at, sizeof got - 1 - (size_t)at)) > 0)
        at += n;
    got[at] = 0;
    close(fd);
    return got;
}

static void by_exec(const char *way)
{
    int ends[2];
    MUST(pipe2(ends, O_CLOEXEC) == 0);
    pid_t pid = fork();
    if (!pid) {
        dup2(ends[1], 1);
        start(way);
    }
    close(ends[1]);
    const char *text = drain(ends[0]);
    int code = wait_for(pid);
    if (!OK(code == 5 && !strcmp(text, want), "%s", way))
        printf("exit code %d, output: %s\n", code, text);
}

typedef int spawn_call(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                       char *const[], char *const[]);

static void by_spawn(const char *what, spawn_call *call, const char *path)
{
    posix_spawn_file_actions_t actions;
    pid_t pid;
    MUST(posix_spawn_file_actions_init(&actions) == 0);
    /* The output file is of the view, and relative to the directory changed to before. */
    MUST(posix_spawn_file_actions_addchdir_np(&actions, "sub") == 0);
    MUST(posix_spawn_file_actions_addopen(&actions, 1, "spawned", O_WRONLY | O_CREAT | O_TRUNC, 0644) == 0);
    int error = call(&pid, path, &actions, NULL, ARGV, environ);
    OK(error == 0 && wait_for(pid) == 5 && !strcmp(drain(open("sub/spawned", O_RDONLY)), want), "%s", what);
    error = call(&pid, "./missing", NULL, NULL, ARGV, environ);
    OK(error == ENOENT, "%s of a missing program: ENOENT", what);
}

int main(int argc, char **argv)
{
    MUST(argc == 2 && chdir(argv[1]) == 0);
    snprintf(absolute, sizeof absolute, "%s/bin/self", argv[1]);
    snprintf(want, sizeof want, "name %s/bin/self 1\n", argv[1]);
    snprintf(got, sizeof got, "%s/bin:%s", argv[1], getenv("PATH"));
    MUST(setenv("PATH", got, 1) == 0);
    const char *ways[] = {"execv", "execve", "execvp", "execvpe", "execl", "execlp", "execle", "fexecve", "execveat",
                          "execveat of a descriptor"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        by_exec(ways[i]);
    by_spawn("posix_spawn", posix_spawn, absolute);
    by_spawn("posix_spawnp", posix_spawnp, "self");
    OK(WEXITSTATUS(system("bin/self 6 >by_system")) == 6 && access("by_system", F_OK) == 0, "system");
    OK(WEXITSTATUS(system("exit 9")) == 9 && system(NULL) != 0, "system's exit code");
    FILE *f = popen("bin/self 8", "r");
    OK(f && fgets(got, sizeof got, f) && !strncmp(got, "bin/self /", 10) && WEXITSTATUS(pclose(f)) == 8, "popen to read");
    f = popen("cat >by_popen", "w");
    OK(f && fputs("text", f) >= 0 && pclose(f) == 0 && access("by_popen", F_OK) == 0, "popen to write");
    FAILS(ENOENT, execv("bin/missing", ARGV), "execv of a missing program");
    FAILS(EACCES, execv("self.c", ARGV), "execv of a file that is not executable");
    return tap_end();
}
