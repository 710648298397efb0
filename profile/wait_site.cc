#include "profile/wait_site.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace whyslow {
namespace {

template <size_t N>
bool BeginsWithOneOf(std::string_view text, const std::array<std::string_view, N>& beginnings) {
  return std::any_of(beginnings.begin(), beginnings.end(),
                     [text](std::string_view beginning) { return text.starts_with(beginning); });
}

bool IsWrapperLibrary(std::string_view path) {
  static constexpr std::array<std::string_view, 10> kNames = {
      "libc.so",  "libc-2.", "libc.musl", "libpthread", "librt.so",
      "ld-linux", "ld-musl", "libc++",    "libstdc++",  "libgcc_s"};
  return BeginsWithOneOf(path.substr(path.rfind('/') + 1), kNames);
}

bool IsInterpreter(std::string_view path) {
  static constexpr std::array<std::string_view, 2> kNames = {"libpython", "python3"};
  return BeginsWithOneOf(path.substr(path.rfind('/') + 1), kNames);
}

// Of programs that have the libraries inside, and of code that the compiler merged into its caller.
bool IsWrapperFunction(std::string_view name) {
  static constexpr std::array<std::string_view, 13> kNames = {
      "std::",     "<std::",   "core::",    "<core::",  "__gthread", "__gnu_cxx::",   "__libc_",
      "__pthread", "pthread_", "__syscall", "runtime.", "syscall.",  "internal/poll."};
  return BeginsWithOneOf(name, kNames);
}

}  // namespace

WaitSiteFinder::Rank WaitSiteFinder::RankOf(const ShownFrame& frame) {
  switch (frame.kind) {
    case ModuleKind::kWait:
    case ModuleKind::kNote:
      return Rank::kNone;
    case ModuleKind::kKernel:
      return Rank::kKernel;
    case ModuleKind::kVdso:
      return Rank::kWrapper;
    case ModuleKind::kPython:
    case ModuleKind::kJit:
      return Rank::kOwnCode;
    case ModuleKind::kFile:
      break;
  }
  if (IsWrapperLibrary(frame.module_path) || IsWrapperFunction(frame.name)) {
    return Rank::kWrapper;
  }
  return IsInterpreter(frame.module_path) ? Rank::kInterpreter : Rank::kOwnCode;
}

const WaitSiteFinder::BestFrame& WaitSiteFinder::BestOf(LocationIndex location) {
  BestFrame& best = of_location_[location.value()];
  if (best.rank == Rank::kNotAsked) {
    best.rank = Rank::kNone;
    frames_.clear();
    AppendShownFrames(profile_, location, frames_);
    for (size_t i = frames_.size(); i-- > 0;) {  // innermost first
      const Rank rank = RankOf(frames_[i]);
      if (rank > best.rank) {
        best = {.rank = rank, .frame = i};
      }
    }
  }
  return best;
}

WaitSite WaitSiteFinder::Find(StackIndex stack) {
  LocationIndex location;
  BestFrame best;
  for (StackIndex node = stack; node.valid() && best.rank != Rank::kOwnCode;
       node = profile_.StackAt(node).parent) {
    const BestFrame& here = BestOf(profile_.StackAt(node).location);
    if (here.rank > best.rank) {
      best = here;
      location = profile_.StackAt(node).location;
    }
  }
  if (best.rank <= Rank::kNone) {
    return {};
  }
  frames_.clear();
  AppendShownFrames(profile_, location, frames_);
  const ShownFrame& frame = frames_[best.frame];
  return {.function = frame.name, .file = std::string(frame.file), .line = frame.line};
}

}  // namespace whyslow
