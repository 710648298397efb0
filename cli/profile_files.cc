#include "cli/profile_files.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_format.h>

#include "base/status.h"
#include "cli/console.h"
#include "cli/regex.h"
#include "exporters/pprof_reader.h"
#include "profile/profile_filter.h"
#include "profile/wait_table.h"

namespace whyslow {
namespace {

absl::StatusOr<ProfileFilter::MatchesText> TextMatcher(const std::string& pattern) {
  if (pattern.empty()) {
    return ProfileFilter::MatchesText();
  }
  ASSIGN_OR_RETURN(const Regex regex, Regex::Compile(pattern));
  return ProfileFilter::MatchesText([regex](std::string_view text) { return regex.Matches(text); });
}

absl::StatusOr<ProfileFilter> MakeFilter(const FilterChoice& choice) {
  ProfileFilter filter;
  ASSIGN_OR_RETURN(filter.focus, TextMatcher(choice.focus));
  ASSIGN_OR_RETURN(filter.hide, TextMatcher(choice.hide));
  ASSIGN_OR_RETURN(const ProfileFilter::MatchesText name, TextMatcher(choice.thread));
  int64_t number = 0;
  const bool is_number = absl::SimpleAtoi(choice.thread, &number);
  if (name) {
    filter.thread = [name, is_number, number](std::string_view thread, std::optional<int64_t> tid) {
      return name(thread) || (is_number && tid == number);
    };
  }
  return filter;
}

std::string ValueTypesOf(const Profile& profile) {
  std::string names;
  for (const ValueType& type : profile.value_types) {
    names += absl::StrFormat("%s%s", names.empty() ? "" : ", ", profile.Text(type.type));
  }
  return names.empty() ? "none" : names;
}

}  // namespace

absl::StatusOr<Profile> LoadProfiles(const std::vector<std::string>& files,
                                     const FilterChoice& choice) {
  ASSIGN_OR_RETURN(const ProfileFilter filter, MakeFilter(choice));
  std::vector<Profile> profiles;
  for (const std::string& file : files) {
    ASSIGN_OR_RETURN(Profile profile, ReadPprofFile(file));
    if (!profiles.empty() && ValueTypesOf(profile) != ValueTypesOf(profiles.front())) {
      return MakeStatus(absl::StatusCode::kInvalidArgument,
                        absl::StrFormat("%s: it has other values (%s) than %s (%s). Report them "
                                        "one by one",
                                        file, ValueTypesOf(profile), files.front(),
                                        ValueTypesOf(profiles.front())));
    }
    profiles.push_back(std::move(profile));
  }
  if (profiles.size() == 1) {
    return FilterProfile(std::move(profiles.front()), filter);
  }
  ASSIGN_OR_RETURN(Profile merged, MergeProfiles(profiles));
  return FilterProfile(std::move(merged), filter);
}

absl::StatusOr<size_t> ChooseColumn(const Profile& profile, const std::string& value_type) {
  if (profile.value_types.empty()) {
    return MakeStatus(absl::StatusCode::kInvalidArgument,
                      "the profile has no values: it holds nothing to show");
  }
  if (value_type.empty()) {
    return profile.DefaultValueColumn();
  }
  if (const std::optional<size_t> column = profile.FindValueType(value_type)) {
    return *column;
  }
  return MakeStatus(absl::StatusCode::kInvalidArgument,
                    absl::StrFormat("--value %s: the profile has no such value. It has %s",
                                    value_type, ValueTypesOf(profile)));
}

absl::StatusOr<size_t> ChooseWaitColumn(const Profile& profile) {
  if (!KnowsWaits(profile)) {
    return MakeStatus(absl::StatusCode::kInvalidArgument,
                      absl::StrFormat("--by wait: the profile has no waiting time. It has %s",
                                      ValueTypesOf(profile)));
  }
  return *profile.FindValueType("wait");
}

}  // namespace whyslow
