#include "work.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace example {
namespace {

uint64_t NextRandom(uint64_t& state) {
  state += 0x9e3779b97f4a7c15;
  uint64_t word = state;
  word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9;
  word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
  return word ^ (word >> 31);
}

void AppendValue(std::string& out, uint64_t& random, int depth) {
  const uint64_t choice = NextRandom(random);
  if (depth > 0) {
    out += '[';
    for (uint64_t i = 0; i < 3; ++i) {
      out += i == 0 ? "" : ", ";
      AppendValue(out, random, depth - 1);
    }
    out += ']';
  } else if (choice % 3 == 0) {
    out += '"';
    out.append(choice % 11, static_cast<char>('a' + choice % 26));
    out += '"';
  } else {
    out += std::to_string(choice % 100'000);
  }
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  std::unique_ptr<Value> ParseValue() {
    SkipSpace();
    if (at_ >= text_.size()) {
      return nullptr;
    }
    switch (text_[at_]) {
      case '[':
        return ParseList();
      case '"':
        return ParseText();
      default:
        return ParseNumber();
    }
  }

 private:
  void SkipSpace() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == ',')) {
      ++at_;
    }
  }

  std::unique_ptr<Value> ParseList() {
    auto list = std::make_unique<Value>();
    ++at_;
    for (SkipSpace(); at_ < text_.size() && text_[at_] != ']'; SkipSpace()) {
      std::unique_ptr<Value> item = ParseValue();
      if (item == nullptr) {
        return nullptr;
      }
      list->items.push_back(std::move(item));
    }
    ++at_;
    return list;
  }

  std::unique_ptr<Value> ParseText() {
    const size_t end = text_.find('"', at_ + 1);
    if (end == std::string_view::npos) {
      return nullptr;
    }
    auto value = std::make_unique<Value>();
    value->text = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return value;
  }

  std::unique_ptr<Value> ParseNumber() {
    auto value = std::make_unique<Value>();
    int64_t number = 0;
    const char* begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), number);
    if (error != std::errc()) {
      return nullptr;
    }
    value->number = static_cast<double>(number);
    at_ += static_cast<size_t>(end - begin);
    return value;
  }

  std::string_view text_;
  size_t at_ = 0;
};

bool ComesBefore(const Record& left, const Record& right) {
  return left.name != right.name ? left.name < right.name : left.number < right.number;
}

constexpr size_t kShortestMatch = 4;
constexpr size_t kWindow = 4096;

size_t HashOfFour(std::string_view text, size_t at) {
  uint32_t word = 0;
  for (size_t i = 0; i < kShortestMatch; ++i) {
    word = word << 8 | static_cast<unsigned char>(text[at + i]);
  }
  return word * 2654435761U >> 22;
}

size_t MatchLength(std::string_view text, size_t earlier, size_t now) {
  size_t length = 0;
  while (length < 255 && now + length < text.size() &&
         text[earlier + length] == text[now + length]) {
    ++length;
  }
  return length;
}

}  // namespace

std::string MakeDocument(uint64_t seed, int depth) {
  std::string out;
  AppendValue(out, seed, depth);
  return out;
}

std::unique_ptr<Value> ParseDocument(std::string_view text) { return Parser(text).ParseValue(); }

double SumOf(const Value& value) {
  double sum = value.number;
  for (const auto& item : value.items) {
    sum += SumOf(*item);
  }
  return sum;
}

uint64_t StretchKey(std::string_view password, int rounds) {
  uint64_t hash = 14695981039346656037U;
  for (int round = 0; round < rounds; ++round) {
    for (const char c : password) {
      hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
    }
    hash ^= hash >> 29;
  }
  return hash;
}

std::vector<Record> MakeRecords(uint64_t seed, size_t count) {
  std::vector<Record> records(count);
  for (Record& record : records) {
    const uint64_t word = NextRandom(seed);
    record.name = "customer-" + std::to_string(word % (count / 4 + 1));
    record.number = static_cast<int64_t>(word >> 40);
  }
  return records;
}

void SortRecords(std::vector<Record>& records) {
  std::sort(records.begin(), records.end(), ComesBefore);
}

// Format: a byte 0 and one literal, or a length >= 4 and a distance in two bytes.
std::string Compress(std::string_view text) {
  constexpr uint32_t kNever = 0xffffffff;
  std::array<uint32_t, 1024> last_seen;
  last_seen.fill(kNever);
  std::string out;
  for (size_t at = 0; at < text.size();) {
    size_t length = 0;
    uint32_t earlier = kNever;
    if (at + kShortestMatch <= text.size()) {
      earlier = std::exchange(last_seen[HashOfFour(text, at)], static_cast<uint32_t>(at));
    }
    if (earlier != kNever && at - earlier < kWindow) {
      length = MatchLength(text, earlier, at);
    }
    if (length >= kShortestMatch) {
      const size_t distance = at - earlier;
      out += {static_cast<char>(length), static_cast<char>(distance & 255),
              static_cast<char>(distance >> 8)};
      at += length;
    } else {
      out += {'\0', text[at]};
      ++at;
    }
  }
  return out;
}

std::string Decompress(std::string_view encoded) {
  std::string out;
  for (size_t at = 0; at + 1 < encoded.size();) {
    const size_t length = static_cast<unsigned char>(encoded[at]);
    if (length == 0) {
      out += encoded[at + 1];
      at += 2;
      continue;
    }
    if (at + 2 >= encoded.size()) {
      break;
    }
    const size_t distance = static_cast<unsigned char>(encoded[at + 1]) +
                            (size_t{static_cast<unsigned char>(encoded[at + 2])} << 8);
    if (distance == 0 || distance > out.size()) {
      break;
    }
    for (size_t i = 0; i < length; ++i) {
      out += out[out.size() - distance];
    }
    at += 3;
  }
  return out;
}

}  // namespace example
