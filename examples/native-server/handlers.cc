#include "handlers.h"

#include <cstdint>

#include "work.h"

namespace example {
namespace {

class ParseHandler final : public Handler {
 public:
  std::string Answer(uint64_t seed) override {
    const std::string document = MakeDocument(seed, 6);
    const auto value = ParseDocument(document);
    return value == nullptr ? "malformed" : std::to_string(SumOf(*value));
  }
};

class HashHandler final : public Handler {
 public:
  std::string Answer(uint64_t seed) override {
    return std::to_string(StretchKey("correct horse " + std::to_string(seed), 8'000));
  }
};

class SortHandler final : public Handler {
 public:
  std::string Answer(uint64_t seed) override {
    std::vector<Record> records = MakeRecords(seed, 1'000);
    SortRecords(records);
    return records.front().name;
  }
};

class CompressHandler final : public Handler {
 public:
  std::string Answer(uint64_t seed) override {
    const std::string document = MakeDocument(seed, 7);
    const std::string encoded = Compress(document);
    return Decompress(encoded) == document ? std::to_string(encoded.size()) : "damaged";
  }
};

std::string MakeResponse(std::string_view status, std::string_view body) {
  std::string out = "HTTP/1.1 ";
  out += status;
  out += "\r\nContent-Type: text/plain\r\nContent-Length: " + std::to_string(body.size());
  out += "\r\n\r\n";
  out += body;
  return out;
}

}  // namespace

Router::Router() {
  handlers_["/parse"] = std::make_unique<ParseHandler>();
  handlers_["/hash"] = std::make_unique<HashHandler>();
  handlers_["/sort"] = std::make_unique<SortHandler>();
  handlers_["/compress"] = std::make_unique<CompressHandler>();
}

Handler* Router::Find(std::string_view path) const {
  const auto found = handlers_.find(path);
  return found == handlers_.end() ? nullptr : found->second.get();
}

std::string Respond(const Router& router, std::string_view request_line, uint64_t seed) {
  const size_t begin = request_line.find(' ');
  const size_t end = request_line.find_first_of(" ?", begin + 1);
  if (begin == std::string_view::npos || end == std::string_view::npos) {
    return MakeResponse("400 Bad Request", "bad request\n");
  }
  Handler* handler = router.Find(request_line.substr(begin + 1, end - begin - 1));
  if (handler == nullptr) {
    return MakeResponse("404 Not Found", "no such endpoint\n");
  }
  return MakeResponse("200 OK", handler->Answer(seed));
}

}  // namespace example
