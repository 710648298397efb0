#include "cli/dump_text.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/table.h"
#include "cli/text.h"

namespace whyslow {
namespace {

using Json = nlohmann::ordered_json;

class TextWriter {
 public:
  explicit TextWriter(const DumpStyle& style) : style_(style) {}

  // Whole, however long.
  void Line(const std::string& text, const char* color = nullptr) {
    if (style_.color && color != nullptr) {
      absl::StrAppend(&text_, "\x1b[", color, "m", text, "\x1b[0m\n");
    } else {
      absl::StrAppend(&text_, text, "\n");
    }
  }
  // Of names and values both ends are kept.
  void CutLine(const std::string& indent, const std::string& text, const char* color = nullptr) {
    const bool fits = style_.width <= indent.size();
    Line(indent + (fits ? text : CutMiddle(text, style_.width - indent.size())), color);
  }
  std::string Take() { return std::move(text_); }

 private:
  DumpStyle style_;
  std::string text_;
};

constexpr const char* kBold = "1";
constexpr const char* kDim = "2";
constexpr const char* kCyan = "36";

std::string BaseName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// "query (db.py:44)", "recv (libc.so.6)".
std::string FrameText(const DumpFrame& frame) {
  std::string where;
  if (!frame.file.empty()) {
    where = BaseName(frame.file);
    if (frame.line > 0) {
      absl::StrAppend(&where, ":", frame.line);
    }
  } else if (frame.kind == ModuleKind::kFile && !frame.name.starts_with('[')) {
    where = BaseName(frame.module);
  }
  return Printable(where.empty() ? frame.name : absl::StrCat(frame.name, " (", where, ")"));
}

// `python3 "worker-1"`.
std::string ThreadName(const DumpThread& thread) {
  std::string name = Printable(thread.name);
  if (!thread.python_name.empty() && thread.python_name != thread.name) {
    absl::StrAppend(&name, " \"", Printable(thread.python_name), "\"");
  }
  return name;
}

std::string StateText(const DumpThread& thread) {
  std::string text(NameOf(thread.state));
  if (thread.state == ThreadState::kRunning && !thread.has_stack) {
    text += ", not sampled";
  }
  if (thread.for_nanos) {
    absl::StrAppend(&text, thread.is_at_least ? " for at least " : " for ",
                    DurationText(*thread.for_nanos));
  }
  if (thread.state == ThreadState::kWaiting && thread.wait) {
    absl::StrAppend(&text, " [wait: ", Printable(thread.wait->words), "]");
    if (thread.wait->uninterruptible && thread.wait->kind != "uninterruptible") {
      text += ", uninterruptible";
    }
  } else if (thread.state == ThreadState::kRunnable && thread.wait) {
    absl::StrAppend(&text, " [", Printable(thread.wait->words), "]");
  }
  return text + (thread.holds_gil ? ", holds the GIL" : "");
}

std::string HolderText(const DumpProcess& process, const SeenGil& gil) {
  if (!gil.holder) {
    return "nobody";
  }
  const auto thread = std::ranges::find(process.threads, *gil.holder, &DumpThread::tid);
  const std::string name = thread == process.threads.end() ? "thread" : ThreadName(*thread);
  return absl::StrFormat("%s (%d)", name, Number(*gil.holder));
}

std::string PythonText(const DumpProcess& process) {
  std::string text = "Python " + process.python;
  if (!process.gils) {
    return text + ", GIL: unknown";
  }
  for (const SeenGil& gil : *process.gils) {
    absl::StrAppend(&text, ", GIL: ", HolderText(process, gil));
    if (gil.looks > 1) {
      absl::StrAppend(
          &text, gil.same == gil.looks ? ", in all of " : absl::StrCat(", in ", gil.same, " of "),
          gil.looks, " looks");
    }
  }
  return text;
}

void WriteFrame(const DumpFrame& frame, TextWriter& out) {
  const bool is_dim = frame.kind == ModuleKind::kKernel || frame.kind == ModuleKind::kNote;
  out.CutLine("    ", FrameText(frame), is_dim ? kDim : nullptr);
  for (const SeenLocal& local : frame.locals) {
    out.CutLine("        ", Printable(local.name) + " = " + Printable(local.value), kCyan);
  }
}

void WriteThread(const DumpThread& thread, TextWriter& out) {
  out.Line(absl::StrFormat("thread %d %s: %s", Number(thread.tid), ThreadName(thread),
                           StateText(thread)),
           kBold);
  for (const DumpFrame& frame : thread.frames) {
    WriteFrame(frame, out);
  }
  if (!thread.has_stack && thread.state != ThreadState::kRunning) {
    out.Line("    [stack not read]", kDim);
  }
  if (thread.native_is_partial) {
    out.Line("    [native frames between these were not read]", kDim);
  }
  if (thread.locals_are_missing) {
    out.Line("    [locals: it went on while they were read]", kDim);
  }
}

Json TextOrNull(const std::string& text) { return text.empty() ? Json() : Json(text); }

std::string_view NameOf(ModuleKind kind) {
  switch (kind) {
    case ModuleKind::kKernel:
      return "kernel";
    case ModuleKind::kPython:
      return "python";
    case ModuleKind::kNote:
      return "note";
    case ModuleKind::kJit:
      return "jit";
    default:
      return "native";
  }
}

Json FrameAsJson(const DumpFrame& frame) {
  Json json = {{"name", frame.name},
               {"file", frame.file},
               {"line", frame.line > 0 ? Json(frame.line) : Json()},
               {"kind", NameOf(frame.kind)},
               {"module", frame.module},
               {"inlined", frame.inlined}};
  if (!frame.locals.empty()) {
    Json& locals = json["locals"] = Json::array();
    for (const SeenLocal& local : frame.locals) {
      locals.push_back({{"name", local.name}, {"value", local.value}});
    }
  }
  return json;
}

Json WaitAsJson(const DumpWait& wait) {
  return {{"kind", wait.kind}, {"words", wait.words},
          {"peer", wait.peer}, {"protocol", wait.protocol},
          {"file", wait.file}, {"syscall", wait.syscall},
          {"tls", wait.tls},   {"uninterruptible", wait.uninterruptible}};
}

Json ThreadAsJson(const DumpThread& thread) {
  Json json = {{"tid", Number(thread.tid)},
               {"name", thread.name},
               {"python_name", TextOrNull(thread.python_name)},
               {"state", NameOf(thread.state)},
               {"has_stack", thread.has_stack},
               {"wait", thread.wait ? WaitAsJson(*thread.wait) : Json()},
               {"for_ns", thread.for_nanos ? Json(*thread.for_nanos) : Json()},
               {"for_at_least", thread.is_at_least},
               {"holds_gil", thread.holds_gil},
               {"native_is_partial", thread.native_is_partial},
               {"locals_are_missing", thread.locals_are_missing},
               {"frames", Json::array()}};
  for (const DumpFrame& frame : thread.frames) {
    json["frames"].push_back(FrameAsJson(frame));
  }
  return json;
}

Json GilsAsJson(const DumpProcess& process) {
  if (!process.gils) {
    return {};
  }
  Json gils = Json::array();
  for (const SeenGil& gil : *process.gils) {
    gils.push_back({{"holder_tid", gil.holder ? Json(Number(*gil.holder)) : Json()},
                    {"looks", gil.looks},
                    {"same", gil.same}});
  }
  return gils;
}

}  // namespace

std::string DurationText(int64_t nanos) {
  constexpr int64_t kSecond = 1'000'000'000;
  const int64_t seconds = nanos / kSecond;
  if (seconds < 60) {
    const auto value = static_cast<double>(nanos);
    return ValueScale("nanoseconds", value).Format(value);
  }
  if (seconds < 3600) {
    return absl::StrFormat("%d min %d s", seconds / 60, seconds % 60);
  }
  const int64_t minutes = seconds / 60;
  if (minutes < 24 * 60) {
    return absl::StrFormat("%d h %d min", minutes / 60, minutes % 60);
  }
  return absl::StrFormat("%d d %d h", minutes / (24 * 60), minutes / 60 % 24);
}

std::string DumpAsText(const Dump& dump, const DumpStyle& style) {
  TextWriter out(style);
  bool is_first = true;
  for (const DumpProcess& process : dump.processes) {
    if (!is_first) {
      out.Line("");
    }
    is_first = false;
    out.Line(absl::StrFormat("process %d: %s", Number(process.pid), Printable(process.command)),
             kBold);
    if (!process.python.empty()) {
      out.Line(PythonText(process));
    }
    for (const DumpThread& thread : process.threads) {
      out.Line("");
      WriteThread(thread, out);
    }
  }
  return out.Take();
}

std::string DumpAsJson(const Dump& dump) {
  Json json = {{"format", "whyslow-dump"},
               {"version", kDumpJsonVersion},
               {"time_nanos", dump.time_nanos},
               {"processes", Json::array()}};
  for (const DumpProcess& process : dump.processes) {
    Json shown = {{"pid", Number(process.pid)},
                  {"command", process.command},
                  {"python", TextOrNull(process.python)},
                  {"gils", GilsAsJson(process)},
                  {"threads", Json::array()}};
    for (const DumpThread& thread : process.threads) {
      shown["threads"].push_back(ThreadAsJson(thread));
    }
    json["processes"].push_back(std::move(shown));
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace whyslow
