/* SPDX-License-Identifier: MIT OR Apache-2.0
 * inotify: events of names and of content, made by other processes, in their order. */
#include "tap.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define WATCHED                                                                                    \
    (IN_CREATE | IN_DELETE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)

static int notify;
static uint32_t cookies[2];
static char seen[4096];

static void add(const char *text)
{
    strncat(seen, text, sizeof seen - strlen(seen) - 1);
}

/* Appends an event in words. */
static void say(const struct inotify_event *event)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {{IN_CREATE, "create"}, {IN_DELETE, "delete"}, {IN_MODIFY, "modify"}, {IN_OPEN, "open"},
                 {IN_CLOSE_WRITE, "closed"}, {IN_MOVED_FROM, "from"}, {IN_MOVED_TO, "to"}, {IN_ATTRIB, "attrib"},
                 {IN_DELETE_SELF, "delete_self"}, {IN_MOVE_SELF, "move_self"}, {IN_IGNORED, "ignored"},
                 {IN_Q_OVERFLOW, "overflow"}};
    char wd[8];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (event->mask & names[i].bit)
            add(names[i].name);
    if (event->mask & IN_ISDIR)
        add("/");
    snprintf(wd, sizeof wd, "%d", event->wd);
    add(wd);
    if (event->len)
        add(":"), add(event->name);
    add(" ");
    if (event->mask & IN_MOVED_FROM)
        cookies[0] = event->cookie;
    if (event->mask & IN_MOVED_TO)
        cookies[1] = event->cookie;
}

/* Runs a command in another process, and collects what is told within a moment after it. Events that repeat are one. */
static const char *told(const char *command)
{
    char bytes[8192] __attribute__((aligned(8)));
    struct inotify_event *last = NULL;
    *seen = 0;
    if (command)
        MUST(system(command) == 0);
    for (struct pollfd ready = {notify, POLLIN, 0}; poll(&ready, 1, 300) == 1;) {
        ssize_t len = read(notify, bytes, sizeof bytes);
        for (char *at = bytes; at < bytes + len; at += sizeof *last + last->len) {
            struct inotify_event *event = (struct inotify_event *)at;
            size_t before = strlen(seen);
            say(event);
            size_t length = strlen(seen) - before;
            if (before >= length && !strncmp(seen + before - length, seen + before, length) &&
                (before == length || seen[before - length - 1] == ' '))
                seen[before] = 0;
            last = event;
        }
    }
    if (*seen)
        seen[strlen(seen) - 1] = 0;
    return seen;
}

static void is(const char *command, const char *want)
{
    if (!OK(!strcmp(told(command), want), "%s: %s", command, want))
        printf("told: %s\n", seen);
}

int main(void)
{
    notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    char byte[64];
    FAILS(EAGAIN, read(notify, byte, sizeof byte), "nothing yet");
    OK(inotify_add_watch(notify, "d", WATCHED) == 1, "a directory");
    OK(inotify_add_watch(notify, "./d/../d/.", WATCHED) == 1, "the same by another path");
    is("echo x >d/new", "create1:new modify1:new closed1:new");
    is("echo more >>d/new", "modify1:new closed1:new");
    is("echo more >>d/old", "modify1:old closed1:old");
    is(": >d/empty", "create1:empty closed1:empty");
    is("chmod 600 d/old", "attrib1:old");
    is("touch -d @1 d/old", "attrib1:old closed1:old");
    is("truncate -s 3 d/old", "modify1:old closed1:old");
    is("mv d/old d/older", "from1:old to1:older");
    OK(cookies[0] && cookies[0] == cookies[1], "one cookie");
    is("mv d/older out", "from1:older");
    is("mv out d/back", "to1:back");
    is("mv d/new d/back", "from1:new to1:back");
    is("mkdir d/sub", "create/1:sub");
    is("echo x >d/sub/deep", "");
    is("rm -r d/sub", "delete/1:sub");
    is("ln -s nowhere d/soft", "create1:soft");
    is("ln d/back d/hard", "create1:hard");
    is("mkfifo d/fifo", "create1:fifo");
    is("rm d/soft d/hard d/fifo", "delete1:soft delete1:hard delete1:fifo");
    is("cat d/back; ls d >/dev/null", "");
    is("chmod 700 d", "attrib/1");

    OK(inotify_add_watch(notify, "f", WATCHED) == 2, "a file");
    is("echo x >>f", "modify2 closed2");
    is("chmod 640 f", "attrib2");
    is("python3 -c 'import os; os.setxattr(\"f\", \"user.a\", b\"b\")'", "attrib2");
    is("ln f f2", "attrib2");
    is("rm f2", "attrib2");
    is("mv f g", "move_self2");
    is("echo y >>g", "modify2 closed2");
    is("mv g f; mv f g", "move_self2");
    is("rm g", "attrib2 delete_self2 ignored2");
    FAILS(EINVAL, inotify_rm_watch(notify, 2), "its watch is gone");

    OK(inotify_add_watch(notify, "e", WATCHED) == 3, "a second directory");
    is("mv d/back e/there", "from1:back to3:there");
    OK(cookies[0] && cookies[0] == cookies[1], "one cookie for both");
    is("mv e e2; mv e2 e", "move_self3");
    is("rm -r e", "delete3:there delete_self3 ignored3");

    int fd = open("log", O_CREAT | O_WRONLY | O_APPEND, 0644);
    MUST(fd >= 0 && write(fd, "before", 6) == 6);
    OK(inotify_add_watch(notify, "log", IN_MODIFY | IN_CLOSE_WRITE | IN_OPEN) == 4, "a file that is being written");
    MUST(write(fd, "more", 4) == 4);
    OK(!strcmp(told(NULL), "modify4"), "written");
    close(fd);
    OK(!strcmp(told(NULL), "closed4"), "closed");
    is("echo x >>log", "open4 modify4 closed4");
    OK(inotify_rm_watch(notify, 4) == 0, "inotify_rm_watch");
    is("echo x >>log", "ignored4");
    OK(inotify_add_watch(notify, "log", IN_MODIFY | IN_ONESHOT) > 0, "IN_ONESHOT");
    FAILS(ENOTDIR, inotify_add_watch(notify, "log", IN_MODIFY | IN_ONLYDIR), "IN_ONLYDIR");
    FAILS(ENOENT, inotify_add_watch(notify, "missing", IN_MODIFY), "nothing");
    FAILS(EBADF, inotify_add_watch(999, "log", IN_MODIFY), "no instance");
    FAILS(EINVAL, inotify_add_watch(notify, "log", 0), "no events asked for");
    if (geteuid()) {
        MUST(chmod("log", 0200) == 0);
        FAILS(EACCES, inotify_add_watch(notify, "log", IN_MODIFY), "no permission to read");
    }
    return tap_end();
}
