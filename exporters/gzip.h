// gzip, as a stream out and as a whole in.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <zlib.h>

#include <array>
#include <cstddef>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>

namespace whyslow {

// Compresses into a stream, 64 KiB at a time. Equal input gives equal bytes: the header carries no
// time and no name.
class GzipWriter {
 public:
  explicit GzipWriter(std::ostream& out);
  GzipWriter(const GzipWriter&) = delete;
  GzipWriter& operator=(const GzipWriter&) = delete;
  ~GzipWriter();

  void Append(std::string_view bytes) { Deflate(bytes, Z_NO_FLUSH); }
  // Once, at the end. Tells of any failure since the beginning.
  absl::Status Finish();

 private:
  void Deflate(std::string_view bytes, int flush);

  std::ostream& out_;
  z_stream stream_{};
  int result_ = Z_OK;
  std::array<char, size_t{64} * 1024> buffer_{};
};

// What a compressed file may grow to. Legitimate profiles shrink 3 to 30 times; a file made to
// exhaust memory shrinks 1,000 times.
struct GzipLimits {
  size_t bytes = size_t{2} << 30;  // what any reader built on protobuf can take
  size_t ratio = 250;              // held only beyond `ratio_from`
  size_t ratio_from = size_t{64} << 20;
};

bool IsGzip(std::string_view bytes);

// All members of a gzip file, one after the other. Truncated, damaged and bloated input is an
// error, as is anything after the last member.
absl::StatusOr<std::string> Gunzip(std::string_view bytes, const GzipLimits& limits = {});

}  // namespace whyslow
