// The table of waits, as text and as JSON. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "cli/report_text.h"
#include "profile/wait_table.h"

namespace whyslow {

std::string WaitsAsText(const WaitTable& table, const TextStyle& style);

// One object and a newline; docs/json.md tells its fields.
std::string WaitsAsJson(const WaitTable& table, int64_t duration_nanos, size_t limit,
                        int64_t idle_left_out);

}  // namespace whyslow
