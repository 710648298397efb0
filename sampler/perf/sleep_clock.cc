#include "sampler/perf/sleep_clock.h"

#include <absl/strings/str_format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "base/file_io.h"
#include "base/text.h"

namespace whyslow {
namespace {

std::string ReadOrEmpty(const std::string& path) { return ReadFile(path).value_or(std::string()); }

std::string ThreadFile(Pid pid, Tid tid, const char* name) {
  return absl::StrFormat("/proc/%d/task/%d/%s", Number(pid), Number(tid), name);
}

// Runs on the CPU, if it is ours to run on, and reads its clock: right after it came to run there,
// since then the account is of that moment. The best of a few tries, for others run there too.
std::optional<std::pair<Instant, Nanoseconds>> ReadClockOn(Cpu cpu) {
  constexpr int kTries = 5;
  constexpr Nanoseconds kGood = std::chrono::microseconds(200);
  std::optional<std::pair<Instant, Nanoseconds>> best;
  Nanoseconds shortest = Nanoseconds::max();
  std::thread([&] {
    cpu_set_t wanted;
    CPU_ZERO(&wanted);
    CPU_SET(static_cast<unsigned>(Number(cpu)), &wanted);
    if (sched_setaffinity(0, sizeof(wanted), &wanted) != 0) {
      return;
    }
    for (int i = 0; i < kTries && shortest > kGood; ++i) {
      std::this_thread::sleep_for(std::chrono::microseconds(20));
      const Instant before = MonotonicClock::now();
      const auto ran = ParseLastRun(ReadOrEmpty("/proc/thread-self/sched"));
      const Instant after = MonotonicClock::now();
      if (ran && after - before < shortest) {
        shortest = after - before;
        best = {after, *ran};  // it may have been charged meanwhile: not earlier than it was
      }
    }
  }).join();
  return best;
}

}  // namespace

std::optional<Nanoseconds> ParseLastRun(std::string_view sched) {
  constexpr std::string_view kName = "se.exec_start";
  const size_t at = sched.find(kName);
  if (at == std::string_view::npos) {
    return std::nullopt;
  }
  std::string_view line = sched.substr(at + kName.size());
  line = line.substr(0, line.find('\n'));
  line.remove_prefix(std::min(line.find(':') + 1, line.size()));
  const std::string_view number = TakeWord(line);
  // Milliseconds with six digits behind the point.
  const size_t point = std::min(number.find('.'), number.size());
  const auto millis = ToNumber<int64_t>(number.substr(0, point));
  const auto nanos = ToNumber<int64_t>(number.substr(std::min(point + 1, number.size())));
  const bool is_whole = number.size() == point + 7;
  if (!millis || !nanos || !is_whole || *millis < 0 || (*millis == 0 && *nanos == 0)) {
    return std::nullopt;
  }
  return std::chrono::milliseconds(*millis) + Nanoseconds(*nanos);
}

std::optional<Cpu> ParseLastCpu(std::string_view stat) {
  // The name before it may hold anything, also parentheses.
  const size_t end = stat.rfind(')');
  constexpr size_t kField = 36;  // behind the name
  const std::vector<std::string_view> words = end == std::string_view::npos
                                                  ? std::vector<std::string_view>()
                                                  : PartsOf(stat.substr(end + 1), ' ');
  const auto cpu = words.size() > kField ? ToNumber<int32_t>(words[kField]) : std::nullopt;
  return cpu && *cpu >= 0 && *cpu < CPU_SETSIZE ? std::optional(Cpu{*cpu}) : std::nullopt;
}

std::optional<Nanoseconds> ParseTakenTime(std::string_view stat, Cpu cpu) {
  const std::string name = absl::StrFormat("\ncpu%d ", Number(cpu));
  const size_t at = stat.find(name);
  if (at == std::string_view::npos) {
    return std::nullopt;
  }
  stat.remove_prefix(at + name.size());
  const std::vector<std::string_view> ticks = PartsOf(stat.substr(0, stat.find('\n')), ' ');
  constexpr size_t kFirst = 5;  // irq, softirq, steal
  constexpr size_t kLast = 7;
  const int64_t ticks_per_second = std::max<int64_t>(sysconf(_SC_CLK_TCK), 1);
  Nanoseconds taken{};
  for (size_t i = kFirst; i <= kLast && i < ticks.size(); ++i) {
    taken += std::chrono::seconds(1) / ticks_per_second * ToNumber<int64_t>(ticks[i]).value_or(0);
  }
  return taken;
}

const std::optional<SleepClock::CpuClock>& SleepClock::ClockOf(Cpu cpu) {
  const auto [row, is_new] = clocks_.try_emplace(cpu);
  if (is_new) {
    if (const auto read = ReadClockOn(cpu)) {
      row->second = {
          .when = read->first,
          .scheduler = read->second,
          .taken = ParseTakenTime(ReadOrEmpty("/proc/stat"), cpu).value_or(Nanoseconds::max())};
    }
  }
  return row->second;
}

std::optional<SleepClock::Rest> SleepClock::RestOf(Pid pid, Tid tid) {
  const auto last_run = ParseLastRun(ReadOrEmpty(ThreadFile(pid, tid, "sched")));
  const auto cpu = ParseLastCpu(ReadOrEmpty(ThreadFile(pid, tid, "stat")));
  if (!last_run || !cpu) {
    return std::nullopt;
  }
  const std::optional<CpuClock>& clock = ClockOf(*cpu);
  if (!clock) {
    return std::nullopt;
  }
  Rest rest;
  rest.time = clock->scheduler + (MonotonicClock::now() - clock->when) - *last_run;
  rest.may_be_longer = clock->taken > rest.time / 100;
  return rest.time >= Nanoseconds::zero() ? std::optional(rest) : std::nullopt;
}

}  // namespace whyslow
