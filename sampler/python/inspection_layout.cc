#include "sampler/python/inspection_layout.h"

#include "base/byte_reader.h"

namespace whyslow {
namespace {

// Words of the table at _PyRuntime, see python_layout.cc. What stands in a fixed distance to these
// is found by it.
struct TableWords {
  uint8_t interpreter_gil;  // ceval_gil, then gil_runtime_state, its enabled, locked and holder
  uint8_t local_names;      // localsplusnames, then localspluskinds
  uint8_t tuple_items;      // and three words on the items of lists
  uint8_t float_value;      // and two words on tag and digits of integers
};

constexpr TableWords kWords313{14, 41, 51, 60};
constexpr TableWords kWords314{15, 46, 57, 70};
constexpr TableWords kWords315{15, 54, 69, 82};

uint32_t MinorOf(const PythonLayout& layout) { return layout.version >> 16; }

PythonInspectionLayout LayoutOfFrameObjects(uint16_t gil) {
  PythonInspectionLayout layout;
  layout.runtime_gil = gil;
  layout.local_names = 72;
  layout.free_names = 80;
  layout.cell_names = 88;
  return layout;
}

PythonInspectionLayout LayoutOfPlainFrames() {
  PythonInspectionLayout layout;
  layout.local_names = 96;
  layout.local_kinds = 104;
  return layout;
}

std::optional<PythonInspectionLayout> LayoutFromTable(const TableWords& words,
                                                      std::span<const std::byte> runtime) {
  constexpr uint64_t kMostOffset = uint64_t{1} << 24;
  bool ok = true;
  const auto word = [&](unsigned index, uint64_t limit = 4096) {
    ByteReader reader(runtime, uint64_t{index} * 8);
    const uint64_t value = reader.U64();
    ok = ok && reader.ok() && value < limit;
    return value;
  };
  const auto small = [&](unsigned index) { return static_cast<uint16_t>(word(index)); };
  PythonInspectionLayout layout;
  layout.interpreter_gil = static_cast<uint32_t>(word(words.interpreter_gil, kMostOffset));
  // The struct of an interpreter's own lock lies in the interpreter; of others they are the same.
  const uint64_t own = word(words.interpreter_gil + 1U, kMostOffset);
  const uint64_t locked = word(words.interpreter_gil + 3U, kMostOffset);
  const uint64_t holder = word(words.interpreter_gil + 4U, kMostOffset);
  ok = ok && locked - own < 256 && holder - own < 256;
  layout.gil_locked = static_cast<uint16_t>(locked - own);
  layout.gil_holder = static_cast<uint16_t>(holder - own);
  layout.local_names = small(words.local_names);
  layout.local_kinds = small(words.local_names + 1U);
  layout.tuple_items = small(words.tuple_items);
  layout.list_items = small(words.tuple_items + 3U);
  layout.float_value = small(words.float_value);
  layout.int_size = small(words.float_value + 2U);
  layout.int_digits = small(words.float_value + 3U);
  layout.int_has_tag = true;
  return ok ? std::optional(layout) : std::nullopt;
}

}  // namespace

std::optional<PythonInspectionLayout> InspectionLayoutOf(const PythonLayout& layout,
                                                         std::span<const std::byte> runtime) {
#if defined(__x86_64__)
  constexpr bool kHasKnownMutexes = true;  // of which some stand before the lock in _PyRuntime
#else
  constexpr bool kHasKnownMutexes = false;
#endif
  PythonInspectionLayout found;
  switch (MinorOf(layout)) {
    case 0x0308:
    case 0x0309:
    case 0x030a:
      if (!kHasKnownMutexes) {
        return std::nullopt;
      }
      return LayoutOfFrameObjects(MinorOf(layout) == 0x0308 ? 1152 : 352);
    case 0x030b:
      if (!kHasKnownMutexes) {
        return std::nullopt;
      }
      found = LayoutOfPlainFrames();
      found.runtime_gil = 360;
      return found;
    case 0x030c:
      if (!kHasKnownMutexes) {
        return std::nullopt;
      }
      found = LayoutOfPlainFrames();
      found.interpreter_gil = 384;
      found.int_has_tag = true;
      return found;
    case 0x030d:
      return LayoutFromTable(kWords313, runtime);
    case 0x030e:
      return LayoutFromTable(kWords314, runtime);
    case 0x030f:
      return LayoutFromTable(kWords315, runtime);
    default:
      return std::nullopt;
  }
}

}  // namespace whyslow
