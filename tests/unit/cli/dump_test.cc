#include "cli/dump.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <nlohmann/json.hpp>

#include "cli/dump_text.h"
#include "profile/profile_builder.h"
#include "profile/wait_kind.h"

namespace whyslow {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kMilli = 1'000'000;
constexpr Pid kServer{100};

// A profile of the latest stacks, as a capture of 100 ms makes it.
class LatestProfile {
 public:
  LatestProfile() {
    builder_.SetValueTypes({{"cpu_samples", "count"},
                            {"cpu", "nanoseconds"},
                            {"waits", "count"},
                            {"wait", "nanoseconds"},
                            {"wall", "nanoseconds"}});
    builder_.header().duration_nanos = 100 * kMilli;
    native_ = builder_.AddModule({.path = builder_.AddString("/usr/lib/libc.so.6")});
    python_ =
        builder_.AddModule({.kind = ModuleKind::kPython, .path = builder_.AddString("[python]")});
    kernel_ = builder_.AddModule(
        {.kind = ModuleKind::kKernel, .path = builder_.AddString("[kernel.kallsyms]")});
    wait_ = builder_.AddModule({.kind = ModuleKind::kWait, .path = builder_.AddString("[wait]")});
  }

  LocationIndex Native(std::string_view name) { return Frame(native_, name, "", 0); }
  LocationIndex Kernel(std::string_view name) { return Frame(kernel_, name, "", 0); }
  LocationIndex Python(std::string_view name, int64_t line) {
    return Frame(python_, name, "/srv/app.py", line);
  }

  void Sampled(int32_t tid, const std::vector<LocationIndex>& frames) {
    const std::vector<Label> labels = {builder_.NumberLabel("pid", Number(kServer)),
                                       builder_.NumberLabel("tid", tid)};
    builder_.AddSample(builder_.AddStack(frames), builder_.AddLabels(labels),
                       std::array<int64_t, 5>{1, kMilli, 0, 0, kMilli});
  }

  void Waits(int32_t tid, std::string_view kind, int64_t time,
             const std::vector<LocationIndex>& callers, std::string_view peer = "",
             int64_t count = 1) {
    std::vector<LocationIndex> frames = {Frame(wait_, FrameNameOf(*WaitKindNamed(kind)), "", 0)};
    frames.insert(frames.end(), callers.begin(), callers.end());
    std::vector<Label> labels = {builder_.NumberLabel("pid", Number(kServer)),
                                 builder_.NumberLabel("tid", tid),
                                 builder_.TextLabel("wait", kind)};
    if (!peer.empty()) {
      labels.push_back(builder_.TextLabel("peer", peer));
    }
    builder_.AddSample(builder_.AddStack(frames), builder_.AddLabels(labels),
                       std::array<int64_t, 5>{0, 0, count, time, time});
  }

  Profile Build() { return std::move(builder_).Build(); }

 private:
  LocationIndex Frame(ModuleIndex module, std::string_view name, std::string_view file,
                      int64_t line) {
    return builder_.AddNamedLocation(
        module,
        builder_.AddFunction({.name = builder_.AddString(name), .file = builder_.AddString(file)}),
        line);
  }

