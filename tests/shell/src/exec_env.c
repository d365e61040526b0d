/* SPDX-License-Identifier: MIT OR Apache-2.0
 * exec_env: starts a shell that copies `changed` to by_WAY, each WAY without the caller's environment. */
#include "tap.h"
#include <fcntl.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char *const EMPTY[] = {NULL};
static char way[32], command[96];
static char *const ARGV[] = {"sh", "-c", command, NULL};

static void start(void)
{
    pid_t pid;
    int status;
    if (!strcmp(way, "execve")) execve("/bin/sh", ARGV, EMPTY);
    if (!strcmp(way, "execle")) execle("/bin/sh", "sh", "-c", command, (char *)NULL, EMPTY);
    if (!strcmp(way, "fexecve")) fexecve(open("/bin/sh", O_RDONLY | O_CLOEXEC), ARGV, EMPTY);
    if (!strcmp(way, "posix_spawn"))
        _exit(posix_spawn(&pid, "/bin/sh", NULL, NULL, ARGV, EMPTY) || waitpid(pid, &status, 0) != pid || status);
    if (!strcmp(way, "clearenv") && clearenv() == 0) execv("/bin/sh", ARGV);
    if (!strcmp(way, "putenv") && putenv("LD_PRELOAD=") == 0) execv("/bin/sh", ARGV);
    if (!strcmp(way, "setenv") && setenv("LD_PRELOAD", "", 1) == 0 && setenv("VRIFT_VIEW", "", 1) == 0) execvp("sh", ARGV);
    if (!strcmp(way, "unsetenv") && unsetenv("LD_PRELOAD") == 0 && unsetenv("VRIFT_VIEW") == 0) execlp("sh", "sh", "-c", command, (char *)NULL);
    if (!strcmp(way, "system") && clearenv() == 0) _exit(system(command));
    if (!strcmp(way, "popen") && clearenv() == 0) _exit(pclose(popen(command, "r")));
    if (!strcmp(way, "number") && clearenv() == 0) syscall(SYS_execve, "/bin/sh", ARGV, EMPTY);
    if (!strcmp(way, "environ") && (environ = (char **)EMPTY)) execv("/bin/sh", ARGV);
}

int main(void)
{
    const char *ways[] = {"execve", "execle", "fexecve", "posix_spawn", "clearenv", "putenv", "environ", "setenv", "unsetenv", "system", "popen", "number"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        int status;
        snprintf(way, sizeof way, "%s", ways[i]);
        snprintf(command, sizeof command, "exec /bin/cat changed >by_%s", way);
        pid_t pid = fork();
        if (!pid) {
            start();
            _exit(99);
        }
        OK(waitpid(pid, &status, 0) == pid && status == 0, "%s starts its program", way);
    }
    return tap_end();
}
