// Builds the kernel's records for tests, field by field.
#pragma once

#include <linux/perf_event.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace whyslow {

class RecordBytes {
 public:
  explicit RecordBytes(uint32_t type, uint16_t misc = 0) {
    Put(perf_event_header{.type = type, .misc = misc, .size = 0});
  }

  template <class T>
  RecordBytes& Put(T value) {
    const size_t at = bytes_.size();
    bytes_.resize(at + sizeof(T));
    std::memcpy(bytes_.data() + at, &value, sizeof(T));
    return *this;
  }

  // Zero-terminated and padded to 8 bytes, as the kernel does.
  RecordBytes& PutText(std::string_view text) {
    for (const char c : text) {
      Put(c);
    }
    do {
      Put('\0');
    } while (bytes_.size() % 8 != 0);
    return *this;
  }

  RecordBytes& PutTrailer(int32_t pid, int32_t tid, uint64_t time, uint32_t cpu = 0) {
    return Put(pid).Put(tid).Put(time).Put(cpu).Put(uint32_t{0});
  }

  std::vector<std::byte> Done() {
    auto header = perf_event_header{};
    std::memcpy(&header, bytes_.data(), sizeof(header));
    header.size = static_cast<uint16_t>(bytes_.size());
    std::memcpy(bytes_.data(), &header, sizeof(header));
    return bytes_;
  }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace whyslow
