#include "symbolizer/symbolizer.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "symbolizer/module_names.h"
#include "symbolizer/profile_interner.h"

namespace whyslow {
namespace {

// All that is wanted of one module.
struct ModuleJob {
  ModuleIndex module;
  const SymbolSource* source = nullptr;
  std::vector<LocationIndex> locations;
  std::vector<uint64_t> wanted;  // their addresses, sorted, each once
  NamedAddresses names;
};

bool AsksForNames(ModuleKind kind) {
  return kind == ModuleKind::kFile || kind == ModuleKind::kVdso || kind == ModuleKind::kKernel ||
         kind == ModuleKind::kJit;
}

std::vector<ModuleJob> MakeJobs(const Profile& profile, const std::vector<SymbolSource>& sources) {
  std::vector<ModuleJob> jobs(profile.modules.size());
  for (uint32_t i = 0; i < profile.locations.size(); ++i) {
    const Location& location = profile.locations[i];
    if (location.lines.empty() && location.module.valid() &&
        AsksForNames(profile.ModuleAt(location.module).kind)) {
      ModuleJob& job = jobs[location.module.value()];
      job.module = location.module;
      job.locations.push_back(LocationIndex(i));
      job.wanted.push_back(location.address);
    }
  }
  for (const SymbolSource& source : sources) {
    if (source.module.valid() && source.module.value() < jobs.size()) {
      jobs[source.module.value()].source = &source;
    }
  }
  std::erase_if(jobs, [](const ModuleJob& job) { return job.locations.empty(); });
  for (ModuleJob& job : jobs) {
    std::ranges::sort(job.wanted);
    job.wanted.erase(std::unique(job.wanted.begin(), job.wanted.end()), job.wanted.end());
  }
  return jobs;
}

void RunJob(const Profile& profile, const SymbolizeOptions& options, ModuleJob& job) {
  const Module& module = profile.ModuleAt(job.module);
  static const SymbolSource kNone;
  const SymbolSource& source = job.source != nullptr ? *job.source : kNone;
  switch (module.kind) {
    case ModuleKind::kKernel:
      job.names = NameKernelAddresses(source.kernel_code, job.wanted, options);
      break;
    case ModuleKind::kJit:
      job.names = NameJitAddresses(source.jit_map, source.jit_dump, job.wanted);
      break;
    default:
      job.names = NameFileAddresses(source.file, profile.Text(module.path),
                                    profile.Text(module.build_id), job.wanted, options);
  }
}

// Each job writes only to itself, so that the result does not depend on which thread ran it.
void RunAll(const Profile& profile, const SymbolizeOptions& options, std::vector<ModuleJob>& jobs) {
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < jobs.size(); i = next++) {
      RunJob(profile, options, jobs[i]);
    }
  };
  const size_t count = std::min<size_t>(std::max(options.threads, 1U), jobs.size());
  std::vector<std::jthread> threads;
  for (size_t i = 1; i < count; ++i) {
    threads.emplace_back(work);
  }
  work();
}

void Apply(ModuleJob& job, Profile& profile, ProfileInterner& interner, SymbolizeReport& report) {
  Module& module = profile.modules[job.module.value()];
  // In the order of the addresses, and only what is used: then the tables do not depend on where
  // the names came from.
  interner.Reserve(job.names.functions.size());
  std::vector<FunctionIndex> functions(job.names.functions.size());
  for (const std::vector<NamedLine>& lines : job.names.lines) {
    for (const NamedLine& line : lines) {
      if (!functions[line.function].valid()) {
        functions[line.function] =
            interner.InternFunction(std::move(job.names.functions[line.function]));
      }
    }
  }
  for (const LocationIndex index : job.locations) {
    Location& location = profile.locations[index.value()];
    const auto found = std::ranges::lower_bound(job.wanted, location.address);
    const auto& lines = job.names.lines[static_cast<size_t>(found - job.wanted.begin())];
    ++report.locations;
    report.unresolved += lines.empty() ? 1 : 0;
    for (const NamedLine& line : lines) {
      const FunctionIndex function = functions[line.function];
      location.lines.push_back({.function = function, .line = line.line, .column = line.column});
      module.has_filenames |= profile.FunctionAt(function).file != kEmptyString;
      module.has_line_numbers |= line.line != 0;
    }
    module.has_functions |= !lines.empty();
  }
  // Also where no function was inlined: the question has been answered.
  module.has_inline_frames |= job.names.has_debug_information;
}

}  // namespace

SymbolizeReport Symbolize(Profile& profile, const std::vector<SymbolSource>& sources,
                          const SymbolizeOptions& options) {
  std::vector<ModuleJob> jobs = MakeJobs(profile, sources);
  RunAll(profile, options, jobs);
  SymbolizeReport report;
  ProfileInterner interner(profile);
  for (ModuleJob& job : jobs) {
    Apply(job, profile, interner, report);
  }
  return report;
}

}  // namespace whyslow
