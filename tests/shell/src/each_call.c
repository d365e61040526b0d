/* SPDX-License-Identifier: MIT OR Apache-2.0
 * each_call GROUP [in-a-row]: makes each call that asks the daemon, and has the daemon die at each step of it: when the
 * request came, before and after the journal has the change, before the answer. VRIFT_TEST_DIE is the file by which the
 * daemon is told (daemon/src/kill_points.rs); without it the calls are made once. Each call must give the result and the
 * errno that it gives without a death, and leave what it leaves then. With `in-a-row` each comes after others, made
 * one after the other until they go by the page of memory that the daemon shares with such a process. */
#include "tap.h"
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <spawn.h>
#include <stddef.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { LONG = 600 * 1024 };
extern char **environ;
static const char *die;
static int in_a_row;

/* What a case works with; the working directory is empty but for what its preparation made. */
static int got_fd, held;
static char text[100];

static int file(const char *path, const char *bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
    return fd >= 0 && write(fd, bytes, strlen(bytes)) == (ssize_t)strlen(bytes) && close(fd) == 0;
}
static int holds(const char *path, const char *bytes)
{
    char got[64] = "";
    int fd = open(path, O_RDONLY), good = fd >= 0 && read(fd, got, sizeof got - 1) >= 0 && !strcmp(got, bytes);
    close(fd);
    return good;
}
static struct stat of(const char *path)
{
    struct stat s;
    if (lstat(path, &s))
        memset(&s, 0, sizeof s);
    return s;
}
static int links(const char *path) { return (int)of(path).st_nlink; }
static int entries(void)
{
    DIR *dir = opendir(".");
    int count = 0;
    MUST(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count - 2;
}
/* Its bytes are final, and in the store. */
static int sealed(const char *path, const char *bytes)
{
    int dir = open(".", O_RDONLY | O_DIRECTORY), good = file(path, bytes) && syncfs(dir) == 0;
    close(dir);
    return good;
}

static int none(void) { return 1; }
static int a_file(void) { return sealed("f", "old"); }
static int two_files(void) { return a_file() && file("g", "other"); }
static int a_dir(void) { return mkdir("d", 0755) == 0; }
static int a_long_file(void)
{
    static char bytes[LONG];
    memset(bytes, 'l', sizeof bytes - 1);
    return sealed("f", bytes);
}
static int an_attribute(void) { return a_file() && setxattr("f", "user.a", "one", 3, 0) == 0; }
static int a_program(void)
{
    char line[PATH_MAX + 20];
    snprintf(line, sizeof line, "cp %s p", "/bin/true");
    return system(line) == 0;
}
/* The bytes must be asked for: the cache is empty. */
static int a_cold_file(void)
{
    char line[PATH_MAX + 60];
    if (!a_file() || !die)
        return !die;
    snprintf(line, sizeof line, "find %s/hot -type f -delete", getenv("VRIFT_HOME"));
    return system(line) == 0;
}
static int unnamed(void)
{
    held = open(".", O_TMPFILE | O_RDWR, 0640);
    return held >= 0 && write(held, "unnamed", 7) == 7;
}
static int locked(void) { return file("f", "old") && (held = open("f", O_RDWR)) >= 0 && flock(held, LOCK_EX) == 0; }
static int two_attributes(void) { return an_attribute() && setxattr("f", "user.b", "two", 3, 0) == 0; }
static int begun(void) { return (held = open("f", O_RDWR | O_CREAT, 0644)) >= 0 && write(held, "begun", 5) == 5; }

static int do_mkdir(void) { return mkdir("d", 0750); }
static int is_dir(void) { return (of("d").st_mode & 07777) == 0750 && S_ISDIR(of("d").st_mode) && links(".") == 3; }
static int do_symlink(void) { return symlink("to", "s"); }
static int is_symlink(void) { return readlink("s", text, sizeof text) == 2 && !memcmp(text, "to", 2); }
static int do_mkfifo(void) { return mkfifo("p", 0640); }
static int is_fifo(void)
{
    int fd = open("p", O_RDWR | O_NONBLOCK), good = fd >= 0 && write(fd, "x", 1) == 1 && read(fd, text, 9) == 1;
    close(fd);
    return good && S_ISFIFO(of("p").st_mode);
}
static int socket_call(int (*call)(int, const struct sockaddr *, socklen_t))
{
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "s"};
    got_fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    return call(got_fd, (struct sockaddr *)&a, sizeof a);
}
static int do_bind(void) { return socket_call(bind); }
static int is_bound(void)
{
    int to = got_fd, good = S_ISSOCK(of("s").st_mode) && socket_call(connect) == 0;
    good = good && send(got_fd, "hi", 2, 0) == 2 && recv(to, text, 9, 0) == 2;
    close(got_fd);
    got_fd = to;
    return good;
}
static int do_create(void) { return got_fd = open("f", O_WRONLY | O_CREAT | O_EXCL, 0600); }
static int is_created(void)
{
    return (of("f").st_mode & 07777) == 0600 && write(got_fd, "new", 3) == 3 && holds("f", "new");
}
static int do_open(void) { return got_fd = open("f", O_RDWR); }
static int is_open(void)
{
    return read(got_fd, text, 9) == 3 && pwrite(got_fd, "N", 1, 0) == 1 && holds("f", "Nld") && of("f").st_size == 3;
}
static int do_truncating(void) { return got_fd = open("f", O_WRONLY | O_TRUNC); }
static int is_truncated(void) { return of("f").st_size == 0 && write(got_fd, "cut", 3) == 3 && holds("f", "cut"); }
static int do_append(void) { return got_fd = open("f", O_WRONLY | O_APPEND); }
static int is_appended(void)
{
    struct stat s;
    return write(got_fd, "+", 1) == 1 && of("f").st_size == LONG && fstat(got_fd, &s) == 0 && s.st_size == LONG;
}
static int do_creat(void) { return got_fd = creat("f", 0644); }
static int do_link(void) { return link("f", "l"); }
static int is_linked(void) { return links("f") == 2 && of("l").st_ino == of("f").st_ino && holds("l", "old"); }
static int do_unlink(void) { return unlink("f"); }
static int is_gone(void) { return access("f", F_OK) == -1 && errno == ENOENT && entries() == 0; }
static int do_rmdir(void) { return rmdir("d"); }
static int no_dir(void) { return access("d", F_OK) == -1 && links(".") == 2 && entries() == 0; }
static int do_rename(void) { return rename("f", "r"); }
static int is_renamed(void) { return holds("r", "old") && links("r") == 1 && entries() == 1; }
static int do_rename_over(void) { return rename("f", "g"); }
static int is_over(void) { return holds("g", "old") && entries() == 1; }
static int do_rename_new(void) { return renameat2(AT_FDCWD, "f", AT_FDCWD, "r", RENAME_NOREPLACE); }
static int do_exchange(void) { return renameat2(AT_FDCWD, "f", AT_FDCWD, "g", RENAME_EXCHANGE); }
static int is_exchanged(void) { return holds("g", "old") && holds("f", "other") && entries() == 2; }
static int do_rename_dir(void) { return rename("d", "e"); }
static int is_moved_dir(void) { return S_ISDIR(of("e").st_mode) && entries() == 1 && links(".") == 3; }
static int do_chmod(void) { return chmod("f", 0604); }
static int has_mode(void) { return (of("f").st_mode & 07777) == 0604 && holds("f", "old"); }
static int do_chown(void) { return chown("f", geteuid(), getegid()); }
static int has_owner(void) { return of("f").st_uid == geteuid() && of("f").st_gid == getegid(); }
static int do_times(void) { return utimensat(AT_FDCWD, "f", (struct timespec[]){{7, 8}, {9, 10}}, 0); }
static int has_times(void) { return of("f").st_mtim.tv_sec == 9 && of("f").st_mtim.tv_nsec == 10; }
static int do_shorter(void) { return truncate("f", 1); }
static int is_shorter(void) { return holds("f", "o"); }
static int do_longer(void) { return truncate("f", 5); }
static int is_longer(void) { return of("f").st_size == 5 && holds("f", "old"); }
static int do_set(void) { return setxattr("f", "user.a", "one", 3, XATTR_CREATE); }
static int is_set(void) { return getxattr("f", "user.a", text, 9) == 3 && listxattr("f", text, 99) == 7; }
static int do_replace(void) { return setxattr("f", "user.a", "two", 3, XATTR_REPLACE); }
static int is_replaced(void) { return getxattr("f", "user.a", text, 9) == 3 && !memcmp(text, "two", 3); }
static int do_remove(void) { return removexattr("f", "user.a"); }
static int is_removed(void) { return getxattr("f", "user.a", text, 9) == -1 && errno == ENODATA; }
static int do_get(void) { return getxattr("f", "user.a", text, 99) == 3 && !memcmp(text, "one", 3) ? 0 : -1; }
static int do_list(void) { return listxattr("f", text, 99) == 14 ? 0 : -1; }
static int do_chdir(void) { return chdir("d"); }
static int is_inside(void) { return getcwd(text, 0) || (file("x", "in") && chdir("..") == 0 && holds("d/x", "in")); }
static int do_opendir(void) { return got_fd = open("d", O_RDONLY | O_DIRECTORY); }
static int is_opened_dir(void) { return mkdirat(got_fd, "x", 0755) == 0 && S_ISDIR(of("d/x").st_mode); }
static int do_spawn(void)
{
    int status = -1;
    pid_t pid;
    char *argv[] = {"p", NULL};
    if ((errno = posix_spawn(&pid, "./p", NULL, NULL, argv, environ)))
        return -1;
    return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -1;
}
static int do_read(void) { return got_fd = open("f", O_RDONLY); }
static int is_read(void) { return read(got_fd, text, 9) == 3 && !memcmp(text, "old", 3); }
static int do_fsync(void) { return fsync(held); }
static int is_kept(void) { return write(held, "!", 1) == 1 && holds("f", "begun!"); }
static int do_syncfs(void) { return syncfs(held); }
static int do_tmpfile(void) { return got_fd = open(".", O_TMPFILE | O_RDWR, 0600); }
static int is_unnamed(void) { return entries() == 0 && write(got_fd, "x", 1) == 1 && lseek(got_fd, 0, SEEK_END) == 1; }
static int do_name(void)
{
    snprintf(text, sizeof text, "/proc/self/fd/%d", held);
    return linkat(AT_FDCWD, text, AT_FDCWD, "n", AT_SYMLINK_FOLLOW);
}
static int is_named(void)
{
    return write(held, "+", 1) == 1 && holds("n", "unnamed+") && (of("n").st_mode & 0777) == 0640 && links("n") == 1;
}
static int do_watch(void) { return inotify_add_watch(got_fd = inotify_init1(IN_NONBLOCK), "d", IN_CREATE) > 0 ? 0 : -1; }
static int is_watched(void)
{
    return file("d/x", "") && poll(&(struct pollfd){got_fd, POLLIN, 0}, 1, 5000) == 1;
}
static int is_locked(void)
{
    int other = open("f", O_RDWR), good = other >= 0 && flock(other, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK;
    close(other);
    return good && write(held, "n", 1) == 1 && holds("f", "nld");
}
/* A process that gave up root's rights cannot open the real files itself. */
static int do_read_as_other(void)
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
            _exit(2);
        _exit(holds("f", "old") ? 0 : 1);
    }
    return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -1;
}
static int exists(void) { return entries() == 1; }
static int do_set_again(void) { return setxattr("f", "user.a", "x", 1, XATTR_CREATE); }
static int full_dir(void) { return a_dir() && file("d/x", ""); }

