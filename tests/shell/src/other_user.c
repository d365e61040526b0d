/* SPDX-License-Identifier: MIT OR Apache-2.0
 * other_user HOW [exec]: becomes user 65534 by HOW and works in a directory that everybody may write; with
 * `exec`, so do programs that it executes. */
#include "tap.h"
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOBODY = 65534 };

static void write_file(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
    MUST(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static int reads(const char *path, const char *text)
{
    char got[100] = "";
    int fd = open(path, O_RDONLY);
    if (fd < 0 || read(fd, got, sizeof got - 1) < 0)
        return 0;
    close(fd);
    return !strcmp(got, text);
}

/* Programs of outside and of the view, in a child and its children. */
static void execute(void)
{
    OK(!system("test $(cat old) = old"), "a shell and what it starts read a file");
    OK(!system("echo x >by_shell && test $(stat -c %u by_shell) = 65534"), "they make a file of their user's");
    OK(!system("! cat secret 2>/dev/null && ! echo x 2>/dev/null >root/file"), "and may not do more than it");
    OK(!system("test $(./tool stat old size) = 4"), "a program of the view runs");
    OK(!system("./script"), "a script of the view runs");
    OK(!system("mkdir in && cd in && test $(pwd -P) = $(dirname $(pwd -P))/in && ../tool stat ../old size >/dev/null"),
       "in another directory, too");
    OK(!system("bash -c 'exec 900>&- 901>&- 902>&-; cat old >/dev/null'"), "a shell that closes fds of the library");
}

static int become(const char *how)
{
    /* All ids of the group: a program that is executed with different ones gets no preload library. */
    if (setgroups(0, NULL) || setgid(NOBODY))
        return -1;
    if (!strcmp(how, "setuid")) return setuid(NOBODY);
    if (!strcmp(how, "seteuid")) return seteuid(NOBODY);
    if (!strcmp(how, "setreuid")) return setreuid(NOBODY, NOBODY);
    if (!strcmp(how, "setresuid")) return setresuid(NOBODY, NOBODY, NOBODY);
    return -1;
}

int main(int argc, char **argv)
{
    struct stat s;
    char cwd[4096], inside[4200];
    MUST(argc >= 2 && getcwd(cwd, sizeof cwd));
    int keep = open("written", O_WRONLY | O_CREAT, 0644); /* not final: somebody still writes */
    MUST(keep >= 0 && write(keep, "now", 3) == 3);
    write_file("secret", "root's", 0600);
    MUST(mkfifo("pipe", 0644) == 0 && symlink("old", "soft") == 0 && mkdir("root", 0755) == 0);
    MUST(become(argv[1]) == 0);

    OK(reads("old", "old\n"), "a file that was there is read");
    OK(reads("soft", "old\n"), "and through a symlink");
    OK(stat("written", &s) == 0 && s.st_size == 3, "stat of a file that is being written");
    OK(reads("written", "now"), "it is read");
    FAILS(EACCES, open("written", O_WRONLY), "it is root's to write");
    FAILS(EACCES, open("secret", O_RDONLY), "root's secret");
    FAILS(EPERM, open("old", O_RDONLY | O_NOATIME), "O_NOATIME of root's file");
    FAILS(EACCES, open("root/file", O_WRONLY | O_CREAT, 0644), "a file in root's directory");
    FAILS(EPERM, chmod("written", 0666), "chmod of root's file");
    FAILS(EPERM, chown("written", NOBODY, NOBODY), "chown of root's file");
    write_file("mine", "mine", 0600);
    OK(stat("mine", &s) == 0 && s.st_uid == NOBODY && s.st_gid == NOBODY, "a new file has the new owner");
    OK(reads("mine", "mine"), "it is read back");
    OK(mkdir("sub", 0700) == 0 && chdir("sub") == 0, "a directory is made and entered");
    snprintf(inside, sizeof inside, "%s/sub", cwd);
    OK(getcwd(cwd, sizeof cwd) && !strcmp(cwd, inside), "it is the working directory");
    write_file("below", "below", 0644);
    OK(chdir("..") == 0 && reads("sub/below", "below"), "a file made in it");
    DIR *dir = opendir("sub");
    struct dirent *entry;
    int found = 0;
    while (dir && (entry = readdir(dir)))
        found += !strcmp(entry->d_name, "below");
    OK(dir && found == 1 && closedir(dir) == 0, "it is listed");
    OK(open("old", O_PATH) >= 0 && open(".", O_RDONLY | O_DIRECTORY) >= 0, "O_PATH and a directory");
    OK(rename("sub/below", "above") == 0 && unlink("above") == 0 && rmdir("sub") == 0, "rename, unlink, rmdir");
    pid_t child = fork();
    if (child == 0) {
        int fd = open("pipe", O_RDONLY);
        char byte = 0;
        _exit(fd >= 0 && read(fd, &byte, 1) == 1 && byte == '!' ? 0 : 1);
    }
    FAILS(EACCES, open("pipe", O_WRONLY), "writing to root's fifo");
    kill(child, 9);
    waitpid(child, NULL, 0);
    OK(mkfifo("own", 0600) == 0, "a fifo is made");
    int fd = open("own", O_RDWR | O_NONBLOCK);
    OK(fd >= 0 && write(fd, "!", 1) == 1, "and opened");
    if (argc > 2)
        execute();
    return tap_end();
}
