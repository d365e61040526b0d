/* SPDX-License-Identifier: MIT OR Apache-2.0
 * readdir: the calls that list a directory, in one that holds made.*, tree.* and others. */
#include "tap.h"
#include <dirent.h>
#include <fcntl.h>
#include <fts.h>
#include <ftw.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

static int entry_fits(const struct dirent *e)
{
    struct stat s;
    return !strcmp(e->d_name, "..") || (!lstat(e->d_name, &s) && s.st_ino == e->d_ino &&
           (e->d_type == DT_UNKNOWN || e->d_type == IFTODT(s.st_mode)));
}

static int count(DIR *dir)
{
    int n = 0;
    while (readdir(dir))
        n++;
    return n;
}

static int made_only(const struct dirent *e) { return !strncmp(e->d_name, "made.", 5); }

static int walked;
static int seen(const char *path, const struct stat *s, int kind, struct FTW *at)
{
    (void)at;
    struct stat own;
    walked += kind != FTW_NS && !lstat(path, &own) && own.st_ino == s->st_ino;
    return 0;
}

int main(void)
{
    struct dirent *e, **list;
    DIR *dir = opendir(".");
    int total = 0, fits = 0, dots = 0;
    MUST(dir);
    while ((e = readdir(dir))) {
        total++;
        fits += entry_fits(e);
        dots += !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..");
    }
    OK(total == 458, "readdir gives %d names", total);
    OK(fits == total, "%d of %d have the d_ino and d_type of lstat", fits, total);
    OK(dots == 2, "`.` and `..` come once each");
    OK(errno == 0, "the end is no error");

    rewinddir(dir);
    OK(count(dir) == total, "rewinddir starts again");
    int fd = open("late", O_WRONLY | O_CREAT, 0644);
    rewinddir(dir);
    OK(fd >= 0 && count(dir) == total + 1, "and sees a name made since");
    MUST(unlink("late") == 0);
    rewinddir(dir);
    OK(count(dir) == total, "nor one that was removed since");

    char at_100[256];
    rewinddir(dir);
    for (int i = 0; i < 100; i++)
        MUST(readdir(dir));
    long place = telldir(dir);
    MUST((e = readdir(dir)));
    strcpy(at_100, e->d_name);
    int rest = count(dir);
    seekdir(dir, place);
    OK((e = readdir(dir)) && !strcmp(e->d_name, at_100), "seekdir goes back to where telldir was");
    OK(count(dir) == rest, "and the rest follows");
    OK(closedir(dir) == 0, "closedir");

    dir = fdopendir(open(".", O_RDONLY | O_DIRECTORY));
    OK(dir && count(dir) == total && dirfd(dir) >= 0, "fdopendir");
    struct stat here, s;
    OK(!stat(".", &here) && !fstat(dirfd(dir), &s) && s.st_ino == here.st_ino, "dirfd is the directory");
    closedir(dir);

    int n = scandir(".", &list, made_only, alphasort), sorted = 1;
    for (int i = 1; i < n; i++)
        sorted &= strcmp(list[i - 1]->d_name, list[i]->d_name) < 0;
    OK(n == 300 && sorted, "scandir filters and sorts");
    OK(scandirat(open("..", O_RDONLY), "d/sub", &list, NULL, NULL) == 3, "scandirat");

    glob_t found;
    OK(glob("tree.2[0-9][0-9]", 0, NULL, &found) == 0 && found.gl_pathc == 100, "glob");
    OK(glob("tree.1", 0, NULL, &found) == GLOB_NOMATCH, "glob does not find what was removed");
    OK(glob("../d/su*/x", 0, NULL, &found) == 0 && found.gl_pathc == 1, "glob through directories");

    OK(nftw(".", seen, 8, FTW_PHYS) == 0 && walked == total, "nftw walks %d names", walked);
    char *roots[] = {".", NULL};
    FTS *fts = fts_open(roots, FTS_PHYSICAL, NULL);
    int files = 0, errors = 0;
    for (FTSENT *f; fts && (f = fts_read(fts));) {
        files += f->fts_info == FTS_F;
        errors += f->fts_info == FTS_ERR || f->fts_info == FTS_DNR || f->fts_info == FTS_NS;
    }
    OK(files == 452 && errors == 0, "fts gives %d files", files);
    FAILS(ENOTDIR, opendir("renamed") ? 0 : -1, "opendir of a file");
    FAILS(ENOENT, opendir("tree.1") ? 0 : -1, "opendir of a removed name");
    return tap_end();
}
