// What the labels of a sample say about its thread and about what it waits for.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <string_view>
#include <tuple>
#include <vector>

#include "profile/profile.h"

namespace whyslow {

struct WaitLabels {
  // Numbers for one profile.
  uint32_t process_name = 0;
  uint32_t process = 0;
  uint32_t thread = 0;
  // The peer's port, or all of a peer without one; "" when there is none.
  std::string_view peer_port;
  bool to_resolver = false;
};

// Reads each set of labels once. Borrows the profile, whose labels may not change meanwhile.
class WaitLabelReader {
 public:
  explicit WaitLabelReader(const Profile& profile);

  // The reference stays valid.
  const WaitLabels& Read(LabelSetIndex labels);

 private:
  WaitLabels ReadOnce(LabelSetIndex labels);
  template <class Map, class Key>
  static uint32_t NumberOf(Map& numbers, const Key& key) {
    return numbers.try_emplace(key, static_cast<uint32_t>(numbers.size())).first->second;
  }

  const Profile& profile_;
  std::vector<WaitLabels> sets_;  // the last one for samples without labels
  std::vector<bool> is_read_;
  absl::flat_hash_map<std::string_view, uint32_t> process_names_;
  absl::flat_hash_map<std::tuple<uint32_t, int64_t>, uint32_t> processes_;
  absl::flat_hash_map<std::tuple<uint32_t, int64_t, std::string_view>, uint32_t> threads_;
};

}  // namespace whyslow
