// What a profile spent its time in, added up: one row a function, line, thread or process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "profile/profile.h"

namespace whyslow {

// Waits have a table of their own (wait_table.h).
enum class GroupBy : uint8_t { kFunction, kLine, kThread, kProcess, kWait };

// self: samples whose innermost frame is the row's. total: samples that have the row's frame
// anywhere in the stack, each counted once however often the function recurses. For threads and
// processes the two are equal.
struct TableRow {
  std::string name;
  std::string file;    // "" where unknown, and for threads and processes
  int64_t line = 0;    // kLine only
  int64_t number = 0;  // the tid or pid, for kThread and kProcess; 0: unknown
  ModuleKind kind = ModuleKind::kFile;
  int64_t self = 0;
  int64_t total = 0;
};

struct FunctionTable {
  std::string type;  // of the column: "cpu"
  std::string unit;  // "nanoseconds"
  int64_t total = 0;
  std::vector<TableRow> rows;  // greatest self first, then greatest total, then by name
};

// Sums of one column of values. Equal name and file make one row: the same function of two builds
// of a program is one. Not for kWait.
FunctionTable MakeFunctionTable(const Profile& profile, size_t column, GroupBy by);

}  // namespace whyslow
