// The four kinds of work that the example server does, each with a CPU profile of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace example {

// A value of a small document language: a number, a text, or a list of values.
struct Value {
  double number = 0;
  std::string text;
  std::vector<std::unique_ptr<Value>> items;
};

// A document with nested lists, made up from `seed`.
std::string MakeDocument(uint64_t seed, int depth);
// Reads what MakeDocument writes. Recursive: one frame a level. Null when it is malformed.
std::unique_ptr<Value> ParseDocument(std::string_view text);
double SumOf(const Value& value);

// A hash iterated many times, as for passwords: a tight loop in one function.
uint64_t StretchKey(std::string_view password, int rounds);

// Records sorted by name, then by number: comparison functions and moves, deep in the library.
struct Record {
  std::string name;
  int64_t number = 0;
};
std::vector<Record> MakeRecords(uint64_t seed, size_t count);
void SortRecords(std::vector<Record>& records);

// Replaces repetitions within the last 4 KiB by back references; returns the encoded bytes.
std::string Compress(std::string_view text);
std::string Decompress(std::string_view encoded);

}  // namespace example
