#include "exporters/exporter.h"

#include <absl/strings/str_format.h>

#include "base/status.h"
#include "exporters/flamegraph_svg.h"
#include "exporters/folded.h"
#include "exporters/pprof_writer.h"
#include "exporters/summary_json.h"

namespace whyslow {
namespace {

std::string FormatNames() {
  std::string names;
  for (const Format& format : Formats()) {
    names += names.empty() ? "" : ", ";
    names += format.name;
  }
  return names;
}

}  // namespace

absl::Status FinishStream(std::ostream& out) {
  out.flush();
  return out ? absl::OkStatus()
             : MakeStatus(absl::StatusCode::kUnavailable, "the output could not be written");
}

const std::vector<Format>& Formats() {
  static const auto& formats = *new std::vector<Format>{
      {"pprof",
       {".pb.gz", ".pprof"},
       [](const ExportOptions&) -> std::unique_ptr<Exporter> {
         return std::make_unique<PprofExporter>();
       }},
      {"folded",
       {".folded", ".collapsed", ".txt"},
       [](const ExportOptions& options) -> std::unique_ptr<Exporter> {
         return std::make_unique<FoldedExporter>(options);
       }},
      {"svg",
       {".svg"},
       [](const ExportOptions& options) -> std::unique_ptr<Exporter> {
         return std::make_unique<FlamegraphSvgExporter>(options);
       }},
      {"json",
       {".json"},
       [](const ExportOptions&) -> std::unique_ptr<Exporter> {
         return std::make_unique<SummaryJsonExporter>();
       }},
  };
  return formats;
}

absl::StatusOr<const Format*> FindFormatByName(std::string_view name) {
  for (const Format& format : Formats()) {
    if (format.name == name) {
      return &format;
    }
  }
  return MakeStatus(
      absl::StatusCode::kInvalidArgument,
      absl::StrFormat("no output format is called '%s'; there are %s", name, FormatNames()));
}

absl::StatusOr<const Format*> FindFormatForFile(std::string_view path) {
  const Format* best = nullptr;
  size_t longest = 0;
  for (const Format& format : Formats()) {
    for (const std::string_view suffix : format.suffixes) {
      if (path.ends_with(suffix) && suffix.size() > longest) {
        best = &format;
        longest = suffix.size();
      }
    }
  }
  if (best != nullptr) {
    return best;
  }
  std::string endings;
  for (const Format& format : Formats()) {
    for (const std::string_view suffix : format.suffixes) {
      endings += endings.empty() ? "" : ", ";
      endings += suffix;
    }
  }
  return MakeStatus(absl::StatusCode::kInvalidArgument,
                    absl::StrFormat("%s: the name does not tell the format; it may end in %s, or "
                                    "--format may name one of %s",
                                    path, endings, FormatNames()));
}

}  // namespace whyslow
