#include "sampler/jit_processes.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>

#include "tests/unit/sampler/jit_dump_bytes.h"

namespace whyslow {
namespace {

constexpr Pid kServer{100};
constexpr Pid kChild{200};

Instant At(int ms) { return Instant(std::chrono::milliseconds(ms)); }

class JitProcessesTest : public ::testing::Test {
 protected:
  std::shared_ptr<UniqueFd> NewDump(const std::string& content) {
    auto dump = std::make_shared<UniqueFd>(memfd_create("dump", MFD_CLOEXEC));
    Append(*dump, DumpHeader() + content);
    return dump;
  }
  static void Append(const UniqueFd& dump, const std::string& bytes) {
    ASSERT_EQ(write(dump.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  void Maps(Pid pid, const std::string& path, std::shared_ptr<UniqueFd> file) {
    MappingAdded mapping;
    mapping.pid = pid;
    mapping.path = path;
    mapping.file = std::move(file);
    processes_.Apply(mapping);
  }
  int FrameAt(Pid pid, uint64_t address, int ms) {
    const JitUnwindTable* table = processes_.UnwindTableOf(pid, At(ms));
    const auto place = table != nullptr ? table->Find(RuntimeAddress(address)) : std::nullopt;
    return place ? place->table->Find(place->address).cfa_offset : 0;
  }
  static std::string Function(int frame, uint64_t index) {
    return DumpUnwinding(kDumpCode, frame) + DumpLoad(kDumpCode, index);
  }

  JitProcesses processes_{/*may_open=*/false};
};

TEST_F(JitProcessesTest, ADumpShowsItselfByBeingMapped) {
  EXPECT_EQ(processes_.UnwindTableOf(kServer, At(0)), nullptr);
  Maps(kServer, "/tmp/other.file", NewDump(Function(32, 1)));
  EXPECT_EQ(FrameAt(kServer, kDumpCode, 0), 0);
  Maps(kServer, "/tmp/jit-100.dump", nullptr);  // it could not be opened
  EXPECT_EQ(FrameAt(kServer, kDumpCode, 0), 0);
  Maps(kServer, "/tmp/jit-100.dump", NewDump(Function(32, 1)));
  EXPECT_EQ(FrameAt(kServer, kDumpCode, 0), 32);
}

TEST_F(JitProcessesTest, WhatIsAppendedIsSeenSomeTimesASecond) {
  const std::shared_ptr<UniqueFd> dump = NewDump(Function(32, 1));
  Maps(kServer, "/tmp/jit-100.dump", dump);
  EXPECT_EQ(FrameAt(kServer, kDumpCode, 0), 32);

  Append(*dump, Function(64, 2));

  EXPECT_EQ(FrameAt(kServer, kDumpCode, 199), 32);
  EXPECT_EQ(FrameAt(kServer, kDumpCode, 200), 64);
}

TEST_F(JitProcessesTest, AForkedProcessHasTheCodeOfItsParentUntilItMakesItsOwn) {
  Maps(kServer, "/tmp/jit-100.dump", NewDump(Function(32, 1)));
  EXPECT_EQ(FrameAt(kServer, kDumpCode, 0), 32);

  processes_.Apply(
      ThreadStarted{.pid = kChild, .tid = Tid{200}, .parent_pid = kServer, .parent_tid = Tid{100}});
  EXPECT_EQ(FrameAt(kChild, kDumpCode, 0), 32);
  EXPECT_EQ(processes_.FilesOf(kChild)->dump(), processes_.FilesOf(kServer)->dump());

  Maps(kChild, "/tmp/jit-200.dump", NewDump(Function(64, 1)));
  EXPECT_EQ(FrameAt(kChild, kDumpCode, 0), 64);
  EXPECT_EQ(FrameAt(kServer, kDumpCode, 0), 32);
}

TEST_F(JitProcessesTest, ANewProgramHasNoneOfTheCodeOfTheOld) {
  Maps(kServer, "/tmp/jit-100.dump", NewDump(Function(32, 1)));
  processes_.Apply(ThreadNamed{.pid = kServer, .tid = Tid{100}, .name = "new", .exec = true});
  EXPECT_EQ(processes_.UnwindTableOf(kServer, At(0)), nullptr);
}

TEST_F(JitProcessesTest, OneThatHasEndedIsStillUnwound) {
  Maps(kServer, "/tmp/jit-100.dump", NewDump(Function(32, 1)));
  processes_.Apply(ThreadExited{.pid = kServer, .tid = Tid{100}});
  EXPECT_EQ(FrameAt(kServer, kDumpCode, 0), 32);
}

}  // namespace
}  // namespace whyslow
