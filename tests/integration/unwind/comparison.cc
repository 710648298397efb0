#include "tests/integration/unwind/comparison.h"

#include <absl/strings/str_format.h>
#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

namespace whyslow::testing {
namespace {

constexpr size_t kCopyBytes = 65'528;  // the most that perf copies
constexpr size_t kMaxExamples = 12;

std::vector<pid_t> ThreadsOf(pid_t pid) {
  std::vector<pid_t> threads;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(
      opendir(("/proc/" + std::to_string(pid) + "/task").c_str()), closedir);
  while (folder != nullptr) {
    const dirent* entry = readdir(folder.get());
    if (entry == nullptr) {
      break;
    }
    if (entry->d_name[0] != '.') {
      threads.push_back(static_cast<pid_t>(std::atoi(entry->d_name)));
    }
  }
  return threads;
}

std::string NameOf(Relation relation) {
  switch (relation) {
    case Relation::kEqual:
      return "equal";
    case Relation::kOursLonger:
      return "ours longer";
    case Relation::kOursOneMore:
      return "ours one more";
    case Relation::kOracleLonger:
      return "oracle longer";
    case Relation::kDifferent:
      return "different";
  }
  return "";
}

}  // namespace

Relation Relate(const std::vector<uint64_t>& ours, const std::vector<uint64_t>& oracle) {
  const size_t common = std::min(ours.size(), oracle.size());
  if (!std::equal(ours.begin(), ours.begin() + static_cast<ptrdiff_t>(common), oracle.begin())) {
    // A frame more, anywhere: the oracle went by the frame pointer where the leaf had none.
    const auto [one, other] = std::mismatch(ours.begin(), ours.end(), oracle.begin(), oracle.end());
    if (one != ours.end() && std::equal(one + 1, ours.end(), other, oracle.end())) {
      return Relation::kOursOneMore;
    }
    return Relation::kDifferent;
  }
  if (ours.size() == oracle.size()) {
    return Relation::kEqual;
  }
  return ours.size() > oracle.size() ? Relation::kOursLonger : Relation::kOracleLonger;
}

std::string Describe(uint64_t pc, const AddressSpace& space) {
  const Mapping* mapping = space.Find(RuntimeAddress(pc));
  if (mapping == nullptr) {
    return absl::StrFormat("%#x ?", pc);
  }
  const std::string path = mapping->module != nullptr ? mapping->module->path() : "anonymous";
  return absl::StrFormat("%s+%#x", path.substr(path.rfind('/') + 1),
                         mapping->ToElf(RuntimeAddress(pc)).value());
}

void Comparison::Sample(pid_t pid, size_t rounds) {
  std::unique_ptr<LibdwOracle> libdw;
  for (size_t round = 0; round < rounds; ++round) {
    for (const pid_t tid : ThreadsOf(pid)) {
      const std::optional<StoppedThread> thread = StoppedThread::Stop(tid);
      if (!thread || !thread->registers().pc()) {
        continue;
      }
      const AddressSpace space = ReadAddressSpace(pid, modules_);
      if (libdw == nullptr) {
        libdw = std::make_unique<LibdwOracle>(pid);
      }
      Compare(tid, thread->registers(), space, *libdw);
    }
    usleep(200 + static_cast<useconds_t>(round * 37 % 500));
  }
}

void Comparison::Compare(pid_t tid, const UserRegisters& registers, const AddressSpace& space,
                         LibdwOracle& libdw) {
  const std::vector<std::byte> bytes = CopyStackOf(tid, registers, kCopyBytes);
  NativeStack stack;
  unwinder_.Unwind(registers, space, StackCopy(RuntimeAddress(*registers.sp()), bytes), stack);
  if (stack.end == StackEnd::kCopyEnded) {
    // The oracles see all of it; so that lengths compare, so do we.
    unwinder_.Unwind(registers, space, LiveMemory(Pid{tid}), stack);
  }
  std::vector<uint64_t> ours;
  for (const RuntimeCodeAddress& frame : stack.frames) {
    ours.push_back(frame.ip().value());
  }
  const OracleStack one = libunwind_.Unwind(tid);
  const OracleStack other = libdw.Unwind(tid);
  const Relation to_one = Relate(ours, one);
  const Relation to_other = Relate(ours, other);
  ++totals_.stacks;
  totals_.frames += ours.size();
  totals_.complete += stack.end == StackEnd::kRoot ? 1 : 0;
  totals_.different_leaves += leaves_[ours[0]]++ == 0 ? 1 : 0;
  ++totals_.ends[stack.end == StackEnd::kRoot ? "root" : std::string(ReasonFor(stack.end))];
  ++totals_.classes["libunwind " + NameOf(to_one) + ", libdw " + NameOf(to_other)];
  const bool is_wrong = one == other && to_one != Relation::kEqual &&
                        to_one != Relation::kOursLonger && to_one != Relation::kOursOneMore;
  totals_.wrong += is_wrong ? 1 : 0;
  if ((is_wrong || stack.end != StackEnd::kRoot || to_one == Relation::kDifferent ||
       to_other == Relation::kDifferent) &&
      totals_.examples.size() < kMaxExamples) {
    std::string text = absl::StrFormat("%s, ours ends: %s\n", is_wrong ? "WRONG" : "unfinished",
                                       std::string(ReasonFor(stack.end)));
    for (size_t i = 0; i < std::min<size_t>(std::max({ours.size(), one.size(), other.size()}), 40);
         ++i) {
      const auto at = [&](const std::vector<uint64_t>& pcs) {
        return i < pcs.size() ? Describe(pcs[i], space) : "-";
      };
      text += absl::StrFormat("    %-36s %-36s %-36s\n", at(ours), at(one), at(other));
    }
    totals_.examples.push_back(text);
  }
}

std::string Comparison::Report() const {
  std::string text =
      absl::StrFormat("%d stacks, %d leaves, %.1f frames, complete %.2f %%, wrong %d\n",
                      totals_.stacks, totals_.different_leaves,
                      static_cast<double>(totals_.frames) /
                          static_cast<double>(std::max<size_t>(totals_.stacks, 1)),
                      100.0 * static_cast<double>(totals_.complete) /
                          static_cast<double>(std::max<size_t>(totals_.stacks, 1)),
                      totals_.wrong);
  for (const auto& [end, count] : totals_.ends) {
    text += absl::StrFormat("  end %-24s %d\n", end, count);
  }
  for (const auto& [name, count] : totals_.classes) {
    text += absl::StrFormat("  %-48s %d\n", name, count);
  }
  for (const std::string& example : totals_.examples) {
    text += "  " + example;
  }
  return text;
}

}  // namespace whyslow::testing
