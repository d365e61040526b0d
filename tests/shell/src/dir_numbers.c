/* SPDX-License-Identifier: MIT OR Apache-2.0
 * The number of a directory's fd comes to mean another directory, in every way there is: paths relative to it follow. */
#include "tap.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Directory X holds `in_X` alone. Asked twice: what was learnt the first time may be used the second time. */
static int is(int fd, const char *dir)
{
    struct stat st;
    int good = 1;

    for (int round = 0; round < 2; round++)
        for (const char *each = "abc"; *each; each++) {
            char name[] = {'i', 'n', '_', *each, 0};
            good &= (fstatat(fd, name, &st, 0) == 0) == (*each == *dir);
        }
    return good;
}

static int folder(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY);
    MUST(fd >= 0);
    return fd;
}

static int mail[2];

/* Sends a directory's fd, or takes the next one out: no call of the C library tells its number. */
static int pass(int fd, int take)
{
    char byte = 'x', space[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec data = {&byte, 1};
    struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};

    *CMSG_FIRSTHDR(&m) = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &fd, sizeof fd);
    if (!take)
        return sendmsg(mail[0], &m, 0) == 1 && close(fd) == 0;
    MUST(recvmsg(mail[1], &m, 0) == 1 && CMSG_FIRSTHDR(&m));
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    return fd;
}

/* The next directory out of the mail. */
static int passed(void) { return pass(-1, 1); }

int main(void)
{
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, mail) == 0);
    for (const char *each = "bcab"; *each; each++)
        MUST(pass(folder((char[]){*each, 0}), 0));
    int b = folder("b"), c = folder("c"), fd = folder("a"), status;
    OK(is(fd, "a") && is(b, "b") && is(c, "c"), "three directories");

    OK(dup2(b, fd) == fd && is(fd, "b"), "dup2");
    OK(dup3(c, fd, O_CLOEXEC) == fd && is(fd, "c"), "dup3");
    MUST(close(fd) == 0);
    OK(folder("a") == fd && is(fd, "a"), "close and open");
    MUST(close(fd) == 0);
    OK(passed() == fd && is(fd, "b"), "close, and one that is passed");
    MUST(close_range(fd, fd, 0) == 0);
    OK(passed() == fd && is(fd, "c"), "close_range, and one that is passed");
    DIR *stream = fdopendir(fd);
    MUST(stream && readdir(stream) && closedir(stream) == 0);
    OK(passed() == fd && is(fd, "a"), "closedir, and one that is passed");
    MUST(syscall(SYS_close, fd) == 0);
    OK(passed() == fd && is(fd, "b"), "close by syscall(2), and one that is passed");
    MUST(syscall(SYS_dup2, c, fd) == fd);
    OK(is(fd, "c"), "dup2 by syscall(2)");
    MUST(close(fd) == 0);
    OK(open("a/in_a", O_RDONLY) == fd, "a file");
    struct stat st;
    OK(fstatat(fd, "in_a", &st, 0) == -1 && errno == ENOTDIR, "nothing is relative to a file");
    MUST(close(fd) == 0);
    OK(fstatat(fd, "in_a", &st, 0) == -1 && errno == EBADF, "nor to an fd that is closed");

    OK(folder("a") == fd && is(fd, "a"), "the first one again");
    pid_t pid = fork();
    if (!pid)
        _exit(!(is(fd, "a") && dup2(b, fd) == fd && is(fd, "b")));
    OK(waitpid(pid, &status, 0) == pid && status == 0, "a child's is its own");
    OK(is(fd, "a"), "and the parent's stays");
    pid = vfork();
    if (!pid)
        _exit(!(is(fd, "a") && dup2(b, fd) == fd && is(fd, "b")));
    OK(waitpid(pid, &status, 0) == pid && status == 0, "so is that of a child that shares memory");
    OK(is(fd, "a"), "and the parent's stays");
    return 0;
}
