/* SPDX-License-Identifier: MIT OR Apache-2.0
 * mmap_write: writes through mappings whose descriptors are closed. */
#include "tap.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *map(const char *path, int flags, size_t len, int share)
{
    int fd = open(path, flags, 0644);
    MUST(fd >= 0 && (!(flags & O_CREAT) || ftruncate(fd, (off_t)len) == 0));
    char *bytes = mmap(NULL, len, PROT_READ | PROT_WRITE, share, fd, 0);
    MUST(bytes != MAP_FAILED && close(fd) == 0);
    return bytes;
}

/* What a process that opens the file now reads. */
static int read_back(const char *path, const char *want)
{
    char got[64] = "";
    int status;
    pid_t pid = fork();
    if (!pid) {
        int fd = open(path, O_RDONLY);
        _exit(fd < 0 || read(fd, got, strlen(want)) != (ssize_t)strlen(want) || strcmp(got, want));
    }
    return waitpid(pid, &status, 0) == pid && status == 0;
}

int main(void)
{
    char *file = map("file", O_RDWR, 24, MAP_SHARED);
    OK(!memcmp(file, "mapped bytes of the tree", 24), "the mapping shows the bytes of the tree");
    memcpy(file, "MAPPED", 6);
    OK(read_back("file", "MAPPED bytes"), "a write through it is read while it is mapped");
    memcpy(file + 20, "TREE", 4);
    OK(msync(file, 24, MS_SYNC) == 0, "msync");
    OK(read_back("file", "MAPPED bytes of the TREE"), "and after msync");
    MUST(munmap(file, 24) == 0);

    char *made = map("made", O_RDWR | O_CREAT, 23, MAP_SHARED);
    struct stat s;
    OK(stat("made", &s) == 0 && s.st_size == 23, "a file made for a mapping has its size");
    memcpy(made, "through a mapping alone", 23);
    /* Left mapped: the end of the process is what unmaps it. */
    OK(read_back("made", "through a mapping alone"), "it has the bytes at once");

    char *big = map("big", O_RDWR, 100000, MAP_SHARED);
    pid_t pid = fork();
    if (!pid) {
        memcpy(big + 50000, "first", 5); /* only the child writes, then leaves without a word */
        _exit(0);
    }
    MUST(waitpid(pid, NULL, 0) == pid);
    OK(!memcmp(big + 50000, "first", 5), "a child's write through an inherited mapping is seen");

    char *private = map("private", O_RDWR, 7, MAP_PRIVATE);
    memcpy(private, "PRIVATE", 7);
    OK(read_back("private", "private"), "a private mapping is private");
    int fd = open("private", O_RDONLY);
    OK(mmap(NULL, 7, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EACCES,
       "a shared writable mapping of a file opened for reading: EACCES");
    return tap_end();
}
