// Follows a jitdump that is still being written, for the sake of its unwind information.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sampler/unwind/jit_unwind_table.h"

namespace whyslow {

// Names are read later and elsewhere (symbolizer/jit_dump): they can wait until the end.
class JitDumpTail {
 public:
  // What one call reads at most, so that a process that attaches to a long-lived runtime catches
  // up in steps.
  static constexpr uint64_t kBytesPerCall = uint64_t{16} << 20;

  // Tells `table` what whole records have been appended since the last call. A file that became
  // shorter was begun again. One that is no jitdump of this machine changes nothing.
  void Follow(int fd, JitUnwindTable& table);

 private:
  // True: there may be more. Reads at position_ and goes on.
  bool ReadPiece(int fd, uint64_t file_size, JitUnwindTable& table);
  bool ReadHeader(std::span<const std::byte> bytes);

  uint64_t position_ = 0;  // all before it has been told
  std::string eh_frame_;   // waits for its code, which comes next
  std::vector<std::byte> buffer_;
};

}  // namespace whyslow
