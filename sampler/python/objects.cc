#include "sampler/python/objects.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <vector>

#include "base/byte_reader.h"

namespace whyslow {
namespace {

constexpr uint64_t kMostCharacters = 4096;
constexpr uint64_t kMostKeys = 1024;                  // of an instance
constexpr uint64_t kMostIndices = uint64_t{1} << 16;  // bytes of the hash table before them

// Names are mostly short: header and text come with one read.
constexpr size_t kFirstRead = 256;

void AppendUtf8(uint32_t character, std::string& text) {
  if (character > 0x10ffff || (character >= 0xd800 && character <= 0xdfff)) {
    character = 0xfffd;
  }
  if (character < 0x80) {
    text += static_cast<char>(character);
    return;
  }
  const unsigned more = character < 0x800 ? 1 : character < 0x10000 ? 2 : 3;
  constexpr std::array<uint8_t, 4> kLead = {0, 0xc0, 0xe0, 0xf0};
  text += static_cast<char>(kLead[more] | (character >> (6 * more)));
  for (unsigned i = more; i-- > 0;) {
    text += static_cast<char>(0x80 | ((character >> (6 * i)) & 0x3f));
  }
}

std::string ToUtf8(std::span<const std::byte> characters, unsigned size) {
  std::string text;
  text.reserve(characters.size() / size);
  ByteReader reader(characters);
  while (reader.remaining() >= size) {
    AppendUtf8(static_cast<uint32_t>(reader.Unsigned(size)), text);
  }
  return text;
}

// Bytes of the target from an address on, of which the first came with an earlier read.
std::optional<std::vector<std::byte>> ReadAll(const TargetMemory& memory, RuntimeAddress from,
                                              std::span<const std::byte> known, uint64_t size) {
  std::vector<std::byte> bytes(size);
  const size_t have = std::min<size_t>(known.size(), size);
  std::copy_n(known.begin(), have, bytes.begin());
  const std::span<std::byte> rest = std::span(bytes).subspan(have);
  if (!rest.empty() && memory.Read(from + have, rest) != rest.size()) {
    return std::nullopt;
  }
  return bytes;
}

struct TextHeader {
  uint64_t length = 0;
  unsigned kind = 0;  // bytes a character
  bool is_compact = false;
  bool is_ascii = false;

