#include "profile/wait_rewriter.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "profile/saturated_sum.h"
#include "profile/wait_facts.h"

namespace whyslow {
namespace {

std::string_view NameOf(TlsUse use) {
  switch (use) {
    case TlsUse::kRead:
      return "read";
    case TlsUse::kWrite:
      return "write";
    case TlsUse::kHandshake:
      return "handshake";
    case TlsUse::kNone:
    case TlsUse::kSome:
      break;
  }
  return "";
}

template <class Row>
uint32_t Append(std::vector<Row>& table, Row row) {
  table.push_back(std::move(row));
  return static_cast<uint32_t>(table.size() - 1);
}

// For keys of hash tables: as a number or a text it is the same row.
auto FieldsOf(const Label& label) {
  return std::tuple(label.key, label.text, label.number, label.unit);
}

class WaitRewriter {
 public:
  explicit WaitRewriter(Profile& profile) : profile_(profile) {
    IndexWaitRows();
    for (uint32_t i = 0; i < profile.label_sets.size(); ++i) {
      label_rows_.try_emplace(KeyOf(profile.label_sets[i].labels), LabelSetIndex(i));
    }
  }

  void Apply(const WaitChange& change) {
    Sample& sample = profile_.samples[change.sample];
    const StackNode leaf = profile_.StackAt(sample.stack);
    const bool other_kind = KindAt(leaf.location) != change.kind;
    if (other_kind || change.callers != leaf.parent) {
      sample.stack = StackOf(change.callers, LocationOf(change.kind, leaf.location));
    }
    sample.labels = LabelsOf(sample.labels, change, other_kind);
  }

 private:
  using LabelsKey = std::vector<std::tuple<StringIndex, StringIndex, int64_t, StringIndex>>;

  static LabelsKey KeyOf(const std::vector<Label>& labels) {
    LabelsKey key;
    key.reserve(labels.size());
    for (const Label& label : labels) {
      key.push_back(FieldsOf(label));
    }
    return key;
  }

  void IndexWaitRows() {
    for (uint32_t i = 0; i < profile_.locations.size(); ++i) {
      if (const std::optional<WaitKind> kind = KindAt(LocationIndex(i))) {
        locations_.try_emplace(*kind, LocationIndex(i));
      }
    }
    for (uint32_t i = 0; i < profile_.stacks.size(); ++i) {
      const StackNode& node = profile_.stacks[i];
      if (KindAt(node.location)) {
        stacks_.try_emplace({node.parent, node.location}, StackIndex(i));
      }
    }
    for (uint32_t i = 0; i < profile_.strings.size(); ++i) {
      strings_.try_emplace(profile_.strings[i], StringIndex(i));
    }
  }

  std::optional<WaitKind> KindAt(LocationIndex index) const {
    return WaitKindOfFrame(WaitFrameAt(profile_, index));
  }

  StringIndex Text(std::string_view text) {
    const auto row = strings_.find(std::string(text));
    if (row != strings_.end()) {
      return row->second;
    }
    return strings_[std::string(text)] = StringIndex(Append(profile_.strings, std::string(text)));
  }

  // In the module of `like`.
  LocationIndex LocationOf(WaitKind kind, LocationIndex like) {
    if (const auto row = locations_.find(kind); row != locations_.end()) {
      return row->second;
    }
    const FunctionIndex function(Append(profile_.functions, {.name = Text(FrameNameOf(kind))}));
    Location location{.module = profile_.LocationAt(like).module, .lines = {}};
    location.lines.push_back({.function = function});
    return locations_[kind] = LocationIndex(Append(profile_.locations, std::move(location)));
  }

  StackIndex StackOf(StackIndex parent, LocationIndex location) {
    const auto row = stacks_.find({parent, location});
    if (row != stacks_.end()) {
      return row->second;
    }
    return stacks_[{parent, location}] =
               StackIndex(Append(profile_.stacks, {.parent = parent, .location = location}));
  }

