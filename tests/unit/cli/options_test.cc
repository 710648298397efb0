#include "cli/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace whyslow {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

Options Parsed(const std::vector<std::string>& arguments) {
  const ParsedOptions parsed = ParseOptions(arguments);
  if (const auto* problem = std::get_if<absl::Status>(&parsed)) {
    ADD_FAILURE() << problem->ToString();
    return {};
  }
  return std::get<Options>(parsed);
}

// "" when the arguments are right.
std::string ProblemWith(const std::vector<std::string>& arguments) {
  const ParsedOptions parsed = ParseOptions(arguments);
  const auto* problem = std::get_if<absl::Status>(&parsed);
  if (problem == nullptr) {
    return "";
  }
  EXPECT_EQ(problem->code(), absl::StatusCode::kInvalidArgument);
  return std::string(problem->message());
}

std::string HelpOf(const std::vector<std::string>& arguments) {
  const ParsedOptions parsed = ParseOptions(arguments);
  const auto* help = std::get_if<HelpText>(&parsed);
  return help == nullptr ? "" : help->text;
}

std::string AttachProblem(std::vector<std::string> more) {
  more.insert(more.begin(), {"attach", "--pid", "1"});
  return ProblemWith(more);
}

Options Attach(std::vector<std::string> more) {
  more.insert(more.begin(), {"attach", "--pid", "1"});
  return Parsed(more);
}

TEST(Options, AttachHasTheDocumentedDefaults) {
  const Options options = Attach({});

  EXPECT_EQ(options.command, Command::kAttach);
  EXPECT_THAT(options.capture.pids, ElementsAre(Pid{1}));
  EXPECT_THAT(options.capture.threads, IsEmpty());
  EXPECT_EQ(options.capture.sampler.frequency_hz, 99u);
  EXPECT_TRUE(options.capture.sampler.kernel_frames);
  EXPECT_TRUE(options.capture.sampler.follow_children);
  EXPECT_EQ(options.capture.sampler.bpf, BpfUse::kAuto);
  EXPECT_EQ(options.capture.sampler.clock, SampleClock::kCpuClock);
  EXPECT_EQ(options.capture.unwind, UnwindMode::kAuto);
  EXPECT_EQ(options.duration, std::nullopt);
  EXPECT_EQ(options.capture.sampler.mode, CaptureMode::kWall);
  EXPECT_THAT(options.output.paths, IsEmpty());
  EXPECT_THAT(options.output.shape.roots, ElementsAre(RootFrame::kThread));
  EXPECT_FALSE(options.output.shape.lines);
  EXPECT_EQ(options.console.color, ColorChoice::kAuto);
}

TEST(Options, EveryCaptureOptionArrives) {
  const Options options = Attach({"--threads",
                                  "7,8",
                                  "--duration=1m30s",
                                  "-F",
                                  "499",
                                  "--mode",
                                  "cpu",
                                  "--children",
                                  "no",
                                  "--kernel",
                                  "no",
                                  "--unwind",
                                  "dwarf",
                                  "--event",
                                  "cycles",
                                  "--bpf",
                                  "no",
                                  "--record",
                                  "raw",
                                  "--quiet",
                                  "--verbose",
                                  "--no-progress",
                                  "--color",
                                  "never"});

  EXPECT_THAT(options.capture.threads, ElementsAre(Tid{7}, Tid{8}));
  EXPECT_EQ(options.duration, std::chrono::seconds(90));
  EXPECT_EQ(options.capture.sampler.frequency_hz, 499u);
  EXPECT_EQ(options.capture.sampler.mode, CaptureMode::kCpu);
  EXPECT_FALSE(options.capture.sampler.follow_children);
  EXPECT_FALSE(options.capture.sampler.kernel_frames);
  EXPECT_EQ(options.capture.unwind, UnwindMode::kDwarf);
  EXPECT_EQ(options.capture.sampler.clock, SampleClock::kCycles);
  EXPECT_EQ(options.capture.sampler.bpf, BpfUse::kNo);
  EXPECT_EQ(options.capture.record_path, "raw");
  EXPECT_TRUE(options.console.quiet);
  EXPECT_TRUE(options.console.verbose);
  EXPECT_TRUE(options.console.no_progress);
  EXPECT_EQ(options.console.color, ColorChoice::kNever);
}

