/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A 32-bit program without any library: static_32 FILE TO copies up to 4 KiB of FILE to TO. */
#ifdef __i386__
static int call(int number, int a, int b, int c)
{
    int result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
    return result;
}

enum { EXIT = 1, READ = 3, WRITE = 4, OPEN = 5, O_RDONLY = 0, O_WRONLY_CREAT_TRUNC = 01101 };

__attribute__((used)) static void start(int argc, char **argv)
{
    static char bytes[4096];
    int from = -1, to = -1, len;
    if (argc != 3 || (from = call(OPEN, (int)argv[1], O_RDONLY, 0)) < 0)
        call(EXIT, 1, 0, 0);
    if ((to = call(OPEN, (int)argv[2], O_WRONLY_CREAT_TRUNC, 0644)) < 0)
        call(EXIT, 2, 0, 0);
    len = call(READ, from, (int)bytes, sizeof bytes);
    call(EXIT, len < 0 || call(WRITE, to, (int)bytes, len) != len ? 3 : 0, 0, 0);
}

__asm__(".globl _start\n_start:\n\tmov %esp, %eax\n\tlea 4(%eax), %edx\n\tpush %edx\n\tpush (%eax)\n\tcall start\n");
#else
#error "for gcc -m32"
#endif
