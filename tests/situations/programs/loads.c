/* Loads a library and burns in it.
   loads LIBRARY PREFIX          loads it, then says READY
   loads LIBRARY PREFIX later    says READY, loads it half a second later
   loads A a_ B b_               burns in A, closes it, then in B, which has to lie at A's address
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "burn.h"

typedef unsigned long (*Function)(unsigned long);

static Function Load(void** library, const char* path, const char* prefix) {
  char name[64];
  snprintf(name, sizeof(name), "%smiddle", prefix);
  *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (*library == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    exit(1);
  }
  return (Function)dlsym(*library, name);
}

NOINLINE unsigned long outer(Function middle, unsigned long x) { return middle(x) + 2; }
NOINLINE unsigned long in_first(Function middle, unsigned long x) { return middle(x) + 3; }
NOINLINE unsigned long in_second(Function middle, unsigned long x) { return middle(x) + 4; }

static double Seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void Alternate(char** argv) {
  void* library = NULL;
  Function first = Load(&library, argv[1], argv[2]);
  Ready();
  for (const double end = Seconds() + 0.7; Seconds() < end;) {
    sink = in_first(first, sink);
  }
  dlclose(library);
  Function second = Load(&library, argv[3], argv[4]);
  if (first != second) {
    fprintf(stderr, "the second library lies elsewhere\n");
    exit(1);
  }
  for (;;) {
    sink = in_second(second, sink);
  }
}

int main(int argc, char** argv) {
  void* library = NULL;
  if (argc == 5) {
    Alternate(argv);
  }
  if (argc == 4) {
    Ready();
    usleep(500000);
  }
  Function middle = Load(&library, argv[1], argv[2]);
  if (argc == 3) {
    Ready();
  }
  for (;;) {
    sink = outer(middle, sink);
  }
}
