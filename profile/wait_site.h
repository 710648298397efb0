// Where in the program a thread waits: the frame that a reader of a table wants to be told.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "profile/profile.h"

namespace whyslow {

// Empty: the stack has no frame at all.
struct WaitSite {
  std::string function;
  std::string file;  // full path, "" where unknown
  int64_t line = 0;

  bool operator==(const WaitSite&) const = default;
};

// Finds the innermost frame that is neither the kernel nor a wrapper of its calls (the C and C++
// libraries, the loader, Go's and Rust's own runtime), nor the Python interpreter's own code. Where
// a stack has none: the interpreter's innermost function, else the innermost wrapper, else the
// kernel's innermost function.
class WaitSiteFinder {
 public:
  explicit WaitSiteFinder(const Profile& profile)
      : profile_(profile), of_location_(profile.locations.size()) {}

  WaitSite Find(StackIndex stack);

 private:
  enum class Rank : uint8_t { kNotAsked, kNone, kKernel, kWrapper, kInterpreter, kOwnCode };
  // The best frame of a location, as a place in what AppendShownFrames gives.
  struct BestFrame {
    Rank rank = Rank::kNotAsked;
    size_t frame = 0;
  };

  static Rank RankOf(const ShownFrame& frame);
  const BestFrame& BestOf(LocationIndex location);

  const Profile& profile_;
  std::vector<BestFrame> of_location_;
  std::vector<ShownFrame> frames_;
};

}  // namespace whyslow
