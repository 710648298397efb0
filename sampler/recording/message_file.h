// Length-delimited messages in a gzip file.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <zlib.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace whyslow {

struct CloseGzip {
  void operator()(gzFile_s* file) const { gzclose(file); }
};
using GzipPtr = std::unique_ptr<gzFile_s, CloseGzip>;

class MessageWriter {
 public:
  // A file beside `path`, mode 0600: stacks hold what the target had in hand.
  static absl::StatusOr<MessageWriter> Create(const std::string& path);

  absl::Status Write(std::string_view message);
  // Gives the finished file its name. Without it nothing is left.
  absl::Status Close();
  MessageWriter(MessageWriter&& other) noexcept
      : path_(std::move(other.path_)),
        temporary_(std::exchange(other.temporary_, {})),
        file_(std::move(other.file_)) {}
  MessageWriter& operator=(MessageWriter&&) = delete;
  ~MessageWriter();

 private:
  MessageWriter(std::string path, std::string temporary, GzipPtr file)
      : path_(std::move(path)), temporary_(std::move(temporary)), file_(std::move(file)) {}

  std::string path_;
  std::string temporary_;  // empty: closed, moved from, or no file
  GzipPtr file_;
};

class MessageReader {
 public:
  static absl::StatusOr<MessageReader> Open(const std::string& path);

  // nullopt at the end of the file. An error for a damaged or truncated one.
  absl::StatusOr<std::optional<std::string_view>> Next();

 private:
  MessageReader(std::string path, GzipPtr file) : path_(std::move(path)), file_(std::move(file)) {}
  absl::Status Damaged() const;

  std::string path_;
  GzipPtr file_;
  std::string message_;
};

}  // namespace whyslow
