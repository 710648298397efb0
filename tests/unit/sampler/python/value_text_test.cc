#include "sampler/python/value_text.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>

#include "sampler/python/gil.h"

namespace whyslow {
namespace {

// Words at addresses; nothing else can be read.
class WordMemory final : public TargetMemory {
 public:
  void Put(uint64_t address, uint64_t word) { words_[address] = word; }
  size_t Read(RuntimeAddress from, std::span<std::byte> into) const override {
    size_t done = 0;
    while (done < into.size()) {
      const uint64_t at = from.value() + done;
      const auto word = words_.find(at & ~uint64_t{7});
      if (word == words_.end()) {
        break;
      }
      const size_t offset = at % 8;
      const size_t size = std::min(sizeof(uint64_t) - offset, into.size() - done);
      std::memcpy(into.data() + done, reinterpret_cast<const char*>(&word->second) + offset, size);
      done += size;
    }
    return done;
  }

  // A name of at most seven bytes, and the 256 that are read of it.
  void PutType(uint64_t type, std::string_view name) {
    const uint64_t text = type + 0x1000;
    uint64_t word = 0;
    std::memcpy(&word, name.data(), name.size());
    Put(type + 24, text);
    Put(text, word);
  }
  void PutObject(uint64_t object, uint64_t type, std::initializer_list<uint64_t> words) {
    Put(object + 8, type);
    uint64_t at = object + 16;
    for (const uint64_t word : words) {
      Put(at, word);
      at += 8;
    }
  }

 private:
  std::map<uint64_t, uint64_t> words_;
};

constexpr uint64_t kInt = 0x10000;
constexpr uint64_t kList = 0x20000;
constexpr uint64_t kFloat = 0x30000;
constexpr uint64_t kObject = 0x100000;

class ValueText : public ::testing::Test {
 protected:
  ValueText() {
    memory_.PutType(kInt, "int");
    memory_.PutType(kList, "list");
    memory_.PutType(kFloat, "float");
  }

  std::string TextOf(uint64_t object) {
    const PythonObjects objects(memory_, layout_);
    return PythonValueText(objects, inspection_).Text(RuntimeAddress(object));
  }

  PythonLayout layout_ = PythonLayoutOf(0x030b02f0, {}).value();
  PythonInspectionLayout inspection_;
  WordMemory memory_;
};

TEST_F(ValueText, IntegersHaveDigitsOf30Bits) {
  memory_.PutObject(kObject, kInt, {2, uint64_t{1} << 32 | 5});
  EXPECT_EQ(TextOf(kObject), "1073741829");

  memory_.PutObject(kObject, kInt, {~uint64_t{0}, 7});
  EXPECT_EQ(TextOf(kObject), "-7");

  memory_.PutObject(kObject, kInt, {0, 0});
  EXPECT_EQ(TextOf(kObject), "0");
}

TEST_F(ValueText, From312OnTheSignStandsInTheSize) {
  inspection_.int_has_tag = true;
  memory_.PutObject(kObject, kInt, {1 << 3 | 2, 7});
  EXPECT_EQ(TextOf(kObject), "-7");

  memory_.PutObject(kObject, kInt, {1 << 3 | 0, 7});
  EXPECT_EQ(TextOf(kObject), "7");
}

TEST_F(ValueText, AnIntegerWithImpossibleDigitsIsNoText) {
  memory_.PutObject(kObject, kInt, {1, 0xffffffff});
  EXPECT_EQ(TextOf(kObject), "<int at 0x100000>");

  memory_.PutObject(kObject, kInt, {uint64_t{1} << 63, 0});
  EXPECT_EQ(TextOf(kObject).substr(0, 5), "<int ");
}

TEST_F(ValueText, AListThatHoldsItselfEnds) {
  constexpr uint64_t kItems = 0x200000;
  memory_.PutObject(kObject, kList, {2, kItems});
  memory_.Put(kItems, kObject);
  memory_.Put(kItems + 8, kObject);

  EXPECT_EQ(TextOf(kObject), "[<list at 0x100000>, <list at 0x100000>]");
}

TEST_F(ValueText, AListOfImpossibleSizeIsNoText) {
  memory_.PutObject(kObject, kList, {~uint64_t{0}, 0x200000});
  EXPECT_EQ(TextOf(kObject), "<list at 0x100000>");
}

TEST_F(ValueText, WhatCannotBeReadSaysSo) { EXPECT_EQ(TextOf(0x7000), "<unreadable at 0x7000>"); }

TEST(PythonFloatText, IsAsReprShowsIt) {
  EXPECT_EQ(PythonFloatText(0.1), "0.1");
  EXPECT_EQ(PythonFloatText(3.0), "3.0");
  EXPECT_EQ(PythonFloatText(-0.0), "-0.0");
  EXPECT_EQ(PythonFloatText(0.0001), "0.0001");
  EXPECT_EQ(PythonFloatText(0.00001), "1e-05");
  EXPECT_EQ(PythonFloatText(1e16), "1e+16");
  EXPECT_EQ(PythonFloatText(123456789012345680.0), "1.2345678901234568e+17");
  EXPECT_EQ(PythonFloatText(std::numeric_limits<double>::infinity()), "inf");
  EXPECT_EQ(PythonFloatText(std::numeric_limits<double>::quiet_NaN()), "nan");
}

TEST(QuotedPython, EscapesAndCuts) {
  EXPECT_EQ(QuotedPython("it's", 80), "\"it's\"");
  EXPECT_EQ(QuotedPython("it's \"so\"", 80), "'it\\'s \"so\"'");
  EXPECT_EQ(QuotedPython("a\nb\x1b", 80), "'a\\nb\\x1b'");
  EXPECT_EQ(QuotedPython("\u00e9\u00e9\u00e9", 2), "'\u00e9\u00e9'...");
}

// ---- The global lock ----------------------------------------------------------------------------

class Gil : public ::testing::Test {
 protected:
  std::optional<std::vector<PythonGil>> Read() {
    const PythonObjects objects(memory_, layout_);
    return ReadGils(objects, InspectionLayoutOf(layout_, {}).value(), RuntimeAddress(kRuntime));
  }

  static constexpr uint64_t kRuntime = 0x50000;
  static constexpr uint64_t kLock = kRuntime + 360;
  PythonLayout layout_ = PythonLayoutOf(0x030b02f0, {}).value();
  WordMemory memory_;
};

TEST_F(Gil, IsHeldOnlyWhileItIsLocked) {
  memory_.Put(kLock + 8, 0x1234);
  memory_.Put(kLock + 16, 1);
  EXPECT_EQ(Read()->at(0).holder, RuntimeAddress(0x1234));

  memory_.Put(kLock + 16, 0);
  EXPECT_EQ(Read()->at(0).holder, RuntimeAddress());
}

TEST_F(Gil, OfAnImpossibleStateIsUnknown) {
  memory_.Put(kLock + 8, 0x1234);
  memory_.Put(kLock + 16, 77);
  EXPECT_EQ(Read(), std::nullopt);
}

}  // namespace
}  // namespace whyslow
