/* SPDX-License-Identifier: MIT OR Apache-2.0
 * growing READERS FILES: so many processes look at names while so many files are made, which is more than the index
 * had room for. A name that stays must never fail, and always be the same file. */
#include "tap.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct shared { int stop; };

static int reader(struct shared *shared, int which)
{
    struct stat first, s;
    char name[32];
    long rounds = 0;
    snprintf(name, sizeof name, "steady/%d", which);
    if (stat(name, &first))
        return 1;
    while (!__atomic_load_n(&shared->stop, __ATOMIC_RELAXED) || rounds == 0) {
        if (stat(name, &s) || s.st_ino != first.st_ino || s.st_size != 2)
            return 2;
        if (stat("steady/none", &s) == 0 || errno != ENOENT)
            return 3;
        if (rounds++ % 64 == 0) {
            int n = 0;
            DIR *dir = opendir("steady");
            while (dir && readdir(dir))
                n++;
            if (!dir || closedir(dir) || n != 18)
                return 4;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    MUST(argc == 3);
    int readers = atoi(argv[1]), files = atoi(argv[2]), failed = 0, status;
    struct shared *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct stat s;
    char name[64];
    MUST(shared != MAP_FAILED);
    for (int i = 0; i < readers; i++) {
        pid_t pid = fork();
        MUST(pid >= 0);
        if (!pid)
            _exit(reader(shared, i % 16));
    }
    int made = 0;
    for (int i = 0; i < files; i++) {
        if (i % 1000 == 0) {
            snprintf(name, sizeof name, "grown/%d", i / 1000);
            MUST(mkdir(name, 0755) == 0);
        }
        snprintf(name, sizeof name, "grown/%d/a_name_of_some_length_%d", i / 1000, i);
        made += symlink("target", name) == 0;
    }
    OK(made == files, "%d names made", made);
    __atomic_store_n(&shared->stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < readers; i++) {
        MUST(wait(&status) > 0);
        failed += status != 0;
        if (status)
            printf("a reader ended with %d\n", WEXITSTATUS(status));
    }
    OK(!failed, "%d readers saw what is there", readers);
    snprintf(name, sizeof name, "grown/%d/a_name_of_some_length_%d", (files - 1) / 1000, files - 1);
    OK(lstat(name, &s) == 0 && S_ISLNK(s.st_mode), "the last one is there");
    return tap_end();
}
