/* SPDX-License-Identifier: MIT OR Apache-2.0
 * bad_pointers FILE: path arguments that cannot be read are EFAULT, whichever call and whichever argument. */
#include "tap.h"
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void one(const char *what, const char *bad, const char *file)
{
    char name[80];
    struct stat s;
#define CALL(call)                                                                                 \
    do {                                                                                           \
        snprintf(name, sizeof name, "%s: %s", what, #call);                                        \
        FAILS(EFAULT, call, name);                                                                 \
    } while (0)
    CALL(open(bad, O_RDONLY));
    CALL(open(bad, O_WRONLY | O_CREAT, 0644));
    CALL(stat(bad, &s));
    CALL(lstat(bad, &s));
    CALL(access(bad, R_OK));
    CALL(chmod(bad, 0644));
    CALL(chown(bad, -1, -1));
    CALL(truncate(bad, 1));
    CALL(mkdir(bad, 0755));
    CALL(rmdir(bad));
    CALL(unlink(bad));
    CALL(chdir(bad));
    CALL(mkfifo(bad, 0644));
    CALL(readlink(bad, name, 10));
    CALL(symlink(bad, "made"));
    CALL(symlink("target", bad));
    CALL(link(bad, "made"));
    CALL(link(file, bad));
    CALL(link(bad, bad));
    CALL(rename(bad, "made"));
    CALL(rename(file, bad));
    OK(stat(file, &s) == 0, "%s: the file of the calls that named one is still there", what);
    FAILS(ENOENT, lstat("made", &s), "nothing was made");
}

int main(int argc, char **argv)
{
    MUST(argc == 2);
    one("null", NULL, argv[1]);
    one("minus one", (const char *)UINTPTR_MAX, argv[1]);
    one("the kernel's half", (const char *)(UINTPTR_MAX << 48), argv[1]);
    long page = sysconf(_SC_PAGESIZE);
    char *map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(map != MAP_FAILED && mprotect(map + page, page, PROT_NONE) == 0);
    one("a page that cannot be read", map + page, argv[1]);
    memcpy(map + page - 3, "abc", 3);
    one("a name that runs into such a page", map + page - 3, argv[1]);
    /* A name of which the NUL is the last byte that can be read is a good one. */
    char *end = map + page - strlen(argv[1]) - 1;
    strcpy(end, argv[1]);
    struct stat s;
    OK(stat(end, &s) == 0, "a name that ends with its page");
    return tap_end();
}
