// An HTTP server on loopback with four endpoints that each spend CPU time in their own way;
// something to profile. Each worker thread polls the listening socket and the connections it
// accepted. Usage: example_native_server [--port P] [--workers N] [--seconds S]
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "handlers.h"
#include "sockets.h"

namespace example {
namespace {

std::atomic<bool> stop{false};
std::atomic<uint64_t> requests_answered{0};

struct Connection {
  int socket = -1;
  std::string received;
};

class Worker {
 public:
  Worker(int listener, const Router& router) : listener_(listener), router_(router) {}

  void Run() {
    while (!stop) {
      std::vector<pollfd> waiting{{listener_, POLLIN, 0}};
      for (const Connection& connection : connections_) {
        waiting.push_back({connection.socket, POLLIN, 0});
      }
      if (poll(waiting.data(), waiting.size(), /*milliseconds=*/100) <= 0) {
        continue;
      }
      for (size_t i = connections_.size(); i > 0; --i) {
        if (waiting[i].revents != 0 && !ServeConnection(connections_[i - 1])) {
          close(connections_[i - 1].socket);
          connections_.erase(connections_.begin() + static_cast<std::ptrdiff_t>(i) - 1);
        }
      }
      if (waiting[0].revents != 0) {
        AcceptConnection();
      }
    }
  }

 private:
  void AcceptConnection() {
    const int socket = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket >= 0) {
      DisableDelay(socket);
      connections_.push_back({socket, ""});
    }
  }

  // False: the peer has gone, or sends what is no request.
  bool ServeConnection(Connection& connection) {
    char room[4096];
    const ssize_t got = recv(connection.socket, room, sizeof(room), 0);
    if (got <= 0 || connection.received.size() > 64 * 1024) {
      return false;
    }
    connection.received.append(room, static_cast<size_t>(got));
    size_t end = 0;
    while ((end = connection.received.find("\r\n\r\n")) != std::string::npos) {
      if (!AnswerRequest(connection.socket, std::string_view(connection.received).substr(0, end))) {
        return false;
      }
      connection.received.erase(0, end + 4);
    }
    return true;
  }

  bool AnswerRequest(int socket, std::string_view head) {
    const uint64_t seed = ++requests_answered;
    const std::string response = Respond(router_, head.substr(0, head.find("\r\n")), seed);
    return send(socket, response.data(), response.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(response.size());
  }

  int listener_;
  const Router& router_;
  std::vector<Connection> connections_;
};

void RunWorker(int listener, const Router& router, int number) {
  pthread_setname_np(pthread_self(), ("worker-" + std::to_string(number)).c_str());
  Worker(listener, router).Run();
}

int Serve(uint16_t port, int workers, double seconds) {
  const int listener = ListenOnLoopback(port);
  if (listener < 0) {
    return 1;
  }
  const Router router;
  std::vector<std::thread> threads;
  for (int number = 0; number < workers; ++number) {
    threads.emplace_back(RunWorker, listener, std::cref(router), number);
  }
  std::printf("READY %d %d\n", static_cast<int>(getpid()), PortOf(listener));
  std::fflush(stdout);
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop = true;
  for (std::thread& thread : threads) {
    thread.join();
  }
  std::printf("DONE %llu\n", static_cast<unsigned long long>(requests_answered.load()));
  return 0;
}

}  // namespace
}  // namespace example

int main(int argc, char** argv) {
  uint16_t port = 0;
  int workers = 2;
  double seconds = 60;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    if (name == "--port") {
      port = static_cast<uint16_t>(std::atoi(argv[i + 1]));
    } else if (name == "--workers") {
      workers = std::atoi(argv[i + 1]);
    } else if (name == "--seconds") {
      seconds = std::atof(argv[i + 1]);
    } else {
      std::fprintf(stderr, "usage: %s [--port P] [--workers N] [--seconds S]\n", argv[0]);
      return 2;
    }
  }
  return example::Serve(port, workers, seconds);
}
