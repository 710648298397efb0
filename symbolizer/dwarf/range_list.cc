#include "symbolizer/dwarf/range_list.h"

#include "symbolizer/dwarf/dwarf_constants.h"

namespace whyslow {
namespace {

using namespace dwarf;  // NOLINT(google-build-using-namespace): the standard's numbers

uint64_t HighestAddress(const DwarfUnit& unit) {
  return unit.format.address_size == 8 ? ~uint64_t{0} : 0xFFFFFFFF;
}

class RangeCollector {
 public:
  RangeCollector(const DwarfUnit& unit, std::vector<AddressRange>& out) : unit_(unit), out_(out) {}

  void Add(uint64_t begin, uint64_t end) {
    // -1 (and -2 in lists where -1 has a meaning) stands for code that the linker dropped.
    if (begin < end && begin < HighestAddress(unit_) - 1) {
      out_.push_back({begin, end});
    }
  }

  void AddFromBase(uint64_t base, uint64_t begin, uint64_t end) {
    if (base < HighestAddress(unit_) - 1) {
      Add(base + begin, base + end);
    }
  }

 private:
  const DwarfUnit& unit_;
  std::vector<AddressRange>& out_;
};

void ReadOldList(const DwarfUnit& unit, uint64_t offset, WorkBudget& budget,
                 std::vector<AddressRange>& out) {
  RangeCollector collector(unit, out);
  ByteReader reader(unit.address_sections->ranges.bytes(), offset);
  const unsigned size = unit.format.address_size;
  uint64_t base = unit.base_address;
  while (budget.Spend(1)) {
    const uint64_t begin = reader.Unsigned(size);
    const uint64_t end = reader.Unsigned(size);
    if (!reader.ok() || (begin == 0 && end == 0)) {
      return;
    }
    if (begin == HighestAddress(unit)) {
      base = end;
    } else {
      collector.AddFromBase(base, begin, end);
    }
  }
}

// One entry of a DWARF 5 list; false at its end.
bool ReadEntry(const DwarfUnit& unit, ByteReader& reader, uint64_t& base,
               RangeCollector& collector) {
  const unsigned size = unit.format.address_size;
  switch (reader.U8()) {
    case kRleBaseAddressx:
      base = unit.AddressByIndex(reader.Uleb()).value_or(HighestAddress(unit));
      return reader.ok();
    case kRleStartxEndx: {
      const std::optional<uint64_t> begin = unit.AddressByIndex(reader.Uleb());
      const std::optional<uint64_t> end = unit.AddressByIndex(reader.Uleb());
      if (begin && end && reader.ok()) {
        collector.Add(*begin, *end);
      }
      return reader.ok();
    }
    case kRleStartxLength: {
      const std::optional<uint64_t> begin = unit.AddressByIndex(reader.Uleb());
      const uint64_t length = reader.Uleb();
      if (begin && reader.ok()) {
        collector.Add(*begin, *begin + length);
      }
      return reader.ok();
    }
    case kRleOffsetPair: {
      const uint64_t begin = reader.Uleb();
      const uint64_t end = reader.Uleb();
      if (reader.ok()) {
        collector.AddFromBase(base, begin, end);
      }
      return reader.ok();
    }
    case kRleBaseAddress:
      base = reader.Unsigned(size);
      return reader.ok();
    case kRleStartEnd: {
      const uint64_t begin = reader.Unsigned(size);
      const uint64_t end = reader.Unsigned(size);
      if (reader.ok()) {
        collector.Add(begin, end);
      }
      return reader.ok();
    }
    case kRleStartLength: {
      const uint64_t begin = reader.Unsigned(size);
      const uint64_t length = reader.Uleb();
      if (reader.ok()) {
        collector.Add(begin, begin + length);
      }
      return reader.ok();
    }
    default:
      return false;  // the end of the list, or a kind that we do not know
  }
}

void ReadNewList(const DwarfUnit& unit, AttributeValue value, WorkBudget& budget,
                 std::vector<AddressRange>& out) {
  const std::span<const std::byte> section = unit.sections->rnglists.bytes();
  uint64_t offset = value.value;
  if (value.kind == AttributeValue::Kind::kRangeListIndex) {
    if (value.value > section.size()) {
      return;
    }
    ByteReader table(section, unit.rnglists_base + value.value * unit.format.offset_size);
    offset = unit.rnglists_base + table.Unsigned(unit.format.offset_size);
    if (!table.ok()) {
      return;
    }
  }
  RangeCollector collector(unit, out);
  ByteReader reader(section, offset);
  uint64_t base = unit.base_address;
  while (budget.Spend(1) && ReadEntry(unit, reader, base, collector)) {
  }
}

}  // namespace

void ReadRanges(const DwarfUnit& unit, AttributeValue value, WorkBudget& budget,
                std::vector<AddressRange>& out) {
  if (unit.format.version >= 5) {
    ReadNewList(unit, value, budget, out);
  } else if (value.is_number()) {
    ReadOldList(unit, value.value + unit.ranges_base, budget, out);
  }
}

}  // namespace whyslow
