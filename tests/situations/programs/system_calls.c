/* Most of the time goes to the kernel, which fills the buffer with zeros. */
#include <fcntl.h>

#include "burn.h"

static char buffer[1 << 20];

NOINLINE long leaf(int fd) { return read(fd, buffer, sizeof(buffer)) + 1; }
NOINLINE long middle(int fd) { return leaf(fd) + 1; }
NOINLINE long outer(int fd) { return middle(fd) + 2; }

int main(void) {
  const int zeros = open("/dev/zero", O_RDONLY);
  Ready();
  for (;;) {
    sink = (unsigned long)outer(zeros);
  }
}
