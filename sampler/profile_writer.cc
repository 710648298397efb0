#include "sampler/profile_writer.h"

#include <absl/strings/str_format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

namespace whyslow {
namespace {

struct SegmentRange {
  uint64_t address = 0;
  uint64_t limit = 0;
  uint64_t file_offset = 0;
};

// The executable segment that holds the ELF address; all zero when the file tells none.
SegmentRange SegmentAt(const ElfFile* elf, ElfAddress address) {
  if (elf == nullptr) {
    return {};
  }
  for (const ElfSegment& segment : elf->segments()) {
    if (segment.executable() && segment.address <= address &&
        address - segment.address < segment.memory_size) {
      return {segment.address.value(), segment.address.value() + segment.memory_size,
              segment.file_offset};
    }
  }
  return {};
}

}  // namespace

ProfileWriter::ProfileWriter(JitProcesses& jit) : jit_(jit) {
  builder_.SetValueTypes({{"cpu_samples", "count"},
                          {"cpu", "nanoseconds"},
                          {"waits", "count"},
                          {"wait", "nanoseconds"},
                          {"wall", "nanoseconds"}});
}

LocationIndex ProfileWriter::AddKernelFrame(RuntimeAddress address) {
  if (!kernel_.valid()) {
    // The upper half of the address space: every kernel and module address lies inside.
    kernel_ = builder_.AddModule({.kind = ModuleKind::kKernel,
                                  .path = builder_.AddString("[kernel.kallsyms]"),
                                  .memory_start = uint64_t{1} << 63,
                                  .memory_limit = ~uint64_t{0}});
  }
  const auto after = new_kernel_code_.upper_bound(address.value());
  if (after != new_kernel_code_.begin()) {
    const auto& [start, code] = *std::prev(after);
    if (address.value() - start < code.size) {
      return builder_.AddLocation(
          Location{.module = kernel_, .address = address.value(), .lines = {{code.function}}});
    }
  }
  return builder_.AddLocation(kernel_, address.value());
}

LocationIndex ProfileWriter::AddPythonFrame(const PythonFrame& frame) {
  if (!python_.valid()) {
    python_ = builder_.AddModule({.kind = ModuleKind::kPython,
                                  .path = builder_.AddString("[python]"),
                                  .has_functions = true,
                                  .has_filenames = true,
                                  .has_line_numbers = true});
  }
  Function function;
  if (frame.function == nullptr) {
    function.name = builder_.AddString("[python: code is gone]");
  } else {
    function.name = builder_.AddString(frame.function->name);
    function.file = builder_.AddString(frame.function->file);
    function.start_line = frame.function->first_line;
  }
  return builder_.AddNamedLocation(python_, builder_.AddFunction(function), frame.line);
}

ModuleIndex ProfileWriter::FileModule(const Mapping& mapping, RuntimeAddress address) {
  const SegmentRange range = SegmentAt(mapping.module->elf(), mapping.ToElf(address));
  const auto [row, is_new] =
      file_modules_.try_emplace(std::pair(mapping.module.get(), range.address));
  if (is_new) {
    row->second = builder_.AddModule(
        {.kind = mapping.kind == MappingKind::kVdso ? ModuleKind::kVdso : ModuleKind::kFile,
         .path = builder_.AddString(mapping.module->path()),
         .build_id = builder_.AddString(mapping.module->elf() != nullptr
                                            ? mapping.module->elf()->build_id()
                                            : mapping.module->identity().build_id),
         .memory_start = range.address,
         .memory_limit = range.limit,
         .file_offset = range.file_offset});
    files_[row->second] = mapping.module;
  }
  return row->second;
}

void ProfileWriter::AddModuleOf(const Mapping& mapping) {
  if (mapping.kind == MappingKind::kFile) {
    FileModule(mapping, mapping.start);
  }
}

ModuleIndex ProfileWriter::JitModule(Process& process) {
  const auto [row, is_new] = jit_modules_.try_emplace(process.pid);
  if (is_new) {
    const std::string path = absl::StrFormat("[jit:%d]", Number(process.pid));
    row->second = builder_.AddModule(
        {.kind = ModuleKind::kJit, .path = builder_.AddString(path), .memory_limit = ~uint64_t{0}});
  }
  std::shared_ptr<JitFiles> files = jit_.FilesOf(process.pid);
  files->Look();
  // A process that has just ended, or become another program, leaves the files that it had.
  std::shared_ptr<JitFiles>& kept = jit_files_[row->second];
  if (kept == nullptr || files->has_any()) {
    kept = std::move(files);
  }
  return row->second;
}

LocationIndex ProfileWriter::AddUserFrame(Process& process, const Mapping* mapping,
                                          RuntimeAddress address) {
  if (mapping == nullptr || mapping->module == nullptr) {
    return builder_.AddLocation(JitModule(process), address.value());
  }
  return builder_.AddLocation(FileModule(*mapping, address), mapping->ToElf(address).value());
}

void ProfileWriter::AddCpuRow(const CpuTimeRow& row) {
  StackIndex stack = row.stack;
  if (!stack.valid()) {
    if (!not_sampled_.valid()) {
      const LocationIndex note = builder_.AddNote("[cpu: not sampled]");
      not_sampled_ = builder_.AddStack({&note, 1});
    }
    stack = not_sampled_;
  }
  const std::vector<Label> labels = ThreadLabels(row.pid, row.tid, row.thread_name);
  const std::array<int64_t, 5> values{row.samples, row.time.count(), 0, 0, row.time.count()};
  builder_.AddSample(stack, builder_.AddLabels(labels), values);
}

void ProfileWriter::NamePythonThread(Tid tid, std::string_view name) {
  const StringIndex text = builder_.AddString(name);
  PythonName& known = python_names_[tid];
  known.is_one_of_several |= known.name != kEmptyString && known.name != text;
  known.name = text;
}

void ProfileWriter::ForgetPythonThread(Tid tid) {
  const auto known = python_names_.find(tid);
  if (known != python_names_.end()) {
    known->second = {.name = kEmptyString, .is_one_of_several = true};
  }
}

Profile ProfileWriter::Build() && {
  const StringIndex tid_key = builder_.AddString("tid");
  const StringIndex name_key = builder_.AddString("python_thread");
  Profile profile = std::move(builder_).Build();
  for (LabelSet& set : profile.label_sets) {
    const auto tid = std::ranges::find(set.labels, tid_key, &Label::key);
    if (tid == set.labels.end()) {
      continue;
    }
    const auto row = python_names_.find(Tid{static_cast<int32_t>(tid->number)});
    if (row != python_names_.end() && !row->second.is_one_of_several) {
      set.labels.push_back({.key = name_key, .text = row->second.name});
    }
  }
  return profile;
}

std::vector<Label> ProfileWriter::ThreadLabels(Pid pid, Tid tid, StringIndex thread_name) {
  std::vector<Label> labels;
  labels.push_back({.key = builder_.AddString("thread"), .text = thread_name});
  if (const auto name = process_names_.find(pid); name != process_names_.end()) {
    labels.push_back({.key = builder_.AddString("process"), .text = name->second});
  } else if (pid == kNoPid) {
    labels.push_back({.key = builder_.AddString("process"), .text = thread_name});
  }
  if (pid != kNoPid) {
    labels.push_back(builder_.NumberLabel("pid", Number(pid)));
  }
  if (tid != kNoTid) {
    labels.push_back(builder_.NumberLabel("tid", Number(tid)));
  }
  if (const auto row = python_names_.find(tid); row != python_names_.end()) {
    const PythonName& name = row->second;
    if (name.is_one_of_several && name.name != kEmptyString) {
      labels.push_back({.key = builder_.AddString("python_thread"), .text = name.name});
    }
  }
  return labels;
}

LocationIndex ProfileWriter::WaitLocation(WaitKind kind) {
  if (!waits_.valid()) {
    waits_ = builder_.AddModule(
        {.kind = ModuleKind::kWait, .path = builder_.AddString("[wait]"), .has_functions = true});
  }
  const FunctionIndex function =
      builder_.AddFunction({.name = builder_.AddString(FrameNameOf(kind))});
  return builder_.AddNamedLocation(waits_, function, 0);
}

void ProfileWriter::AddWaitRow(const WaitTimeRow& row) {
  std::vector<Label> labels = ThreadLabels(row.pid, row.tid, row.thread_name);
  const auto add = [&](std::string_view key, std::string_view text) {
    if (!text.empty()) {
      labels.push_back(builder_.TextLabel(key, text));
    }
  };
  add("wait", NameOf(row.reason.kind));
  add("peer", row.reason.peer);
  add("protocol", row.reason.protocol);
  add("file", row.reason.file);
  add("syscall", row.reason.system_call);
  add("state", row.reason.state);
  if (row.waker != kNoTid) {
    add("waker", builder_.profile().Text(row.waker_name));
    labels.push_back(builder_.NumberLabel("waker_tid", Number(row.waker)));
  }
  const StackIndex stack = builder_.AddStackNode(row.callers, WaitLocation(row.reason.kind));
  const LabelSetIndex label_set = builder_.AddLabels(labels);
  const int64_t time = row.time.count();
  builder_.AddSample(stack, label_set, std::array<int64_t, 5>{0, 0, row.count, time, time});
  if (row.times != nullptr) {
    builder_.AddWaitTimes(stack, label_set, *row.times);
  }
}

void ProfileWriter::AddKernelCode(const KernelCodeChanged& code) {
  constexpr size_t kMost = size_t{1} << 16;
  const uint64_t start = code.start.value();
  if (!code.is_gone) {
    const FunctionIndex function =
        builder_.AddFunction({.name = builder_.AddString(code.name),
                              .file = builder_.AddString(code.is_bpf ? "[bpf]" : "")});
    if (new_kernel_code_.size() < kMost) {
      new_kernel_code_.insert_or_assign(start, KernelCode{code.size, function});
    }
  } else if (new_kernel_code_.erase(start) == 0 && gone_kernel_code_.size() < kMost) {
    gone_kernel_code_.push_back(code);
  }
}

std::vector<ModuleNames> ProfileWriter::TakeModuleNames() {
  std::vector<ModuleNames> names;
  for (auto& [module, file] : files_) {
    names.push_back({.module = module, .file = file});
  }
  for (auto& [module, files] : jit_files_) {
    names.push_back({.module = module, .jit_map = files->ReadMap(), .jit_dump = files->ReadDump()});
  }
  if (kernel_.valid()) {
    names.push_back({.module = kernel_, .kernel_code = std::move(gone_kernel_code_)});
  }
  return names;
}

}  // namespace whyslow
