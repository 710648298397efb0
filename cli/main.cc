// The door: parses the command line and turns outcomes into exit codes.
#include <cstdio>

int main() {
  std::puts("whyslow");
  return 0;
}
