// Python values as short text, as repr() would show them, read from the target's memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/address.h"
#include "sampler/python/inspection_layout.h"
#include "sampler/python/objects.h"

namespace whyslow {

// Borrows both. Whatever stands in memory, a text has at most a few hundred characters and takes a
// bounded number of reads.
class PythonValueText {
 public:
  PythonValueText(const PythonObjects& objects, const PythonInspectionLayout& layout)
      : objects_(&objects), layout_(&layout) {}

  // str, int, float, bool, None, bytes, list, tuple and dict, the last three with the values in
  // them; everything else, subclasses too, is `<Type at 0x7f...>`. Never empty.
  std::string Text(RuntimeAddress object) const;

 private:
  std::string Simple(RuntimeAddress object, std::string_view type) const;  // empty: it is not
  std::string Value(RuntimeAddress object, bool opens) const;
  std::string IntText(RuntimeAddress object) const;
  std::string FloatText(RuntimeAddress object) const;
  std::string SequenceText(RuntimeAddress object, bool is_list) const;
  std::string DictionaryText(RuntimeAddress dictionary) const;

  const PythonObjects* objects_;
  const PythonInspectionLayout* layout_;
};

// `'it\'s'`: with quotes, escapes, and "..." behind what is cut. `text` is UTF-8.
std::string QuotedPython(std::string_view text, size_t most_characters);
// As repr() of a float: the shortest that reads back the same.
std::string PythonFloatText(double value);

}  // namespace whyslow
