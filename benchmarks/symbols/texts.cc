// A unit of the generated program (benchmarks/debug_files.py): streams and regular expressions.
#include <algorithm>
#include <iomanip>
#include <iterator>
#include <regex>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace space0000 {
namespace {

struct Token {
  std::string text;
  size_t line = 0;
};

class Scanner {
 public:
  explicit Scanner(const std::string& pattern) : pattern_(pattern, std::regex::optimize) {}

  std::vector<Token> Scan(const std::string& text) const {
    std::vector<Token> tokens;
    for (std::sregex_iterator at(text.begin(), text.end(), pattern_), end; at != end; ++at) {
      tokens.push_back({at->str(), static_cast<size_t>(at->position())});
    }
    return tokens;
  }

 private:
  std::regex pattern_;
};

template <class Rows, class Less>
std::string Print(Rows rows, Less less) {
  std::sort(rows.begin(), rows.end(), less);
  std::ostringstream out;
  for (const auto& row : rows) {
    out << std::setw(12) << row.text << std::hex << row.line << '\n';
  }
  return out.str();
}

}  // namespace

class Report {
 public:
  virtual ~Report() = default;
  virtual std::string Text(int count) const {
    struct Line {
      int number;
      std::string operator()(std::string_view word) const {
        return std::string(word) + ":" + std::to_string(number);
      }
    };
    std::istringstream words("alpha beta gamma " + std::to_string(count));
    std::vector<std::string> lines;
    std::transform(std::istream_iterator<std::string>(words), std::istream_iterator<std::string>(),
                   std::back_inserter(lines), Line{count});
    std::string all;
    for (const std::string& line : lines) {
      all += line + " ";
    }
    return all;
  }
};

}  // namespace space0000

long unit_space0000(int count) {
  using namespace space0000;
  const Scanner scanner("([a-z]+):([0-9]+)|" + std::to_string(count));
  const std::vector<Token> tokens = scanner.Scan(Report().Text(count));
  const std::string by_text =
      Print(tokens, [](const Token& a, const Token& b) { return a.text < b.text; });
  const std::string by_line =
      Print(tokens, [](const Token& a, const Token& b) { return a.line < b.line; });
  return static_cast<long>(std::regex_replace(by_text, std::regex("a+"), "b").size() +
                           by_line.size());
}
