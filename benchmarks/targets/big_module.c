// Burns inside of a large library: LIBRARY is one of LLVM's, or one that needs it.
// Usage: big_module LIBRARY SECONDS. Exit code 3: not such a library.
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc != 3) {
    return 2;
  }
  const time_t end = time(NULL) + atoi(argv[2]);
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    return 3;
  }
  // POSIX lets an object pointer from dlsym stand for a function.
  void* (*make)(void);
  void (*drop)(void*);
  *(void**)&make = dlsym(library, "LLVMContextCreate");
  *(void**)&drop = dlsym(library, "LLVMContextDispose");
  if (make == NULL || drop == NULL) {
    return 3;
  }
  alarm((unsigned)atoi(argv[2]) + 60);
  printf("READY %d\n", (int)getpid());
  fflush(stdout);
  while (time(NULL) < end) {
    drop(make());
  }
  return 0;
}
