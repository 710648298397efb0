// Keeps us alive when a file is cut short while we read it through a mapping.
#pragma once

#include <cstddef>
#include <span>

namespace whyslow {

// The target can truncate its own files; touching a page beyond the new end raises SIGBUS. While a
// guard lives, such pages of its region read as zeros instead, and the parsers find nothing there.
// Any other SIGBUS ends the program as before. At most 1,024 regions at a time; more are not
// guarded. Thread-safe.
class TruncationGuard {
 public:
  TruncationGuard() = default;
  // `region` begins at a page. It must stay mapped as long as the guard lives.
  explicit TruncationGuard(std::span<const std::byte> region);
  TruncationGuard(TruncationGuard&& other) noexcept;
  TruncationGuard& operator=(TruncationGuard&& other) noexcept;
  TruncationGuard(const TruncationGuard&) = delete;
  TruncationGuard& operator=(const TruncationGuard&) = delete;
  ~TruncationGuard();

 private:
  static constexpr int kNoSlot = -1;
  int slot_ = kNoSlot;
};

}  // namespace whyslow
