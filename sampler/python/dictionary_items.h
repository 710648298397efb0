// What stands in a Python dictionary, read from the target's memory.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/address.h"
#include "sampler/python/objects.h"

namespace whyslow {

struct PythonItem {
  RuntimeAddress key;
  RuntimeAddress value;
};

// Appends the first items, at most `most`, and returns how many there are in all. nullopt: no
// dictionary can be read there. Of a large dictionary only the beginning is read, so there may be
// fewer than `most` where many were deleted.
std::optional<uint64_t> ReadDictionaryItems(const PythonObjects& objects, RuntimeAddress dictionary,
                                            size_t most, std::vector<PythonItem>& items);

}  // namespace whyslow
