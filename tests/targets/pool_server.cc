// A server with a pool of threads as many are written: one thread accepts and queues, workers take
// from the queue, ask a backend by TCP and count what they did under a lock. It keeps an account of
// its waits. Usage: pool_server BACKEND_PORT REQUESTS. Says PORT NUMBER; see measured_waits.h.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "measured_waits.h"

using targets::Account;
using targets::Cast;
using targets::Meter;
using targets::Must;
using targets::Player;

namespace {

constexpr int kWorkers = 4;

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

struct Server {
  int listener = -1;
  int port = 0;
  int backend_port = 0;
  int requests = 0;

  pthread_mutex_t queue_mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t queue_grew = PTHREAD_COND_INITIALIZER;
  std::deque<int> queue = {};
  bool closed = false;

  pthread_mutex_t statistics_mutex = PTHREAD_MUTEX_INITIALIZER;
  int64_t served = 0;
};

}  // namespace

extern "C" {

__attribute__((noinline)) int accept_client(Account& account, int listener) {
  const Meter meter(account);
  return accept(listener, nullptr, nullptr);
}

// -1: there are no more.
__attribute__((noinline)) int wait_for_job(Account& account, Server& server) {
  pthread_mutex_lock(&server.queue_mutex);
  while (server.queue.empty() && !server.closed) {
    const Meter meter(account);
    pthread_cond_wait(&server.queue_grew, &server.queue_mutex);
  }
  int client = -1;
  if (!server.queue.empty()) {
    client = server.queue.front();
    server.queue.pop_front();
  }
  pthread_mutex_unlock(&server.queue_mutex);
  return client;
}

__attribute__((noinline)) void receive_request(Account& account, int client) {
  char request[256];
  const Meter meter(account);
  Must(static_cast<int>(recv(client, request, sizeof request, 0)), "recv");
}

__attribute__((noinline)) void call_backend(Account& account, int backend) {
  Must(static_cast<int>(send(backend, "?", 1, MSG_NOSIGNAL)), "send");
  char answer = 0;
  const Meter meter(account);
  Must(static_cast<int>(recv(backend, &answer, 1, 0)), "recv");
}

__attribute__((noinline)) void lock_statistics(Account& account, Server& server) {
  const Meter meter(account);
  pthread_mutex_lock(&server.statistics_mutex);
}

// Slow under its lock, as a server that writes its log there.
__attribute__((noinline)) void update_statistics(Account& account, Server& server) {
  const timespec span = targets::TimespecOf(2'000'000);
  const Meter meter(account);
  nanosleep(&span, nullptr);
  ++server.served;
}

}  // extern "C"

namespace {

void Accept(Player& self, Server& server) {
  Account& accepts =
      self.Open("accept_client", "accept", {.peer = "127.0.0.1:" + std::to_string(server.port)});
  for (int i = 0; i < server.requests; ++i) {
    const int client = Must(accept_client(accepts, server.listener), "accept");
    pthread_mutex_lock(&server.queue_mutex);
    server.queue.push_back(client);
    pthread_mutex_unlock(&server.queue_mutex);
    pthread_cond_signal(&server.queue_grew);
  }
  pthread_mutex_lock(&server.queue_mutex);
  server.closed = true;
  pthread_mutex_unlock(&server.queue_mutex);
  pthread_cond_broadcast(&server.queue_grew);
}

void Work(Player& self, Server& server) {
  // Woken together, they wait for the queue's lock on their way out.
  Account& jobs = self.Open("wait_for_job", "condition|mutex");
  Account& requests =
      self.Open("receive_request", "socket", {.peer = "127.0.0.1:" + std::to_string(server.port)});
  Account& answers = self.Open("call_backend", "socket",
                               {.peer = "127.0.0.1:" + std::to_string(server.backend_port)});
  Account& locks = self.Open("lock_statistics", "mutex");
  Account& updates = self.Open("update_statistics", "sleep");
  const int backend = Must(socket(AF_INET, SOCK_STREAM, 0), "socket");
  const sockaddr_in address = Loopback(server.backend_port);
  Must(connect(backend, reinterpret_cast<const sockaddr*>(&address), sizeof address), "connect");
  for (int client = 0; (client = wait_for_job(jobs, server)) >= 0; close(client)) {
    receive_request(requests, client);
    call_backend(answers, backend);
    lock_statistics(locks, server);
    update_statistics(updates, server);
    pthread_mutex_unlock(&server.statistics_mutex);
    Must(static_cast<int>(send(client, "done", 4, MSG_NOSIGNAL)), "send");
  }
  close(backend);
}

void Listen(Server& server) {
  server.listener = Must(socket(AF_INET, SOCK_STREAM, 0), "socket");
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof address;
  Must(bind(server.listener, reinterpret_cast<const sockaddr*>(&address), size), "bind");
  Must(listen(server.listener, 64), "listen");
  getsockname(server.listener, reinterpret_cast<sockaddr*>(&address), &size);
  server.port = ntohs(address.sin_port);
}

}  // namespace

int main(int argc, char** argv) {
  Server server;
  server.backend_port = static_cast<int>(targets::NumberArgument(argc, argv, 1, 0));
  server.requests = static_cast<int>(targets::NumberArgument(argc, argv, 2, 100));
  Listen(server);
  std::printf("PORT %d\n", server.port);
  Cast cast;
  cast.Add("acceptor", [&](Player& self) { Accept(self, server); });
  for (int i = 0; i < kWorkers; ++i) {
    cast.Add("worker_" + std::to_string(i), [&](Player& self) { Work(self, server); });
  }
  return cast.Play();
}
