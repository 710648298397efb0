// Threads that are stuck, each in a known place, for `whyslow dump`: one waits for a mutex, one for
// data of a socket, one sleeps, one computes, main joins. Says "PEER ADDRESS" and
// "THREADS NAME=TID ...".
//
//   stuck SECONDS
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "target_support.h"

namespace {

std::mutex held;

__attribute__((noinline)) void LockHeld() {
  held.lock();
  held.unlock();
}

__attribute__((noinline)) void ReceiveFrom(int socket) {
  char byte = 0;
  [[maybe_unused]] const ssize_t got = recv(socket, &byte, 1, 0);
  __asm__ volatile("" ::: "memory");  // no tail call
}

__attribute__((noinline)) void SleepLong() {
  std::this_thread::sleep_for(std::chrono::hours(1));
  __asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) void Spin() {
  for (;;) {
    targets::BurnCpuFor(1'000'000);
  }
}

std::thread Start(const char* name, std::string& said, const std::function<void()>& work) {
  std::atomic<long> tid = 0;
  std::thread thread([&tid, name, work] {
    pthread_setname_np(pthread_self(), name);
    tid = syscall(SYS_gettid);
    work();
  });
  while (tid == 0) {
    std::this_thread::yield();
  }
  said += " " + std::string(name) + "=" + std::to_string(tid);
  return thread;
}

// A connection to a server that says nothing; prints its address.
int Connect() {
  const int server = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const plain = reinterpret_cast<sockaddr*>(&address);
  const int client = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(server, plain, size) != 0 || listen(server, 1) != 0 ||
      getsockname(server, plain, &size) != 0 || connect(client, plain, size) != 0) {
    std::perror("connection");
    std::exit(1);
  }
  std::printf("PEER 127.0.0.1:%d\n", ntohs(address.sin_port));
  return client;
}

}  // namespace

int main(int argc, char** argv) {
  targets::EndBySignalAfter(targets::NumberArgument(argc, argv, 1, 30));
  const int socket = Connect();
  held.lock();
  std::string said = "THREADS";
  std::vector<std::thread> threads;
  threads.push_back(Start("locker", said, LockHeld));
  threads.push_back(Start("receiver", said, [socket] { ReceiveFrom(socket); }));
  threads.push_back(Start("sleeper", said, SleepLong));
  threads.push_back(Start("spinner", said, Spin));
  std::printf("%s\n", said.c_str());
  targets::SayReady();
  threads[0].join();
}
