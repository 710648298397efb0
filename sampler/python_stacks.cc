#include "sampler/python_stacks.h"

#include <algorithm>
#include <cstddef>

namespace whyslow {
namespace {

constexpr size_t kMostYoung = 32'768;

}  // namespace

void PythonStacks::Add(const PythonStack& stack) {
  Known known;
  known.is_cut = stack.is_cut;
  uint32_t begin = 0;
  for (const PythonFrame& frame : stack.frames) {
    known.frames.push_back(writer_.AddPythonFrame(frame));
    const auto end = static_cast<uint32_t>(known.frames.size());
    if (frame.is_entry) {
      known.runs.push_back({begin, end});
      begin = end;
    }
  }
  if (begin < known.frames.size()) {
    known.runs.push_back({begin, static_cast<uint32_t>(known.frames.size())});
  }
  if (young_.size() >= kMostYoung) {
    old_ = std::exchange(young_, {});
  }
  young_.insert_or_assign(Key(stack.pid, stack.id), std::move(known));
}

const PythonStacks::Known* PythonStacks::Find(const Key& key) {
  if (const auto found = young_.find(key); found != young_.end()) {
    return &found->second;
  }
  const auto found = old_.find(key);
  if (found == old_.end()) {
    return nullptr;
  }
  // Still in use: it is young again.
  return &young_.insert_or_assign(key, std::move(found->second)).first->second;
}

void PythonStacks::Append(const Known& known, size_t run, std::vector<LocationIndex>& out) const {
  out.insert(out.end(), known.frames.begin() + known.runs[run].begin,
             known.frames.begin() + known.runs[run].end);
}

bool PythonStacks::IsWhole(const std::vector<LocationIndex>& frames) const {
  if (frames.empty()) {
    return false;
  }
  const Profile& profile = writer_.profile();
  const ModuleIndex module = profile.LocationAt(frames.back()).module;
  return !module.valid() || profile.ModuleAt(module).kind != ModuleKind::kNote;
}

PythonStacks::Outcome PythonStacks::Merge(Pid pid, PythonStackId id,
                                          std::vector<LocationIndex>& frames) {
  if (id == kNoPythonStack) {
    return Outcome::kNone;
  }
  const Known* known = Find({pid, id});
  if (known == nullptr) {
    frames.push_back(writer_.AddNote("[truncated: Python frames lost]"));
    return Outcome::kApart;
  }
  places_.clear();
  for (size_t i = 0; i < frames.size(); ++i) {
    if (loops_.contains(frames[i])) {
      places_.push_back(i);
    }
  }
  const size_t loops = places_.size();
  const size_t runs = known->runs.size();
  // A loop that is being entered has no frame yet, or has none any more: the innermost one.
  const bool both_whole = !known->is_cut && IsWhole(frames);
  const bool at_edge = both_whole && loops == runs + 1;
  const bool apart = both_whole && !at_edge && loops != runs;
  const size_t skipped = at_edge ? 1 : 0;
  merged_.clear();
  size_t next_run = 0;
  size_t next_place = 0;
  for (size_t i = 0; i < frames.size(); ++i) {
    if (next_place >= loops || places_[next_place] != i) {
      merged_.push_back(frames[i]);
      continue;
    }
    if (!apart && next_place >= skipped && next_run < runs) {
      Append(*known, next_run++, merged_);
    }
    ++next_place;
    if (keeps_loops_) {
      merged_.push_back(frames[i]);
    }
  }
  // Where the native stack is cut short the outer Python frames are all that is known of the rest.
  for (; next_run < runs; ++next_run) {
    Append(*known, next_run, merged_);
  }
  if (known->is_cut) {
    merged_.push_back(writer_.AddNote("[truncated: more Python frames]"));
  }
  frames.swap(merged_);
  return apart ? Outcome::kApart : at_edge ? Outcome::kAtEdge : Outcome::kMerged;
}

}  // namespace whyslow
