/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Fifos by path: they block, pair, and carry bytes between processes. */
#include "tap.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void nothing(int signal) { (void)signal; }

int main(void)
{
    struct stat s;
    char text[64];
    int status;
    umask(002);
    OK(mkfifo("fifo", 0666) == 0 && stat("fifo", &s) == 0 && S_ISFIFO(s.st_mode) && (s.st_mode & 07777) == 0664, "mkfifo");
    umask(022);
    OK(mknod("node", S_IFIFO | 0600, 0) == 0 && lstat("node", &s) == 0 && S_ISFIFO(s.st_mode), "mknod");
    FAILS(EEXIST, mkfifo("fifo", 0600), "a name that is there");
    FAILS(ENXIO, open("fifo", O_WRONLY | O_NONBLOCK), "nobody reads");
    int reader = open("fifo", O_RDONLY | O_NONBLOCK);
    OK(reader >= 0, "a reader that does not wait");
    int writer = open("fifo", O_WRONLY | O_NONBLOCK);
    OK(writer >= 0, "then a writer need not");
    OK(fstat(writer, &s) == 0 && S_ISFIFO(s.st_mode) && s.st_ino != 0, "fstat");
    struct stat by_name;
    OK(stat("fifo", &by_name) == 0 && by_name.st_ino == s.st_ino && by_name.st_dev == s.st_dev, "one vnode");
    OK(write(writer, "through", 7) == 7 && read(reader, text, sizeof text) == 7, "bytes go through");
    OK(rename("fifo", "d/moved") == 0 && write(writer, "x", 1) == 1 && read(reader, text, 9) == 1, "rename while open");
    close(writer);
    OK(read(reader, text, sizeof text) == 0, "end of file with the last writer");
    close(reader);

    pid_t child = fork();
    if (!child) {
        int fd = open("d/moved", O_WRONLY);
        _exit(fd < 0 || write(fd, "from a child", 12) != 12);
    }
    reader = open("d/moved", O_RDONLY);
    OK(reader >= 0 && read(reader, text, sizeof text) == 12, "open waits for the other side");
    OK(waitpid(child, &status, 0) == child && status == 0, "which is another process");
    close(reader);

    struct sigaction action = {.sa_handler = nothing};
    sigaction(SIGALRM, &action, NULL);
    alarm(1);
    FAILS(EINTR, open("d/moved", O_RDONLY), "a signal ends the waiting");
    reader = open("d/moved", O_RDWR);
    OK(reader >= 0 && unlink("d/moved") == 0 && write(reader, "y", 1) == 1 && read(reader, text, 9) == 1,
       "an open one works without a name");
    FAILS(ENOENT, open("d/moved", O_RDONLY), "the name is gone");
    OK(chmod("node", 0) == 0 && (geteuid() == 0 || (open("node", O_RDWR) == -1 && errno == EACCES)), "chmod counts");
    OK(mkfifo("stays", 0640) == 0 && unlink("node") == 0, "one stays");
    if (geteuid())
        FAILS(EPERM, mknod("null", S_IFCHR | 0666, 0x103), "a device node is for root");
    return tap_end();
}
