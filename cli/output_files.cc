#include "cli/output_files.h"

#include <absl/strings/str_format.h>
#include <absl/time/time.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <sstream>

#include "base/file_io.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace whyslow {
namespace {

constexpr std::string_view kRescueFormat = "pprof";

absl::Status Usage(std::string_view what, std::string_view why, std::string_view remedy) {
  return WithRemedy(
      MakeStatus(absl::StatusCode::kInvalidArgument, absl::StrFormat("%s: %s", what, why)), remedy);
}

std::string AllSuffixes() {
  std::string all;
  for (const Format& format : Formats()) {
    for (const std::string_view suffix : format.suffixes) {
      all += absl::StrFormat("%s%s", all.empty() ? "" : ", ", suffix);
    }
  }
  return all;
}

// Finds the format of one output and whether --format was needed for it.
absl::StatusOr<const Format*> FormatFor(const std::string& path, const Format* by_name,
                                        bool& used_name) {
  const absl::StatusOr<const Format*> by_suffix =
      path == "-" ? absl::StatusOr<const Format*>(absl::NotFoundError(""))
                  : FindFormatForFile(path);
  if (by_suffix.ok()) {
    used_name = used_name || *by_suffix == by_name;
    return *by_suffix;
  }
  if (by_name != nullptr) {
    used_name = true;
    return by_name;
  }
  if (path == "-") {
    return Usage("--output -", "standard output has no name that tells the format",
                 "Add --format NAME.");
  }
  return Usage(absl::StrFormat("--output %s", path), "the name does not tell the format",
               absl::StrFormat("Use one of %s, or --format NAME.", AllSuffixes()));
}

absl::Status CheckNoneTwice(const std::vector<OutputFile>& outputs) {
  std::vector<std::string> paths;
  for (const OutputFile& output : outputs) {
    paths.push_back(std::filesystem::path(output.path).lexically_normal().string());
  }
  std::sort(paths.begin(), paths.end());
  const auto twice = std::adjacent_find(paths.begin(), paths.end());
  if (twice != paths.end()) {
    return Usage(absl::StrFormat("--output %s", *twice), "it is given twice", "");
  }
  return absl::OkStatus();
}

std::string RemedyFor(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "Make room, or choose another folder with --output.";
    case ENOENT:
    case ENOTDIR:
      return "Create the folder first, or choose another one with --output.";
    case EISDIR:
      return "Name a file in it with --output.";
    default:
      return "Choose another place with --output.";
  }
}

absl::Status FileProblem(const std::string& path, int error) {
  return WithRemedy(ErrnoStatus(error, path), RemedyFor(error));
}

absl::Status CheckFolder(const std::string& path) {
  std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) {
    folder = ".";
  }
  // Trying tells more than asking: read-only file systems, quotas, full inodes, root's own limits.
  std::string probe = (folder / ".whyslow.XXXXXX").string();
  const UniqueFd fd(mkostemp(probe.data(), O_CLOEXEC));
  if (!fd) {
    return FileProblem(path, errno);
  }
  unlink(probe.c_str());
  return absl::OkStatus();
}

absl::Status CheckWritable(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) {
      return FileProblem(path, EISDIR);
    }
    // A file that its owner protected from writing stays as it is, although its folder would let us
    // put another one in its place.
    if (faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) != 0) {
      return FileProblem(path, errno);
    }
    if (!S_ISREG(info.st_mode)) {
      return absl::OkStatus();  // pipes and devices are written in place
    }
  } else if (errno != ENOENT || path.ends_with('/')) {
    return FileProblem(path, errno == ENOENT ? EISDIR : errno);
  }
  return CheckFolder(path);
}

// An exporter's text in memory first: a signal then never finds a file half written, and a slow
// exporter holds no temporary file.
absl::StatusOr<std::string> Render(const Profile& profile, const Format& format,
                                   const ExportOptions& shape) {
  std::ostringstream text;
  RETURN_IF_ERROR(format.make(shape)->Write(profile, text));
  return std::move(text).str();
}

absl::Status WriteText(const std::string& path, const std::string& text,
                       const SignalWatcher* signals) {
  constexpr size_t kPiece = size_t{1} << 20;
  return WriteFileAtomically(path, [&](std::ostream& out) -> absl::Status {
    for (size_t done = 0; done < text.size() && out.good(); done += kPiece) {
      if (signals != nullptr && signals->gave_up()) {
        return absl::CancelledError();
      }
      out.write(text.data() + done,
                static_cast<std::streamsize>(std::min(kPiece, text.size() - done)));
    }
    out.flush();
    return signals != nullptr && signals->gave_up() ? absl::CancelledError() : absl::OkStatus();
  });
}

// Standard output by its descriptor: opening /dev/stdout fails for sockets and after dropping
// rights.
absl::Status WriteStdout(const std::string& text) {
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t written = write(STDOUT_FILENO, rest.data(), rest.size());
    if (written >= 0) {
      rest.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR) {
      return ErrnoStatus(errno, "standard output");
    }
  }
  return absl::OkStatus();
}

