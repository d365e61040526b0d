/* SPDX-License-Identifier: MIT OR Apache-2.0
 * What is refused on paths of the view because it would change or name the real tree. Run as root, each of these
 * would be carried out or fail for another reason if it reached the kernel. */
#include "tap.h"
#include <fcntl.h>
#include <sys/fanotify.h>
#include <sys/mount.h>
#include <sys/quota.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct { struct file_handle head; unsigned char space[128]; } handle = {.head.handle_bytes = 128};
    int mount_id, fd = open("file", O_RDONLY), outside = open("/", O_RDONLY | O_DIRECTORY);
    MUST(argc == 2 && fd >= 0 && outside >= 0);
    FAILS(EOPNOTSUPP, name_to_handle_at(AT_FDCWD, "file", &handle.head, &mount_id, 0), "name_to_handle_at");
    FAILS(EOPNOTSUPP, name_to_handle_at(AT_FDCWD, argv[1], &handle.head, &mount_id, 0), "name_to_handle_at, absolute");
    FAILS(EOPNOTSUPP, name_to_handle_at(fd, "", &handle.head, &mount_id, AT_EMPTY_PATH), "name_to_handle_at, an fd");
    FAILS(ENOENT, name_to_handle_at(AT_FDCWD, "none", &handle.head, &mount_id, 0), "name_to_handle_at, nothing there");
    FAILS(EOPNOTSUPP, open_by_handle_at(fd, &handle.head, O_RDONLY), "open_by_handle_at");
    FAILS(EPERM, mount("tmpfs", "d", "tmpfs", 0, NULL), "mount");
    FAILS(EPERM, mount("/", "d", NULL, MS_BIND, NULL), "mount, bind");
    FAILS(EPERM, mount("d", "/proc/self", NULL, MS_BIND, NULL), "mount, bind from the view");
    FAILS(EINVAL, umount("d"), "umount");
    FAILS(EINVAL, umount2("d", MNT_DETACH), "umount2");
    FAILS(EPERM, syscall(SYS_mount, "tmpfs", "d", "tmpfs", 0L, NULL), "mount by its number");
    FAILS(EPERM, syscall(SYS_pivot_root, "d", "d"), "pivot_root");
    FAILS(EPERM, chroot("d"), "chroot");
    FAILS(EPERM, swapon("file", 0), "swapon");
    FAILS(EINVAL, swapoff("file"), "swapoff");
    FAILS(EPERM, acct("file"), "acct");
    FAILS(ENOTBLK, quotactl(QCMD(Q_SYNC, USRQUOTA), "file", 0, NULL), "quotactl");
    FAILS(EPERM, open_tree(AT_FDCWD, "d", OPEN_TREE_CLONE), "open_tree");
    FAILS(EPERM, fspick(AT_FDCWD, "d", 0), "fspick");
    FAILS(EPERM, move_mount(outside, "", AT_FDCWD, "d", MOVE_MOUNT_F_EMPTY_PATH), "move_mount");
    FAILS(EPERM, mount_setattr(AT_FDCWD, "d", 0, &(struct mount_attr){0}, sizeof(struct mount_attr)), "mount_setattr");
    FAILS(EOPNOTSUPP, fanotify_mark(-1, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "file"), "fanotify_mark");
    FAILS(ENOSYS, syscall(SYS_io_uring_setup, 8, (char[256]){0}), "io_uring_setup");
    /* Outside of the view the kernel decides. */
    FAILS(ENOENT, umount("/nothing/there"), "umount outside");
    OK(name_to_handle_at(AT_FDCWD, "/", &handle.head, &mount_id, 0) == 0 || errno == EOPNOTSUPP, "name_to_handle_at outside");
    return tap_end();
}
