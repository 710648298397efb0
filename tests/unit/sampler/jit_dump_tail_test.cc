#include "sampler/jit_dump_tail.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "base/unique_fd.h"
#include "sampler/jit_files.h"
#include "tests/unit/sampler/jit_dump_bytes.h"

namespace whyslow {
namespace {

class JitDump : public ::testing::Test {
 protected:
  JitDump() : file_(memfd_create("dump", MFD_CLOEXEC)) {}

  void Append(const std::string& bytes) {
    ASSERT_EQ(write(file_.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    tail_.Follow(file_.get(), table_);
  }
  int FrameAt(uint64_t address) const {
    const auto place = table_.Find(RuntimeAddress(address));
    return place ? place->table->Find(place->address).cfa_offset : 0;
  }

  UniqueFd file_;
  JitDumpTail tail_;
  JitUnwindTable table_{Architecture::kX86_64};
};

TEST_F(JitDump, UnwindInformationBelongsToTheCodeThatComesNext) {
  Append(DumpHeader() + DumpUnwinding(kDumpCode, 32) + DumpLoad(kDumpCode, 1) +
         DumpLoad(kDumpCode + 0x100, 2));

  EXPECT_EQ(FrameAt(kDumpCode + 5), 32);
  EXPECT_EQ(FrameAt(kDumpCode + 0x105), 0);
}

TEST_F(JitDump, WhatIsAppendedCounts) {
  Append(DumpHeader());
  Append(DumpUnwinding(kDumpCode, 32));
  EXPECT_EQ(FrameAt(kDumpCode), 0);
  Append(DumpLoad(kDumpCode, 1));
  EXPECT_EQ(FrameAt(kDumpCode), 32);
  Append(DumpMove(kDumpCode, kDumpCode + 0x3000, 1));
  EXPECT_EQ(FrameAt(kDumpCode + 0x3000), 32);
  Append(DumpLoad(kDumpCode + 0x3000, 2));
  EXPECT_EQ(FrameAt(kDumpCode + 0x3000), 0);
}

TEST_F(JitDump, RecordsMayBeSeenInParts) {
  const std::string whole = DumpHeader() + DumpUnwinding(kDumpCode, 32) + DumpLoad(kDumpCode, 1);
  for (const char byte : whole) {
    EXPECT_EQ(FrameAt(kDumpCode), 0);
    Append(std::string(1, byte));
  }
  EXPECT_EQ(FrameAt(kDumpCode), 32);
}

TEST_F(JitDump, LargeCodeIsPassedOverInSteps) {
  Append(DumpHeader() + DumpLoad(kDumpCode, 1, size_t{40} << 20));
  Append(DumpUnwinding(kDumpCode + 0x100, 32) + DumpLoad(kDumpCode + 0x100, 2));
  EXPECT_EQ(FrameAt(kDumpCode + 0x100), 32);
}

TEST_F(JitDump, ManySmallRecordsTakeSeveralLooks) {
  std::string many;
  for (uint64_t i = 0; i < 2'000; ++i) {
    many += DumpLoad(kDumpCode + 0x1000 * i, i, 10'000);
  }
  Append(DumpHeader() + many + DumpUnwinding(kDumpCode, 32) + DumpLoad(kDumpCode, 5'000));
  EXPECT_EQ(FrameAt(kDumpCode), 0);  // 20 MB
  tail_.Follow(file_.get(), table_);
  EXPECT_EQ(FrameAt(kDumpCode), 32);
}

TEST_F(JitDump, AFileThatBeginsAnewIsReadAnew) {
  Append(DumpHeader() + DumpUnwinding(kDumpCode, 32) + DumpLoad(kDumpCode, 1) +
         DumpLoad(kDumpCode + 0x100, 2));
  ASSERT_EQ(ftruncate(file_.get(), 0), 0);
  ASSERT_EQ(lseek(file_.get(), 0, SEEK_SET), 0);
  Append(DumpHeader() + DumpUnwinding(kDumpCode + 0x200, 64) + DumpLoad(kDumpCode + 0x200, 1));

  EXPECT_EQ(FrameAt(kDumpCode), 0);
  EXPECT_EQ(FrameAt(kDumpCode + 0x200), 64);
}

TEST_F(JitDump, WhatIsDamagedChangesNothing) {
  Append(DumpHeader() + DumpUnwinding(kDumpCode, 32) + DumpLoad(kDumpCode, 1));
  const size_t known = table_.size();
  // More unwind data than the record holds, less data than index, a body that is cut off.
  Append(DumpRecord(4, Numbers(uint64_t{4096}, uint64_t{20}, uint64_t{0}) + "short") +
         DumpLoad(0x1000, 2));
  Append(DumpRecord(4, Numbers(uint64_t{4}, uint64_t{20}, uint64_t{0}) + "short") +
         DumpLoad(0x1000, 2));
  Append(DumpRecord(4, "") + DumpLoad(0x1000, 3) + DumpRecord(0, "cut") + DumpRecord(1, "cut") +
         DumpRecord(99, "?"));
  EXPECT_EQ(table_.size(), known);
  // Room that was made but not written yet.
  Append(std::string(4096, '\0'));
  EXPECT_EQ(FrameAt(kDumpCode), 32);
}

TEST_F(JitDump, WhateverByteIsDamagedNothingBreaks) {
  const std::string whole = DumpHeader() + DumpUnwinding(kDumpCode, 32) + DumpLoad(kDumpCode, 1) +
                            DumpMove(kDumpCode, kDumpCode + 0x3000, 1) +
                            DumpLoad(kDumpCode + 0x100, 2);
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const char value : {'\0', '\x7f', '\x80', '\xff'}) {
      std::string damaged = whole;
      damaged[at] = value;
      ASSERT_EQ(ftruncate(file_.get(), 0), 0);
      ASSERT_EQ(pwrite(file_.get(), damaged.data(), damaged.size(), 0),
                static_cast<ssize_t>(damaged.size()));
      JitDumpTail tail;
      JitUnwindTable table(Architecture::kX86_64);
      tail.Follow(file_.get(), table);
      EXPECT_LE(table.size(), 4u);
      for (uint64_t address = kDumpCode; address < kDumpCode + 0x4000; address += 0x30) {
        if (const auto place = table.Find(RuntimeAddress(address))) {
          place->table->Find(place->address);
        }
      }
    }
  }
}

TEST_F(JitDump, OtherFilesAreNone) {
  std::string swapped = DumpHeader() + DumpUnwinding(kDumpCode, 32) + DumpLoad(kDumpCode, 1);
  std::swap(swapped[0], swapped[3]);
  Append(swapped);
  EXPECT_EQ(table_.size(), 0u);
  tail_.Follow(-1, table_);
  EXPECT_EQ(table_.size(), 0u);
}

TEST(JitFiles, DumpsAreKnownByTheirName) {
  EXPECT_TRUE(IsJitDump("/tmp/jit-4711.dump"));
  EXPECT_TRUE(IsJitDump("/home/a user/.debug/jit/x/jit-1.dump (deleted)"));
  EXPECT_TRUE(IsJitDump("jit-1.dump"));
  EXPECT_FALSE(IsJitDump("/tmp/jit-.dump"));
  EXPECT_FALSE(IsJitDump("/tmp/jit-1x.dump"));
  EXPECT_FALSE(IsJitDump("/tmp/my-jit-1.dump"));
  EXPECT_FALSE(IsJitDump("/tmp/jit-1.dump/lib.so"));
  EXPECT_FALSE(IsJitDump(""));
}

}  // namespace
}  // namespace whyslow
