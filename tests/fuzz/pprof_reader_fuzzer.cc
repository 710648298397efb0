// Any bytes are a profile or an error; a profile that was read can be written in every format, and
// what was written as pprof reads back as the same.
#include <cstddef>
#include <cstdint>
#include <sstream>
#include <string>

#include "base/status.h"
#include "exporters/exporter.h"
#include "exporters/pprof_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<whyslow::Profile> profile = whyslow::ParsePprof(bytes, "fuzz");
  if (!profile.ok()) {
    return 0;
  }
  std::string pprof;
  for (const whyslow::Format& format : whyslow::Formats()) {
    std::ostringstream out;
    WHYSLOW_CHECK(format.make(whyslow::ExportOptions())->Write(*profile, out).ok());
    if (format.name == "pprof") {
      pprof = out.str();
    }
  }
  const absl::StatusOr<whyslow::Profile> again = whyslow::ParsePprof(pprof, "written");
  WHYSLOW_CHECK(again.ok());
  WHYSLOW_CHECK(again->samples.size() == profile->samples.size());
  WHYSLOW_CHECK(again->values == profile->values);
  WHYSLOW_CHECK(again->wait_times == profile->wait_times);
  WHYSLOW_CHECK(again->unknown_fields == profile->unknown_fields);
  return 0;
}
