#include "sampler/recording/recording_header.h"

#include <sys/utsname.h>

#include "base/file_io.h"

namespace whyslow {

RecordingHeader RecordingHeader::OfThisMachine() {
  RecordingHeader header;
  utsname name{};
  if (uname(&name) == 0) {
    header.machine = name.machine;
    header.kernel_release = name.release;
  }
  header.boot_id = ReadFile("/proc/sys/kernel/random/boot_id").value_or(std::string());
  while (!header.boot_id.empty() && header.boot_id.back() == '\n') {
    header.boot_id.pop_back();
  }
  return header;
}

Architecture RecordingHeader::architecture() const {
  return machine == "aarch64" ? Architecture::kArm64 : Architecture::kX86_64;
}

}  // namespace whyslow
