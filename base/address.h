// Addresses that know which space they belong to: the running target's, or the file's own.
#pragma once

#include <compare>
#include <cstdint>
#include <utility>

namespace whyslow {

// A position in one address space. Differences are plain integers; there is no way from one space
// to another but through a mapping (sampler/target/address_space.h) that knows the bias.
template <class Space>
class Address {
 public:
  constexpr Address() = default;
  constexpr explicit Address(uint64_t value) : value_(value) {}

  constexpr uint64_t value() const { return value_; }

  constexpr Address operator+(uint64_t bytes) const { return Address(value_ + bytes); }
  constexpr Address operator-(uint64_t bytes) const { return Address(value_ - bytes); }
  constexpr uint64_t operator-(Address other) const { return value_ - other.value_; }
  constexpr auto operator<=>(const Address&) const = default;

  template <class H>
  friend H AbslHashValue(H state, Address address) {
    return H::combine(std::move(state), address.value_);
  }

 private:
  uint64_t value_ = 0;
};

struct RuntimeSpace;
struct ElfSpace;

// Where something lies in the target while it runs.
using RuntimeAddress = Address<RuntimeSpace>;
// Where the file says it lies: the p_vaddr view, equal for every process and every run.
using ElfAddress = Address<ElfSpace>;

// A word of a thread's stack.
struct StackWord {
  RuntimeAddress where;
  uint64_t value = 0;
};

// A code address of a stack: either where a thread was executing, or where a call will return to.
// A return address may already belong to the next line, or even to the next function (a call to a
// noreturn function can be the last instruction); one byte less always lies inside the call.
template <class Space>
class CodeAddress {
 public:
  constexpr CodeAddress() = default;
  static constexpr CodeAddress At(Address<Space> ip) {
    return CodeAddress(ip, /*is_return=*/false);
  }
  static constexpr CodeAddress ReturnTo(Address<Space> ip) {
    return CodeAddress(ip, /*is_return=*/true);
  }

  constexpr Address<Space> ip() const { return ip_; }
  constexpr bool is_return() const { return is_return_; }
  constexpr Address<Space> ForLookup() const {
    return is_return_ && ip_.value() != 0 ? ip_ - 1 : ip_;
  }
  constexpr bool operator==(const CodeAddress&) const = default;

 private:
  constexpr CodeAddress(Address<Space> ip, bool is_return) : ip_(ip), is_return_(is_return) {}

  Address<Space> ip_;
  bool is_return_ = false;
};

using RuntimeCodeAddress = CodeAddress<RuntimeSpace>;

}  // namespace whyslow