static const struct {
    const char *name, *op, *change;
    int (*prepare)(void), (*call)(void);
    int error;
    int (*verify)(void);
} CASES[] = {
    {"mkdir", "Mkdir", "Make", none, do_mkdir, 0, is_dir},
    {"symlink", "Symlink", "Make", none, do_symlink, 0, is_symlink},
    {"mkfifo", "Mknod", "Make", none, do_mkfifo, 0, is_fifo},
    {"bind", "Mknod", "Make", none, do_bind, 0, is_bound},
    {"open O_CREAT|O_EXCL", "Open", "Make", none, do_create, 0, is_created},
    {"creat", "Open", "Make", none, do_creat, 0, is_truncated},
    {"open for reading and writing", "Open", "SetContent", a_file, do_open, 0, is_open},
    {"open O_TRUNC", "Open", "SetContent", a_file, do_truncating, 0, is_truncated},
    {"open O_APPEND of a long file", "Open", "SetContent", a_long_file, do_append, 0, is_appended},
    {"link", "Link", "Link", a_file, do_link, 0, is_linked},
    {"unlink", "Unlink", "Unlink", a_file, do_unlink, 0, is_gone},
    {"unlink of a file that is being written", "Unlink", "Unlink", begun, do_unlink, 0, is_gone},
    {"rmdir", "Rmdir", "Rmdir", a_dir, do_rmdir, 0, no_dir},
    {"rename", "Rename", "Rename", a_file, do_rename, 0, is_renamed},
    {"rename over a file", "Rename", "Rename", two_files, do_rename_over, 0, is_over},
    {"rename RENAME_NOREPLACE", "Rename", "Rename", a_file, do_rename_new, 0, is_renamed},
    {"rename RENAME_EXCHANGE", "Rename", "Rename", two_files, do_exchange, 0, is_exchanged},
    {"rename of a directory", "Rename", "Rename", a_dir, do_rename_dir, 0, is_moved_dir},
    {"chmod", "SetAttr", "SetAttr", a_file, do_chmod, 0, has_mode},
    {"chown", "SetAttr", "SetAttr", a_file, do_chown, 0, has_owner},
    {"utimensat", "SetAttr", "SetAttr", a_file, do_times, 0, has_times},
    {"truncate to less", "SetAttr", "SetAttr", a_file, do_shorter, 0, is_shorter},
    {"truncate to more", "SetAttr", "SetContent", a_file, do_longer, 0, is_longer},
    {"setxattr XATTR_CREATE", "SetXattr", "SetXattr", a_file, do_set, 0, is_set},
    {"setxattr XATTR_REPLACE", "SetXattr", "SetXattr", an_attribute, do_replace, 0, is_replaced},
    {"removexattr", "RemoveXattr", "SetXattr", an_attribute, do_remove, 0, is_removed},
    {"getxattr", "GetXattr", NULL, an_attribute, do_get, 0, none},
    {"listxattr", "ListXattr", NULL, two_attributes, do_list, 0, none},
    {"chdir", "Mirror", NULL, a_dir, do_chdir, 0, is_inside},
    {"open O_DIRECTORY", "Mirror", NULL, a_dir, do_opendir, 0, is_opened_dir},
    {"posix_spawn", "ExecLink", NULL, a_program, do_spawn, 0, none},
    {"open for reading", "Materialise", NULL, a_cold_file, do_read, 0, is_read},
    {"open by another user", "OpenReal", NULL, a_file, do_read_as_other, 0, none},
    {"fsync", "Sync", NULL, begun, do_fsync, 0, is_kept},
    {"syncfs", "Sync", NULL, begun, do_syncfs, 0, is_kept},
    {"open O_TMPFILE", "Unnamed", NULL, none, do_tmpfile, 0, is_unnamed},
    {"linkat of an unnamed file", "Link", "Make", unnamed, do_name, 0, is_named},
    {"inotify_add_watch", "Watch", NULL, a_dir, do_watch, 0, is_watched},
    {"chmod of a locked file", "SetAttr", "SetAttr", locked, do_chmod, 0, is_locked},
    {"rmdir of a full directory", "Rmdir", NULL, full_dir, do_rmdir, ENOTEMPTY, exists},
    {"setxattr of what is there", "SetXattr", NULL, an_attribute, do_set_again, EEXIST, exists},
};
enum { COUNT = sizeof CASES / sizeof *CASES, GROUPS = 3 };

