/* SPDX-License-Identifier: MIT OR Apache-2.0
 * statx PATH...: stat, lstat, fstat, fstatat and statx agree on each path. */
#include "tap.h"
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static int equal(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_mode == b->st_mode && a->st_nlink == b->st_nlink &&
           a->st_uid == b->st_uid && a->st_gid == b->st_gid && a->st_size == b->st_size && a->st_blocks == b->st_blocks &&
           a->st_blksize == b->st_blksize && a->st_rdev == b->st_rdev &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static int equalx(const struct stat *a, const struct statx *x)
{
    return a->st_dev == makedev(x->stx_dev_major, x->stx_dev_minor) && a->st_ino == x->stx_ino && a->st_mode == x->stx_mode &&
           a->st_nlink == x->stx_nlink && a->st_uid == x->stx_uid && (uint64_t)a->st_size == x->stx_size &&
           (uint64_t)a->st_blocks == x->stx_blocks && a->st_mtim.tv_sec == x->stx_mtime.tv_sec &&
           a->st_mtim.tv_nsec == x->stx_mtime.tv_nsec && a->st_ctim.tv_nsec == x->stx_ctime.tv_nsec &&
           (x->stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS;
}

static void check_path(int here, dev_t device, const char *path)
{
    struct stat l, s, t;
    struct statx x;
    MUST(lstat(path, &l) == 0);
    OK(fstatat(here, path, &t, AT_SYMLINK_NOFOLLOW) == 0 && equal(&l, &t), "%s: fstatat AT_SYMLINK_NOFOLLOW", path);
    OK(statx(here, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &x) == 0 && equalx(&l, &x), "%s: statx NOFOLLOW", path);
    OK(l.st_dev == device && l.st_ino != 0, "%s: st_dev is that of the view", path);
    int fd = open(path, O_PATH | O_NOFOLLOW);
    OK(fd >= 0 && fstat(fd, &t) == 0 && equal(&l, &t), "%s: fstat of O_PATH", path);
    OK(fstatat(fd, "", &t, AT_EMPTY_PATH) == 0 && equal(&l, &t), "%s: fstatat AT_EMPTY_PATH", path);
    OK(statx(fd, "", AT_EMPTY_PATH, STATX_ALL, &x) == 0 && equalx(&l, &x), "%s: statx AT_EMPTY_PATH", path);
    close(fd);
    if (stat(path, &s)) {
        OK(errno == ENOENT && statx(here, path, 0, STATX_ALL, &x) < 0 && errno == ENOENT, "%s: dangling for all", path);
        return;
    }
    OK(fstatat(here, path, &t, 0) == 0 && equal(&s, &t), "%s: fstatat", path);
    OK(statx(here, path, 0, STATX_BASIC_STATS, &x) == 0 && equalx(&s, &x), "%s: statx", path);
    if (S_ISFIFO(s.st_mode))
        return;
    fd = open(path, O_RDONLY);
    OK(fd >= 0 && fstat(fd, &t) == 0 && equal(&s, &t), "%s: fstat", path);
    OK(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &x) == 0 && equalx(&s, &x), "%s: statx of a descriptor", path);
    close(fd);
}

int main(int argc, char **argv)
{
    struct stat s, t;
    struct statx x;
    struct statvfs f;
    int here = open(".", O_RDONLY | O_DIRECTORY);
    MUST(here >= 0 && fstat(here, &s) == 0);
    for (int i = 1; i < argc; i++)
        check_path(here, s.st_dev, argv[i]);
    FAILS(ENOENT, statx(here, "missing", 0, STATX_ALL, &x), "statx of a missing name");
    FAILS(ENOENT, statx(here, "", 0, STATX_ALL, &x), "statx of an empty path without AT_EMPTY_PATH");
    FAILS(EINVAL, fstatat(here, "a", &t, 0x40000000), "an unknown flag");
    FAILS(ENOTDIR, stat("a/", &t), "a file with a trailing slash");
    FAILS(EBADF, fstat(999, &t), "a closed descriptor");
    OK(lstat("soft/", &t) < 0 && errno == ENOTDIR, "a symlink to a file with a trailing slash");
    OK(statvfs("a", &f) == 0 && f.f_namemax == 255 && pathconf("a", _PC_NAME_MAX) == 255, "statvfs and pathconf");
    FAILS(ENOENT, statvfs("missing", &f), "statvfs of a missing name");
    OK(access("a", R_OK) == 0 && euidaccess("a", R_OK) == 0 && eaccess("a", W_OK) == 0, "access, euidaccess, eaccess");
    return tap_end();
}
