/* SPDX-License-Identifier: MIT OR Apache-2.0
 * limits files|size|memory: what works and what fails when a process may have few fds, only small files or little
 * memory. */
#include "tap.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static volatile sig_atomic_t signals;
static void count(int signal) { signals += signal == SIGXFSZ; }

static void limit(int what, rlim_t value)
{
    MUST(setrlimit(what, &(struct rlimit){value, value}) == 0);
}

static int entries(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

static void files(void)
{
    struct stat s;
    int fds[16], n = 0;
    limit(RLIMIT_NOFILE, 16);
    OK(mkdir("first", 0755) == 0, "a change while fds are left");
    while (n < 16 && (fds[n] = open("file", O_RDONLY)) >= 0)
        n++;
    OK(errno == EMFILE && n >= 10, "open: EMFILE after %d", n);
    FAILS(EMFILE, open("new", O_WRONLY | O_CREAT, 0644), "O_CREAT");
    FAILS(ENOENT, access("new", F_OK), "nothing was made");
    FAILS(EMFILE, dup(fds[0]), "dup");
    OK(!opendir("d") && errno == EMFILE, "opendir");
    struct dirent **list;
    FAILS(EMFILE, scandir("d", &list, NULL, NULL), "scandir");
    OK(stat("file", &s) == 0 && fstat(fds[n - 1], &s) == 0 && access("d", F_OK) == 0, "stat, fstat, access");
    OK(mkdir("second", 0755) == 0 && rename("second", "third") == 0 && rmdir("third") == 0, "mkdir, rename, rmdir");
    OK(chmod("file", 0600) == 0 && symlink("a", "b") == 0 && unlink("b") == 0, "chmod, symlink, unlink");
    while (n > 0)
        close(fds[--n]);
    int fd = open("after", O_WRONLY | O_CREAT, 0644);
    OK(fd >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0 && entries("d") == 3, "everything works when they are closed");
}

static void size(void)
{
    struct stat s;
    char bytes[8192] = {0};
    signal(SIGXFSZ, count);
    limit(RLIMIT_FSIZE, 4096);
    int fd = open("large", O_RDWR | O_CREAT, 0644);
    MUST(fd >= 0);
    OK(write(fd, bytes, sizeof bytes) == 4096 && signals == 0, "write stops at the limit");
    FAILS(EFBIG, write(fd, bytes, 1), "write beyond it");
    OK(signals == 1, "SIGXFSZ");
    FAILS(EFBIG, ftruncate(fd, 5000), "ftruncate beyond it");
    OK(signals == 2, "SIGXFSZ");
    FAILS(EFBIG, truncate("large", 5000), "truncate beyond it");
    OK(signals == 3, "SIGXFSZ");
    FAILS(EFBIG, fallocate(fd, 0, 0, 5000), "fallocate beyond it");
    OK(stat("large", &s) == 0 && s.st_size == 4096, "the file ends at the limit");
    OK(truncate("large", 100) == 0 && stat("large", &s) == 0 && s.st_size == 100, "truncate to less");
    signals = 0;
    OK(truncate("big", 6000) == 0 && stat("big", &s) == 0 && s.st_size == 6000 && signals == 0, "a file beyond it may shrink to what is still beyond it");
    close(fd);
}

static void memory(void)
{
    struct stat s;
    char text[8] = {0};
    limit(RLIMIT_AS, 64 << 20);
    OK(stat("file", &s) == 0 && s.st_size == 5, "stat");
    int fd = open("file", O_RDWR);
    OK(fd >= 0 && write(fd, "D", 1) == 1 && pread(fd, text, 5, 0) == 5 && !strcmp(text, "Data\n"), "open, write, read");
    OK(mkdir("made", 0755) == 0 && rename("made", "moved") == 0 && entries("d") == 3, "mkdir, rename, readdir");
    void *all = mmap(NULL, 256 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    OK(all == MAP_FAILED && errno == ENOMEM, "there is a limit");
    FILE *f = fopen("d/inner", "r");
    OK(f && fgets(text, 8, f) && fclose(f) == 0, "a stream");
}

int main(int argc, char **argv)
{
    MUST(argc == 2);
    !strcmp(argv[1], "files") ? files() : !strcmp(argv[1], "size") ? size() : memory();
    return tap_end();
}
