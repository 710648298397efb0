#include "sampler/python/objects.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/sampler/python/fake_python.h"

namespace whyslow {
namespace {

using ::testing::Optional;

class PythonText : public ::testing::Test {
 protected:
  FakePython python_ = FakePython::OfVersion(0x030b02f0);
  PythonObjects objects_{python_.memory, python_.layout};

  std::optional<std::string> Read(uint64_t text) { return objects_.ReadText(RuntimeAddress(text)); }
  void PutState(uint64_t text, uint32_t state) {
    python_.memory.PutValue(text + python_.layout.text_state, state);
  }
};

TEST_F(PythonText, AsciiStandsBehindItsHeader) {
  EXPECT_THAT(Read(python_.AddText("a name")), Optional(std::string("a name")));
  EXPECT_THAT(Read(python_.AddText("")), Optional(std::string()));
}

TEST_F(PythonText, CharactersOfOneTwoAndFourBytesBecomeUtf8) {
  EXPECT_THAT(Read(python_.AddWideText<uint8_t>({'a', 0x7f, 0x80, 0xff})),
              Optional(std::string("a\x7f\xc2\x80\xc3\xbf")));
  EXPECT_THAT(Read(python_.AddWideText<uint16_t>({0x7ff, 0x800, 0x65e5, 0xffff})),
              Optional(std::string("\xdf\xbf\xe0\xa0\x80\xe6\x97\xa5\xef\xbf\xbf")));
  EXPECT_THAT(Read(python_.AddWideText<uint32_t>({0x10000, 0x1f600, 0x10ffff})),
              Optional(std::string("\xf0\x90\x80\x80\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf")));
}

TEST_F(PythonText, WhatIsNoCharacterIsReplaced) {
  const std::string replaced = "\xef\xbf\xbd";
  EXPECT_THAT(Read(python_.AddWideText<uint16_t>({0xd800, 'x', 0xdfff})),
              Optional(replaced + "x" + replaced));
  EXPECT_THAT(Read(python_.AddWideText<uint32_t>({0x110000, 0xffffffff})),
              Optional(replaced + replaced));
}

TEST_F(PythonText, TextOfASubclassStandsElsewhere) {
  const uint64_t text = python_.AddWideText<uint8_t>({0, 0, 0, 0, 0, 0, 0, 0});
  const uint64_t data = python_.Allocate(3);
  python_.memory.Put(data, "abc", 3);
  python_.memory.PutValue(text + python_.layout.text_length, uint64_t{3});
  python_.memory.PutValue(text + python_.layout.text_compact_size, data);
  PutState(text, 1U << 2 | 1U << 6);

  EXPECT_THAT(Read(text), Optional(std::string("abc")));
}

TEST_F(PythonText, LongTextIsCut) {
  EXPECT_THAT(Read(python_.AddText(std::string(5000, 'x'))), Optional(std::string(4096, 'x')));
  EXPECT_EQ(Read(python_.AddWideText(std::vector<uint32_t>(5000, 0x1f600)))->size(), 4 * 4096U);
}

TEST_F(PythonText, WhatIsNoTextIsNone) {
  const uint64_t text = python_.AddText("text");
  for (const uint32_t kind : {0U, 3U, 5U, 7U}) {
    PutState(text, kind << 2 | 1U << 5);
    EXPECT_EQ(Read(text), std::nullopt);
  }
  PutState(text, 1U << 2 | 1U << 5 | 1U << 6);
  EXPECT_THAT(Read(text), Optional(std::string("text")));
  python_.memory.PutValue(text + python_.layout.text_length, uint64_t{5});
  EXPECT_EQ(Read(text), std::nullopt);
  python_.memory.PutValue(text + python_.layout.text_length, ~uint64_t{0});
  EXPECT_EQ(Read(text), std::nullopt);
  EXPECT_EQ(Read(0), std::nullopt);
}

TEST_F(PythonText, BytesHaveALimit) {
  const uint64_t bytes = python_.AddBytes("12345");

  EXPECT_THAT(objects_.ReadBytes(RuntimeAddress(bytes), 5), Optional(std::string("12345")));
  EXPECT_EQ(objects_.ReadBytes(RuntimeAddress(bytes), 4), std::nullopt);
  EXPECT_EQ(objects_.ReadBytes(RuntimeAddress(0), 4), std::nullopt);
}

// An instance with the attributes "other" and "_name" in each way that the versions have.
class Attributes {
 public:
  explicit Attributes(uint32_t version)
      : python_(FakePython::OfVersion(version)),
        objects_(python_.memory, python_.layout),
        type_(python_.AddType("Thread")),
        value_(python_.AddText("the value")),
        object_(python_.Allocate(512) + 64) {
    python_.memory.PutValue(object_ + python_.layout.object_type, type_);
    python_.memory.PutValue(type_ + python_.layout.type_basic_size, uint64_t{48});
    python_.memory.PutValue(type_ + python_.layout.type_dict_offset, int64_t{16});
  }

  FakePython& python() { return python_; }
  uint64_t type() const { return type_; }
  uint64_t object() const { return object_; }
  uint64_t value() const { return value_; }

  std::optional<std::string> Read(std::string_view name = "_name") {
    const auto found = objects_.FindAttribute(RuntimeAddress(object_), name);
    return found ? objects_.ReadText(*found) : std::nullopt;
  }

