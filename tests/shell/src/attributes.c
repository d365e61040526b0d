/* SPDX-License-Identifier: MIT OR Apache-2.0
 * What stat(2) tells: identity, links, blocks, owners, set-ID bits, and which time each call moves. */
#include "tap.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct stat of(const char *path)
{
    struct stat s;
    MUST(lstat(path, &s) == 0);
    return s;
}

static int later(struct timespec a, struct timespec b)
{
    return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

/* Which of a path's times moved since `before`: bits for access 1, modification 2, change 4. */
static int moved(const char *path, struct stat before)
{
    struct stat s = of(path);
    return later(s.st_atim, before.st_atim) + (later(s.st_mtim, before.st_mtim) << 1) +
           (later(s.st_ctim, before.st_ctim) << 2);
}

#define MOVES(want, path, call)                                                                    \
    do {                                                                                           \
        struct stat before_ = of(path);                                                            \
        usleep(12000);                                                                             \
        int done_ = (call) >= 0, bits_ = moved(path, before_);                                     \
        OK(done_ && bits_ == (want), "%s moves %d of %s", #call, want, path);                      \
        if (bits_ != (want))                                                                       \
            printf("moved: %d\n", bits_);                                                          \
    } while (0)

static int put(const char *path, int flags, const char *text)
{
    int fd = open(path, flags, 0666);
    ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));
    close(fd);
    return (int)n;
}

/* What nobody writes is final, as after it was left alone for a while. */
static void seal(void)
{
    int dir = open(".", O_RDONLY | O_DIRECTORY);
    MUST(dir >= 0 && syncfs(dir) == 0);
    close(dir);
}

int main(void)
{
    struct stat one = of("equal1"), two = of("equal2"), dir = of("."), s;
    OK(one.st_ino != two.st_ino, "files of equal content have numbers of their own");
    OK(one.st_dev == dir.st_dev && of("sub").st_dev == dir.st_dev && of("soft").st_dev == dir.st_dev, "one device");
    OK(one.st_blksize == 4096 && one.st_blocks == 8 && of("empty").st_blocks == 0, "blocks");
    OK(of("soft").st_size == 6 && (of("soft").st_mode & 0777) == 0777, "a symlink's size and mode");
    OK(of("sub").st_nlink == 3, "links of a directory with one in it");
    MUST(mkdir("sub/b", 0777) == 0);
    OK(of("sub").st_nlink == 4 && of("sub/b").st_nlink == 2, "and with two");
    MUST(rmdir("sub/b") == 0);
    OK(of("sub").st_nlink == 3, "and one again");
    int fd = open("sparse", O_CREAT | O_RDWR, 0644);
    MUST(ftruncate(fd, 1 << 20) == 0 && fstat(fd, &s) == 0);
    OK(s.st_size == 1 << 20 && s.st_blocks == 0, "a sparse file has no blocks");
    close(fd);

    umask(0);
    MUST(put("m0", O_CREAT | O_WRONLY, "x") == 1 && mkdir("d0", 07777) == 0);
    OK((of("m0").st_mode & 07777) == 0666 && (of("d0").st_mode & 07777) == 01777, "umask 0");
    umask(077);
    MUST(put("m77", O_CREAT | O_WRONLY, "x") == 1 && mkdir("d77", 0777) == 0);
    OK((of("m77").st_mode & 07777) == 0600 && (of("d77").st_mode & 07777) == 0700, "umask 077");
    umask(022);
    MUST(chmod("d0", 02775) == 0 && mkdir("d0/in", 0755) == 0 && put("d0/f", O_CREAT | O_WRONLY, "x") == 1);
    OK((of("d0/in").st_mode & 07777) == 02755 && of("d0/in").st_gid == of("d0").st_gid, "a set-group-ID directory hands it on");
    OK((of("d0/f").st_mode & 07777) == 0644 && of("d0/f").st_gid == of("d0").st_gid, "to a file the group alone");

    MOVES(0, "left", close(open("left", O_RDWR)));
    seal();
    MOVES(0, "left", close(open("left", O_RDWR)));
    MOVES(6, "left", put("left", O_WRONLY | O_APPEND, "x"));
    seal();
    MOVES(0, "left", close(open("left", O_RDWR)));
    MOVES(6, "equal1", put("equal1", O_WRONLY | O_APPEND, "more"));
    MOVES(4, "equal1", chmod("equal1", 0600));
    MOVES(4, "equal1", chown("equal1", -1, getegid()));
    MOVES(4, "equal1", link("equal1", "hard"));
    MOVES(6, ".", link("equal1", "hard2"));
    MOVES(4, "equal1", unlink("hard2"));
    MOVES(4, "equal1", rename("hard", "harder"));
    MOVES(6, ".", rename("harder", "hard"));
    MOVES(6, ".", rename("hard", "sub/hard"));
    MOVES(6, "sub", rename("sub/hard", "hard"));
    MOVES(6, "equal1", truncate("equal1", 2));
    MOVES(6, "equal1", truncate("equal1", 2));
    MOVES(6, "equal1", put("equal1", O_WRONLY | O_TRUNC, ""));
    MOVES(0, "equal1", close(open("equal1", O_RDWR)));
    MOVES(6, ".", put("new", O_CREAT | O_WRONLY, ""));
    MOVES(0, ".", put("new", O_CREAT | O_WRONLY, "x"));
    MOVES(6, ".", symlink("x", "newlink"));
    MOVES(6, ".", mkdir("newdir", 0755));
    MOVES(6, ".", rmdir("newdir"));
    MOVES(7, "equal1", utimensat(AT_FDCWD, "equal1", NULL, 0));
    MOVES(4, "equal1", utimensat(AT_FDCWD, "equal1", (struct timespec[]){{1, 999999999}, {2, 123456789}}, 0));
    s = of("equal1");
    OK(s.st_atim.tv_nsec == 999999999 && s.st_mtim.tv_sec == 2 && s.st_mtim.tv_nsec == 123456789, "times to the nanosecond");
    MOVES(0, "equal1", utimensat(AT_FDCWD, "equal1", (struct timespec[]){{0, UTIME_OMIT}, {0, UTIME_OMIT}}, 0));

    MUST(chmod("equal2", 06755) == 0);
    if (geteuid()) {
        MUST((of("equal2").st_mode & 07777) == 06755);
        OK(put("equal2", O_WRONLY | O_APPEND, "x") == 1 && (of("equal2").st_mode & 07777) == 0755, "a write clears set-ID bits");
        MUST(chmod("equal2", 06755) == 0);
        OK(truncate("equal2", 1) == 0 && (of("equal2").st_mode & 07777) == 0755, "truncate, too");
        MUST(chmod("equal2", 06755) == 0);
        OK(chown("equal2", -1, getegid()) == 0 && (of("equal2").st_mode & 07777) == 0755, "chown, too");
        MUST(mkdir("closed", 0700) == 0 && put("closed/f", O_CREAT | O_WRONLY, "x") == 1 && chmod("closed", 0600) == 0);
        FAILS(EACCES, open("closed/f", O_RDONLY), "a directory without search permission");
        FAILS(EACCES, lstat("closed/f", &s), "nor stat");
        FAILS(EPERM, chown("equal2", 0, -1), "chown to another");
    } else {
        OK(put("equal2", O_WRONLY | O_APPEND, "x") == 1 && (of("equal2").st_mode & 07777) == 06755, "root's write clears nothing");
        OK(chown("equal2", 12, 34) == 0 && of("equal2").st_uid == 12 && of("equal2").st_gid == 34 &&
           (of("equal2").st_mode & 07777) == 0755, "root's chown does");
    }
    return tap_end();
}