TEST(Options, PidsAddUpOverCommasAndRepetitionsAndCountOnce) {
  const Options options = Parsed({"attach", "--pid", "5,3", "-p", "9", "--pid=3"});

  EXPECT_THAT(options.capture.pids, ElementsAre(Pid{5}, Pid{3}, Pid{9}));
}

TEST(Options, ASecondWordBehindPidIsNotEatenAsAnotherValue) {
  EXPECT_THAT(ProblemWith({"attach", "--pid", "1", "2"}), HasSubstr("2: one argument too many"));
}

TEST(Options, AttachWithoutPidIsWrong) {
  EXPECT_THAT(ProblemWith({"attach"}), HasSubstr("attach: --pid is missing. See"));
}

class BadPid : public ::testing::TestWithParam<const char*> {};
TEST_P(BadPid, IsRefused) {
  EXPECT_THAT(ProblemWith({"attach", "--pid", GetParam()}), HasSubstr("--pid"));
}
INSTANTIATE_TEST_SUITE_P(Options, BadPid,
                         ::testing::Values("0", "-1", "x", "", "1,", ",1", "1,,2", "1 2", "+5",
                                           "0x10", "1.5", "2147483648", "99999999999999999999"));

class BadDuration : public ::testing::TestWithParam<const char*> {};
TEST_P(BadDuration, IsRefused) {
  EXPECT_THAT(AttachProblem({"--duration", GetParam()}), HasSubstr("--duration"));
}
INSTANTIATE_TEST_SUITE_P(Options, BadDuration,
                         ::testing::Values("0", "0s", "0.0", "-5", "-5s", "", "x", "10x", "10 s",
                                           "s", "1e3", "inf", "infs", "nan", "1m30", "+5s", "721h",
                                           "99999999999999999999", "1..5", "9999999999999999h",
                                           "0.0000000001"));

class BadFrequency : public ::testing::TestWithParam<const char*> {};
TEST_P(BadFrequency, IsRefused) {
  EXPECT_THAT(AttachProblem({"--frequency", GetParam()}), HasSubstr("--frequency"));
}
INSTANTIATE_TEST_SUITE_P(Options, BadFrequency,
                         ::testing::Values("0", "-1", "10001", "x", "", "9.5", "99Hz", "+99", " 99",
                                           "99999999999999999999"));

class LaterOption : public ::testing::TestWithParam<const char*> {};
TEST_P(LaterOption, IsRefusedAndNotSilentlyTaken) {
  EXPECT_THAT(AttachProblem({GetParam()}), HasSubstr("not in this version"));
}
INSTANTIATE_TEST_SUITE_P(Options, LaterOption,
                         ::testing::Values("--requests=full", "--sql-text=none", "--cgroup=/x",
                                           "--name=x", "--leaf=sql"));

TEST(Options, ADumpTakesProcessesThreadsAndWhatIsShown) {
  const Options options = Parsed({"dump", "--pid", "7,8", "--threads", "9", "--locals", "--kernel",
                                  "yes", "--python", "no", "--json"});

  EXPECT_EQ(options.command, Command::kDump);
  EXPECT_EQ(options.capture.pids, (std::vector{Pid{7}, Pid{8}}));
  EXPECT_EQ(options.capture.threads, (std::vector{Tid{9}}));
  EXPECT_TRUE(options.shows_locals);
  EXPECT_TRUE(options.shows_kernel);
  EXPECT_FALSE(options.capture.sampler.python);
  EXPECT_TRUE(options.json);
}

TEST(Options, DurationsAreReadWithAndWithoutUnits) {
  EXPECT_EQ(Attach({"-d", "10s"}).duration, std::chrono::seconds(10));
  EXPECT_EQ(Attach({"-d", "10"}).duration, std::chrono::seconds(10));
  EXPECT_EQ(Attach({"-d", "1m30s"}).duration, std::chrono::seconds(90));
  EXPECT_EQ(Attach({"-d", "500ms"}).duration, std::chrono::milliseconds(500));
  EXPECT_EQ(Attach({"-d", "0.5"}).duration, std::chrono::milliseconds(500));
  EXPECT_EQ(Attach({"-d", "720h"}).duration, std::chrono::hours(720));
}

