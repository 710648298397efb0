/* Code made at run time, with a frame pointer and nothing else, between C functions that keep none.
   With an argument it writes a perf map that names the code. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "burn.h"

NOINLINE unsigned long leaf(unsigned long x) {
  BURN(x, kLong);
  return x;
}

NOINLINE unsigned long callback(unsigned long x) { return leaf(x) + 1; }

typedef unsigned long (*Callback)(unsigned long x);
typedef unsigned long (*Generated)(unsigned long x, Callback called);

NOINLINE unsigned long outer(Generated generated, unsigned long x) {
  return generated(x, callback) + 2;
}

static const unsigned char kCode[] = {
    0x55,                   /* push %rbp */
    0x48, 0x89, 0xe5,       /* mov %rsp, %rbp */
    0x53,                   /* push %rbx */
    0x48, 0x83, 0xec, 0x28, /* sub $40, %rsp */
    0x48, 0x89, 0xf3,       /* mov %rsi, %rbx */
    0xff, 0xd3,             /* call *%rbx */
    0x48, 0xff, 0xc0,       /* inc %rax */
    0x48, 0x83, 0xc4, 0x28, /* add $40, %rsp */
    0x5b,                   /* pop %rbx */
    0x5d,                   /* pop %rbp */
    0xc3,                   /* ret */
};

static void WriteMap(const void* code) {
  char path[64];
  snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
  FILE* map = fopen(path, "w");
  if (map != NULL) {
    fprintf(map, "%lx %lx generated_middle\n", (unsigned long)code, (unsigned long)sizeof(kCode));
    fclose(map);
  }
}

int main(int argc, char** argv) {
  (void)argv;
  char* pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(pages, 0xcc, 8192);
  memcpy(pages + 256, kCode, sizeof(kCode));
  mprotect(pages, 8192, PROT_READ | PROT_EXEC);
  if (argc > 1) {
    WriteMap(pages + 256);
  }
  Ready();
  for (;;) {
    sink = outer((Generated)(void*)(pages + 256), sink);
  }
}
