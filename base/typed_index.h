// An index into one table that cannot be used with another.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>
#include <utility>

namespace whyslow {

// `Row` is a tag or the row's type; it need not be complete. The default value means "none".
template <class Row>
class Index {
 public:
  constexpr Index() = default;
  constexpr explicit Index(uint32_t value) : value_(value) {}

  constexpr uint32_t value() const { return value_; }
  constexpr bool valid() const { return value_ != kNone; }
  constexpr auto operator<=>(const Index&) const = default;

  template <class H>
  friend H AbslHashValue(H state, Index index) {
    return H::combine(std::move(state), index.value_);
  }

 private:
  static constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();
  uint32_t value_ = kNone;
};

}  // namespace whyslow
