/* SPDX-License-Identifier: MIT OR Apache-2.0
 * ftruncate: sizes set through descriptors, seen through the path. */
#include "tap.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static off_t size(const char *path)
{
    struct stat s;
    return stat(path, &s) ? -1 : s.st_size;
}

int main(void)
{
    char text[64];
    int fd = open("fd", O_RDWR), made = open("made", O_RDWR | O_CREAT, 0644), readonly = open("read", O_RDONLY);
    OK(ftruncate(fd, 5) == 0 && size("fd") == 5, "ftruncate shortens");
    OK(pread(fd, text, sizeof text, 0) == 5 && !memcmp(text, "01234", 5), "and keeps the rest");
    OK(ftruncate(fd, 20) == 0 && size("fd") == 20 && pread(fd, text, 20, 0) == 20 && text[19] == 0, "and pads");
    FAILS(EINVAL, ftruncate(readonly, 0), "ftruncate of a descriptor opened for reading");
    OK(size("read") == 11, "which changes nothing");
    OK(ftruncate(made, 10) == 0 && size("made") == 10, "ftruncate of a new file");
    OK(fallocate(made, 0, 0, 40) == 0 && size("made") == 40, "fallocate grows");
    OK(fallocate(made, FALLOC_FL_KEEP_SIZE, 0, 4000) == 0 && size("made") == 40, "KEEP_SIZE does not");
    OK(posix_fallocate(made, 0, 50) == 0 && size("made") == 50, "posix_fallocate");
    OK(lseek(made, 0, SEEK_END) == 50, "lseek to the end");
    OK(open("made", O_WRONLY | O_TRUNC) >= 0 && size("made") == 0, "O_TRUNC while it is open elsewhere");
    OK(pwrite(made, "x", 1, 49) == 1 && size("made") == 50, "a write beyond the end grows it");
    int copy = open("read", O_RDWR);
    MUST(copy >= 0 && truncate("read", 3) == 0);
    OK(lseek(copy, 0, SEEK_END) == 3, "truncate by path is seen through a descriptor for writing");
    return tap_end();
}
