/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Unix sockets by path: names, types, errors, streams and datagrams between processes. */
#include "tap.h"
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static socklen_t at(struct sockaddr_un *address, const char *path)
{
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    strcpy(address->sun_path, path);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
}

static int bind_at(int fd, const char *path)
{
    struct sockaddr_un address;
    socklen_t len = at(&address, path);
    return bind(fd, (struct sockaddr *)&address, len);
}

static int connect_to(int fd, const char *path)
{
    struct sockaddr_un address;
    at(&address, path);
    return connect(fd, (struct sockaddr *)&address, sizeof address);
}

static int made(int type)
{
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    MUST(fd >= 0);
    return fd;
}

static int is_named(int (*call)(int, struct sockaddr *, socklen_t *), int fd, const char *want)
{
    struct sockaddr_un address;
    socklen_t len = sizeof address;
    memset(&address, 'x', sizeof address);
    if (call(fd, (struct sockaddr *)&address, &len) || address.sun_family != AF_UNIX)
        return 0;
    if (!*want)
        return len == sizeof(sa_family_t);
    if (len != offsetof(struct sockaddr_un, sun_path) + strlen(want) + 1 || strcmp(address.sun_path, want)) {
        printf("named %.*s (%u), not %s\n", (int)(len - 2), address.sun_path, len, want);
        return 0;
    }
    return 1;
}

static void streams(void)
{
    struct stat s;
    int server = made(SOCK_STREAM), client = made(SOCK_STREAM), peer;
    umask(027);
    OK(bind_at(server, "sock") == 0, "bind");
    umask(022);
    OK(lstat("sock", &s) == 0 && S_ISSOCK(s.st_mode) && (s.st_mode & 07777) == 0750 && s.st_nlink == 1 &&
       s.st_size == 0 && s.st_uid == geteuid(), "the name is a socket's, its mode by the umask");
    FAILS(ECONNREFUSED, connect_to(client, "sock"), "connect before listen");
    FAILS(EINVAL, bind_at(server, "again"), "bind of a bound socket");
    FAILS(ENOENT, lstat("again", &s), "which leaves no name");
    OK(listen(server, 5) == 0, "listen");
    OK(connect_to(client, "sock") == 0, "connect");
    socklen_t len = sizeof(struct sockaddr_un);
    struct sockaddr_un from;
    peer = accept(server, (struct sockaddr *)&from, &len);
    OK(peer >= 0 && len == sizeof(sa_family_t), "accept: the peer has no name");
    OK(is_named(getsockname, server, "sock"), "getsockname: as it was given to bind");
    OK(is_named(getpeername, client, "sock"), "getpeername");
    OK(is_named(getsockname, peer, "sock"), "the accepted socket's name");
    OK(is_named(getpeername, peer, ""), "and its peer's");
    char small[8];
    len = 6;
    memset(small, '.', sizeof small);
    OK(getsockname(server, (struct sockaddr *)small, &len) == 0 && len == 7 && !memcmp(small + 2, "sock..", 6),
       "a short buffer is filled, and the whole length told");
    OK(write(client, "ping", 4) == 4 && read(peer, small, 8) == 4 && !memcmp(small, "ping", 4), "bytes go through");
    FAILS(EADDRINUSE, bind_at(made(SOCK_STREAM), "sock"), "bind to a name that is there");
    FAILS(EPROTOTYPE, connect_to(made(SOCK_DGRAM), "sock"), "connect of another type");
    OK(rename("sock", "d/moved") == 0, "rename");
    FAILS(ENOENT, connect_to(made(SOCK_STREAM), "sock"), "the old name is gone");
    OK(connect_to(made(SOCK_STREAM), "d/moved") == 0, "connect by the new name");
    OK(is_named(getsockname, server, "sock"), "getsockname still tells what bind was given");
    OK(symlink("d/moved", "soft") == 0 && connect_to(made(SOCK_STREAM), "soft") == 0, "connect through a symlink");
    OK(link("d/moved", "hard") == 0 && connect_to(made(SOCK_STREAM), "hard") == 0, "connect by a hard link");
    FAILS(ENXIO, open("d/moved", O_RDWR), "open of a socket");
    OK(unlink("d/moved") == 0 && connect_to(made(SOCK_STREAM), "hard") == 0, "one name less");
    OK(unlink("hard") == 0, "unlink");
    FAILS(ENOENT, connect_to(made(SOCK_STREAM), "hard"), "no name left");
    OK(write(peer, "pong", 4) == 4 && read(client, small, 8) == 4, "what was connected stays connected");
    OK(is_named(getsockname, server, "sock"), "and named");
    OK(bind_at(made(SOCK_STREAM), "sock") == 0, "the name can be bound again");
    FAILS(ECONNREFUSED, connect_to(made(SOCK_STREAM), "sock"), "connect to a socket that is closed");
    unlink("sock");
    unlink("soft");
}