TEST(Options, FrequenciesReachFromOneToTenThousand) {
  EXPECT_EQ(Attach({"-F1"}).capture.sampler.frequency_hz, 1u);
  EXPECT_EQ(Attach({"--frequency", "10000"}).capture.sampler.frequency_hz, 10'000u);
}

TEST(Options, TheGreatestPidIsTheKernelsGreatestNumber) {
  EXPECT_EQ(ProblemWith({"attach", "--pid", "2147483647"}), "");
}

TEST(Options, AnOptionGivenTwiceIsWrong) {
  EXPECT_THAT(AttachProblem({"-d", "1", "--duration", "2"}), HasSubstr("more than once"));
  EXPECT_THAT(AttachProblem({"-F", "1", "-F", "1"}), HasSubstr("more than once"));
  EXPECT_THAT(AttachProblem({"--format", "folded", "--format", "folded"}),
              HasSubstr("more than once"));
}

TEST(Options, TheModeIsWallUnlessAskedOtherwise) {
  EXPECT_EQ(Attach({}).capture.sampler.mode, CaptureMode::kWall);
  EXPECT_EQ(Attach({"--mode", "wall"}).capture.sampler.mode, CaptureMode::kWall);
  EXPECT_EQ(Attach({"--mode", "cpu"}).capture.sampler.mode, CaptureMode::kCpu);
  EXPECT_EQ(Attach({"--mode", "offcpu"}).capture.sampler.mode, CaptureMode::kOffCpu);
  EXPECT_THAT(AttachProblem({"--mode", "fast"}), HasSubstr("one of cpu"));
}

TEST(Options, UnwindTablesAreCachedWhereTheUserWants) {
  EXPECT_TRUE(Attach({}).capture.uses_cache);
  EXPECT_EQ(Attach({}).capture.cache_directory, "");
  EXPECT_FALSE(Attach({"--cache", "no"}).capture.uses_cache);
  EXPECT_TRUE(Attach({"--cache", "./no"}).capture.uses_cache);
  EXPECT_EQ(Attach({"--cache", "./no"}).capture.cache_directory, "./no");
  EXPECT_EQ(Parsed({"replay", "raw", "--cache", "dir"}).capture.cache_directory, "dir");
  EXPECT_THAT(AttachProblem({"--cache", ""}), HasSubstr("it is empty"));
}

TEST(Options, ChoicesNameWhatThereIs) {
  EXPECT_THAT(AttachProblem({"--unwind", "magic"}), HasSubstr("auto, dwarf, fp"));
  EXPECT_THAT(AttachProblem({"--event", "page-faults"}), HasSubstr("cpu-clock, cycles"));
  EXPECT_THAT(AttachProblem({"--bpf", "maybe"}), HasSubstr("auto, yes, no"));
  EXPECT_THAT(AttachProblem({"--kernel", "true"}), HasSubstr("yes, no"));
  EXPECT_THAT(AttachProblem({"--color", "red"}), HasSubstr("auto, always, never"));
}

TEST(Options, CommandsOfLaterVersionsSaySo) {
  EXPECT_THAT(ProblemWith({"serve"}), HasSubstr("not in this version"));
  EXPECT_THAT(ProblemWith({"top", "--pid", "1"}), HasSubstr("not in this version"));
  EXPECT_THAT(ProblemWith({"report", "x", "--endpoint", "y"}), HasSubstr("not in this version"));
}

TEST(Options, UnknownThingsAreNamed) {
  EXPECT_THAT(AttachProblem({"--nonsense"}), HasSubstr("--nonsense: no such option"));
  EXPECT_THAT(AttachProblem({"-z"}), HasSubstr("-z: no such option"));
  EXPECT_THAT(ProblemWith({"atach"}), HasSubstr("atach: no such command"));
  EXPECT_THAT(ProblemWith({"--pid", "1"}), HasSubstr("a command comes before its options"));
  EXPECT_THAT(ProblemWith({}), HasSubstr("no command is given"));
}

TEST(Options, AnOptionWithoutItsValueIsWrong) {
  EXPECT_THAT(AttachProblem({"--duration"}), HasSubstr("--duration"));
  EXPECT_THAT(AttachProblem({"-o"}), HasSubstr("--output"));
  EXPECT_THAT(AttachProblem({"-o", ""}), HasSubstr("empty"));
}

TEST(Options, OutputsRepeatAndKeepTheirOrder) {
  const Options options =
      Attach({"-o", "b.svg", "--output", "a.pb.gz", "-o", "-", "--format", "folded"});

  EXPECT_THAT(options.output.paths, ElementsAre("b.svg", "a.pb.gz", "-"));
  EXPECT_EQ(options.output.format, "folded");
}

TEST(Options, AFormatThatIsNoneIsRefusedWithThoseThereAre) {
  EXPECT_THAT(AttachProblem({"--format", "gif"}), AllOf(HasSubstr("gif"), HasSubstr("folded")));
}

TEST(Options, RootFramesComeInTheOrderGiven) {
  EXPECT_THAT(Attach({"--root", "thread,process"}).output.shape.roots,
              ElementsAre(RootFrame::kThread, RootFrame::kProcess));
  EXPECT_THAT(Attach({"--root", "none"}).output.shape.roots, IsEmpty());
  EXPECT_THAT(AttachProblem({"--root", "thread,thread"}), HasSubstr("twice"));
  EXPECT_THAT(AttachProblem({"--root", "none,thread"}), HasSubstr("one of process, thread"));
  EXPECT_THAT(AttachProblem({"--root", "endpoint"}), HasSubstr("not in this version"));
  EXPECT_THAT(AttachProblem({"--root", ""}), Not(IsEmpty()));
}

TEST(Options, TheCommandOfRunIsEverythingBehindTheDashes) {
  const Options options =
      Parsed({"run", "-d", "5", "--propagate-status", "--", "ls", "--color", "-d", "--", "x"});

  EXPECT_EQ(options.command, Command::kRun);
  EXPECT_EQ(options.duration, std::chrono::seconds(5));
  EXPECT_TRUE(options.propagate_status);
  EXPECT_THAT(options.child_command, ElementsAre("ls", "--color", "-d", "--", "x"));
}

TEST(Options, RunWithoutACommandIsWrong) {
  EXPECT_THAT(ProblemWith({"run"}), HasSubstr("no command to run"));
  EXPECT_THAT(ProblemWith({"run", "--"}), HasSubstr("no command to run"));
  EXPECT_THAT(ProblemWith({"run", "sleep", "5"}), HasSubstr("sleep: one argument too many"));
  EXPECT_THAT(ProblemWith({"run", "--pid", "5", "--", "ls"}), HasSubstr("no such option"));
}

TEST(Options, ReportTakesAnyNumberOfFiles) {
  const Options options = Parsed({"report", "a", "b", "c", "--by", "thread", "--limit", "5",
                                  "--json", "--focus", "^x", "--hide", "y|z", "--thread", "w"});

  EXPECT_THAT(options.files, ElementsAre("a", "b", "c"));
  EXPECT_EQ(options.by, GroupBy::kThread);
  EXPECT_EQ(options.limit, 5u);
  EXPECT_TRUE(options.json);
  EXPECT_EQ(options.filter.focus, "^x");
  EXPECT_EQ(options.filter.hide, "y|z");
  EXPECT_EQ(options.filter.thread, "w");
  EXPECT_THAT(ProblemWith({"report"}), HasSubstr("a file is missing"));
}

TEST(Options, IdleWaitsAreForTheCommandToDecideUnlessSaid) {
  EXPECT_EQ(Parsed({"report", "a"}).idle, std::nullopt);
  EXPECT_EQ(Parsed({"report", "a", "--idle", "yes"}).idle, true);
  EXPECT_EQ(Parsed({"export", "a", "-o", "b.svg", "--idle", "no"}).idle, false);
  EXPECT_THAT(ProblemWith({"report", "a", "--idle", "maybe"}), HasSubstr("--idle maybe"));
  EXPECT_THAT(ProblemWith({"diff", "a", "b", "--idle", "no"}), HasSubstr("no such option"));
}

TEST(Options, AReportByWaitShowsWaitingTimeOnly) {
  EXPECT_EQ(Parsed({"report", "a", "--by", "wait"}).by, GroupBy::kWait);
  EXPECT_THAT(ProblemWith({"report", "a", "--by", "wait", "--value", "cpu"}),
              HasSubstr("--by wait always shows waiting time"));
}

TEST(Options, AFileNamedLikeACommandIsAFile) {
  EXPECT_THAT(Parsed({"report", "diff", "run"}).files, ElementsAre("diff", "run"));
}

TEST(Options, LimitsAndExpressionsAreChecked) {
  EXPECT_THAT(ProblemWith({"report", "f", "--limit", "0"}), HasSubstr("--limit"));
  EXPECT_THAT(ProblemWith({"report", "f", "--limit", "-1"}), HasSubstr("--limit"));
  EXPECT_THAT(ProblemWith({"report", "f", "--limit", "1000000001"}), HasSubstr("--limit"));
  EXPECT_THAT(ProblemWith({"report", "f", "--focus", "("}), HasSubstr("--focus ("));
  EXPECT_THAT(ProblemWith({"report", "f", "--hide", ""}), HasSubstr("--hide"));
  EXPECT_THAT(ProblemWith({"report", "f", "--by", "endpoint"}), HasSubstr("function, line"));
}

TEST(Options, ExportTakesSeveralOutputsBehindOneOptionWhenTheFileComesFirst) {
  const Options options = Parsed({"export", "in.pb.gz", "--output", "a.svg", "b.folded"});

  EXPECT_THAT(options.files, ElementsAre("in.pb.gz"));
  EXPECT_THAT(options.output.paths, ElementsAre("a.svg", "b.folded"));
}

TEST(Options, ExportNeverTakesAFileToReadForOneToWrite) {
  const Options options = Parsed({"export", "-o", "a.svg", "in.pb.gz"});

  EXPECT_THAT(options.files, ElementsAre("in.pb.gz"));
  EXPECT_THAT(options.output.paths, ElementsAre("a.svg"));
  EXPECT_THAT(ProblemWith({"export", "-o", "a.svg", "in.pb.gz", "in2.pb.gz"}),
              HasSubstr("in2.pb.gz: one argument too many"));
}

TEST(Options, ExportNeedsAFileAndAnOutput) {
  EXPECT_THAT(ProblemWith({"export", "in.pb.gz"}), HasSubstr("--output is missing"));
  EXPECT_THAT(ProblemWith({"export", "--output", "a.svg"}), HasSubstr("a file is missing"));
}

TEST(Options, DiffTakesExactlyTwoFiles) {
  EXPECT_THAT(Parsed({"diff", "a", "b"}).files, ElementsAre("a", "b"));
  EXPECT_THAT(ProblemWith({"diff", "a"}), HasSubstr("a file is missing"));
  EXPECT_THAT(ProblemWith({"diff", "a", "b", "c"}), HasSubstr("c: one argument too many"));
}

TEST(Options, DoctorTakesPidsOrNone) {
  EXPECT_THAT(Parsed({"doctor"}).capture.pids, IsEmpty());
  EXPECT_THAT(Parsed({"doctor", "--pid", "7"}).capture.pids, ElementsAre(Pid{7}));
}

TEST(Options, TheCommandLineIsKeptAsAShellWouldReadIt) {
  EXPECT_EQ(Parsed({"run", "--", "sh", "-c", "echo 'a b'", ""}).command_line,
            R"(whyslow run -- sh -c 'echo '\''a b'\''' '')");
}

class HelpOfCommand : public ::testing::TestWithParam<const char*> {};
TEST_P(HelpOfCommand, HasUsageAndExamples) {
  const std::string command = GetParam();

  EXPECT_THAT(HelpOf({"--help"}), HasSubstr("  " + command + " "));
  EXPECT_THAT(HelpOf({command, "--help"}),
              AllOf(HasSubstr("Usage: whyslow " + command), HasSubstr("Examples:"),
                    HasSubstr("  whyslow " + command)));
  EXPECT_EQ(HelpOf({command, "-h"}), HelpOf({command, "--help"}));
}
INSTANTIATE_TEST_SUITE_P(Options, HelpOfCommand,
                         ::testing::Values("attach", "run", "replay", "report", "export", "diff",
                                           "doctor"));

TEST(Options, HelpComesBeforeComplaints) {
  EXPECT_THAT(HelpOf({"attach", "--help"}), Not(IsEmpty()));
  EXPECT_THAT(HelpOf({"diff", "only-one", "--help"}), Not(IsEmpty()));
}

TEST(Options, TheVersionIsOneLine) {
  EXPECT_THAT(HelpOf({"--version"}), AllOf(HasSubstr("whyslow 0."), EndsWith("\n")));
}

TEST(Options, ProblemsAreWhatWhyAndRemedy) {
  EXPECT_EQ(AttachProblem({"--frequency", "0"}),
            "--frequency 0: it is a whole number from 1 to 10000. See `whyslow attach --help`.");
}

}  // namespace
}  // namespace whyslow
