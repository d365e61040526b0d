/* SPDX-License-Identifier: MIT OR Apache-2.0
 * moving OUTSIDE: data between fds without passing through the program, and the calls that reserve space; between files of the
 * view, and between one and a file in the folder OUTSIDE. */
#include "tap.h"
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static const char TEXT[] = "0123456789abcdef";

static int holds(const char *path, const char *want, size_t len)
{
    char bytes[64] = {0};
    struct stat s;
    int fd = open(path, O_RDONLY);
    ssize_t got = read(fd, bytes, sizeof bytes);
    int same = got == (ssize_t)len && !memcmp(bytes, want, len) && fstat(fd, &s) == 0 && (size_t)s.st_size == len;
    close(fd);
    return same && stat(path, &s) == 0 && (size_t)s.st_size == len;
}

static int made(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
    MUST(fd >= 0);
    return fd;
}

static void moved(const char *from, const char *to, const char *what)
{
    int in = open(from, O_RDONLY), pipes[2], out;
    loff_t at = 10;
    MUST(in >= 0 && pipe(pipes) == 0);
    out = made(to);
    OK(copy_file_range(in, &at, out, NULL, 6, 0) == 6 && at == 16 && holds(to, "abcdef", 6), "copy_file_range %s", what);
    close(out), out = made(to);
    OK(sendfile(out, in, NULL, 4) == 4 && sendfile(out, in, &at, 9) == 0 && holds(to, "0123", 4), "sendfile %s", what);
    close(out), out = made(to), at = 2;
    OK(splice(in, &at, pipes[1], NULL, 5, 0) == 5 && splice(pipes[0], NULL, out, NULL, 5, 0) == 5 && holds(to, "23456", 5), "splice %s", what);
    close(out), out = made(to);
    struct iovec parts[] = {{(char *)TEXT, 2}, {(char *)TEXT + 8, 2}};
    OK(writev(out, parts, 2) == 4 && pwritev(out, parts, 1, 4) == 2 && holds(to, "018901", 6), "writev, pwritev %s", what);
    close(out), close(in), close(pipes[0]), close(pipes[1]);
}

static void sizes(void)
{
    struct stat s;
    int fd = made("sized");
    OK(posix_fallocate(fd, 0, 5000) == 0 && stat("sized", &s) == 0 && s.st_size == 5000 && s.st_blocks >= 8, "posix_fallocate");
    OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 20000) == 0 && stat("sized", &s) == 0 && s.st_size == 5000 && s.st_blocks >= 32, "fallocate, the size kept");
    OK(pwrite(fd, TEXT, 16, 4096) == 16 && fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0 &&
       lseek(fd, 0, SEEK_DATA) == 4096, "a hole");
    OK(ftruncate(fd, 3) == 0 && truncate("sized", 7) == 0 && fstat(fd, &s) == 0 && s.st_size == 7, "ftruncate, truncate");
    FAILS(EINVAL, ftruncate(fd, -1), "ftruncate to less than nothing");
    FAILS(EINVAL, fallocate(fd, 0, 0, 0), "fallocate of nothing");
    OK(posix_fallocate(-1, 0, 1) == EBADF, "posix_fallocate returns its error");
    char *at = mmap(NULL, 7, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    MUST(at != MAP_FAILED);
    memcpy(at, "mapped!", 7);
    OK(msync(at, 7, MS_SYNC) == 0 && holds("sized", "mapped!", 7), "mmap, msync");
    OK(fsync(fd) == 0 && fdatasync(fd) == 0 && sync_file_range(fd, 0, 7, SYNC_FILE_RANGE_WRITE) == 0 && posix_fadvise(fd, 0, 7, POSIX_FADV_DONTNEED) == 0, "fsync and kin");
    munmap(at, 7), close(fd);
}

int main(int argc, char **argv)
{
    char path[PATH_MAX];
    MUST(argc == 2);
    moved("source", "copy", "in the view");
    snprintf(path, sizeof path, "%s/out", argv[1]);
    moved("source", path, "out of the view");
    snprintf(path, sizeof path, "%s/in", argv[1]);
    int fd = made(path);
    MUST(write(fd, TEXT, 16) == 16 && close(fd) == 0);
    moved(path, "copy3", "into the view");
    OK(holds("source", TEXT, 16) && holds("source2", TEXT, 16), "what was read is as it was");
    sizes();
    return tap_end();
}
