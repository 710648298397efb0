#include "sampler/target/address_space.h"

#include <gtest/gtest.h>

namespace whyslow {
namespace {

Mapping Range(uint64_t start, uint64_t end, uint64_t file_offset = 0) {
  return {.start = RuntimeAddress(start),
          .end = RuntimeAddress(end),
          .file_offset = file_offset,
          .kind = MappingKind::kAnonymous,
          .module = nullptr,
          .elf_bias = file_offset - start};
}

const Mapping* At(const AddressSpace& space, uint64_t address) {
  return space.Find(RuntimeAddress(address));
}

TEST(AddressSpace, FindsTheMappingAndNothingOutside) {
  AddressSpace space;
  space.Add(Range(0x1000, 0x2000));

  EXPECT_EQ(At(space, 0xfff), nullptr);
  ASSERT_NE(At(space, 0x1000), nullptr);
  ASSERT_NE(At(space, 0x1fff), nullptr);
  EXPECT_EQ(At(space, 0x2000), nullptr);
}

TEST(AddressSpace, ANewMappingInsideAnOldOneLeavesBothEnds) {
  AddressSpace space;
  space.Add(Range(0x1000, 0x5000, 0x100));
  space.Add(Range(0x2000, 0x3000, 0x9000));

  EXPECT_EQ(At(space, 0x1500)->file_offset, 0x100u);
  EXPECT_EQ(At(space, 0x2500)->file_offset, 0x9000u);
  EXPECT_EQ(At(space, 0x3000)->start, RuntimeAddress(0x3000));
  EXPECT_EQ(At(space, 0x3000)->file_offset, 0x2100u);
  EXPECT_EQ(At(space, 0x3000)->ToElf(RuntimeAddress(0x3000)), ElfAddress(0x2100));
  EXPECT_EQ(space.size(), 3u);
}

TEST(AddressSpace, ANewMappingReplacesAllThatItCovers) {
  AddressSpace space;
  space.Add(Range(0x1000, 0x2000));
  space.Add(Range(0x2000, 0x3000));
  space.Add(Range(0x3000, 0x5000, 0x40));
  space.Add(Range(0x1000, 0x4000, 0x7000));

  EXPECT_EQ(At(space, 0x1800)->file_offset, 0x7000u);
  EXPECT_EQ(At(space, 0x3fff)->file_offset, 0x7000u);
  EXPECT_EQ(At(space, 0x4000)->file_offset, 0x1040u);
  EXPECT_EQ(space.size(), 2u);
}

TEST(AddressSpace, AnEmptyOrBackwardRangeIsNoMapping) {
  AddressSpace space;
  space.Add(Range(0x1000, 0x1000));
  space.Add(Range(0x2000, 0x1000));

  EXPECT_EQ(space.size(), 0u);
}

}  // namespace
}  // namespace whyslow
