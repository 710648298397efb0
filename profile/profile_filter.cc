#include "profile/profile_filter.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "base/status.h"
#include "profile/profile_builder.h"
#include "profile/saturated_sum.h"
#include "profile/wait_facts.h"

namespace whyslow {
namespace {

bool Matches(const ProfileFilter::MatchesText& matches, const ShownFrame& frame) {
  return matches(frame.name) || (!frame.file.empty() && matches(frame.file));
}

// For each location: has it a frame that matches?
std::vector<bool> LocationsThatMatch(const Profile& profile,
                                     const ProfileFilter::MatchesText& matches) {
  std::vector<bool> found(profile.locations.size());
  std::vector<ShownFrame> frames;
  for (uint32_t i = 0; i < found.size(); ++i) {
    frames.clear();
    AppendShownFrames(profile, LocationIndex(i), frames);
    found[i] = std::any_of(frames.begin(), frames.end(),
                           [&](const ShownFrame& frame) { return Matches(matches, frame); });
  }
  return found;
}

// Takes matching lines out of locations. Returns which locations have nothing left to show.
std::vector<bool> HideFrames(Profile& profile, const ProfileFilter::MatchesText& hide) {
  std::vector<bool> gone(profile.locations.size());
  std::vector<ShownFrame> frames;
  for (uint32_t i = 0; i < gone.size(); ++i) {
    frames.clear();
    AppendShownFrames(profile, LocationIndex(i), frames);
    std::vector<Line>& lines = profile.locations[i].lines;
    std::vector<Line> kept;
    for (size_t frame = 0; frame < frames.size(); ++frame) {
      if (Matches(hide, frames[frame])) {
        continue;
      }
      if (!lines.empty()) {  // frames stand outermost first, lines innermost first
        kept.insert(kept.begin(), lines[lines.size() - 1 - frame]);
      } else {
        kept.emplace_back();  // an unresolved location is one frame without a line
      }
    }
    gone[i] = kept.empty();
    if (!lines.empty() && !kept.empty()) {
      lines = std::move(kept);
    }
  }
  return gone;
}

// Builds the stacks anew without some locations.
class StackTrimmer {
 public:
  StackTrimmer(const Profile& profile, const std::vector<bool>& gone)
      : profile_(profile), gone_(gone) {}

  StackIndex Trim(StackIndex stack) {
    locations_.clear();
    AppendLocations(profile_, stack, locations_);
    StackIndex node;
    for (auto location = locations_.rbegin(); location != locations_.rend(); ++location) {
      if (!gone_[location->value()]) {
        node = Node(node, *location);
      }
    }
    return node;
  }

  std::vector<StackNode> Take() && { return std::move(stacks_); }

 private:
  StackIndex Node(StackIndex parent, LocationIndex location) {
    const StackIndex next(static_cast<uint32_t>(stacks_.size()));
    const auto [entry, is_new] = nodes_.try_emplace({parent, location}, next);
    if (is_new) {
      stacks_.push_back({.parent = parent, .location = location});
    }
    return entry->second;
  }

  const Profile& profile_;
  const std::vector<bool>& gone_;
  std::vector<StackNode> stacks_;
  absl::flat_hash_map<std::pair<StackIndex, LocationIndex>, StackIndex> nodes_;
  std::vector<LocationIndex> locations_;
};

// Keeps the samples that `keep` says yes to, with their values and durations.
template <class Keep>
void KeepSamples(Profile& profile, const Keep& keep) {
  const size_t columns = profile.value_types.size();
  std::map<size_t, DurationHistogram> wait_times;
  size_t kept = 0;
  for (size_t i = 0; i < profile.samples.size(); ++i) {
    if (!keep(profile.samples[i])) {
      continue;
    }
    profile.samples[kept] = profile.samples[i];
    for (size_t column = 0; column < columns; ++column) {
      profile.values[kept * columns + column] = profile.values[i * columns + column];
    }
    const auto times = profile.wait_times.find(i);
    if (times != profile.wait_times.end()) {
      wait_times.emplace_hint(wait_times.end(), kept, times->second);
    }
    ++kept;
  }
  profile.wait_times = std::move(wait_times);
  profile.samples.resize(kept);
  profile.values.resize(kept * columns);
}

void HideInStacks(Profile& profile, const ProfileFilter::MatchesText& hide) {
  const std::vector<bool> gone = HideFrames(profile, hide);
  StackTrimmer trimmer(profile, gone);
  for (Sample& sample : profile.samples) {
    if (sample.stack.valid()) {
      sample.stack = trimmer.Trim(sample.stack);
    }
  }
  profile.stacks = std::move(trimmer).Take();
  KeepSamples(profile, [](const Sample& sample) { return sample.stack.valid(); });
}

void CopyHeader(const Profile& from, ProfileBuilder& into) {
  Profile& header = into.header();
  const auto again = [&](StringIndex text) { return into.AddString(from.Text(text)); };
  header.time_nanos = from.time_nanos;
  header.period_type = {.type = again(from.period_type.type), .unit = again(from.period_type.unit)};
  header.period = from.period;
  header.default_sample_type = again(from.default_sample_type);
  header.drop_frames = again(from.drop_frames);
  header.keep_frames = again(from.keep_frames);
  header.doc_url = again(from.doc_url);
}

}  // namespace

Profile FilterProfile(Profile profile, const ProfileFilter& filter) {
  if (filter.thread) {
    KeepSamples(profile, [&](const Sample& sample) {
      return filter.thread(profile.TextLabel(sample, "thread"), profile.NumberLabel(sample, "tid"));
    });
  }
  if (!filter.idle) {
    KeepSamples(profile, [&](const Sample& sample) { return !IsIdle(profile, sample); });
  }
  if (filter.focus) {
    const std::vector<bool> in_focus = LocationsThatMatch(profile, filter.focus);
    KeepSamples(profile, [&](const Sample& sample) {
      for (StackIndex node = sample.stack; node.valid(); node = profile.StackAt(node).parent) {
        if (in_focus[profile.StackAt(node).location.value()]) {
          return true;
        }
      }
      return false;
    });
  }
  if (filter.hide) {
    HideInStacks(profile, filter.hide);
  }
  return profile;
}

absl::StatusOr<Profile> MergeProfiles(std::span<const Profile> profiles) {
  WHYSLOW_CHECK(!profiles.empty());
  const Profile& first = profiles.front();
  ProfileBuilder builder;
  std::vector<std::pair<std::string_view, std::string_view>> types;
  for (const ValueType& type : first.value_types) {
    types.emplace_back(first.Text(type.type), first.Text(type.unit));
  }
  builder.SetValueTypes(types);
  CopyHeader(first, builder);
  for (const Profile& profile : profiles) {
    if (!MergeInto(builder, profile)) {
      return MakeStatus(absl::StatusCode::kInvalidArgument, "the profiles' value types differ");
    }
    Profile& header = builder.header();
    header.time_nanos = std::min(header.time_nanos, profile.time_nanos);
    header.duration_nanos = SaturatedSum(header.duration_nanos, profile.duration_nanos);
    for (const StringIndex comment : profile.comments) {
      header.comments.push_back(builder.AddString(profile.Text(comment)));
    }
  }
  return std::move(builder).Build();
}

}  // namespace whyslow
