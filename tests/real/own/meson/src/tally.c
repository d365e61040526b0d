/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#define _GNU_SOURCE
#include "tally.h"
#include "config.h"
#include "words.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

size_t tally_known(const char *text, size_t len) {
    size_t seen = 0;
    for (size_t word = 0; word < sizeof words / sizeof *words; word++)
        seen += memmem(text, len, words[word], strlen(words[word])) != NULL;
    return seen;
}

long tally_file(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -errno;
    struct stat stat;
    fstat(fd, &stat);
    char *text = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (text == MAP_FAILED) return -errno;
    long seen = (long)tally_known(text, (size_t)stat.st_size);
    munmap(text, (size_t)stat.st_size);
    return seen;
}
