// A tool for developers: names for addresses of one file, to be compared with those of others.
//
//   symbolize_addresses FILE [CACHE] < addresses     (hex, one a line)
//
// CACHE is a folder for names from earlier runs; without it the file is always read.
// For each address: "0xADDRESS", then "NAME|SYMBOL|FILE:LINE" for each frame, innermost first, then
// an empty line. Time and peak memory go to stderr.
#include <sys/resource.h>

#include <cstdint>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/time.h"
#include "base/unique_fd.h"
#include "elf/module_file.h"
#include "profile/profile.h"
#include "symbolizer/names_cache.h"
#include "symbolizer/symbolizer.h"

namespace whyslow {
namespace {

constexpr uint64_t kMaxCacheBytes = uint64_t{512} << 20;

double CpuSeconds() {  // of all threads
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

int Run(const std::string& path, const char* cache_folder) {
  absl::StatusOr<UniqueFd> fd = OpenReadOnly(path, /*regular_only=*/true);
  if (!fd.ok()) {
    std::cerr << fd.status().message() << "\n";
    return 1;
  }
  Profile profile;
  profile.strings.push_back(path);
  profile.modules.push_back({.kind = ModuleKind::kFile, .path = StringIndex(1)});
  for (std::string line; std::getline(std::cin, line);) {
    profile.locations.push_back(
        {.module = ModuleIndex(0), .address = std::stoull(line, nullptr, 16)});
  }
  const ModuleIdentity identity = IdentityOf(*fd);
  const Instant start = MonotonicClock::now();
  const double cpu_start = CpuSeconds();
  std::optional<NamesCache> cache;
  if (cache_folder != nullptr) {
    absl::StatusOr<DiskCache> disk = DiskCache::Open(cache_folder, "names", kMaxCacheBytes);
    if (!disk.ok()) {
      std::cerr << disk.status().message() << "\n";
      return 1;
    }
    cache.emplace(*std::move(disk));
  }
  const auto file = std::make_shared<const ModuleFile>(path, *std::move(fd), identity);
  const SymbolizeReport report = Symbolize(profile, {{.module = ModuleIndex(0), .file = file}},
                                           {.cache = cache ? &*cache : nullptr});
  const double seconds = std::chrono::duration<double>(MonotonicClock::now() - start).count();
  const double cpu_seconds = CpuSeconds() - cpu_start;
  for (const Location& location : profile.locations) {
    std::printf("0x%lx\n", location.address);
    for (const Line& line : location.lines) {
      const Function& function = profile.FunctionAt(line.function);
      std::printf("%s|%s|%s:%ld\n", profile.strings[function.name.value()].c_str(),
                  profile.strings[function.system_name.value()].c_str(),
                  profile.strings[function.file.value()].c_str(), line.line);
    }
    std::printf("\n");
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::fprintf(stderr, "%lu addresses, %lu unresolved, %.3f s, CPU %.3f s, peak %ld MB\n",
               report.locations, report.unresolved, seconds, cpu_seconds, usage.ru_maxrss / 1024);
  return 0;
}

}  // namespace
}  // namespace whyslow

int main(int argc, char** argv) {
  return argc == 2 || argc == 3 ? whyslow::Run(argv[1], argc == 3 ? argv[2] : nullptr) : 2;
}
