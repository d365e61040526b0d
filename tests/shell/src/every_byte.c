/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Names with every byte but '/' and NUL, alone and in names of 255 bytes: made, listed, looked up, renamed, removed. */
#include "tap.h"
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

static int seen[256];

static int list(const char *path, int longer)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    int n = 0;
    memset(seen, 0, sizeof seen);
    MUST(dir);
    while ((entry = readdir(dir))) {
        size_t len = strlen(entry->d_name);
        if (longer ? len == 255 : len == 1 && strcmp(entry->d_name, "."))
            n += !seen[(unsigned char)entry->d_name[longer ? 254 : 0]]++;
        else if (!longer && len == 2 && !strcmp(entry->d_name, ".x"))
            n++;
    }
    closedir(dir);
    return n;
}

static void name_of(char *to, int byte, int longer)
{
    char start[16] = "bytes/";
    if (longer) {
        memcpy(to, start, 6), memset(to + 6, byte, 255), to[261] = 0;
        /* 255 dots are a name like any other. */
    } else
        sprintf(to, byte == '.' ? "bytes/%cx" : "bytes/%c", byte);
}

int main(void)
{
    char name[PATH_MAX], text[PATH_MAX];
    struct stat s, t;
    for (int longer = 0; longer < 2; longer++) {
        int made = 0, linked = 0, moved = 0, gone = 0;
        MUST(mkdir("bytes", 0755) == 0);
        for (int byte = 1; byte < 256; byte++) {
            if (byte == '/')
                continue;
            name_of(name, byte, longer);
            int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
            made += fd >= 0 && fstat(fd, &s) == 0 && close(fd) == 0 && stat(name, &t) == 0 && s.st_ino == t.st_ino;
        }
        OK(made == 254, "%d names made (%d bytes each)", made, longer ? 255 : 1);
        int listed = list("bytes", longer);
        OK(listed == 254, "%d names listed", listed);
        for (int byte = 1; byte < 256; byte++) {
            if (byte == '/')
                continue;
            name_of(name, byte, longer);
            linked += symlink(name + 6, "link") == 0 && readlink("link", text, sizeof text) == (ssize_t)strlen(name + 6) &&
                      !memcmp(text, name + 6, strlen(name + 6)) && unlink("link") == 0;
            moved += rename(name, "moved") == 0 && rename("moved", name) == 0;
            char *real = realpath(name, NULL);
            gone += real && !strcmp(strrchr(real, '/') + 1, name + 6) && unlink(name) == 0 && lstat(name, &s) == -1 && errno == ENOENT;
            free(real);
        }
        OK(linked == 254 && moved == 254 && gone == 254, "%d as a target, %d renamed, %d removed", linked, moved, gone);
        OK(rmdir("bytes") == 0, "nothing is left");
    }
    return tap_end();
}