  // Each change of each set once.
  LabelSetIndex LabelsOf(LabelSetIndex old, const WaitChange& change, bool other_kind) {
    const std::string_view tls = NameOf(change.tls);
    if (!other_kind && !change.idle && tls.empty()) {
      return old;
    }
    const auto [row, is_new] =
        changed_labels_.try_emplace({old, change.kind, change.tls, change.idle, other_kind});
    if (is_new) {
      std::vector<Label> labels;
      if (old.valid()) {
        labels = profile_.label_sets[old.value()].labels;
      }
      if (other_kind) {
        Set(labels, "wait", whyslow::NameOf(change.kind));
      }
      if (!tls.empty()) {
        Set(labels, "tls", tls);
      }
      if (change.idle) {
        Set(labels, "idle", "yes");
      }
      row->second = SetOf(std::move(labels));
    }
    return row->second;
  }

  // In its place where there is one with this key.
  void Set(std::vector<Label>& labels, std::string_view key, std::string_view text) {
    const Label label{.key = Text(key), .text = Text(text)};
    const auto place = std::ranges::find(labels, label.key, &Label::key);
    if (place != labels.end()) {
      *place = label;
    } else {
      labels.push_back(label);
    }
  }

  LabelSetIndex SetOf(std::vector<Label> labels) {
    const auto [row, is_new] = label_rows_.try_emplace(KeyOf(labels));
    if (is_new) {
      row->second = LabelSetIndex(Append(profile_.label_sets, {.labels = std::move(labels)}));
    }
    return row->second;
  }

  Profile& profile_;
  absl::flat_hash_map<std::string, StringIndex> strings_;
  absl::flat_hash_map<WaitKind, LocationIndex> locations_;
  absl::flat_hash_map<std::pair<StackIndex, LocationIndex>, StackIndex> stacks_;
  absl::flat_hash_map<LabelsKey, LabelSetIndex> label_rows_;
  absl::flat_hash_map<std::tuple<LabelSetIndex, WaitKind, TlsUse, bool, bool>, LabelSetIndex>
      changed_labels_;
};

void AddTo(Profile& profile, size_t into, size_t from) {
  const std::span<int64_t> total = profile.ValuesOf(into);
  const std::span<int64_t> more = profile.ValuesOf(from);
  for (size_t column = 0; column < total.size(); ++column) {
    total[column] = SaturatedSum(total[column], more[column]);
  }
}

// Adds up equal waits, at the place of the first one. Other samples are only moved.
void AddUpWaits(Profile& profile, std::span<const WaitChange> changes) {
  absl::flat_hash_map<std::pair<StackIndex, LabelSetIndex>, size_t> rows;
  std::map<size_t, DurationHistogram> wait_times;
  const size_t columns = profile.value_types.size();
  size_t kept = 0;
  const auto* change = changes.data();
  const auto* const end = change + changes.size();
  for (size_t i = 0; i < profile.samples.size(); ++i) {
    const Sample sample = profile.samples[i];
    size_t place = kept;
    if (change != end && change->sample == i) {
      ++change;
      place = rows.try_emplace({sample.stack, sample.labels}, kept).first->second;
    }
    if (place == kept) {
      profile.samples[kept] = sample;
      std::ranges::copy(profile.ValuesOf(i), profile.ValuesOf(kept).begin());
      ++kept;
    } else {
      AddTo(profile, place, i);
    }
    if (const auto times = profile.wait_times.find(i); times != profile.wait_times.end()) {
      wait_times[place].Add(times->second);
    }
  }
  profile.samples.resize(kept);
  profile.values.resize(kept * columns);
  profile.wait_times = std::move(wait_times);
}

}  // namespace

Profile RewriteWaits(Profile profile, std::span<const WaitChange> changes) {
  WaitRewriter rewriter(profile);
  for (const WaitChange& change : changes) {
    rewriter.Apply(change);
  }
  AddUpWaits(profile, changes);
  return profile;
}

}  // namespace whyslow