  bool ok() const { return kind == 1 || kind == 2 || kind == 4; }
};

TextHeader TextHeaderIn(std::span<const std::byte> bytes, const PythonLayout& layout) {
  ByteReader reader(bytes, layout.text_length);
  TextHeader header;
  header.length = reader.U64();
  reader = ByteReader(bytes, layout.text_state);
  const uint32_t state = reader.U32();
  if (reader.ok()) {
    header.kind = (state >> 2) & 7;
    header.is_compact = (state & (1U << 5)) != 0;
    header.is_ascii = (state & (1U << 6)) != 0;
  }
  return header;
}

}  // namespace

std::optional<std::string> PythonObjects::ReadText(RuntimeAddress text) const {
  std::array<std::byte, kFirstRead> first;
  const std::span<const std::byte> read(first.data(), memory_->Read(text, first));
  const TextHeader header = TextHeaderIn(read, *layout_);
  if (!header.ok() || header.length > (uint64_t{1} << 40)) {
    return std::nullopt;
  }
  const uint64_t size = std::min(header.length, kMostCharacters) * header.kind;
  if (!header.is_compact) {
    ByteReader reader(read, layout_->text_compact_size);
    const RuntimeAddress data(reader.U64());
    const auto bytes = reader.ok() ? ReadAll(*memory_, data, {}, size) : std::nullopt;
    return bytes ? std::optional(ToUtf8(*bytes, header.kind)) : std::nullopt;
  }
  const uint64_t begin = header.is_ascii ? layout_->text_ascii_size : layout_->text_compact_size;
  const auto bytes =
      ReadAll(*memory_, text + begin, read.subspan(std::min<size_t>(begin, read.size())), size);
  return bytes ? std::optional(ToUtf8(*bytes, header.kind)) : std::nullopt;
}

std::optional<std::string> PythonObjects::ReadBytes(RuntimeAddress bytes, uint64_t most) const {
  std::array<std::byte, kFirstRead> first;
  const std::span<const std::byte> read(first.data(), memory_->Read(bytes, first));
  ByteReader reader(read, layout_->object_size);
  const uint64_t size = reader.U64();
  if (!reader.ok() || size > most || read.size() < layout_->bytes_data) {
    return std::nullopt;
  }
  const auto data =
      ReadAll(*memory_, bytes + layout_->bytes_data, read.subspan(layout_->bytes_data), size);
  if (!data) {
    return std::nullopt;
  }
  return std::string(reinterpret_cast<const char*>(data->data()), data->size());
}

std::optional<RuntimeAddress> PythonObjects::ReadPointer(RuntimeAddress from) const {
  const std::optional<uint64_t> word = memory_->ReadValue<uint64_t>(from);
  return word ? std::optional(RuntimeAddress(*word)) : std::nullopt;
}

std::optional<RuntimeAddress> PythonObjects::TypeOf(RuntimeAddress object) const {
  return ReadPointer(object + layout_->object_type);
}

std::optional<std::string> PythonObjects::NameOfType(RuntimeAddress type) const {
  const std::optional<RuntimeAddress> name = ReadPointer(type + layout_->type_name);
  if (!name) {
    return std::nullopt;
  }
  std::array<char, 256> text;
  const size_t size = memory_->Read(*name, std::as_writable_bytes(std::span(text)));
  const void* zero = std::memchr(text.data(), 0, size);
  if (zero == nullptr) {
    return std::nullopt;
  }
  return std::string(text.data(),
                     static_cast<size_t>(static_cast<const char*>(zero) - text.data()));
}

std::optional<PythonObjects::Slot> PythonObjects::FindKey(RuntimeAddress keys,
                                                          std::string_view name) const {
  std::array<std::byte, 48> header;
  if (memory_->Read(keys, std::span(header).first(layout_->keys_indices)) !=
      layout_->keys_indices) {
    return std::nullopt;
  }
  ByteReader reader(header, 8);
  uint64_t indices = 0;  // their size in bytes
  bool has_hashes = true;
  if (layout_->attributes == AttributeKind::kDictionary) {
    const uint64_t slots = reader.U64();
    const uint64_t width = slots <= 0xff ? 1 : slots <= 0xffff ? 2 : 4;
    indices = slots > kMostKeys * 4 ? kMostIndices : slots * width;
  } else {
    reader.Skip(1);
    indices = uint64_t{1} << std::min<uint8_t>(reader.U8(), 20);
    has_hashes = reader.U8() == 0;
  }
  reader = ByteReader(header, layout_->keys_count);
  const uint64_t count = reader.U64();
  if (!reader.ok() || indices >= kMostIndices || count > kMostKeys) {
    return std::nullopt;
  }
  const uint64_t entry_size = has_hashes ? 24 : 16;
  std::vector<std::byte> entries(count * entry_size);
  if (memory_->Read(keys + layout_->keys_indices + indices, entries) != entries.size()) {
    return std::nullopt;
  }
  for (uint64_t i = 0; i < count; ++i) {
    ByteReader entry(entries, i * entry_size + (has_hashes ? 8 : 0));
    const RuntimeAddress key(entry.U64());
    const RuntimeAddress value(entry.U64());
    if (key.value() != 0 && ReadText(key) == name) {
      return Slot{.index = i, .value = value};
    }
  }
  return std::nullopt;
}

std::optional<RuntimeAddress> PythonObjects::FindInDictionary(RuntimeAddress dictionary,
                                                              std::string_view name) const {
  const std::optional<RuntimeAddress> keys = ReadPointer(dictionary + layout_->dict_keys);
  const std::optional<RuntimeAddress> values = ReadPointer(dictionary + layout_->dict_values);
  const std::optional<Slot> slot = keys && values ? FindKey(*keys, name) : std::nullopt;
  if (!slot) {
    return std::nullopt;
  }
  if (values->value() == 0) {
    return slot->value;
  }
  return ReadPointer(*values + layout_->values_begin + 8 * slot->index);
}

std::optional<RuntimeAddress> PythonObjects::FindInValues(RuntimeAddress type,
                                                          RuntimeAddress values,
                                                          std::string_view name) const {
  const std::optional<RuntimeAddress> keys = ReadPointer(type + layout_->type_cached_keys);
  const std::optional<Slot> slot = keys ? FindKey(*keys, name) : std::nullopt;
  return slot ? ReadPointer(values + layout_->values_begin + 8 * slot->index) : std::nullopt;
}

std::optional<RuntimeAddress> PythonObjects::FindInline(RuntimeAddress object, RuntimeAddress type,
                                                        std::string_view name) const {
  constexpr uint64_t kHasInlineValues = 1U << 2;
  const std::optional<uint64_t> flags = memory_->ReadValue<uint64_t>(type + layout_->type_flags);
  const std::optional<uint64_t> size =
      memory_->ReadValue<uint64_t>(type + layout_->type_basic_size);
  if (!flags || !size || (*flags & kHasInlineValues) == 0 || *size > 65536) {
    return std::nullopt;
  }
  return FindInValues(type, object + *size, name);
}

std::optional<RuntimeAddress> PythonObjects::FindAttribute(RuntimeAddress object,
                                                           std::string_view name) const {
  const std::optional<RuntimeAddress> type = TypeOf(object);
  if (!type) {
    return std::nullopt;
  }
  std::optional<RuntimeAddress> dictionary;
  if (layout_->attributes == AttributeKind::kDictionary) {
    const auto offset = memory_->ReadValue<int64_t>(*type + layout_->type_dict_offset);
    if (!offset || *offset <= 0 || *offset > 65536) {
      return std::nullopt;
    }
    dictionary = ReadPointer(object + static_cast<uint64_t>(*offset));
  } else {
    dictionary = ReadPointer(object - 24);
  }
  std::optional<RuntimeAddress> found;
  if (!dictionary) {
    return std::nullopt;
  }
  if (layout_->attributes == AttributeKind::kTaggedPointer && (dictionary->value() & 1) != 0) {
    found = FindInValues(*type, *dictionary + 1, name);
  } else if (dictionary->value() != 0) {
    found = FindInDictionary(*dictionary, name);
  } else if (layout_->attributes == AttributeKind::kValuesOrDict) {
    const std::optional<RuntimeAddress> values = ReadPointer(object - 32);
    found = values && values->value() != 0 ? FindInValues(*type, *values, name) : std::nullopt;
  } else if (layout_->attributes == AttributeKind::kInlineOrDict) {
    found = FindInline(object, *type, name);
  }
  return found && found->value() != 0 ? found : std::nullopt;
}

}  // namespace whyslow
