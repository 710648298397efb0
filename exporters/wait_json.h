// The table of waits as JSON, for `report --by wait --json` and the .json format.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>

#include "profile/wait_table.h"

namespace whyslow {

// An array of the first `limit` rows. Times are nanoseconds; null: unknown. docs/json.md tells the
// fields.
nlohmann::ordered_json WaitRowsAsJson(const WaitTable& table, size_t limit);

}  // namespace whyslow
