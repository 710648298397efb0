#include "symbolizer/kernel_symbols.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace whyslow {
namespace {

KernelName NameOf(std::string_view kallsyms, uint64_t address) {
  const std::vector<uint64_t> wanted{address};
  std::vector<KernelName> names(1);
  FindKernelNames(kallsyms, wanted, names);
  return names[0];
}

TEST(KernelSymbols, AFunctionReachesToTheNextSymbol) {
  const std::string_view text = "ffff1000 T one\nffff1100 t two\nffff1200 D data\n";

  EXPECT_EQ(NameOf(text, 0xffff10ff).name, "one");
  EXPECT_EQ(NameOf(text, 0xffff1100).name, "two");
  EXPECT_EQ(NameOf(text, 0xffff1200).name, "");
  EXPECT_EQ(NameOf(text, 0xffff0fff).name, "");
}

TEST(KernelSymbols, ModulesNeedNotBeInOrder) {
  const std::string_view text = "ffff9000 t late\t[b]\nffff8000 t early\t[a]\nffff1000 T one\n";

  EXPECT_EQ(NameOf(text, 0xffff8010).name, "early");
  EXPECT_EQ(NameOf(text, 0xffff8010).module, "[a]");
  EXPECT_EQ(NameOf(text, 0xffff9010).name, "late");
}

TEST(KernelSymbols, AddressesOfZeroMeanThatWeMayNotRead) {
  EXPECT_EQ(NameOf("0000000000000000 T one\n0000000000000000 T two\n", 0xffff1000).name, "");
}

TEST(KernelSymbols, OfAliasesTheWellKnownOneIsTaken) {
  EXPECT_EQ(
      NameOf("ffff1000 t __pfx_read\nffff1000 T read\nffff1000 T __do_read\n", 0xffff1004).name,
      "read");
}

TEST(KernelSymbols, BrokenLinesAreSkipped) {
  EXPECT_EQ(NameOf("zzz\n\nffff0000\nffff0000 T\nffff1000 T ok\nffff2000 T", 0xffff1001).name,
            "ok");
}

TEST(KernelSymbols, NothingFarBehindTheLastSymbolHasItsName) {
  EXPECT_EQ(NameOf("ffff1000 T last\n", 0xffffffffff).name, "");
}

std::string NameWithCode(std::string_view kallsyms, const std::vector<KernelCode>& code,
                         uint64_t address) {
  const std::vector<uint64_t> wanted{address};
  std::vector<KernelName> names(1);
  FindKernelNames(kallsyms, wanted, names);
  FindKernelCode(code, wanted, names);
  return names[0].name + names[0].module;
}

TEST(KernelSymbols, CodeThatIsGoneKeepsItsName) {
  const std::string_view text = "ffff1000 T one\nffff8000 t bpf_prog_1_first\t[bpf]\n";
  const std::vector<KernelCode> code = {{0xffff8100, 0x40, "bpf_prog_2_gone", "[bpf]"},
                                        {0xffff8200, 0x20, "bpf_prog_3_before", "[bpf]"},
                                        {0xffff8200, 0x40, "bpf_prog_4_after", "[bpf]"}};

  EXPECT_EQ(NameWithCode(text, code, 0xffff8010), "bpf_prog_1_first[bpf]");
  EXPECT_EQ(NameWithCode(text, code, 0xffff8100), "bpf_prog_2_gone[bpf]");
  EXPECT_EQ(NameWithCode(text, code, 0xffff813f), "bpf_prog_2_gone[bpf]");
  EXPECT_EQ(NameWithCode(text, code, 0xffff8210), "bpf_prog_3_before[bpf]");
  EXPECT_EQ(NameWithCode(text, code, 0xffff8230), "bpf_prog_4_after[bpf]");
  EXPECT_EQ(NameWithCode("", code, 0xffff8100), "bpf_prog_2_gone[bpf]");
}

}  // namespace
}  // namespace whyslow