  ProfileBuilder builder_;
  ModuleIndex native_;
  ModuleIndex python_;
  ModuleIndex kernel_;
  ModuleIndex wait_;
};

SeenThread Sleeper(int32_t tid, int64_t rest) {
  return {.tid = Tid{tid}, .name = "server", .state = 'S', .rest = Nanoseconds(rest)};
}

DumpThread OnlyThread(const Profile& profile, SeenThread thread, const DumpChoice& choice = {}) {
  std::vector<SeenProcess> seen(1);
  seen[0].pid = kServer;
  seen[0].threads.push_back(std::move(thread));
  return MakeDump(profile, seen, choice).processes.at(0).threads.at(0);
}

std::vector<std::string> NamesOf(const DumpThread& thread) {
  std::vector<std::string> names;
  for (const DumpFrame& frame : thread.frames) {
    names.push_back(frame.name);
  }
  return names;
}

TEST(MakeDump, AWaitThatBeganBeforeUsHasTheSchedulersTime) {
  LatestProfile profile;
  profile.Waits(101, "socket", 100 * kMilli, {profile.Native("recv")}, "10.0.0.1:5432");

  const DumpThread thread = OnlyThread(profile.Build(), Sleeper(101, 5000 * kMilli));

  EXPECT_EQ(thread.state, ThreadState::kWaiting);
  EXPECT_EQ(thread.wait->words, "socket 10.0.0.1:5432");
  EXPECT_EQ(thread.for_nanos, 5000 * kMilli);
  EXPECT_FALSE(thread.is_at_least);
  EXPECT_THAT(NamesOf(thread), ElementsAre("recv"));
}

TEST(MakeDump, AWaitThatBeganWhileWeLookedIsKnownExactly) {
  LatestProfile profile;
  profile.Waits(101, "sleep", 30 * kMilli, {profile.Native("nanosleep")});

  const DumpThread thread = OnlyThread(profile.Build(), Sleeper(101, 29 * kMilli));

  EXPECT_EQ(thread.for_nanos, 30 * kMilli);
}

TEST(MakeDump, WithoutTheSchedulersTimeTheWaitIsAtLeastAsLongAsWeLooked) {
  LatestProfile profile;
  profile.Waits(101, "sleep", 100 * kMilli, {});
  SeenThread seen = Sleeper(101, 0);
  seen.rest.reset();

  const DumpThread thread = OnlyThread(profile.Build(), seen);

  EXPECT_EQ(thread.for_nanos, 100 * kMilli);
  EXPECT_TRUE(thread.is_at_least);
}

TEST(MakeDump, AThreadThatWokeAtTheEndWaitedAtLeastAsLongAsWeLooked) {
  LatestProfile profile;
  profile.Waits(101, "sleep", 100 * kMilli, {});

  const DumpThread thread = OnlyThread(profile.Build(), Sleeper(101, 2 * kMilli));

  EXPECT_EQ(thread.for_nanos, 100 * kMilli);
  EXPECT_TRUE(thread.is_at_least);
}

TEST(MakeDump, SlicesOfWaitingForTheGilAreOneWait) {
  LatestProfile profile;
  profile.Waits(101, "gil", 95 * kMilli, {profile.Native("take_gil")}, "", 19);

  const DumpThread thread = OnlyThread(profile.Build(), Sleeper(101, 3 * kMilli));

  EXPECT_EQ(thread.for_nanos, 95 * kMilli);
  EXPECT_TRUE(thread.is_at_least);
}

TEST(MakeDump, APreemptedThreadHasTheStackOfItsSample) {
  LatestProfile profile;
  profile.Sampled(101, {profile.Native("spin")});
  profile.Waits(101, "preempted", 2 * kMilli, {});

  const DumpThread thread = OnlyThread(profile.Build(), Sleeper(101, 2 * kMilli));

  EXPECT_EQ(thread.state, ThreadState::kRunnable);
  EXPECT_THAT(NamesOf(thread), ElementsAre("spin"));
}

TEST(MakeDump, AThreadWithoutRowsHasTheStateThatProcTells) {
  const Profile profile = LatestProfile().Build();
  SeenThread seen{.tid = Tid{101}, .state = 'R'};

  EXPECT_EQ(OnlyThread(profile, seen).state, ThreadState::kRunning);
  EXPECT_FALSE(OnlyThread(profile, seen).has_stack);
  seen.state = 'T';
  EXPECT_EQ(OnlyThread(profile, seen).state, ThreadState::kStopped);
  seen.state = 't';
  EXPECT_EQ(OnlyThread(profile, seen).state, ThreadState::kTraced);
}

TEST(MakeDump, KernelFramesAreShownWhenAskedFor) {
  LatestProfile rows;
  rows.Waits(101, "sleep", 1, {rows.Kernel("do_nanosleep"), rows.Native("nanosleep")});
  const Profile profile = rows.Build();

  EXPECT_THAT(NamesOf(OnlyThread(profile, Sleeper(101, 0))), ElementsAre("nanosleep"));
  EXPECT_THAT(NamesOf(OnlyThread(profile, Sleeper(101, 0), {.kernel = true})),
              ElementsAre("do_nanosleep", "nanosleep"));
}

TEST(MakeDump, ProcessesThatEndedAreLeftOut) {
  std::vector<SeenProcess> seen(2);
  seen[0].has_ended = true;
  seen[0].threads.push_back(Sleeper(100, 0));
  seen[1].pid = kServer;
  seen[1].threads.push_back(Sleeper(101, 0));

  const Dump dump = MakeDump(LatestProfile().Build(), seen, {});

  ASSERT_EQ(dump.processes.size(), 1u);
  EXPECT_EQ(dump.processes[0].pid, kServer);
}

// ---- Python -------------------------------------------------------------------------------------

SeenThread PythonSleeper() {
  SeenThread seen = Sleeper(101, 0);
  seen.python = {{.function = "query", .file = "/srv/app.py", .line = 7, .is_entry = false},
                 {.function = "serve", .file = "/srv/app.py", .line = 3, .is_entry = true}};
  seen.python[0].locals = {{"sql", "'select 1'"}};
  return seen;
}

TEST(MakeDump, LocalsStandAtTheirFrames) {
  LatestProfile rows;
  rows.Waits(101, "socket", 1,
             {rows.Native("recv"), rows.Python("query", 7), rows.Python("serve", 3)});

  const DumpThread thread = OnlyThread(rows.Build(), PythonSleeper(), {.locals = true});

  EXPECT_THAT(thread.frames[1].locals, ElementsAre(SeenLocal{"sql", "'select 1'"}));
  EXPECT_FALSE(thread.locals_are_missing);
}

TEST(MakeDump, LocalsOfOtherFramesAreNotShown) {
  LatestProfile rows;
  rows.Waits(101, "socket", 1,
             {rows.Native("recv"), rows.Python("query", 8), rows.Python("serve", 3)});

  const DumpThread thread = OnlyThread(rows.Build(), PythonSleeper(), {.locals = true});

  EXPECT_TRUE(thread.frames[1].locals.empty());
  EXPECT_TRUE(thread.locals_are_missing);
}

TEST(MakeDump, FramesThatOnlyTheLookHasShownStandInPlaceOfTheLoop) {
  LatestProfile rows;
  rows.Waits(101, "socket", 1,
             {rows.Native("recv"), rows.Native("_PyEval_EvalFrameDefault"), rows.Native("main")});

  const DumpThread thread = OnlyThread(rows.Build(), PythonSleeper());

  EXPECT_THAT(NamesOf(thread), ElementsAre("recv", "query", "serve", "main"));
  EXPECT_FALSE(thread.native_is_partial);
}

TEST(MakeDump, WhereLoopsAreMissingNativeFramesBelowTheFirstAreLeftOut) {
  LatestProfile rows;
  const LocationIndex loop = rows.Native("_PyEval_EvalFrameDefault");
  rows.Waits(101, "socket", 1,
             {rows.Native("recv"), loop, rows.Native("call"), loop, rows.Native("main")});

  const DumpThread thread = OnlyThread(rows.Build(), PythonSleeper());

  EXPECT_THAT(NamesOf(thread), ElementsAre("recv", "query", "serve"));
  EXPECT_TRUE(thread.native_is_partial);
}

// ---- Text and JSON ------------------------------------------------------------------------------

Dump PythonServer() {
  DumpThread query{.tid = Tid{101}, .name = "python3", .python_name = "worker-1"};
  query.wait = DumpWait{.kind = "socket", .words = "socket 10.0.0.1:5432 postgresql"};
  query.for_nanos = 12'300 * kMilli;
  query.has_stack = true;
  query.frames = {{.name = "recv", .module = "/usr/lib/libc.so.6"},
                  {.name = "query",
                   .file = "/srv/app.py",
                   .line = 7,
                   .kind = ModuleKind::kPython,
                   .locals = {{"sql", "'select 1'"}}}};
  DumpThread spin{.tid = Tid{102}, .name = "python3", .state = ThreadState::kRunning};
  spin.holds_gil = true;
  DumpProcess process{.pid = kServer, .command = "python3 app.py", .python = "3.11.2"};
  process.gils = {{.holder = Tid{102}, .looks = 20, .same = 18}};
  process.threads = {query, spin};
  return {.time_nanos = 7, .processes = {process}};
}

TEST(DumpAsText, HasStatesStacksAndLocals) {
  EXPECT_EQ(DumpAsText(PythonServer(), {}),
            "process 100: python3 app.py\n"
            "Python 3.11.2, GIL: python3 (102), in 18 of 20 looks\n"
            "\n"
            "thread 101 python3 \"worker-1\": waiting for 12.30 s "
            "[wait: socket 10.0.0.1:5432 postgresql]\n"
            "    recv (libc.so.6)\n"
            "    query (app.py:7)\n"
            "        sql = 'select 1'\n"
            "\n"
            "thread 102 python3: running, not sampled, holds the GIL\n");
}

TEST(DumpAsText, AFreeLockIsHeldByNobody) {
  Dump dump = PythonServer();
  dump.processes[0].gils = {{.holder = std::nullopt, .looks = 3, .same = 3}};

  EXPECT_THAT(DumpAsText(dump, {}), HasSubstr("GIL: nobody, in all of 3 looks\n"));
}

TEST(DumpAsText, SaysWhenTheLockIsUnknownAndTheTimeIsABound) {
  Dump dump = PythonServer();
  dump.processes[0].gils.reset();
  dump.processes[0].threads[0].is_at_least = true;

  EXPECT_THAT(DumpAsText(dump, {}), HasSubstr("GIL: unknown\n"));
  EXPECT_THAT(DumpAsText(dump, {}), HasSubstr("waiting for at least 12.30 s"));
}

TEST(DumpAsText, HostileNamesReachNoTerminal) {
  Dump dump = PythonServer();
  dump.processes[0].command = "\x1b[2J";
  dump.processes[0].threads[0].frames[0].name = "\x1b]0;x\x07";
  dump.processes[0].threads[0].frames[1].locals[0].value = "\x1b[31m";

  EXPECT_THAT(DumpAsText(dump, {}), Not(HasSubstr("\x1b")));
}

TEST(DumpAsText, FramesAreCutWhereTheTerminalEndsAndStatesAreNot) {
  Dump dump = PythonServer();
  dump.processes[0].threads[0].frames[0].name = std::string(100, 'x');

  const std::string text = DumpAsText(dump, {.width = 30});

  EXPECT_THAT(text, HasSubstr("\n    xxxxxx"));
  EXPECT_THAT(text, Not(HasSubstr(std::string(30, 'x'))));
  EXPECT_THAT(text, HasSubstr("waiting for 12.30 s [wait: socket 10.0.0.1:5432 postgresql]\n"));
}

TEST(DumpAsJson, HasAllOfIt) {
  const nlohmann::json json = nlohmann::json::parse(DumpAsJson(PythonServer()));

  EXPECT_EQ(json["format"], "whyslow-dump");
  const nlohmann::json& process = json["processes"][0];
  EXPECT_EQ(process["gils"][0]["holder_tid"], 102);
  const nlohmann::json& thread = process["threads"][0];
  EXPECT_EQ(thread["state"], "waiting");
  EXPECT_EQ(thread["for_ns"], 12'300 * kMilli);
  EXPECT_EQ(thread["wait"]["kind"], "socket");
  EXPECT_EQ(thread["frames"][1]["kind"], "python");
  EXPECT_EQ(thread["frames"][1]["locals"][0]["value"], "'select 1'");
  EXPECT_EQ(process["threads"][1]["for_ns"], nullptr);
}

TEST(DurationText, HasAUnitThatFits) {
  EXPECT_EQ(DurationText(95 * kMilli), "95.00 ms");
  EXPECT_EQ(DurationText(245'000 * kMilli), "4 min 5 s");
  EXPECT_EQ(DurationText(int64_t{7'380'000} * kMilli), "2 h 3 min");
  EXPECT_EQ(DurationText(int64_t{457'200'000} * kMilli), "5 d 7 h");
}

}  // namespace
}  // namespace whyslow