static void errors(void)
{
    struct stat s;
    FAILS(ECONNREFUSED, connect_to(made(SOCK_STREAM), "file"), "connect to a file");
    FAILS(ECONNREFUSED, connect_to(made(SOCK_STREAM), "d"), "connect to a directory");
    FAILS(ENOENT, connect_to(made(SOCK_STREAM), "missing"), "connect to nothing");
    FAILS(ENOENT, bind_at(made(SOCK_STREAM), "missing/sock"), "bind in a missing directory");
    FAILS(ENOTDIR, bind_at(made(SOCK_STREAM), "file/sock"), "bind below a file");
    FAILS(EADDRINUSE, bind_at(made(SOCK_STREAM), "file"), "bind to a file's name");
    FAILS(EADDRINUSE, bind_at(made(SOCK_STREAM), "d"), "bind to a directory's");
    MUST(symlink("nowhere", "dangling") == 0);
    FAILS(EADDRINUSE, bind_at(made(SOCK_STREAM), "dangling"), "bind to a dangling symlink's");
    FAILS(ENOENT, lstat("nowhere", &s), "which is not followed");
    FAILS(ENOTSOCK, bind_at(0, "x"), "bind of what is no socket");
    FAILS(ENOENT, lstat("x", &s), "which leaves no name");
    int inet = socket(AF_INET, SOCK_STREAM, 0);
    OK(inet >= 0 && bind_at(inet, "x") == -1 && lstat("x", &s) == -1, "bind of an internet socket");
    OK(mknod("node", S_IFSOCK | 0600, 0) == 0 && lstat("node", &s) == 0 && S_ISSOCK(s.st_mode), "mknod of a socket");
    FAILS(ECONNREFUSED, connect_to(made(SOCK_STREAM), "node"), "which nobody listens at");
    OK(bind_at(made(SOCK_STREAM), "made") == 0 && chmod("made", 0) == 0, "chmod");
    if (geteuid())
        FAILS(EACCES, connect_to(made(SOCK_STREAM), "made"), "connect without write permission");
    else
        FAILS(ECONNREFUSED, connect_to(made(SOCK_STREAM), "made"), "root needs no permission");
    struct sockaddr_un abstract = {.sun_family = AF_UNIX, .sun_path = "\0vrift-test"};
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 16);
    int fd = made(SOCK_STREAM);
    snprintf(abstract.sun_path + 1, 15, "%d", (int)getpid());
    OK(bind(fd, (struct sockaddr *)&abstract, len) == 0, "an abstract name is not a path");
    unlink("node");
    unlink("made");
    unlink("dangling");
}

static void datagrams(void)
{
    char text[64], path[108];
    struct sockaddr_un to, from;
    socklen_t len, to_len;
    int one = made(SOCK_DGRAM), two = made(SOCK_DGRAM);
    MUST(getcwd(path, sizeof path - 8));
    strcat(path, "/two");
    OK(bind_at(one, "./d/../one") == 0 && bind_at(two, path) == 0, "bind of datagram sockets");
    to_len = at(&to, "two");
    OK(sendto(one, "hello", 5, 0, (struct sockaddr *)&to, to_len) == 5, "sendto");
    len = sizeof from;
    OK(recvfrom(two, text, sizeof text, 0, (struct sockaddr *)&from, &len) == 5 && !strcmp(from.sun_path, "./d/../one"),
       "recvfrom: who sent it, by the name that bind was given");
    struct iovec part = {"back", 4};
    to_len = at(&to, "one");
    struct msghdr message = {.msg_name = &to, .msg_namelen = to_len, .msg_iov = &part, .msg_iovlen = 1};
    OK(sendmsg(two, &message, 0) == 4, "sendmsg");
    struct iovec room = {text, sizeof text};
    struct msghdr got = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &room, .msg_iovlen = 1};
    OK(recvmsg(one, &got, 0) == 4 && !strcmp(from.sun_path, path) && got.msg_name == &from &&
       got.msg_namelen == offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1, "recvmsg");
    struct mmsghdr many[2] = {{.msg_hdr = message}, {.msg_hdr = message}};
    OK(sendmmsg(two, many, 2, 0) == 2 && many[1].msg_len == 4, "sendmmsg");
    struct sockaddr_un froms[2];
    struct mmsghdr in[2] = {{.msg_hdr = got}, {.msg_hdr = got}};
    for (int i = 0; i < 2; i++)
        in[i].msg_hdr.msg_name = &froms[i], in[i].msg_hdr.msg_namelen = sizeof froms[i];
    OK(recvmmsg(one, in, 2, 0, NULL) == 2 && !strcmp(froms[0].sun_path, path) && !strcmp(froms[1].sun_path, path),
       "recvmmsg");
    OK(connect_to(one, "two") == 0 && send(one, "c", 1, 0) == 1 && recv(two, text, 9, 0) == 1, "connect, send, recv");
    OK(is_named(getpeername, one, path), "getpeername");
    FAILS(ENOENT, sendto(two, "x", 1, 0, (struct sockaddr *)&to, at(&to, "none")), "sendto nobody");
    FAILS(ECONNREFUSED, sendto(two, "x", 1, 0, (struct sockaddr *)&to, at(&to, "file")), "sendto a file");
    unlink("one");
    unlink("two");
}

static void between_processes(void)
{
    int server = made(SOCK_SEQPACKET), ready[2];
    MUST(chdir("d") == 0 && bind_at(server, "../between") == 0 && chdir("..") == 0 && listen(server, 1) == 0);
    MUST(pipe(ready) == 0);
    pid_t child = fork();
    if (!child) {
        int fd = made(SOCK_SEQPACKET);
        MUST(chdir("d/deep") == 0);
        struct ucred peer;
        socklen_t len = sizeof peer;
        int good = connect_to(fd, "../../between") == 0 && write(fd, "from a child", 12) == 12 &&
                   getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.pid == getppid();
        _exit(!good);
    }
    char text[64];
    int status, peer = accept4(server, NULL, NULL, SOCK_CLOEXEC);
    OK(peer >= 0 && read(peer, text, sizeof text) == 12, "a child connects by a relative path of its own");
    OK(waitpid(child, &status, 0) == child && status == 0, "and knows who listens");
    unlink("between");
}

int main(void)
{
    streams();
    errors();
    datagrams();
    between_processes();
    return tap_end();
}
