#include "exporters/beside_pprof.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>
#include <vector>

#include "exporters/pprof_fields.h"
#include "exporters/proto/whyslow.pb.h"

namespace whyslow {
namespace {

using beside_pprof::BesidePprof;

constexpr std::string_view kFormat = "whyslow";
constexpr uint32_t kVersion = 1;
// Values of samples are signed; what is larger is no time and no count that was measured.
constexpr uint64_t kLargestSum = std::numeric_limits<int64_t>::max();

using WaitTimesOfSample = std::pair<size_t, const DurationHistogram*>;

// Those with the most time, in order of the samples.
std::vector<WaitTimesOfSample> LargestOf(const std::map<size_t, DurationHistogram>& all) {
  std::vector<WaitTimesOfSample> chosen;
  for (const auto& [sample, times] : all) {
    chosen.emplace_back(sample, &times);
  }
  if (chosen.size() > kMostWaitTimes) {
    std::stable_sort(chosen.begin(), chosen.end(), [](const auto& a, const auto& b) {
      return a.second->total > b.second->total;
    });
    chosen.resize(kMostWaitTimes);
    std::sort(chosen.begin(), chosen.end());
  }
  return chosen;
}

void Fill(size_t sample, const DurationHistogram& times, beside_pprof::WaitTimes& out) {
  out.set_sample(sample);
  out.set_count(std::min(times.count, kLargestSum));
  out.set_total_nanos(std::min(times.total, kLargestSum));
  out.set_max_nanos(std::min(times.max, kLargestSum));
  for (uint32_t bucket = 0; bucket < times.buckets.size(); ++bucket) {
    if (times.buckets[bucket] > 0) {
      out.add_bucket(bucket);
      out.add_bucket_count(times.buckets[bucket]);
    }
  }
}

std::optional<DurationHistogram> HistogramFrom(const beside_pprof::WaitTimes& message) {
  if (message.bucket_size() != message.bucket_count_size() || message.count() > kLargestSum ||
      message.total_nanos() > kLargestSum || message.max_nanos() > kLargestSum) {
    return std::nullopt;
  }
  DurationHistogram times{
      .count = message.count(), .total = message.total_nanos(), .max = message.max_nanos()};
  for (int i = 0; i < message.bucket_size(); ++i) {
    const uint32_t bucket = message.bucket(i);
    if (bucket >= kDurationBuckets || (i > 0 && bucket <= message.bucket(i - 1))) {
      return std::nullopt;
    }
    times.buckets[bucket] = message.bucket_count(i);
  }
  return times;
}

// One walk over the fields of a message. Rows are parsed one by one, so that a few bytes of a file
// cannot become many in memory.
class Decoder {
 public:
  bool Read(std::string_view message) {
    ProtoFieldReader fields(message);
    while (const std::optional<ProtoField> field = fields.Next()) {
      if (!ReadField(*field)) {
        return false;
      }
    }
    return !fields.damaged() && header_.ParseFromString(header_fields_) &&
           header_.format() == kFormat && header_.version() == kVersion;
  }

  // Rows are in order, so the last one tells for all.
  bool Fits(const Profile& profile) const {
    return header_.samples() == profile.samples.size() &&
           (wait_times_.empty() || wait_times_.rbegin()->first < profile.samples.size());
  }

  std::map<size_t, DurationHistogram> TakeWaitTimes() { return std::move(wait_times_); }

  std::string Rest() const {
    return unknown_fields_.empty() ? "" : header_.SerializeAsString() + unknown_fields_;
  }

 private:
  bool ReadField(const ProtoField& field) {
    switch (field.number) {
      case BesidePprof::kWaitTimesFieldNumber:
        return field.is_message && ReadWaitTimes(field.payload);
      case BesidePprof::kFormatFieldNumber:
      case BesidePprof::kVersionFieldNumber:
      case BesidePprof::kSamplesFieldNumber:
        header_fields_.append(field.raw);
        return true;
      default:
        unknown_fields_.append(field.raw);
        return true;
    }
  }

  bool ReadWaitTimes(std::string_view payload) {
    if (wait_times_.size() >= kMostWaitTimes ||
        payload.size() > static_cast<size_t>(std::numeric_limits<int>::max()) ||
        !row_.ParseFromArray(payload.data(), static_cast<int>(payload.size())) ||
        (!wait_times_.empty() && row_.sample() <= wait_times_.rbegin()->first)) {
      return false;
    }
    const std::optional<DurationHistogram> times = HistogramFrom(row_);
    if (times) {
      wait_times_.emplace_hint(wait_times_.end(), row_.sample(), *times);
    }
    return times.has_value();
  }

  BesidePprof header_;
  beside_pprof::WaitTimes row_;
  std::string header_fields_;
  std::string unknown_fields_;
  std::map<size_t, DurationHistogram> wait_times_;
};

}  // namespace

std::string EncodeBesidePprof(const Profile& profile) {
  if (profile.wait_times.empty()) {
    return {};
  }
  BesidePprof message;
  message.set_format(std::string(kFormat));
  message.set_version(kVersion);
  message.set_samples(profile.samples.size());
  for (const auto& [sample, times] : LargestOf(profile.wait_times)) {
    Fill(sample, *times, *message.add_wait_times());
  }
  return message.SerializeAsString();
}

std::optional<std::string> DecodeBesidePprof(std::string_view message, Profile& profile) {
  Decoder decoder;
  if (!decoder.Read(message) || !decoder.Fits(profile)) {
    return std::nullopt;
  }
  profile.wait_times = decoder.TakeWaitTimes();
  return decoder.Rest();
}

}  // namespace whyslow
