// This machine's system calls: what they are called and where they name what they wait for.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace whyslow {

struct SystemCall {
  // Where the call names what it waits for.
  enum class WaitsOn : uint8_t {
    kOther,
    kDescriptor,  // the first argument
    kPolled,      // an array of pollfd
    kSelected,    // sets of bits
    kLock,        // a word of memory
  };

  std::string_view name;  // empty: no such call is known
  WaitsOn waits_on = WaitsOn::kOther;
};

SystemCall SystemCallOf(int32_t number);
std::optional<int32_t> SystemCallNamed(std::string_view name);

}  // namespace whyslow
