#include "cli/diagnosis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace whyslow {
namespace {

using ::testing::Each;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint64_t kPerfmonOnly = uint64_t{1} << 38;

MachineFacts RootOnANewKernel() {
  MachineFacts facts;
  facts.kernel_release = "6.1.0-18-amd64";
  facts.machine = "x86_64";
  facts.program = "/usr/bin/whyslow";
  facts.capabilities = ~uint64_t{0};
  facts.perf_event_paranoid = 2;
  facts.kptr_restrict = 0;
  facts.max_sample_rate = 100'000;
  facts.perf_mlock_kb = 516;
  facts.has_perf_events = true;
  facts.kernel_symbols_visible = true;
  facts.has_btf = true;
  facts.bpf_built_in = true;
  return facts;
}

MachineFacts OrdinaryUser() {
  MachineFacts facts = RootOnANewKernel();
  facts.user = 1000;
  facts.capabilities = 0;
  facts.kernel_symbols_visible = false;
  facts.bpf_problem = "Operation not permitted";
  facts.memlock_limit = uint64_t{8} * 1024 * 1024;
  return facts;
}

Diagnosis Find(const MachineFacts& facts, const std::string& subject) {
  const std::vector<Diagnosis> lines = Diagnose(facts);
  const auto found = std::find_if(lines.begin(), lines.end(),
                                  [&](const Diagnosis& line) { return line.subject == subject; });
  return found == lines.end() ? Diagnosis{.subject = "absent"} : *found;
}

TEST(Diagnose, RootOnANewKernelMissesNothing) {
  EXPECT_THAT(Diagnose(RootOnANewKernel()), Each(Field(&Diagnosis::is_fine, true)));
  EXPECT_THAT(Diagnose(RootOnANewKernel()), Each(Field(&Diagnosis::remedy, IsEmpty())));
  EXPECT_THAT(GrantAllCommand(RootOnANewKernel()), IsEmpty());
}

class MissingCapability : public ::testing::TestWithParam<const char*> {};
TEST_P(MissingCapability, TellsItsEffectAndItsCommand) {
  const Diagnosis line = Find(OrdinaryUser(), GetParam());

  EXPECT_FALSE(line.is_fine);
  EXPECT_THAT(line.finding, HasSubstr("missing: "));
  EXPECT_THAT(line.remedy, HasSubstr("sudo setcap cap_"));
}
INSTANTIATE_TEST_SUITE_P(Diagnose, MissingCapability,
                         ::testing::Values("CAP_PERFMON", "CAP_BPF", "CAP_SYS_PTRACE",
                                           "CAP_IPC_LOCK", "CAP_SYSLOG", "CAP_CHECKPOINT_RESTORE",
                                           "CAP_DAC_READ_SEARCH"));

TEST(Diagnose, TheCommandKeepsWhatIsAlreadyGranted) {
  MachineFacts facts = OrdinaryUser();
  facts.capabilities = kPerfmonOnly;

  EXPECT_EQ(Find(facts, "CAP_SYSLOG").remedy,
            "sudo setcap cap_perfmon,cap_syslog=ep /usr/bin/whyslow");
  EXPECT_EQ(GrantAllCommand(facts),
            "sudo setcap cap_perfmon,cap_bpf,cap_sys_ptrace,cap_ipc_lock,cap_syslog,"
            "cap_checkpoint_restore,cap_dac_read_search=ep /usr/bin/whyslow");
}

TEST(Diagnose, ACacheThatCannotBeUsedIsMissing) {
  MachineFacts facts = RootOnANewKernel();
  facts.table_cache = "/home/me/.cache/whyslow";
  EXPECT_EQ(Find(facts, "cache").finding, "/home/me/.cache/whyslow");
  facts.table_cache_problem = "/home/ann: it belongs to user 1000";
  EXPECT_FALSE(Find(facts, "cache").is_fine);
  EXPECT_THAT(Find(facts, "cache").finding, HasSubstr("belongs to user 1000"));
}

TEST(Diagnose, ParanoidMattersOnlyWithoutPerfmon) {
  MachineFacts facts = OrdinaryUser();
  EXPECT_THAT(Find(facts, "perf_event_paranoid").remedy,
              HasSubstr("sysctl kernel.perf_event_paranoid=1"));

  facts.perf_event_paranoid = 4;
  EXPECT_THAT(Find(facts, "perf_event_paranoid").finding, HasSubstr("may not sample at all"));

  facts.capabilities = kPerfmonOnly;
  EXPECT_TRUE(Find(facts, "perf_event_paranoid").is_fine);
}

TEST(Diagnose, NamesHiddenFromEverybodyNeedAnotherRemedyThanACapability) {
  MachineFacts facts = OrdinaryUser();
  EXPECT_THAT(Find(facts, "kptr_restrict").remedy, HasSubstr("cap_syslog"));

  facts.kptr_restrict = 2;
  EXPECT_EQ(Find(facts, "kptr_restrict").remedy, "sudo sysctl kernel.kptr_restrict=1");
}

TEST(Diagnose, WhatStandsInTheWayOfBpfIsNamed) {
  EXPECT_THAT(Find(OrdinaryUser(), "BPF").finding, HasSubstr("Operation not permitted"));
  EXPECT_THAT(Find(OrdinaryUser(), "BPF").remedy, HasSubstr("cap_perfmon,cap_bpf=ep"));

  MachineFacts facts = OrdinaryUser();
  facts.has_btf = false;
  EXPECT_THAT(Find(facts, "BPF").remedy, HasSubstr("CONFIG_DEBUG_INFO_BTF"));

  facts.bpf_built_in = false;
  EXPECT_TRUE(Find(facts, "BPF").is_fine) << "nothing that a right could change";
}

TEST(Diagnose, SyslogIsNotMissedWhereNamesAreVisibleAnyway) {
  MachineFacts facts = OrdinaryUser();
  facts.kernel_symbols_visible = true;

  EXPECT_TRUE(Find(facts, "CAP_SYSLOG").is_fine);
}

TEST(Diagnose, OldKernelsAndContainersAreNamed) {
  MachineFacts facts = RootOnANewKernel();
  facts.kernel_release = "5.10.0";
  facts.has_perf_events = false;
  facts.has_seccomp_filter = true;

  EXPECT_FALSE(Find(facts, "kernel").is_fine);
  EXPECT_THAT(Find(facts, "perf events").finding, HasSubstr("seccomp"));
}

TEST(IsAtLeast, ComparesNumbersNotText) {
  EXPECT_TRUE(IsAtLeast("5.15.0", 5, 15));
  EXPECT_TRUE(IsAtLeast("6.1", 5, 15));
  EXPECT_FALSE(IsAtLeast("5.4.0-generic", 5, 15));
  EXPECT_TRUE(IsAtLeast("unreadable", 5, 15));
}

}  // namespace
}  // namespace whyslow
