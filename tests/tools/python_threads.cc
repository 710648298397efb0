// A tool for tests and developers: what is read from outside of a process that runs Python.
//
//   python_threads PID
//
// The first line is "Python VERSION, state", then for each thread "thread TID NAME" (NAME is "-"
// where Python has none) and for each frame, leaf first, "QUALNAME<TAB>FILE<TAB>LINE<TAB>entry" (or
// "inner"). Texts stand as JSON strings. A problem is one line on stderr and exit code 1.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sampler/perf/mapped_file_opener.h"
#include "sampler/perf/proc_scan.h"
#include "sampler/python/python_process.h"
#include "sampler/target/module_table.h"

namespace whyslow {
namespace {

std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof(escaped), "\\u%04x", static_cast<unsigned>(c));
      quoted += escaped;
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return 1;
}

int Print(PythonProcess& process, Pid pid) {
  const absl::StatusOr<InterpreterState> state = process.Check();
  if (!state.ok()) {
    return Fail(state.status());
  }
  std::printf("Python %s, %s\n", PythonVersionText(process.version()).c_str(),
              *state == InterpreterState::kReady ? "ready" : "not ready");
  for (const CodeRange& range : process.loop()) {
    std::fprintf(stderr, "loop 0x%lx + 0x%lx%s\n", range.elf.value(), range.size,
                 process.is_loop_complete() ? "" : ", may have other parts");
  }
  for (const Tid tid : ReadThreads(pid)) {
    const auto frames = process.WalkThread(tid);
    if (!frames) {
      continue;
    }
    const std::optional<std::string> name = process.NameOfThread(tid);
    std::printf("thread %d %s\n", Number(tid), name ? Quoted(*name).c_str() : "-");
    for (const PythonFrame& frame : process.Resolve(*frames)) {
      const PythonFunction gone{.name = "?", .file = "?"};
      const PythonFunction& function = frame.function ? *frame.function : gone;
      std::printf("%s\t%s\t%d\t%s\n", Quoted(function.name).c_str(), Quoted(function.file).c_str(),
                  frame.line, frame.is_entry ? "entry" : "inner");
    }
  }
  const PythonProcess::Rejections& rejections = process.rejections();
  std::fprintf(stderr, "%lu walks, %lu rejected: %s\n", rejections.walks, rejections.rejected,
               std::string(Text(rejections.last)).c_str());
  return 0;
}

int Run(Pid pid) {
  const LiveMemory memory(pid);
  ModuleTable modules;
  MappedFileOpener opener;
  for (MappingAdded& event : ReadExecutableMappings(pid)) {
    opener.Open(event);
    absl::StatusOr<std::unique_ptr<PythonProcess>> process =
        PythonProcess::Open(pid, modules.Resolve(event), memory);
    if (!process.ok()) {
      return Fail(process.status());
    }
    if (*process != nullptr) {
      return Print(**process, pid);
    }
  }
  std::fprintf(stderr, "process %d runs no Python\n", Number(pid));
  return 1;
}

}  // namespace
}  // namespace whyslow

int main(int argc, char** argv) {
  return argc == 2 ? whyslow::Run(whyslow::Pid{std::atoi(argv[1])}) : 2;
}
