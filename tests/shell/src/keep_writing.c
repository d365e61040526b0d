/* SPDX-License-Identifier: MIT OR Apache-2.0
 * keep_writing FILE: writes into FILE without a pause until it is killed.
 * keep_writing FILE LEN: replaces FILE by rename, each time with LEN times one other letter. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    static char text[1 << 20], beside[4096];
    long len = argc > 2 ? atol(argv[2]) : 0;
    int fd;

    if (argc < 2 || len < 0 || len > (long)sizeof text)
        return 2;
    for (unsigned n = 0;; n++) {
        if (len > 0) {
            memset(text, 'a' + n % 26, sizeof text);
            snprintf(beside, sizeof beside, "%s.new", argv[1]);
            fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC, 0644);
            if (fd < 0 || write(fd, text, len) != len || close(fd) != 0 || rename(beside, argv[1]) != 0)
                return perror(argv[1]), 1;
            continue;
        }
        struct stat st;
        fd = open(argv[1], O_WRONLY);
        if (fd < 0 || fstat(fd, &st) != 0)
            return perror(argv[1]), 1;
        for (int i = 0; i < 1000; i++)
            if (pwrite(fd, &n, 1, random() % st.st_size) != 1)
                return perror(argv[1]), 1;
        close(fd);
    }
}
