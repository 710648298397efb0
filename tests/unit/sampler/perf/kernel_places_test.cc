#include "sampler/perf/kernel_places.h"

#include <gtest/gtest.h>

#include "sampler/target/system_calls.h"

namespace whyslow {
namespace {

constexpr std::string_view kSymbols =
    "ffffffff81000000 T _text\n"
    "ffffffff81000100 T asm_exc_page_fault\n"
    "ffffffff81000200 T exc_page_fault\n"
    "ffffffff81000300 t vfs_read\n"
    "ffffffff81000400 T ksys_read\n"
    "ffffffff81000500 T __x64_sys_futex\n"
    "ffffffff81000600 T __x64_sys_no_such_call\n"
    "ffffffff81000700 T do_syscall_64\n"
    "ffffffff81000800 T io_schedule\n"
    "ffffffff81000900 t do_signal_stop\n"
    "ffffffff81000a00 t schedule\n"
    "ffffffffc0000000 t of_a_module\t[module]\n";

KernelPlace Find(std::initializer_list<uint64_t> callchain) {
  const std::vector<RuntimeAddress> addresses(callchain.begin(), callchain.end());
  return KernelPlaces(kSymbols).Find(addresses);
}

TEST(KernelPlaces, TheFunctionOfASystemCallNamesIt) {
  const KernelPlace place = Find({0xffffffff81000a10, 0xffffffff81000540, 0xffffffff81000771});

  EXPECT_EQ(place.system_call, SystemCallNamed("futex"));
  EXPECT_TRUE(place.in_system_call);
  EXPECT_EQ(place.why, OffCpu::kBlocked);
}

TEST(KernelPlaces, SoDoesOneThatItOnlyGoesOnTo) {
  const KernelPlace place =
      Find({0xffffffff81000a10, 0xffffffff81000310, 0xffffffff810004ba, 0xffffffff81000771});

  EXPECT_EQ(place.system_call, SystemCallNamed("read"));
}

TEST(KernelPlaces, AReturnAddressBelongsToTheFunctionOfTheCall) {
  EXPECT_EQ(Find({0xffffffff81000500}).system_call, SystemCallNamed("read"));
}

TEST(KernelPlaces, ASystemCallWithoutANameIsStillOne) {
  const KernelPlace place = Find({0xffffffff81000610, 0xffffffff81000771});

  EXPECT_EQ(place.system_call, -1);
  EXPECT_TRUE(place.in_system_call);
}

TEST(KernelPlaces, PageFaultsAndDevicesAndStopsAreKnown) {
  const KernelPlace fault = Find({0xffffffff81000810, 0xffffffff81000210, 0xffffffff81000110});
  EXPECT_TRUE(fault.in_page_fault);
  EXPECT_TRUE(fault.for_device);
  EXPECT_FALSE(fault.in_system_call);
  EXPECT_EQ(Find({0xffffffff81000a10, 0xffffffff81000910}).why, OffCpu::kStopped);
}

TEST(KernelPlaces, HiddenAddressesTellNothing) {
  EXPECT_TRUE(KernelPlaces("0000000000000000 T __x64_sys_futex\n").empty());
}

}  // namespace
}  // namespace whyslow
