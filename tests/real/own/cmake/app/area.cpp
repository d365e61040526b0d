// SPDX-License-Identifier: MIT OR Apache-2.0
#include "shape/shape.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>

int main(int argc, char **argv) {
    if (argc != 3) {
        std::printf("area %s\n", shape::version());
        return 0;
    }
    if (!std::strcmp(argv[1], "plugin")) {
        void *plugin = dlopen(argv[2], RTLD_NOW);
        if (!plugin) return std::fprintf(stderr, "%s\n", dlerror()), 1;
        auto name = reinterpret_cast<const char *(*)()>(dlsym(plugin, "shape_plugin"));
        std::puts(name());
        return 0;
    }
    try {
        std::printf("%s %.3f\n", argv[1], shape::area(argv[1], std::atof(argv[2])));
    } catch (const std::exception &error) {
        std::fprintf(stderr, "area: %s\n", error.what());
        return 1;
    }
}
