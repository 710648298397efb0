// What a capture measures.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace whyslow {

enum class CaptureMode : uint8_t {
  kCpu,     // samples of what runs
  kWall,    // and every wait
  kOffCpu,  // waits only
};

constexpr std::string_view NameOf(CaptureMode mode) {
  return mode == CaptureMode::kCpu ? "cpu" : mode == CaptureMode::kWall ? "wall" : "offcpu";
}

constexpr std::optional<CaptureMode> CaptureModeNamed(std::string_view name) {
  for (const CaptureMode mode : {CaptureMode::kCpu, CaptureMode::kWall, CaptureMode::kOffCpu}) {
    if (NameOf(mode) == name) {
      return mode;
    }
  }
  return std::nullopt;
}

}  // namespace whyslow
