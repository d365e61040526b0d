/* SPDX-License-Identifier: MIT OR Apache-2.0
 * dup_tracking [FD PATH]: with arguments, only compares the descriptor with the path; this is how
 * it checks itself after exec. */
#include "tap.h"
#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int same(int fd, const char *path)
{
    struct stat a, b;
    return !fstat(fd, &a) && !stat(path, &b) && a.st_ino == b.st_ino && a.st_dev == b.st_dev &&
           a.st_size == b.st_size && a.st_mode == b.st_mode && a.st_nlink == b.st_nlink &&
           a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

static int child_succeeds(pid_t pid)
{
    int status;
    return waitpid(pid, &status, 0) == pid && status == 0;
}

static void pass(int socket, int fd)
{
    char byte = 'x', space[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec data = {&byte, 1};
    struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    *CMSG_FIRSTHDR(&m) = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &fd, sizeof fd);
    MUST(sendmsg(socket, &m, 0) == 1);
}

static int receive(int socket)
{
    int fd;
    char byte, space[CMSG_SPACE(sizeof fd)];
    struct iovec data = {&byte, 1};
    struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    MUST(recvmsg(socket, &m, 0) == 1 && CMSG_FIRSTHDR(&m));
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    return fd;
}

/* A process that never opened the file itself: it was started before, and gets the descriptor. */
static int same_after_passing(int fd, const char *path)
{
    int pair[2];
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
    pid_t pid = fork();
    if (!pid) {
        close(fd);
        _exit(!same(receive(pair[1]), path));
    }
    pass(pair[0], fd);
    close(pair[0]), close(pair[1]);
    return child_succeeds(pid);
}

static int same_after_exec(int fd, const char *path, const char *self)
{
    char number[16];
    snprintf(number, sizeof number, "%d", fd);
    pid_t pid = fork();
    if (!pid) {
        execl(self, self, number, path, (char *)NULL);
        _exit(99);
    }
    return child_succeeds(pid);
}

static int same_after_spawn(int fd, const char *path, const char *self)
{
    char *argv[] = {(char *)self, "40", (char *)path, NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    MUST(posix_spawn_file_actions_init(&actions) == 0 && posix_spawn_file_actions_adddup2(&actions, fd, 40) == 0);
    MUST(posix_spawn(&pid, self, &actions, NULL, argv, environ) == 0);
    return child_succeeds(pid);
}

static void all_ways(const char *path, int flags, const char *self)
{
    int fd = open(path, flags, 0644);
    MUST(fd >= 0);
    if ((flags & O_ACCMODE) != O_RDONLY)
        MUST(write(fd, "changed", 7) == 7);
    OK(same(fd, path), "%s: open", path);
    OK(same(dup(fd), path), "%s: dup", path);
    OK(dup2(fd, 50) == 50 && same(50, path), "%s: dup2", path);
    OK(dup3(fd, 51, O_CLOEXEC) == 51 && same(51, path), "%s: dup3", path);
    OK(same(fcntl(fd, F_DUPFD, 60), path), "%s: F_DUPFD", path);
    OK(same(fcntl(fd, F_DUPFD_CLOEXEC, 70), path), "%s: F_DUPFD_CLOEXEC", path);
    OK(same_after_exec(fd, path, self), "%s: after exec", path);
    OK(same_after_exec(dup(fd), path, self), "%s: a dup after exec", path);
    OK(same_after_spawn(fd, path, self), "%s: after posix_spawn with adddup2", path);
    OK(same_after_passing(fd, path), "%s: passed over a socket", path);
    int copy = dup(fd);
    close(fd);
    OK(same(copy, path), "%s: a dup after close of the first", path);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return !same(atoi(argv[1]), argv[2]);
    all_ways("file", O_RDONLY, argv[0]);
    all_ways("d", O_RDONLY | O_DIRECTORY, argv[0]);
    all_ways("empty_made", O_RDONLY, argv[0]);
    all_ways("made", O_RDWR | O_CREAT, argv[0]);
    all_ways("file", O_RDWR, argv[0]);
    /* Two names for equal bytes share a blob; they are two files all the same. */
    all_ways("twin2", O_RDONLY, argv[0]);
    all_ways("twin1", O_RDONLY, argv[0]);
    /* A number that comes to mean another file. */
    int other = open("twin1", O_RDONLY), fd = open("made", O_RDONLY);
    OK(dup2(other, fd) == fd && same(fd, "twin1"), "dup2 over a descriptor in use");
    close(fd);
    OK(open("made", O_RDONLY) == fd && same(fd, "made"), "a number used again");
    return tap_end();
}
