/* SPDX-License-Identifier: MIT OR Apache-2.0
 * stdio: fopen in all modes, freopen, fdopen. */
#include "tap.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char line[64];

static const char *first_line(const char *path)
{
    FILE *f = fopen(path, "r");
    line[0] = 0;
    if (f && fgets(line, sizeof line, f))
        line[strcspn(line, "\n")] = 0;
    if (f)
        fclose(f);
    return line;
}

static int put(FILE *f, const char *text) { return f && fputs(text, f) >= 0 && !fclose(f); }

static int refused(const char *path, const char *mode) { return fopen(path, mode) ? 0 : -1; }

int main(void)
{
    struct stat a, b;
    OK(!strcmp(first_line("read"), "0123456789"), "r reads");
    OK(put(fopen("write", "w"), "new\n") && !strcmp(first_line("write"), "new"), "w truncates and writes");
    OK(put(fopen("append", "a"), "more\n") && !strcmp(first_line("append"), "0123456789"), "a keeps what is there");

    FILE *f = fopen("update", "r+");
    OK(f && !fseek(f, 2, SEEK_SET) && put(f, "xx") && !strcmp(first_line("update"), "01xx456789"), "r+ changes in place");
    f = fopen("wplus", "w+");
    OK(f && fputs("both", f) >= 0 && !fseek(f, 0, SEEK_SET) && fgets(line, sizeof line, f) && !strcmp(line, "both"),
       "w+ reads what it wrote");
    fclose(f);
    f = fopen("wplus", "a+");
    OK(f && fputs(" ends", f) >= 0 && !fseek(f, 0, SEEK_SET) && fgets(line, sizeof line, f) &&
       !strcmp(line, "both ends"), "a+ appends and reads");
    OK(!fstat(fileno(f), &a) && !stat("wplus", &b) && a.st_ino == b.st_ino && a.st_size == 9, "its descriptor is the file");
    fclose(f);

    OK(put(fopen("exclusive", "wx"), "once"), "wx makes a new file");
    FAILS(EEXIST, refused("exclusive", "wx"), "wx of a file that is there");
    FAILS(EEXIST, refused("read", "w+x"), "w+x of a file of the tree");
    OK(!strcmp(first_line("exclusive"), "once") && !strcmp(first_line("read"), "0123456789"), "both keep their bytes");
    f = fopen("read", "re");
    OK(f && fcntl(fileno(f), F_GETFD) == FD_CLOEXEC, "e sets close-on-exec");
    fclose(f);
    OK((f = fopen("read", "rb")) && fclose(f) == 0, "b is accepted");
    OK((f = fopen("read", "rm")) && fgets(line, sizeof line, f) && !strcmp(line, "0123456789\n"), "m reads by mmap");
    fclose(f);
    mode_t old = umask(022);
    OK((f = fopen("mode", "w")) && !fclose(f) && !stat("mode", &a) && (a.st_mode & 07777) == 0644, "mode 0666 & ~umask");
    umask(old);

    FAILS(ENOENT, refused("missing", "r"), "r of a missing file");
    FAILS(ENOENT, refused("missing", "r+"), "r+ of a missing file");
    FAILS(ENOENT, refused("missing/x", "w"), "w in a missing directory");
    FAILS(EISDIR, refused("d", "w"), "w of a directory");
    FAILS(EINVAL, refused("read", "q"), "a mode that does not exist");
    FAILS(ENOTDIR, refused("read/x", "r"), "r below a file");

    f = fopen("read", "r");
    int number = fileno(f);
    f = freopen("second", "r", f);
    OK(f && fileno(f) == number && fgets(line, sizeof line, f) && !fstat(number, &a) && !stat("second", &b) &&
       a.st_ino == b.st_ino, "freopen takes another file, at the same number");
    f = freopen("reopened", "w", f);
    OK(put(f, "reopened\n") && !strcmp(first_line("reopened"), "reopened"), "and one to write");
    f = fopen("reopened", "r");
    OK(!freopen("missing", "r", f) && errno == ENOENT, "freopen of a missing file");

    f = fdopen(open("reopened", O_RDWR), "r+");
    OK(f && fgets(line, sizeof line, f) && !fseek(f, 0, SEEK_END) && put(f, "end\n") && !stat("reopened", &a) &&
       a.st_size == 13, "fdopen");
    f = fopen("big", "w");
    for (int i = 0; i < 20000; i++)
        MUST(fprintf(f, "%05d\n", i) == 6);
    OK(!fclose(f) && !stat("big", &a) && a.st_size == 120000, "many buffers full");
    return tap_end();
}
