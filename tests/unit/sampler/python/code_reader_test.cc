#include "sampler/python/code_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "tests/unit/sampler/python/fake_python.h"

namespace whyslow {
namespace {

using ::testing::Values;

class EveryVersion : public ::testing::TestWithParam<uint32_t> {
 protected:
  FakePython python_ = FakePython::OfVersion(GetParam());
  PythonObjects objects_{python_.memory, python_.layout};
  PythonCodeReader reader_{objects_};

  // Instructions 0 to 3 are in the next line, all others in the one after that.
  FakeCode TwoLines() const {
    FakeCode code;
    switch (python_.layout.line_table) {
      case LineTableKind::kDeltas:
        code.line_table = std::string("\x00\x01\x08\x01", 4);
        break;
      case LineTableKind::kRanges:
        code.line_table = std::string("\x08\x01\xc0\x01", 4);
        break;
      case LineTableKind::kLocations:
        code.line_table = "\xdb\x01\x01\xdf\x01\x01";
        break;
    }
    return code;
  }
};

INSTANTIATE_TEST_SUITE_P(, EveryVersion,
                         Values(0x030812f0, 0x030912f0, 0x030a0df0, 0x030b02f0, 0x030c01f0,
                                0x030e0af0),
                         [](const auto& version) {
                           std::string text = PythonVersionText(version.param);
                           std::replace(text.begin(), text.end(), '.', '_');
                           return "Python" + text;
                         });

TEST_P(EveryVersion, AFrameHasFunctionFileAndLine) {
  const uint64_t code = python_.AddCode(TwoLines());

  const PythonFrame frame = reader_.Read(python_.RawFrame(code, 4));

  const bool has_qualified = python_.layout.code_qualified_name != PYTHON_NO_OFFSET;
  ASSERT_NE(frame.function, nullptr);
  EXPECT_EQ(*frame.function, (PythonFunction{.name = has_qualified ? "Class.function" : "function",
                                             .file = "/file.py",
                                             .first_line = 10}));
  EXPECT_EQ(frame.line, 12);
}

TEST_P(EveryVersion, TheLineIsThatOfTheInstruction) {
  const uint64_t code = python_.AddCode(TwoLines());

  EXPECT_EQ(reader_.Read(python_.RawFrame(code, -1)).line, 10);
  EXPECT_EQ(reader_.Read(python_.RawFrame(code, 0)).line, 11);
  EXPECT_EQ(reader_.Read(python_.RawFrame(code, 3)).line, 11);
  EXPECT_EQ(reader_.Read(python_.RawFrame(code, 5)).line, 12);
}

TEST_P(EveryVersion, EntriesAreTakenOver) {
  python_raw_frame raw = python_.RawFrame(python_.AddCode(TwoLines()), 0);

  EXPECT_FALSE(reader_.Read(raw).is_entry);
  raw.is_entry = 1;
  EXPECT_TRUE(reader_.Read(raw).is_entry);
}

TEST_P(EveryVersion, WhatWasReadOnceIsRemembered) {
  const uint64_t code = python_.AddCode(TwoLines());
  const python_raw_frame raw = python_.RawFrame(code, 4);
  const PythonFrame before = reader_.Read(raw);
  python_.memory.Clear();

  const PythonFrame after = reader_.Read(raw);

  EXPECT_EQ(after.function, before.function);
  EXPECT_EQ(after.line, 12);
}

TEST_P(EveryVersion, AnotherCodeObjectAtTheSamePlaceIsToldByTheCheck) {
  const uint64_t code = python_.AddCode(TwoLines());
  const python_raw_frame before = python_.RawFrame(code, 4);
  FakeCode other = TwoLines();
  other.name = other.qualified_name = "other";
  python_.SetCode(code, other);

  EXPECT_EQ(reader_.Read(before).function, nullptr);
  ASSERT_NE(reader_.Read(python_.RawFrame(code, 4)).function, nullptr);
  EXPECT_EQ(reader_.Read(python_.RawFrame(code, 4)).function->name, "other");
}

TEST_P(EveryVersion, CodeThatIsGoneHasNoFunction) {
  const uint64_t code = python_.AddCode(TwoLines());
  const python_raw_frame raw = python_.RawFrame(code, 4);
  python_.memory.Clear();

  const PythonFrame frame = reader_.Read(raw);

  EXPECT_EQ(frame.function, nullptr);
  EXPECT_EQ(frame.line, 0);
}

TEST_P(EveryVersion, NamesThatAreNoTextMakeNoFunction) {
  const uint64_t code = python_.AddCode(TwoLines());
  python_.memory.PutValue(code + python_.layout.code_file, uint64_t{0x10});

  EXPECT_EQ(reader_.Read(python_.RawFrame(code, 4)).function, nullptr);
}

TEST_P(EveryVersion, ALineTableThatCannotBeReadLeavesTheFunction) {
  const uint64_t code = python_.AddCode(TwoLines());
  const auto table =
      python_.memory.ReadValue<uint64_t>(RuntimeAddress(code + python_.layout.code_line_table));
  python_.memory.PutValue(*table + python_.layout.object_size, uint64_t{1} << 40);

  const PythonFrame frame = reader_.Read(python_.RawFrame(code, 4));

  EXPECT_NE(frame.function, nullptr);
}

TEST_P(EveryVersion, ManyCodeObjectsDoNotFillTheMemory) {
  FakeCode code = TwoLines();
  code.name = code.qualified_name = std::string(4096, 'n');
  code.file = std::string(4096, 'f');
  const uint64_t at = python_.AddCode(code);
  python_raw_frame raw = python_.RawFrame(at, 0);
  for (int32_t line = 0; line < 10'000; ++line) {
    python_.memory.PutValue(at + python_.layout.walk.code_begin, line);
    raw.check = python_.CheckOf(at);
    reader_.BeginStack();
    ASSERT_NE(reader_.Read(raw).function, nullptr);
  }

  EXPECT_LE(reader_.MemoryBytes(), size_t{64} << 20);
}

TEST_P(EveryVersion, OneStackReadsSoManyTablesAndNoMore) {
  FakeCode large = TwoLines();
  large.line_table.resize(1'000'000, '\0');
  const uint64_t at = python_.AddCode(large);
  python_raw_frame raw = python_.RawFrame(at, 0);
  int found = 0;
  reader_.BeginStack();
  for (int32_t line = 1; line <= 20; ++line) {
    python_.memory.PutValue(at + python_.layout.walk.code_begin, line);
    raw.check = python_.CheckOf(at);
    found += reader_.Read(raw).function != nullptr ? 1 : 0;
  }

  EXPECT_EQ(found, 8);
  reader_.BeginStack();
  EXPECT_NE(reader_.Read(raw).function, nullptr);
}

}  // namespace
}  // namespace whyslow
