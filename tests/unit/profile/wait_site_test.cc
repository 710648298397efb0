#include "profile/wait_site.h"

#include <gtest/gtest.h>

#include "profile/profile_builder.h"

namespace whyslow {
namespace {

class WaitSiteTest : public ::testing::Test {
 protected:
  LocationIndex At(std::string_view name, std::string_view module = "/usr/bin/app",
                   ModuleKind kind = ModuleKind::kFile) {
    const ModuleIndex row = builder_.AddModule({.kind = kind, .path = builder_.AddString(module)});
    return builder_.AddNamedLocation(row, builder_.AddFunction({.name = builder_.AddString(name)}),
                                     3);
  }
  LocationIndex Wait() { return At("[wait: socket]", "[wait]", ModuleKind::kWait); }
  LocationIndex Kernel(std::string_view name) {
    return At(name, "[kernel.kallsyms]", ModuleKind::kKernel);
  }
  std::string Site(const std::vector<LocationIndex>& leaf_first) {
    const StackIndex stack = builder_.AddStack(leaf_first);
    return WaitSiteFinder(builder_.profile()).Find(stack).function;
  }

  ProfileBuilder builder_;
};

TEST_F(WaitSiteTest, IsTheFirstFrameBelowKernelAndLibraryWrappers) {
  EXPECT_EQ(
      Site({Wait(), Kernel("schedule"), At("recv", "/lib/libc.so.6"), At("Query"), At("main")}),
      "Query");
  EXPECT_EQ(Site({Wait(), At("__futex_abstimed_wait", "/lib/libpthread.so.0"),
                  At("std::condition_variable::wait", "/lib/libstdc++.so.6"),
                  At("std::unique_lock<std::mutex>::lock()"), At("Pool::Take")}),
            "Pool::Take");
  EXPECT_EQ(Site({Wait(), At("internal/poll.(*FD).Read"), At("runtime.gopark"), At("main.serve")}),
            "main.serve");
}

TEST_F(WaitSiteTest, APythonFunctionIsOwnCode) {
  EXPECT_EQ(Site({Wait(), At("recv", "/lib/libc.so.6"),
                  At("Cursor.execute", "[python]", ModuleKind::kPython), At("main")}),
            "Cursor.execute");
  EXPECT_EQ(Site({Wait(), At("recv", "/lib/libc.so.6"), At("sock_recv", "/usr/bin/python3.11"),
                  At("Cursor.execute", "[python]", ModuleKind::kPython),
                  At("Py_RunMain", "/usr/bin/python3.11")}),
            "Cursor.execute");
  EXPECT_EQ(
      Site({Wait(), At("recv", "/lib/libc.so.6"), At("sock_recv", "/usr/lib/libpython3.9.so.1"),
            At("Py_RunMain", "/usr/bin/python3.9")}),
      "sock_recv");
}

TEST_F(WaitSiteTest, MergedFunctionsAreAskedInnermostFirst) {
  Location location{.module = builder_.AddModule({.path = builder_.AddString("/usr/bin/app")}),
                    .address = 0x10};
  for (const char* name : {"__gthread_mutex_lock", "std::mutex::lock", "Cache::Get", "Serve"}) {
    location.lines.push_back(
        {.function = builder_.AddFunction({.name = builder_.AddString(name)}), .line = 1});
  }

  EXPECT_EQ(Site({Wait(), builder_.AddLocation(location), At("main")}), "Cache::Get");
}

TEST_F(WaitSiteTest, WhereThereAreOnlyWrappersItIsTheInnermost) {
  EXPECT_EQ(Site({Wait(), Kernel("schedule"), At("poll", "/lib/libc.so.6"),
                  At("clone", "/lib/libc.so.6")}),
            "poll");
  EXPECT_EQ(Site({Wait(), Kernel("schedule"), Kernel("kthread")}), "schedule");
}

TEST_F(WaitSiteTest, NotesAndWaitsAreNoPlaces) {
  EXPECT_EQ(Site({Wait(), builder_.AddNote("[truncated: stack copy ended]")}), "");
  EXPECT_EQ(Site({}), "");
}

TEST_F(WaitSiteTest, AnUnresolvedFrameIsAPlace) {
  const ModuleIndex app = builder_.AddModule({.path = builder_.AddString("/usr/bin/app")});
  const ModuleIndex libc = builder_.AddModule({.path = builder_.AddString("/lib/libc.so.6")});

  EXPECT_EQ(Site({Wait(), builder_.AddLocation(libc, 0x99), builder_.AddLocation(app, 0x1f)}),
            "[app+0x1f]");
}

}  // namespace
}  // namespace whyslow
