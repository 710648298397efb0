// Asks the example server, as fast as it answers, over a few connections; prints one line of JSON.
// Usage: example_native_load --port P [--connections C] [--seconds S | --requests N] [--path /p]
// Without --path the four endpoints take turns.
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "sockets.h"

namespace example {
namespace {

using Clock = std::chrono::steady_clock;

struct Plan {
  uint16_t port = 0;
  int connections = 4;
  double seconds = 10;
  long requests = -1;  // of all connections together; -1: until the time is over
  std::string path;
};

struct Outcome {
  std::vector<double> milliseconds;  // one a request
  long failures = 0;
};

constexpr std::string_view kPaths[] = {"/parse", "/hash", "/sort", "/compress"};

// Reads one response: the head, then as many bytes as it says. False: the connection is broken.
bool ReadResponse(int socket, std::string& buffer) {
  buffer.clear();
  char room[4096];
  size_t expected = std::string::npos;
  while (buffer.size() < expected) {
    const ssize_t got = recv(socket, room, sizeof(room), 0);
    if (got <= 0) {
      return false;
    }
    buffer.append(room, static_cast<size_t>(got));
    const size_t head = buffer.find("\r\n\r\n");
    const size_t length = buffer.find("Content-Length: ");
    if (head != std::string::npos && length < head) {
      expected = head + 4 + std::strtoul(buffer.c_str() + length + 16, nullptr, 10);
    }
  }
  return buffer.starts_with("HTTP/1.1 200");
}

void AskUntil(const Plan& plan, Clock::time_point end, std::atomic<long>& left, Outcome& outcome) {
  const int socket = ConnectToLoopback(plan.port);
  if (socket < 0) {
    ++outcome.failures;
    return;
  }
  std::string buffer;
  for (size_t turn = 0; Clock::now() < end && (plan.requests < 0 || left-- > 0); ++turn) {
    const std::string_view path =
        plan.path.empty() ? kPaths[turn % 4] : std::string_view(plan.path);
    const std::string request = "GET " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
    const Clock::time_point begin = Clock::now();
    if (send(socket, request.data(), request.size(), MSG_NOSIGNAL) < 0 ||
        !ReadResponse(socket, buffer)) {
      ++outcome.failures;
      break;
    }
    outcome.milliseconds.push_back(
        std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
  }
  close(socket);
}

double Quantile(std::vector<double>& values, double share) {
  if (values.empty()) {
    return 0;
  }
  const auto rank = static_cast<size_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(rank),
                   values.end());
  return values[rank];
}

int Run(const Plan& plan) {
  std::vector<Outcome> outcomes(static_cast<size_t>(plan.connections));
  std::vector<std::thread> threads;
  std::atomic<long> left = plan.requests;
  const Clock::time_point begin = Clock::now();
  const auto limit = std::chrono::duration_cast<Clock::duration>(
      std::chrono::duration<double>(plan.requests < 0 ? plan.seconds : 300));
  for (Outcome& outcome : outcomes) {
    threads.emplace_back([&] { AskUntil(plan, begin + limit, left, outcome); });
  }
  Outcome all;
  for (size_t i = 0; i < threads.size(); ++i) {
    threads[i].join();
    all.failures += outcomes[i].failures;
    all.milliseconds.insert(all.milliseconds.end(), outcomes[i].milliseconds.begin(),
                            outcomes[i].milliseconds.end());
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  const double p50 = Quantile(all.milliseconds, 0.50);
  const double p99 = Quantile(all.milliseconds, 0.99);
  std::printf(
      "{\"requests\": %zu, \"failures\": %ld, \"seconds\": %.6f, \"p50_ms\": %.4f, "
      "\"p99_ms\": %.4f}\n",
      all.milliseconds.size(), all.failures, seconds, p50, p99);
  return all.failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace example

int main(int argc, char** argv) {
  example::Plan plan;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    const char* value = argv[i + 1];
    if (name == "--port") {
      plan.port = static_cast<uint16_t>(std::atoi(value));
    } else if (name == "--connections") {
      plan.connections = std::atoi(value);
    } else if (name == "--seconds") {
      plan.seconds = std::atof(value);
    } else if (name == "--requests") {
      plan.requests = std::atol(value);
    } else if (name == "--path") {
      plan.path = value;
    }
  }
  if (plan.port == 0 || plan.connections < 1) {
    std::fprintf(stderr, "usage: %s --port P [--connections C] [--seconds S | --requests N]\n",
                 argv[0]);
    return 2;
  }
  return example::Run(plan);
}
