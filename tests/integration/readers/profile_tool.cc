// Writes sample profiles and converts files, for tests that hand our files to other programs.
//
//   profile_tool sample server|waits|cpu|hostile|large OUT     the format follows the name
//   profile_tool convert IN OUT
#include <cstdio>
#include <string>
#include <vector>

#include "base/file_io.h"
#include "base/status.h"
#include "exporters/exporter.h"
#include "exporters/pprof_reader.h"
#include "tests/support/sample_profiles.h"

namespace whyslow {
namespace {

absl::StatusOr<Profile> SampleProfile(const std::string& name) {
  if (name == "server") {
    return ServerProfile();
  }
  if (name == "waits") {
    return WaitingProfile();
  }
  if (name == "cpu") {
    return CpuProfile();
  }
  if (name == "hostile") {
    return HostileProfile();
  }
  if (name == "large") {
    return LargeProfile(/*frames=*/50'000, /*depth=*/60);
  }
  return MakeStatus(absl::StatusCode::kInvalidArgument, name + ": no such sample");
}

absl::Status Run(const std::vector<std::string>& arguments) {
  if (arguments.size() != 3) {
    return MakeStatus(absl::StatusCode::kInvalidArgument,
                      "usage: sample NAME OUT | convert IN OUT");
  }
  ASSIGN_OR_RETURN(const Profile profile, arguments[0] == "sample" ? SampleProfile(arguments[1])
                                                                   : ReadPprofFile(arguments[1]));
  ASSIGN_OR_RETURN(const Format* format, FindFormatForFile(arguments[2]));
  const std::unique_ptr<Exporter> exporter = format->make(ExportOptions());
  return WriteFileAtomically(arguments[2],
                             [&](std::ostream& out) { return exporter->Write(profile, out); });
}

}  // namespace
}  // namespace whyslow

int main(int argc, char** argv) {
  const absl::Status status = whyslow::Run(std::vector<std::string>(argv + 1, argv + argc));
  if (!status.ok()) {
    std::fprintf(stderr, "profile_tool: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  return 0;
}
