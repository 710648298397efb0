// User registers of a sampled thread, by DWARF register number, for both machines.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/address.h"

namespace whyslow {

enum class Architecture : uint8_t { kX86_64, kArm64 };

#if defined(__x86_64__)
inline constexpr Architecture kHostArchitecture = Architecture::kX86_64;
#elif defined(__aarch64__)
inline constexpr Architecture kHostArchitecture = Architecture::kArm64;
#else
#error "whyslow samples x86-64 and ARM64"
#endif

// DWARF numbers (System V x86-64 psABI figure 3.36; AArch64 DWARF ABI section 4.1).
namespace x86 {
inline constexpr uint8_t kRax = 0, kRdx = 1, kRcx = 2, kRbx = 3, kRsi = 4, kRdi = 5, kRbp = 6,
                         kRsp = 7, kR8 = 8, kR9 = 9, kR10 = 10, kR12 = 12, kR15 = 15, kRip = 16;
}  // namespace x86
namespace arm64 {
inline constexpr uint8_t kX0 = 0, kX19 = 19, kFp = 29, kLr = 30, kSp = 31, kPc = 32;
}  // namespace arm64

inline constexpr uint8_t kMaxRegisters = 33;

class UserRegisters {
 public:
  explicit UserRegisters(Architecture architecture = kHostArchitecture)
      : architecture_(architecture) {}

  Architecture architecture() const { return architecture_; }
  std::optional<uint64_t> Get(uint8_t dwarf_number) const {
    return Has(dwarf_number) ? std::optional(values_[dwarf_number]) : std::nullopt;
  }
  bool Has(uint8_t number) const { return number < kMaxRegisters && (valid_ >> number & 1) != 0; }
  void Set(uint8_t number, uint64_t value) {
    values_[number] = value;
    valid_ |= uint64_t{1} << number;
  }
  void Forget(uint8_t number) { valid_ &= ~(uint64_t{1} << number); }
  // Forgets all but these: bit n stands for register n.
  void Keep(uint64_t numbers) { valid_ &= numbers; }

  uint8_t pc_number() const { return is_x86() ? x86::kRip : arm64::kPc; }
  uint8_t sp_number() const { return is_x86() ? x86::kRsp : arm64::kSp; }
  uint8_t fp_number() const { return is_x86() ? x86::kRbp : arm64::kFp; }
  std::optional<uint64_t> pc() const { return Get(pc_number()); }
  std::optional<uint64_t> sp() const { return Get(sp_number()); }
  std::optional<uint64_t> fp() const { return Get(fp_number()); }

  bool operator==(const UserRegisters&) const = default;

 private:
  bool is_x86() const { return architecture_ == Architecture::kX86_64; }

  Architecture architecture_;
  uint64_t valid_ = 0;
  std::array<uint64_t, kMaxRegisters> values_{};
};

}  // namespace whyslow
