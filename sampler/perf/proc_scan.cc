#include "sampler/perf/proc_scan.h"

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <absl/strings/str_format.h>
#include <dirent.h>
#include <sys/sysmacros.h>

#include <charconv>
#include <memory>

#include "base/file_io.h"
#include "base/text.h"

namespace whyslow {
namespace {

constexpr uint64_t kKernelThreadFlag = 0x00200000;  // PF_KTHREAD

// The kernel writes a line feed in a path as \012.
std::string Unescaped(std::string_view path) {
  std::string result(path);
  for (size_t at = result.find("\\012"); at != std::string::npos; at = result.find("\\012", at)) {
    result.replace(at, 4, "\n");
  }
  return result;
}

std::optional<MappingAdded> ParseMapsLine(Pid pid, std::string_view line) {
  const auto start = ToNumber<uint64_t>(TakeWord(line, "-"), 16);
  const auto end = ToNumber<uint64_t>(TakeWord(line), 16);
  const std::string_view rights = TakeWord(line);
  const auto offset = ToNumber<uint64_t>(TakeWord(line), 16);
  const auto major = ToNumber<uint32_t>(TakeWord(line, ":"), 16);
  const auto minor = ToNumber<uint32_t>(TakeWord(line), 16);
  const auto inode = ToNumber<uint64_t>(TakeWord(line));
  if (!start || !end || *end < *start || rights.size() < 3 || rights[2] != 'x' || !offset ||
      !major || !minor || !inode) {
    return std::nullopt;
  }
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  MappingAdded mapping;
  mapping.pid = pid;
  mapping.start = RuntimeAddress(*start);
  mapping.size = *end - *start;
  mapping.file_offset = *offset;
  mapping.path = line.empty() ? "//anon" : Unescaped(line);  // the name that mmap records use
  mapping.device = makedev(*major, *minor);
  mapping.inode = *inode;
  return mapping;
}

// The names in a directory that are numbers; empty when it cannot be read.
std::vector<int32_t> NumbersIn(const std::string& directory) {
  std::vector<int32_t> numbers;
  const std::unique_ptr<DIR, int (*)(DIR*)> handle(opendir(directory.c_str()), closedir);
  if (handle == nullptr) {
    return numbers;
  }
  while (const dirent* entry = readdir(handle.get())) {
    if (const auto number = ToNumber<int32_t>(entry->d_name)) {
      numbers.push_back(*number);
    }
  }
  return numbers;
}

std::string ReadOrEmpty(const std::string& path) { return ReadFile(path).value_or(std::string()); }

}  // namespace

std::optional<ProcStat> ParseProcStat(std::string_view text) {
  // 4711 (a name (with) anything) S 1 …: the name ends at the last parenthesis.
  const size_t name_begin = text.find('(');
  const size_t name_end = text.rfind(')');
  if (name_begin == std::string_view::npos || name_end == std::string_view::npos ||
      name_end < name_begin) {
    return std::nullopt;
  }
  const std::string_view name = text.substr(name_begin + 1, name_end - name_begin - 1);
  ProcStat stat;
  std::string_view rest = text.substr(name_end + 1);
  const auto id = ToNumber<int32_t>(TakeWord(text));
  const std::string_view state = TakeWord(rest);
  const auto parent = ToNumber<int32_t>(TakeWord(rest));
  for (int skipped = 0; skipped < 4; ++skipped) {  // pgrp, session, tty, tpgid
    TakeWord(rest);
  }
  const auto flags = ToNumber<uint64_t>(TakeWord(rest));
  if (!id || state.size() != 1 || !parent || !flags) {
    return std::nullopt;
  }
  stat.id = *id;
  stat.name = std::string(name);
  stat.state = state[0];
  stat.parent = Pid{*parent};
  stat.is_kernel_thread = (*flags & kKernelThreadFlag) != 0;
  return stat;
}

std::vector<MappingAdded> ParseExecutableMappings(Pid pid, std::string_view text) {
  std::vector<MappingAdded> mappings;
  while (!text.empty()) {
    const size_t size = std::min(text.find('\n'), text.size());
    if (auto mapping = ParseMapsLine(pid, text.substr(0, size))) {
      mappings.push_back(*std::move(mapping));
    }
    text.remove_prefix(std::min(size + 1, text.size()));
  }
  return mappings;
}

std::optional<Nanoseconds> ParseRunTime(std::string_view text) {
  const auto nanos = ToNumber<int64_t>(TakeWord(text));
  return nanos ? std::optional(Nanoseconds(*nanos)) : std::nullopt;
}

std::optional<std::string_view> FindStatusField(std::string_view status, std::string_view name) {
  while (!status.empty()) {
    std::string_view line = TakeWord(status, "\n");
    if (line.starts_with(name) && line.substr(name.size()).starts_with(":")) {
      line.remove_prefix(name.size() + 1);
      line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
      return line;
    }
  }
  return std::nullopt;
}

std::optional<ProcStat> ReadProcStat(Pid pid) {
  return ParseProcStat(ReadOrEmpty(absl::StrFormat("/proc/%d/stat", Number(pid))));
}

std::optional<ProcStat> ReadProcStat(Pid pid, Tid tid) {
  return ParseProcStat(
      ReadOrEmpty(absl::StrFormat("/proc/%d/task/%d/stat", Number(pid), Number(tid))));
}

std::vector<Tid> ReadThreads(Pid pid) {
  std::vector<Tid> threads;
  for (const int32_t number : NumbersIn(absl::StrFormat("/proc/%d/task", Number(pid)))) {
    threads.push_back(Tid{number});
  }
  return threads;
}

std::vector<MappingAdded> ReadExecutableMappings(Pid pid) {
  return ParseExecutableMappings(pid, ReadOrEmpty(absl::StrFormat("/proc/%d/maps", Number(pid))));
}

std::optional<Nanoseconds> ReadRunTime(Pid pid, Tid tid) {
  return ParseRunTime(
      ReadOrEmpty(absl::StrFormat("/proc/%d/task/%d/schedstat", Number(pid), Number(tid))));
}

std::vector<Pid> ReadProcessTree(const std::vector<Pid>& roots) {
  absl::flat_hash_map<Pid, std::vector<Pid>> children;
  for (const int32_t number : NumbersIn("/proc")) {
    if (const auto stat = ReadProcStat(Pid{number})) {
      children[stat->parent].push_back(Pid{number});
    }
  }
  std::vector<Pid> tree;
  absl::flat_hash_set<Pid> seen;
  std::vector<Pid> open = roots;
  while (!open.empty()) {
    const Pid pid = open.back();
    open.pop_back();
    if (seen.insert(pid).second) {
      tree.push_back(pid);
      const std::vector<Pid>& more = children[pid];
      open.insert(open.end(), more.begin(), more.end());
    }
  }
  return tree;
}

}  // namespace whyslow
