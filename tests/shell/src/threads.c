/* SPDX-License-Identifier: MIT OR Apache-2.0
 * threads: 16 threads, 1,000 opens each, over 64 files; every one compares what it reads. Each also
 * writes files of its own, so that the index changes under the readers. */
#include "tap.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

enum { THREADS = 16, OPENS = 1000, FILES = 64 };
static int missed, wrong, failed_writes;

static void *work(void *argument)
{
    long id = (long)argument;
    unsigned seed = (unsigned)id;
    char own[32], path[32], want[32], got[32];
    snprintf(own, sizeof own, "made.%ld", id);
    for (int i = 0; i < OPENS; i++) {
        int file = rand_r(&seed) % FILES;
        struct stat by_fd, by_path;
        snprintf(path, sizeof path, "many/%d", file);
        size_t len = (size_t)snprintf(want, sizeof want, "bytes of file %03d\n", file);
        int fd = open(path, O_RDONLY);
        if (fd < 0) {
            __atomic_add_fetch(&missed, 1, __ATOMIC_RELAXED);
            continue;
        }
        int good = read(fd, got, sizeof got) == (ssize_t)len && !memcmp(got, want, len) && !fstat(fd, &by_fd) &&
                   !stat(path, &by_path) && by_fd.st_ino == by_path.st_ino && by_fd.st_size == (off_t)len;
        __atomic_add_fetch(&wrong, !good, __ATOMIC_RELAXED);
        close(fd);
        if (i % 50 == 0) {
            int out = open(own, O_WRONLY | O_CREAT | O_APPEND, 0644);
            good = out >= 0 && write(out, "x", 1) == 1 && !close(out);
            __atomic_add_fetch(&failed_writes, !good, __ATOMIC_RELAXED);
        }
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    int complete = 1;
    for (long i = 0; i < THREADS; i++)
        MUST(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++)
        MUST(pthread_join(threads[i], NULL) == 0);
    OK(missed == 0, "%d of %d opens failed", missed, THREADS * OPENS);
    OK(wrong == 0, "%d of %d gave wrong bytes or another identity", wrong, THREADS * OPENS);
    OK(failed_writes == 0, "%d writes failed", failed_writes);
    for (int i = 0; i < THREADS; i++) {
        char own[32];
        struct stat s;
        snprintf(own, sizeof own, "made.%d", i);
        complete &= !stat(own, &s) && s.st_size == OPENS / 50;
    }
    OK(complete, "each thread's own file has all of its bytes");
    return tap_end();
}
