#include "sampler/unwind/jit_unwind_table.h"

#include <absl/container/flat_hash_set.h>

#include <iterator>
#include <span>
#include <utility>

#include "sampler/target/address_space.h"

namespace whyslow {
namespace {

// perf makes a file of each function, with .eh_frame behind the code at a multiple of 8 bytes, and
// runtimes write their pc-relative pointers for that (tools/perf/util/genelf.c).
constexpr uint64_t kCfiAlignment = 8;

uint64_t CfiAddressFor(uint64_t start, uint64_t size) {
  return start + (size + kCfiAlignment - 1) / kCfiAlignment * kCfiAlignment;
}

// Takes [start, end) out of a map of pieces; what reaches further keeps its ends.
template <class Pieces>
void CutOut(Pieces& pieces, uint64_t start, uint64_t end) {
  auto at = pieces.lower_bound(start);
  if (at != pieces.begin() && std::prev(at)->second.end > start) {
    auto& before = std::prev(at)->second;
    if (before.end > end) {
      at = pieces.emplace_hint(at, end, before);
    }
    before.end = start;
  }
  while (at != pieces.end() && at->first < end) {
    auto covered = std::move(at->second);
    at = pieces.erase(at);
    if (covered.end > end) {
      pieces.emplace(end, std::move(covered));
      break;
    }
  }
}

}  // namespace

JitUnwindTable::JitUnwindTable(Architecture architecture)
    : architecture_(architecture), state_(std::make_shared<State>()) {}

JitUnwindTable::State& JitUnwindTable::Change() {
  if (state_.use_count() > 1) {
    state_ = std::make_shared<State>(*state_);
  }
  version_ = NextSpaceVersion();
  return *state_;
}

bool JitUnwindTable::IsFree(uint64_t start, uint64_t end) const {
  const auto after = state_->pieces.lower_bound(end);
  return after == state_->pieces.begin() || std::prev(after)->second.end <= start;
}

void JitUnwindTable::Put(uint64_t start, uint64_t end, Piece piece) {
  // Most runtimes tell nothing of unwinding; their table stays as it is, and with it what others
  // keep under its version.
  if (piece.cfi == nullptr && IsFree(start, end)) {
    return;
  }
  State& state = Change();
  CutOut(state.pieces, start, end);
  if (piece.cfi != nullptr && state.pieces.size() < kMaxFunctions) {
    piece.end = end;
    state.pieces.emplace(start, std::move(piece));
  }
}

void JitUnwindTable::Prune(State& state) {
  constexpr size_t kFew = 1024;
  if (state.by_index.size() <= 2 * state.pieces.size() + kFew) {
    return;
  }
  absl::flat_hash_set<const FunctionCfi*> living;
  for (const auto& [start, piece] : state.pieces) {
    living.insert(piece.cfi.get());
  }
  absl::erase_if(state.by_index,
                 [&](const auto& entry) { return !living.contains(entry.second.get()); });
  state.cfi_bytes = 0;
  for (const auto& [index, cfi] : state.by_index) {
    state.cfi_bytes += cfi->eh_frame.size();
  }
}

std::shared_ptr<JitUnwindTable::FunctionCfi> JitUnwindTable::Keep(FunctionCfi function,
                                                                  uint64_t index) {
  if (const auto known = state_->by_index.find(index); known != state_->by_index.end()) {
    State& state = Change();
    state.cfi_bytes -= state.by_index[index]->eh_frame.size();
    state.by_index.erase(index);
  }
  const size_t bytes = function.eh_frame.size();
  if (bytes == 0 || bytes > kMaxCfiOfFunction || state_->cfi_bytes + bytes > kMaxCfiBytes ||
      state_->by_index.size() >= kMaxFunctions) {
    return nullptr;
  }
  State& state = Change();
  state.cfi_bytes += bytes;
  auto kept = std::make_shared<FunctionCfi>(std::move(function));
  state.by_index[index] = kept;
  return kept;
}

void JitUnwindTable::Load(RuntimeAddress start, uint64_t size, uint64_t index,
                          std::string eh_frame) {
  const uint64_t end = start.value() + size;
  if (end <= start.value()) {
    return;
  }
  std::shared_ptr<FunctionCfi> cfi =
      Keep({.start = start, .size = size, .eh_frame = std::move(eh_frame), .table = std::nullopt},
           index);
  Put(start.value(), end, {.cfi = std::move(cfi)});
  Prune(*state_);
}

void JitUnwindTable::Move(uint64_t index, RuntimeAddress to) {
  const auto known = state_->by_index.find(index);
  if (known == state_->by_index.end()) {
    return;
  }
  const std::shared_ptr<FunctionCfi> cfi = known->second;
  const uint64_t end = to.value() + cfi->size;
  if (end > to.value()) {
    Put(to.value(), end, {.moved = to - cfi->start, .cfi = cfi});
  }
}

void JitUnwindTable::Clear() {
  state_ = std::make_shared<State>();
  version_ = NextSpaceVersion();
}

std::optional<JitUnwindTable::Place> JitUnwindTable::Find(RuntimeAddress address) const {
  const auto after = state_->pieces.upper_bound(address.value());
  if (after == state_->pieces.begin()) {
    return std::nullopt;
  }
  const Piece& piece = std::prev(after)->second;
  if (address.value() >= piece.end) {
    return std::nullopt;
  }
  FunctionCfi& cfi = *piece.cfi;
  const uint64_t start = cfi.start.value();
  if (!cfi.table) {
    const CfiSource source{.format = CfiFormat::kEhFrame,
                           .bytes = std::as_bytes(std::span(cfi.eh_frame)),
                           .address = ElfAddress(CfiAddressFor(start, cfi.size)),
                           .data_base = std::nullopt,
                           .ends_at_zero_record = true};
    cfi.table = CfiTable::FromSources({&source, 1}, architecture_, ElfAddress(start),
                                      ElfAddress(start + cfi.size));
  }
  return Place{.table = &*cfi.table,
               .address = ElfAddress(address.value() - piece.moved),
               .load_bias = piece.moved};
}

size_t JitUnwindTable::size() const { return state_->pieces.size(); }

}  // namespace whyslow
