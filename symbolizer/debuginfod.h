// Debug files from the servers that DEBUGINFOD_URLS names, by way of elfutils' libdebuginfod, which
// keeps what it got in its own cache (~/.cache/debuginfod_client).
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/time.h"
#include "elf/elf_file.h"

namespace whyslow {

struct DebuginfodReport {
  int found = 0;
  int unknown = 0;              // no server has the file
  int failed = 0;               // nobody answered, or not in time
  std::string failed_build_id;  // of the last one
  std::string failed_reason;
};

// The library is loaded when it is asked for, so that nobody needs it who does not. Thread-safe;
// one download at a time.
class Debuginfod {
 public:
  // Bytes so far, and of how many (0: not known yet). Called from the thread that calls Find().
  using Progress = std::function<void(std::string_view build_id, int64_t got, int64_t total)>;

  // kFailedPrecondition: DEBUGINFOD_URLS is not set; kNotFound: the library is not installed.
  // `limit`: so long for all files together from the first one on, whatever the servers do.
  static absl::StatusOr<std::unique_ptr<Debuginfod>> Load(Nanoseconds limit);
  ~Debuginfod();
  Debuginfod(const Debuginfod&) = delete;
  Debuginfod& operator=(const Debuginfod&) = delete;

  // Before the first Find().
  void set_progress(Progress progress) { progress_ = std::move(progress); }
  // The file with the debug information of that build ID (lower-case hex).
  std::optional<ElfFile> Find(std::string_view build_id);
  DebuginfodReport report() const;

 private:
  struct Library;
  Debuginfod(std::unique_ptr<Library> library, Nanoseconds limit);
  static int OnProgress(void* client, long got, long total);

  std::unique_ptr<Library> library_;
  Nanoseconds limit_;
  Progress progress_;
  mutable std::mutex mutex_;  // all below
  std::optional<Instant> deadline_;
  std::string current_;  // build ID
  DebuginfodReport report_;
};

}  // namespace whyslow
