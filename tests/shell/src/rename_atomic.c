/* SPDX-License-Identifier: MIT OR Apache-2.0
 * rename_atomic: one process replaces d/current 1,000 times, two others read it all the while.
 * Each version is one letter repeated, of a length that follows from the letter. */
#include "tap.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { VERSIONS = 1000, READERS = 2, UNIT = 997, MAX = 27 * UNIT };
static char bytes[MAX];

static size_t fill(int version)
{
    int letter = version % 26;
    memset(bytes, 'a' + letter, MAX);
    return (size_t)(letter + 1) * UNIT;
}

static int put(int version)
{
    size_t len = fill(version);
    int fd = open("d/next", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    return fd >= 0 && write(fd, bytes, len) == (ssize_t)len && close(fd) == 0 && rename("d/next", "d/current") == 0;
}

static int whole(ssize_t n)
{
    int letter = bytes[0] - 'a';
    if (letter < 0 || letter > 25 || n != (ssize_t)(letter + 1) * UNIT)
        return 0;
    for (ssize_t i = 1; i < n; i++)
        if (bytes[i] != bytes[0])
            return 0;
    return 1;
}

static volatile sig_atomic_t over;
static void stop(int signal) { (void)signal; over = 1; }

/* Exit code: what was seen wrong, by bit. */
static int reader(int done)
{
    int wrong = 0, reads = 0;
    do {
        struct stat by_path, by_fd;
        int fd = open("d/current", O_RDONLY);
        reads++;
        if (fd < 0) {
            wrong |= 1;
            continue;
        }
        if (fstat(fd, &by_fd) || by_fd.st_size % UNIT || by_fd.st_size == 0) wrong |= 2;
        if (!whole(read(fd, bytes, MAX))) wrong |= 4;
        if (stat("d/current", &by_path) || by_path.st_size % UNIT || by_path.st_size == 0) wrong |= 8;
        close(fd);
    } while (!over);
    MUST(write(done, &reads, sizeof reads) == sizeof reads);
    return wrong;
}

int main(void)
{
    int pipes[2], reads, enough = 1, replaced = 0;
    pid_t pids[READERS];
    MUST(pipe(pipes) == 0 && put(0));
    signal(SIGTERM, stop);
    for (int i = 0; i < READERS; i++)
        if (!(pids[i] = fork()))
            _exit(reader(pipes[1]));
    for (int version = 1; version <= VERSIONS; version++)
        replaced += put(version);
    OK(replaced == VERSIONS, "%d of %d replacements succeeded", replaced, VERSIONS);
    for (int i = 0; i < READERS; i++) {
        int status;
        kill(pids[i], SIGTERM);
        MUST(waitpid(pids[i], &status, 0) == pids[i] && WIFEXITED(status));
        int wrong = WEXITSTATUS(status);
        OK(!(wrong & 1), "reader %d never missed the file", i);
        OK(!(wrong & 2), "reader %d: fstat gave the size of a whole version", i);
        OK(!(wrong & 4), "reader %d read whole versions only", i);
        OK(!(wrong & 8), "reader %d: stat gave the size of a whole version", i);
        enough &= read(pipes[0], &reads, sizeof reads) == sizeof reads && reads > 0;
    }
    OK(enough, "each reader read at least once");
    fill(VERSIONS);
    char last[MAX];
    int fd = open("d/current", O_RDONLY);
    OK(read(fd, last, MAX) > 0 && last[0] == bytes[0], "the last version stays");
    FAILS(ENOENT, access("d/next", F_OK), "no temporary name stays");
    return tap_end();
}
