// From a request's path to an answer: one handler an endpoint, found by name.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace example {

class Handler {
 public:
  virtual ~Handler() = default;
  virtual std::string Answer(uint64_t seed) = 0;
};

class Router {
 public:
  Router();
  // nullptr: no such endpoint.
  Handler* Find(std::string_view path) const;

 private:
  std::map<std::string, std::unique_ptr<Handler>, std::less<>> handlers_;
};

// The answer to one request line, "GET /path HTTP/1.1", as a whole HTTP response.
std::string Respond(const Router& router, std::string_view request_line, uint64_t seed);

}  // namespace example
