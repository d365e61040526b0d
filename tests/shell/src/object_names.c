/* SPDX-License-Identifier: MIT OR Apache-2.0
 * object_names LIBRARY: what the loader says of a library of the view is its path there. */
#include "tap.h"
#include <dlfcn.h>
#include <link.h>
#include <sys/stat.h>

static int visit(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size;
    return !strcmp(info->dlpi_name, data);
}

static int any(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)info, (void)size;
    return ++*(int *)data, 0;
}

int main(int argc, char **argv)
{
    Dl_info info, more;
    struct link_map *map;
    struct stat s;
    int objects = 0;
    MUST(argc == 2);
    void *handle = dlopen(argv[1], RTLD_NOW);
    MUST(handle);
    int (*answer)(void) = (int (*)(void))dlsym(handle, "answer");
    OK(answer && answer() == 42, "the library works");
    OK(dladdr((void *)answer, &info) && !strcmp(info.dli_fname, argv[1]), "dladdr: %s", info.dli_fname);
    OK(!strcmp(info.dli_sname, "answer") && info.dli_saddr == (void *)answer, "dladdr: the symbol");
    OK(dladdr1((void *)answer, &more, (void **)&map, RTLD_DL_LINKMAP) && !strcmp(more.dli_fname, argv[1]) && map, "dladdr1");
    OK(dladdr((void *)answer, &more) && more.dli_fname && !strcmp(more.dli_fname, argv[1]), "dladdr a second time");
    OK(stat(info.dli_fname, &s) == 0, "the file is there under that name");
    OK(dl_iterate_phdr(visit, argv[1]) == 1, "dl_iterate_phdr names it");
    OK(dl_iterate_phdr(any, &objects) == 0 && objects >= 3, "dl_iterate_phdr visits %d objects", objects);
    OK(dladdr((void *)printf, &info) && strstr(info.dli_fname, "libc.so.6"), "dladdr outside: %s", info.dli_fname);
    OK(!dladdr((void *)16, &info), "dladdr of nothing");
    return tap_end();
}
