// Python objects in the target's memory: text, bytes, types, attributes. Whatever stands there,
// reads are bounded.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/address.h"
#include "sampler/python/python_layout.h"
#include "sampler/target/target_memory.h"

namespace whyslow {

// Borrows both.
class PythonObjects {
 public:
  PythonObjects(const TargetMemory& memory, const PythonLayout& layout)
      : memory_(&memory), layout_(&layout) {}

  // A str as UTF-8, cut after 4,096 characters; what is no character (half a surrogate pair) is
  // U+FFFD. nullopt: no str is there.
  std::optional<std::string> ReadText(RuntimeAddress text) const;
  // What a bytes object holds; nullopt: none is there, or one above `most`.
  std::optional<std::string> ReadBytes(RuntimeAddress bytes, uint64_t most) const;

  std::optional<RuntimeAddress> TypeOf(RuntimeAddress object) const;
  // The type's own name, as in tp_name; nullopt: no name of at most 255 bytes is there.
  std::optional<std::string> NameOfType(RuntimeAddress type) const;

  // The object that an instance's own attribute of this name holds.
  std::optional<RuntimeAddress> FindAttribute(RuntimeAddress object, std::string_view name) const;

  const TargetMemory& memory() const { return *memory_; }
  const PythonLayout& layout() const { return *layout_; }

  std::optional<RuntimeAddress> ReadPointer(RuntimeAddress from) const;

 private:
  struct Slot {
    uint64_t index = 0;    // of the entry, and so of the value in an array of values
    RuntimeAddress value;  // what the entry itself holds
  };
  // The entry of dictionary keys that has this name.
  std::optional<Slot> FindKey(RuntimeAddress keys, std::string_view name) const;
  std::optional<RuntimeAddress> FindInDictionary(RuntimeAddress dictionary,
                                                 std::string_view name) const;
  std::optional<RuntimeAddress> FindInValues(RuntimeAddress type, RuntimeAddress values,
                                             std::string_view name) const;
  std::optional<RuntimeAddress> FindInline(RuntimeAddress object, RuntimeAddress type,
                                           std::string_view name) const;

  const TargetMemory* memory_;
  const PythonLayout* layout_;
};

}  // namespace whyslow
