#include "sampler/python/thread_numbers.h"

#include <absl/strings/str_cat.h>
#include <dirent.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/file_io.h"
#include "base/text.h"

namespace whyslow {
namespace {

// Where glibc's struct pthread, which pthread_self() is the address of, keeps the thread's number.
// Other C libraries have something else there, which is hardly ever the number of a thread.
#if defined(__x86_64__)
constexpr std::optional<uint64_t> kNumberInPthread = 0x2d0;
#else
constexpr std::optional<uint64_t> kNumberInPthread;
#endif

// The last number of the line "NSpid:" in a thread's status: its own, in the innermost namespace.
// nullopt: this kernel has no namespaces.
std::optional<int32_t> OwnNumberIn(std::string_view status, bool& has_several) {
  const size_t line = status.find("\nNSpid:");
  if (line == std::string_view::npos) {
    has_several = false;
    return std::nullopt;
  }
  status.remove_prefix(line + 7);
  std::string_view numbers = status.substr(0, status.find('\n'));
  std::optional<int32_t> last;
  int count = 0;
  for (std::string_view word = TakeWord(numbers); !word.empty(); word = TakeWord(numbers)) {
    last = ToNumber<int32_t>(word);
    ++count;
  }
  has_several = count > 1;
  return last;
}

}  // namespace

void ThreadNumbers::Refresh() {
  by_own_number_.clear();
  const std::string folder = absl::StrCat("/proc/", Number(pid_), "/task");
  const std::unique_ptr<DIR, int (*)(DIR*)> tasks(opendir(folder.c_str()), closedir);
  if (tasks == nullptr) {
    return;
  }
  bool has_own_namespace = true;  // the first thread tells
  while (const dirent* entry = readdir(tasks.get())) {
    const auto number = ToNumber<int32_t>(entry->d_name);
    if (!number) {
      continue;
    }
    int32_t own = *number;
    if (has_own_namespace) {
      const absl::StatusOr<std::string> status =
          ReadFile(absl::StrCat(folder, "/", entry->d_name, "/status"));
      if (!status.ok()) {
        continue;
      }
      own = OwnNumberIn(*status, has_own_namespace).value_or(*number);
    }
    by_own_number_.emplace(own, Tid{*number});
  }
}

std::optional<Tid> ThreadNumbers::FindNumber(uint64_t number) const {
  const auto found = number <= INT32_MAX ? by_own_number_.find(static_cast<int32_t>(number))
                                         : by_own_number_.end();
  return found == by_own_number_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<Tid> ThreadNumbers::Find(const PythonThread& thread,
                                       const TargetMemory& memory) const {
  if (const std::optional<Tid> tid = FindNumber(thread.native_id)) {
    return tid;
  }
  if (!kNumberInPthread || thread.pthread == 0) {
    return std::nullopt;
  }
  const auto number =
      memory.ReadValue<uint32_t>(RuntimeAddress(thread.pthread) + *kNumberInPthread);
  return number && *number != 0 ? FindNumber(*number) : std::nullopt;
}

}  // namespace whyslow