  // Keys with the two names; with values only when the dictionary is not split.
  uint64_t AddKeys(bool with_values, bool with_hashes) {
    const PythonLayout& layout = python_.layout;
    const bool is_old = layout.attributes == AttributeKind::kDictionary;
    const uint64_t entry = with_hashes ? 24 : 16;
    const uint64_t keys = python_.Allocate(layout.keys_indices + 8 + 2 * entry);
    if (is_old) {
      python_.memory.PutValue(keys + 8, uint64_t{8});
    } else {
      python_.memory.PutValue(keys + 8, uint8_t{3});
      python_.memory.PutValue(keys + 9, uint8_t{3});
      python_.memory.PutValue(keys + 10, static_cast<uint8_t>(with_hashes ? 0 : 1));
    }
    python_.memory.PutValue(keys + layout.keys_count, uint64_t{2});
    uint64_t at = keys + layout.keys_indices + 8;
    for (const char* name : {"other", "_name"}) {
      const uint64_t pair = at + (with_hashes ? 8 : 0);
      python_.memory.PutValue(pair, python_.AddText(name));
      python_.memory.PutValue(pair + 8, with_values ? value_ : uint64_t{0});
      at += entry;
    }
    return keys;
  }

  void PutValues(uint64_t values) {
    python_.memory.PutValue(values + python_.layout.values_begin, python_.AddText("not this"));
    python_.memory.PutValue(values + python_.layout.values_begin + 8, value_);
  }
  uint64_t AddValues() {
    const uint64_t values = python_.Allocate(32);
    PutValues(values);
    return values;
  }

  uint64_t AddDictionary(uint64_t keys, uint64_t values) {
    const uint64_t dictionary = python_.Allocate(64);
    python_.memory.PutValue(dictionary + python_.layout.dict_keys, keys);
    python_.memory.PutValue(dictionary + python_.layout.dict_values, values);
    return dictionary;
  }

  void CacheKeys(uint64_t keys) {
    python_.memory.PutValue(type_ + python_.layout.type_cached_keys, keys);
  }

 private:
  FakePython python_;
  PythonObjects objects_;
  uint64_t type_;
  uint64_t value_;
  uint64_t object_;
};

const std::optional<std::string> kTheValue = "the value";

TEST(PythonAttributes, Until310TheyAreInADictionaryWhereTheTypeSays) {
  for (const uint32_t version : {0x030812f0U, 0x030a0df0U}) {
    Attributes split(version);
    split.python().memory.PutValue(
        split.object() + 16, split.AddDictionary(split.AddKeys(false, true), split.AddValues()));
    EXPECT_EQ(split.Read(), kTheValue);
    EXPECT_EQ(split.Read("missing"), std::nullopt);

    Attributes combined(version);
    combined.python().memory.PutValue(combined.object() + 16,
                                      combined.AddDictionary(combined.AddKeys(true, true), 0));
    EXPECT_EQ(combined.Read(), kTheValue);
  }
}

TEST(PythonAttributes, In311TheyAreInValuesOrInADictionary) {
  Attributes values(0x030b02f0);
  values.CacheKeys(values.AddKeys(false, false));
  values.python().memory.PutValue(values.object() - 32, values.AddValues());
  EXPECT_EQ(values.Read(), kTheValue);

  Attributes dictionary(0x030b02f0);
  dictionary.python().memory.PutValue(dictionary.object() - 24,
                                      dictionary.AddDictionary(dictionary.AddKeys(true, true), 0));
  EXPECT_EQ(dictionary.Read(), kTheValue);
}

TEST(PythonAttributes, In312ABitTellsValuesFromADictionary) {
  Attributes values(0x030c01f0);
  values.CacheKeys(values.AddKeys(false, false));
  values.python().memory.PutValue(values.object() - 24, values.AddValues() - 1);
  EXPECT_EQ(values.Read(), kTheValue);

  Attributes dictionary(0x030c01f0);
  dictionary.python().memory.PutValue(dictionary.object() - 24,
                                      dictionary.AddDictionary(dictionary.AddKeys(true, false), 0));
  EXPECT_EQ(dictionary.Read(), kTheValue);
}

TEST(PythonAttributes, From313OnTheValuesFollowTheObject) {
  Attributes values(0x030e0af0);
  values.CacheKeys(values.AddKeys(false, false));
  values.python().memory.PutValue(values.type() + values.python().layout.type_flags,
                                  uint64_t{1} << 2);
  values.PutValues(values.object() + 48);
  EXPECT_EQ(values.Read(), kTheValue);

  Attributes dictionary(0x030e0af0);
  const uint64_t keys = dictionary.AddKeys(false, false);
  dictionary.python().memory.PutValue(dictionary.object() - 24,
                                      dictionary.AddDictionary(keys, dictionary.AddValues()));
  EXPECT_EQ(dictionary.Read(), kTheValue);

  Attributes none(0x030e0af0);
  none.PutValues(none.object() + 48);
  none.CacheKeys(none.AddKeys(false, false));
  EXPECT_EQ(none.Read(), std::nullopt) << "its type has no such values";
}

TEST(PythonAttributes, HostileKeysAreNotFollowed) {
  Attributes hostile(0x030c01f0);
  const uint64_t keys = hostile.AddKeys(true, false);
  hostile.python().memory.PutValue(hostile.object() - 24, hostile.AddDictionary(keys, 0));
  ASSERT_EQ(hostile.Read(), kTheValue);
  hostile.python().memory.PutValue(keys + hostile.python().layout.keys_count, uint64_t{1} << 40);
  EXPECT_EQ(hostile.Read(), std::nullopt);
  hostile.python().memory.PutValue(keys + hostile.python().layout.keys_count, uint64_t{2});
  hostile.python().memory.PutValue(keys + 9, uint8_t{255});
  EXPECT_EQ(hostile.Read(), std::nullopt);
  hostile.python().memory.PutValue(hostile.object() - 24, ~uint64_t{1});
  EXPECT_EQ(hostile.Read(), std::nullopt);
}

}  // namespace
}  // namespace whyslow
