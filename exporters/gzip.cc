#include "exporters/gzip.h"

#include <absl/strings/str_format.h>

#include <algorithm>
#include <limits>

#include "base/status.h"
#include "exporters/exporter.h"

namespace whyslow {
namespace {

// zlib: window of 32 KiB, and a gzip header instead of its own.
constexpr int kGzipWindowBits = 15 + 16;
constexpr int kMemoryLevel = 8;

size_t MostBytes(size_t in, const GzipLimits& limits) {
  const size_t by_ratio = in < limits.bytes / limits.ratio ? in * limits.ratio : limits.bytes;
  return std::min(limits.bytes, std::max(by_ratio, limits.ratio_from));
}

absl::Status Damaged(std::string_view why) { return MakeStatus(absl::StatusCode::kDataLoss, why); }

// Inflates from `stream` until its input is used up or a member ends; what does not fit is an
// error.
class Inflater {
 public:
  Inflater(std::string_view bytes, size_t limit) : input_(bytes), limit_(limit) {
    result_ = inflateInit2(&stream_, kGzipWindowBits);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { inflateEnd(&stream_); }

  absl::StatusOr<std::string> Run() && {
    while (result_ == Z_OK) {
      Step();
      if (result_ == Z_STREAM_END && InputLeft() > 0) {
        result_ = inflateReset(&stream_);
      }
      if (output_.size() > limit_) {
        return MakeStatus(absl::StatusCode::kResourceExhausted,
                          absl::StrFormat("unpacks to more than %d bytes", limit_));
      }
    }
    if (result_ == Z_STREAM_END) {
      return std::move(output_);
    }
    if (result_ == Z_MEM_ERROR) {
      return MakeStatus(absl::StatusCode::kResourceExhausted, "no memory to unpack it");
    }
    return Damaged(result_ == Z_BUF_ERROR ? "the gzip data ends too early (a truncated file?)"
                                          : "the gzip data is damaged");
  }

 private:
  size_t InputLeft() const { return input_.size() + stream_.avail_in; }

  void Step() {
    if (stream_.avail_in == 0) {
      const size_t bytes = std::min<size_t>(input_.size(), std::numeric_limits<uInt>::max());
      // zlib's interface predates const.
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input_.data()));
      stream_.avail_in = static_cast<uInt>(bytes);
      input_.remove_prefix(bytes);
    }
    stream_.next_out = reinterpret_cast<Bytef*>(chunk_.data());
    stream_.avail_out = static_cast<uInt>(chunk_.size());
    result_ = inflate(&stream_, Z_NO_FLUSH);
    output_.append(chunk_.data(), chunk_.size() - stream_.avail_out);
  }

  std::string_view input_;
  size_t limit_;
  z_stream stream_{};
  int result_ = Z_OK;
  std::string output_;
  std::array<char, size_t{64} * 1024> chunk_{};
};

}  // namespace

GzipWriter::GzipWriter(std::ostream& out) : out_(out) {
  result_ = deflateInit2(&stream_, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzipWindowBits, kMemoryLevel,
                         Z_DEFAULT_STRATEGY);
}

GzipWriter::~GzipWriter() { deflateEnd(&stream_); }

void GzipWriter::Deflate(std::string_view bytes, int flush) {
  do {
    const size_t part = std::min<size_t>(bytes.size(), std::numeric_limits<uInt>::max());
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream_.avail_in = static_cast<uInt>(part);
    bytes.remove_prefix(part);
    do {
      if (result_ != Z_OK || !out_) {
        return;
      }
      stream_.next_out = reinterpret_cast<Bytef*>(buffer_.data());
      stream_.avail_out = static_cast<uInt>(buffer_.size());
      result_ = deflate(&stream_, bytes.empty() ? flush : Z_NO_FLUSH);
      if (result_ == Z_BUF_ERROR) {  // nothing to do: the input is in, and no output is due
        result_ = Z_OK;
      }
      out_.write(buffer_.data(), static_cast<std::streamsize>(buffer_.size() - stream_.avail_out));
    } while (stream_.avail_out == 0);
  } while (!bytes.empty());
}

absl::Status GzipWriter::Finish() {
  Deflate({}, Z_FINISH);
  if (out_ && result_ != Z_STREAM_END) {
    return MakeStatus(absl::StatusCode::kInternal,
                      absl::StrFormat("compression failed: zlib error %d", result_));
  }
  return FinishStream(out_);
}

bool IsGzip(std::string_view bytes) { return bytes.starts_with("\x1f\x8b"); }

absl::StatusOr<std::string> Gunzip(std::string_view bytes, const GzipLimits& limits) {
  return Inflater(bytes, MostBytes(bytes.size(), limits)).Run();
}

}  // namespace whyslow