static int has_page(void)
{
    char line[PATH_MAX + 100];
    FILE *maps = fopen("/proc/self/maps", "r");
    int found = 0;
    MUST(maps);
    while (!found && fgets(line, sizeof line, maps))
        found = strstr(line, "/memfd:vrift-slot") != NULL;
    fclose(maps);
    return found;
}

/* Until the page is there; on a busy machine the calls are not always soon enough after each other. */
static void many_calls(void)
{
    for (int calls = 0; calls < 200000 && !(calls % 20 == 0 && has_page()); calls++)
        MUST(mkdir("in-a-row", 0755) == 0 && rmdir("in-a-row") == 0);
}

/* One call, with the daemon's death at a step of it (NULL: without one). */
static void once(int number, const char *step)
{
    char folder[40];
    int result, error, died;
    snprintf(folder, sizeof folder, "case-%d-%s", number, step ? step : "plain");
    for (char *c = folder; *c; c++)
        *c = *c == ' ' ? '-' : *c;
    MUST(mkdir(folder, 0755) == 0 && chdir(folder) == 0);
    got_fd = held = -1;
    MUST(CASES[number].prepare());
    if (in_a_row) {
        many_calls();
        OK(has_page(), "%s, %s: by a page of memory", CASES[number].name, step ? step : "no death");
    }
    if (step) {
        int fd = open(die, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        MUST(fd >= 0 && write(fd, step, strlen(step)) > 0 && close(fd) == 0);
    }
    errno = 0;
    result = CASES[number].call();
    error = result < 0 ? errno : 0;
    died = !step || (unlink(die) == -1 && errno == ENOENT);
    errno = error;
    OK(died, "%s: the daemon died: %s", CASES[number].name, step ? step : "never");
    OK(error == CASES[number].error && (result >= 0) == !error, "%s, %s: %s", CASES[number].name,
       step ? step : "no death", error ? strerrorname_np(error) : result < 0 ? "wrong" : "done");
    OK(CASES[number].verify(), "%s, %s: what it leaves", CASES[number].name, step ? step : "no death");
    if (got_fd >= 0) close(got_fd);
    if (held >= 0) close(held);
    MUST(chdir("..") == 0);
}

/* What the file with the daemon's process id says; 0: nothing. */
static pid_t daemon_pid(void)
{
    FILE *file = fopen(getenv("DAEMON_PID_FILE"), "r");
    int pid = 0;
    if (file && fscanf(file, "%d", &pid) != 1)
        pid = 0;
    if (file)
        fclose(file);
    return pid;
}

/* The daemon dies with a request carried out, its caller does not look before the next daemon serves: then the first
 * thing that the caller sends over a new connection is the same request again. */
static void answer_lost_with_the_page(void)
{
    struct timespec pause = {0, 5000000};
    char paused[PATH_MAX];
    int status;
    MUST(mkdir("from", 0755) == 0);
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        many_calls();
        if (!has_page())
            _exit(100);
        int fd = open(die, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        MUST(fd >= 0 && write(fd, "pause answer Rename", 19) == 19 && close(fd) == 0);
        _exit(rename("from", "to") == 0 ? 0 : errno);
    }
    snprintf(paused, sizeof paused, "%s.answer-Rename", die);
    for (int tries = 0; access(paused, F_OK) != 0; tries++)
        MUST(tries < 12000 && nanosleep(&pause, NULL) == 0);
    pid_t before = daemon_pid();
    MUST(before > 0 && kill(child, SIGSTOP) == 0 && waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
    MUST(kill(before, SIGKILL) == 0);
    /* Answered by the next one. */
    MUST(mkdir("served", 0755) == 0);
    OK(daemon_pid() != before, "another daemon serves");
    MUST(unlink(paused) == 0 && kill(child, SIGCONT) == 0);
    MUST(waitpid(child, &status, 0) == child && WIFEXITED(status));
    errno = WEXITSTATUS(status);
    OK(errno == 0, "a rename whose answer was lost with the page is carried out once: %s", strerrorname_np(errno));
    OK(access("to", F_OK) == 0 && access("from", F_OK) != 0, "it is done");
}

int main(int argc, char **argv)
{
    char step[40];
    int group = argc > 1 ? atoi(argv[1]) : 0;
    die = getenv("VRIFT_TEST_DIE");
    if (argc > 1 && !strcmp(argv[1], "lost")) {
        answer_lost_with_the_page();
        return tap_end();
    }
    in_a_row = die && argc > 2 && !strcmp(argv[2], "in-a-row");
    for (int number = group; number < COUNT; number += GROUPS) {
        once(number, NULL);
        if (!die || (!strcmp(CASES[number].op, "OpenReal") && geteuid() != 0))
            continue;
        snprintf(step, sizeof step, "received %s", CASES[number].op);
        once(number, step);
        for (int after = 0; CASES[number].change && after < 2; after++) {
            snprintf(step, sizeof step, "append%s %s", after ? "ed" : "", CASES[number].change);
            once(number, step);
        }
        snprintf(step, sizeof step, "answer %s", CASES[number].op);
        once(number, step);
    }
    return tap_end();
}
