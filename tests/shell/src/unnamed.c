/* SPDX-License-Identifier: MIT OR Apache-2.0
 * O_TMPFILE: files without a name, and linkat(2) that gives them one. */
#include "tap.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char proc[64], text[64];

static const char *name_of(int fd)
{
    sprintf(proc, "/proc/self/fd/%d", fd);
    return proc;
}

static int holds(const char *path, const char *want)
{
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    close(fd);
    return n == (ssize_t)strlen(want) && !memcmp(text, want, (size_t)n);
}

int main(void)
{
    struct stat s, by_name;
    umask(027);
    int fd = open(".", O_TMPFILE | O_RDWR, 0666);
    umask(022);
    OK(fd >= 0, "O_TMPFILE");
    OK(fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && (s.st_mode & 07777) == 0640 && s.st_nlink == 0 && s.st_size == 0 &&
       s.st_uid == geteuid(), "no name, the mode by the umask");
    OK(write(fd, "written", 7) == 7 && fstat(fd, &s) == 0 && s.st_size == 7, "it is written");
    OK(fchmod(fd, 0604) == 0 && fstat(fd, &s) == 0 && (s.st_mode & 07777) == 0604, "fchmod");
    int again = open(name_of(fd), O_RDONLY);
    OK(again >= 0 && read(again, text, sizeof text) == 7, "opened again by its name in /proc");
    close(again);
    OK(linkat(AT_FDCWD, name_of(fd), AT_FDCWD, "named", AT_SYMLINK_FOLLOW) == 0, "linkat by its name in /proc");
    OK(stat("named", &by_name) == 0 && fstat(fd, &s) == 0 && by_name.st_ino == s.st_ino && by_name.st_dev == s.st_dev &&
       s.st_nlink == 1 && (by_name.st_mode & 07777) == 0604 && by_name.st_size == 7, "it has a name");
    OK(write(fd, " more", 5) == 5 && holds("named", "written more"), "which shows what is written");
    OK(linkat(AT_FDCWD, name_of(fd), AT_FDCWD, "d/second", AT_SYMLINK_FOLLOW) == 0 && fstat(fd, &s) == 0 &&
       s.st_nlink == 2, "and a second one");
    FAILS(EEXIST, linkat(AT_FDCWD, name_of(fd), AT_FDCWD, "named", AT_SYMLINK_FOLLOW), "a name that is there");
    close(fd);
    OK(holds("d/second", "written more"), "closed");

    fd = open("d", O_TMPFILE | O_WRONLY, 0600);
    MUST(fd >= 0 && write(fd, "by fd", 5) == 5);
    int dir = open("d", O_RDONLY | O_DIRECTORY);
    int linked = linkat(fd, "", dir, "by_fd", AT_EMPTY_PATH);
    if (linked && errno == ENOENT && geteuid())
        printf("ok - linkat with AT_EMPTY_PATH # SKIP this kernel asks for CAP_DAC_READ_SEARCH\n");
    else
        OK(linked == 0 && holds("d/by_fd", "by fd"), "linkat with AT_EMPTY_PATH");
    close(fd);

    fd = open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600);
    OK(fd >= 0 && write(fd, "x", 1) == 1, "O_TMPFILE with O_EXCL");
    FAILS(ENOENT, linkat(AT_FDCWD, name_of(fd), AT_FDCWD, "never", AT_SYMLINK_FOLLOW), "it takes no name");
    close(fd);
    fd = open("named", O_RDWR);
    MUST(fd >= 0);
    OK(linkat(AT_FDCWD, name_of(fd), AT_FDCWD, "third", AT_SYMLINK_FOLLOW) == 0, "linkat of a file that has names");
    unlink("named"), unlink("third"), unlink("d/second");
    FAILS(ENOENT, linkat(AT_FDCWD, name_of(fd), AT_FDCWD, "back", AT_SYMLINK_FOLLOW), "not of one that lost them");
    FAILS(EXDEV, linkat(AT_FDCWD, name_of(open("/dev/null", O_RDONLY)), AT_FDCWD, "null", AT_SYMLINK_FOLLOW), "nor from elsewhere");
    FAILS(EPERM, linkat(AT_FDCWD, name_of(dir), AT_FDCWD, "dir", AT_SYMLINK_FOLLOW), "nor of a directory");

    FAILS(EINVAL, open(".", O_TMPFILE | O_RDONLY, 0600), "for reading alone");
    FAILS(ENOTDIR, open("file", O_TMPFILE | O_RDWR, 0600), "in a file");
    FAILS(ENOENT, open("missing", O_TMPFILE | O_RDWR, 0600), "in nothing");
    if (geteuid()) {
        MUST(mkdir("locked", 0555) == 0);
        FAILS(EACCES, open("locked", O_TMPFILE | O_RDWR, 0600), "in a directory without write permission");
    }

    fd = open(".", O_TMPFILE | O_RDWR, 0644);
    int pipes[2], seen[2], status;
    char c;
    MUST(fd >= 0 && pipe(pipes) == 0 && pipe(seen) == 0);
    pid_t child = fork();
    if (!child) {
        struct stat mine;
        int good = fstat(fd, &mine) == 0 && mine.st_nlink == 0 && write(seen[1], "x", 1) == 1 && read(pipes[0], &c, 1) == 1 && fstat(fd, &mine) == 0 &&
                   mine.st_nlink == 1 && stat("shared", &s) == 0 && s.st_ino == mine.st_ino;
        _exit(!good);
    }
    MUST(read(seen[0], &c, 1) == 1);
    OK(linkat(AT_FDCWD, name_of(fd), AT_FDCWD, "shared", AT_SYMLINK_FOLLOW) == 0 && write(pipes[1], "x", 1) == 1 &&
       waitpid(child, &status, 0) == child && status == 0, "another process sees it get its name");
    return tap_end();
}