absl::Status WriteOne(const Profile& profile, const OutputFile& output, const ExportOptions& shape,
                      const SignalWatcher& signals) {
  absl::StatusOr<std::string> text = Render(profile, *output.format, shape);
  if (!text.ok()) {
    return MakeStatus(text.status().code(),
                      absl::StrFormat("%s: %s", output.path, std::string(text.status().message())));
  }
  absl::Status status =
      output.is_stdout() ? WriteStdout(*text) : WriteText(output.path, *text, &signals);
  if (status.code() == absl::StatusCode::kResourceExhausted) {
    return WithRemedy(status, RemedyFor(ENOSPC));
  }
  return status;
}

// What was written through a link goes, the link stays; devices and pipes are not ours to remove.
void RemoveRegularFile(const std::string& path) {
  std::error_code problem;
  const std::filesystem::path target = std::filesystem::canonical(path, problem);
  if (!problem && std::filesystem::is_regular_file(target, problem)) {
    std::filesystem::remove(target, problem);
  }
}

}  // namespace

std::string DefaultBaseName(std::string_view subject, int64_t utc_seconds) {
  const std::string time =
      absl::FormatTime("%Y%m%dT%H%M%SZ", absl::FromUnixSeconds(utc_seconds), absl::UTCTimeZone());
  return absl::StrFormat("whyslow-%s-%s", subject, time);
}

absl::StatusOr<std::vector<OutputFile>> ResolveOutputs(const OutputChoice& choice,
                                                       const std::string& default_base) {
  const Format* by_name = nullptr;
  if (!choice.format.empty()) {
    ASSIGN_OR_RETURN(by_name, FindFormatByName(choice.format));
  }
  std::vector<OutputFile> outputs;
  if (choice.paths.empty()) {
    const Format* format = by_name;
    if (format == nullptr) {
      ASSIGN_OR_RETURN(format, FindFormatByName(kRescueFormat));
    }
    outputs.push_back({default_base + std::string(format->suffixes.front()), format});
    return outputs;
  }
  bool used_name = by_name == nullptr;
  for (const std::string& path : choice.paths) {
    ASSIGN_OR_RETURN(const Format* format, FormatFor(path, by_name, used_name));
    outputs.push_back({path, format});
  }
  if (!used_name) {
    return Usage(absl::StrFormat("--format %s", choice.format),
                 "the names of all outputs tell another format", "Leave one of them out.");
  }
  RETURN_IF_ERROR(CheckNoneTwice(outputs));
  const bool to_terminal = isatty(STDOUT_FILENO) != 0;
  for (const OutputFile& output : outputs) {
    if (output.is_stdout() && to_terminal && output.format->name == kRescueFormat) {
      return Usage("--output -", "this format is not for terminals",
                   "Send it to a file or a pipe.");
    }
  }
  return outputs;
}

absl::Status CheckAllWritable(const std::vector<OutputFile>& outputs,
                              const std::string& record_path) {
  if (!record_path.empty()) {
    RETURN_IF_ERROR(CheckWritable(record_path));
  }
  for (const OutputFile& output : outputs) {
    if (output.is_stdout()) {
      if (fcntl(STDOUT_FILENO, F_GETFL) < 0) {
        return FileProblem("standard output", errno);
      }
      continue;
    }
    RETURN_IF_ERROR(CheckWritable(output.path));
  }
  return absl::OkStatus();
}

WriteResult WriteOutputs(const Profile& profile, const std::vector<OutputFile>& outputs,
                         const ExportOptions& shape, const SignalWatcher& signals) {
  WriteResult result;
  for (const OutputFile& output : outputs) {
    const absl::Status status = WriteOne(profile, output, shape, signals);
    if (signals.gave_up()) {
      if (status.ok() && !output.is_stdout()) {
        result.written.push_back(output.path);
      }
      for (const std::string& path : result.written) {
        RemoveRegularFile(path);
      }
      return {.written = {}, .failed = {absl::CancelledError("given up")}};
    }
    if (status.ok()) {
      result.written.push_back(output.is_stdout() ? "standard output" : output.path);
    } else {
      result.failed.push_back(status);
    }
  }
  return result;
}

absl::StatusOr<std::string> RescueProfile(const Profile& profile, const std::string& base) {
  ASSIGN_OR_RETURN(const Format* format, FindFormatByName(kRescueFormat));
  ASSIGN_OR_RETURN(const std::string text, Render(profile, *format, ExportOptions()));
  const char* chosen = getenv("TMPDIR");
  std::vector<std::string> folders;
  if (chosen != nullptr && *chosen != '\0') {
    folders.emplace_back(chosen);
  }
  folders.emplace_back("/tmp");
  absl::Status status;
  for (const std::string& folder : folders) {
    const std::string path = absl::StrFormat("%s/%s%s", folder, base, format->suffixes.front());
    status = WriteText(path, text, nullptr);
    if (status.ok()) {
      return path;
    }
  }
  return status;
}

}  // namespace whyslow
