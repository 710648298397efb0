#include "sampler/python/dictionary_items.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/byte_reader.h"

namespace whyslow {
namespace {

constexpr uint64_t kMostEntries = 64;  // that are read
constexpr uint64_t kMostSize = uint64_t{1} << 40;

// Where the entries of dictionary keys are, and of what size.
struct Entries {
  RuntimeAddress begin;
  uint64_t count = 0;  // with those that were deleted
  bool have_hashes = true;
};

std::optional<Entries> FindEntries(const PythonObjects& objects, RuntimeAddress keys) {
  const PythonLayout& layout = objects.layout();
  std::array<std::byte, 48> buffer;
  const std::span<std::byte> header = std::span(buffer).first(layout.keys_indices);
  if (objects.memory().Read(keys, header) != header.size()) {
    return std::nullopt;
  }
  Entries entries;
  uint64_t indices = 0;
  ByteReader reader(header, 8);
  if (layout.attributes == AttributeKind::kDictionary) {
    const uint64_t slots = reader.U64();
    const uint64_t width = slots <= 0xff ? 1 : slots <= 0xffff ? 2 : slots <= 0xffffffff ? 4 : 8;
    indices = std::min(slots, kMostSize) * width;
  } else {
    reader.Skip(1);
    indices = uint64_t{1} << std::min<uint8_t>(reader.U8(), 40);
    entries.have_hashes = reader.U8() == 0;
  }
  entries.count = ByteReader(header, layout.keys_count).U64();
  entries.begin = keys + layout.keys_indices + indices;
  return entries.count <= kMostSize ? std::optional(entries) : std::nullopt;
}

}  // namespace

std::optional<uint64_t> ReadDictionaryItems(const PythonObjects& objects, RuntimeAddress dictionary,
                                            size_t most, std::vector<PythonItem>& items) {
  const PythonLayout& layout = objects.layout();
  const auto used = objects.memory().ReadValue<uint64_t>(dictionary + layout.object_size);
  const std::optional<RuntimeAddress> keys = objects.ReadPointer(dictionary + layout.dict_keys);
  const std::optional<RuntimeAddress> values = objects.ReadPointer(dictionary + layout.dict_values);
  const std::optional<Entries> entries = keys ? FindEntries(objects, *keys) : std::nullopt;
  if (!used || !values || !entries || *used > kMostSize) {
    return std::nullopt;
  }
  const uint64_t size = entries->have_hashes ? 24 : 16;
  std::vector<std::byte> bytes(std::min(entries->count, kMostEntries) * size);
  if (objects.memory().Read(entries->begin, bytes) != bytes.size()) {
    return std::nullopt;
  }
  size_t found = 0;
  for (uint64_t i = 0; i * size < bytes.size() && found < most; ++i) {
    ByteReader entry(bytes, i * size + (entries->have_hashes ? 8 : 0));
    PythonItem item{.key = RuntimeAddress(entry.U64()), .value = RuntimeAddress(entry.U64())};
    if (values->value() != 0) {
      item.value =
          objects.ReadPointer(*values + layout.values_begin + 8 * i).value_or(RuntimeAddress());
    }
    if (item.key.value() != 0 && item.value.value() != 0) {
      items.push_back(item);
      ++found;
    }
  }
  return std::max<uint64_t>(*used, found);
}

}  // namespace whyslow
