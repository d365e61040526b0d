/* SPDX-License-Identifier: MIT OR Apache-2.0
 * small_stack DIR: a thread with a stack of 64 KiB works with files. */
#include "tap.h"
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[PATH_MAX]; /* not on the small stack */

static void *work(void *root)
{
    struct stat s;
    int fd, count = 0;
    OK(stat("soft/c/file", &s) == 0 && s.st_size == 5, "stat through a symlink");
    OK(lstat("soft", &s) == 0 && S_ISLNK(s.st_mode), "lstat");
    OK((fd = open("soft/c/file", O_RDONLY)) >= 0 && read(fd, path, 5) == 5 && close(fd) == 0, "open for reading");
    OK((fd = open("made", O_WRONLY | O_CREAT, 0644)) >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0, "creation");
    OK((fd = open("deep/a/b/c/file", O_RDWR)) >= 0 && write(fd, "D", 1) == 1 && close(fd) == 0, "open for writing");
    OK(mkdir("made_dir", 0755) == 0, "mkdir");
    OK(rename("made", "renamed") == 0 && access("renamed", F_OK) == 0, "rename");
    OK(symlink("renamed", "link") == 0 && readlink("link", path, sizeof path) == 7, "symlink and readlink");
    OK(link("renamed", "hard") == 0 && unlink("hard") == 0, "link and unlink");
    OK(chmod("renamed", 0600) == 0 && truncate("renamed", 10) == 0, "chmod and truncate");
    DIR *dir = opendir("many");
    while (dir && readdir(dir))
        count++;
    OK(dir && count == 502 && closedir(dir) == 0, "readdir");
    OK(realpath("soft/../b/c/file", path) && strstr(path, "/deep/a/b/c/file"), "realpath");
    OK(chdir("deep/a") == 0 && getcwd(path, sizeof path) && chdir(root) == 0, "chdir and getcwd");
    FILE *f = fopen("stream", "w+");
    OK(f && fputs("text", f) >= 0 && fclose(f) == 0, "fopen");
    OK(system("test -e renamed") == 0, "system");
    /* A path as long as they come: it must not be copied to the stack over and over. */
    snprintf(path, sizeof path, "%s", (char *)root);
    while (strlen(path) + 8 < PATH_MAX)
        strcat(path, "/./././.");
    OK(stat(path, &s) == 0 && S_ISDIR(s.st_mode), "stat of a path of %zu bytes", strlen(path));
    OK((fd = open(path, O_RDONLY | O_DIRECTORY)) >= 0 && close(fd) == 0, "open of the same");
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_attr_t small;
    pthread_t thread;
    MUST(argc == 2 && chdir(argv[1]) == 0);
    MUST(pthread_attr_init(&small) == 0 && pthread_attr_setstacksize(&small, 64 * 1024) == 0);
    MUST(pthread_create(&thread, &small, work, argv[1]) == 0 && pthread_join(thread, NULL) == 0);
    OK(access("renamed", F_OK) == 0, "the main thread goes on");
    return tap_end();
}
