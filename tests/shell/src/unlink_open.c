/* SPDX-License-Identifier: MIT OR Apache-2.0
 * unlink_open: descriptors outlive the names of their files. */
#include "tap.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char buffer[256];

static const char *text(int fd)
{
    ssize_t n = pread(fd, buffer, sizeof buffer - 1, 0);
    buffer[n > 0 ? n : 0] = 0;
    return buffer;
}

static struct stat of(int fd)
{
    struct stat s;
    MUST(fstat(fd, &s) == 0);
    return s;
}

int main(void)
{
    int fd = open("read", O_RDONLY);
    struct stat before = of(fd);
    MUST(unlink("read") == 0);
    OK(!strcmp(text(fd), "bytes of read\n"), "an unlinked file is still read");
    OK(of(fd).st_nlink == 0, "fstat says nlink 0");
    OK(of(fd).st_ino == before.st_ino && of(fd).st_size == before.st_size, "fstat keeps inode and size");
    FAILS(ENOENT, access("read", F_OK), "its name");

    int other = open("read", O_RDWR | O_CREAT | O_EXCL, 0644);
    MUST(other >= 0 && write(other, "other", 5) == 5);
    OK(of(other).st_ino != before.st_ino, "the same name made again is another file");
    OK(!strcmp(text(fd), "bytes of read\n"), "and does not change the first");
    MUST(unlink("read") == 0);

    fd = open("written", O_RDWR);
    MUST(unlink("written") == 0);
    OK(pwrite(fd, "NEW", 3, 0) == 3 && !strcmp(text(fd), "NEWes of written\n"), "an unlinked file is still written");
    OK(ftruncate(fd, 3) == 0 && of(fd).st_size == 3, "and truncated");
    OK(fchmod(fd, 0600) == 0 && (of(fd).st_mode & 07777) == 0600, "and its mode set");
    OK(futimens(fd, (struct timespec[]){{5, 6}, {7, 8}}) == 0 && of(fd).st_mtim.tv_nsec == 8, "and its times");

    fd = open("made", O_RDWR | O_CREAT, 0644);
    MUST(unlink("made") == 0);
    OK(write(fd, "scratch", 7) == 7 && !strcmp(text(fd), "scratch"), "a file made and unlinked is a scratch file");
    OK(of(fd).st_nlink == 0 && of(fd).st_size == 7, "with nlink 0 and its size");
    int copy = dup(fd);
    close(fd);
    OK(!strcmp(text(copy), "scratch"), "a dup keeps it alive");

    fd = open("doomed", O_RDONLY);
    MUST(link("doomed", "kept") == 0 && unlink("doomed") == 0);
    OK(of(fd).st_nlink == 1, "nlink counts the other hard link");
    MUST(unlink("kept") == 0);
    OK(of(fd).st_nlink == 0, "and then is 0");

    int newer = open("tmp", O_WRONLY | O_CREAT, 0644);
    fd = open("replaced", O_RDONLY);
    MUST(write(newer, "newer", 5) == 5 && close(newer) == 0 && rename("tmp", "replaced") == 0);
    OK(!strcmp(text(fd), "bytes of replaced\n") && of(fd).st_nlink == 0, "a replaced file is still read, nlink 0");
    OK(!strcmp(text(open("replaced", O_RDONLY)), "newer"), "its name has the new bytes");

    fd = open("own", O_RDONLY);
    before = of(fd);
    MUST(unlink("own") == 0);
    struct stat after = of(fd);
    OK(after.st_mode == before.st_mode && (after.st_mode & 07777) == 0640, "a removed file keeps its mode");
    OK(after.st_uid == before.st_uid && after.st_gid == before.st_gid, "its owner");
    OK(after.st_mtim.tv_sec == 1000000000 && after.st_atim.tv_sec == before.st_atim.tv_sec, "and its times");
    OK(after.st_ctim.tv_sec > 1000000000, "but for that of the change");
    MUST(chmod("other", 0604) == 0);
    fd = open("other", O_RDONLY);
    MUST(rename("new", "other") == 0);
    OK((of(fd).st_mode & 07777) == 0604, "so does a replaced one");
    fd = open("closed", O_RDONLY | O_DIRECTORY);
    MUST(rmdir("closed") == 0);
    OK((of(fd).st_mode & 07777) == 0710, "and a removed directory");

    fd = open("d", O_RDONLY | O_DIRECTORY);
    MUST(unlink("d/x") == 0 && rmdir("d") == 0);
    OK(of(fd).st_nlink == 0, "a removed directory has nlink 0");
    FAILS(ENOENT, openat(fd, "new", O_WRONLY | O_CREAT, 0644), "a file made in a removed directory");
    DIR *dir = fdopendir(fd);
    struct dirent *e;
    int names = 0;
    while (dir && (e = readdir(dir)))
        names += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
    OK(dir && names == 0, "a removed directory lists nothing");
    return tap_end();
}
