// Waits for a disk: reads past the page cache, pages that are not in memory, fsync, file locks.
// Usage: waits_files FOLDER. FOLDER lies on a real disk.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>

#include <cerrno>

#include "measured_waits.h"

using targets::Account;
using targets::Cast;
using targets::Meter;
using targets::Must;
using targets::Player;

extern "C" {

__attribute__((noinline)) ssize_t read_from_disk(Account& account, int file, void* buffer,
                                                 size_t size, off_t offset) {
  const Meter meter(account);
  return pread(file, buffer, size, offset);
}

__attribute__((noinline)) int touch_cold_page(Account& account, const volatile char* page) {
  const Meter meter(account);
  return *page;
}

__attribute__((noinline)) int sync_file(Account& account, int file) {
  const Meter meter(account);
  return fsync(file);
}

__attribute__((noinline)) int lock_file(Account& account, int file) {
  const Meter meter(account);
  return flock(file, LOCK_EX);
}

__attribute__((noinline)) void sleep_with_file_locked(Account& account, int64_t nanos) {
  const timespec span = targets::TimespecOf(nanos);
  const Meter meter(account);
  nanosleep(&span, nullptr);
}

}  // extern "C"

namespace {

constexpr size_t kBlock = 64 << 10;
constexpr size_t kBlocks = 256;

// A file of kBlocks blocks that is on the disk.
int WrittenFile(const std::string& path) {
  const int file = Must(open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600), path.c_str());
  const std::string block(kBlock, 'x');
  for (size_t i = 0; i < kBlocks; ++i) {
    Must(static_cast<int>(write(file, block.data(), block.size())), "write");
  }
  Must(fsync(file), "fsync");
  return file;
}

void ReadDirectly(Player& self, int file, const std::string& path) {
  Account& reads = self.Open("read_from_disk", "disk|file", {.file = path});
  void* buffer = std::aligned_alloc(4096, kBlock);
  for (size_t i = 0; i < kBlocks; ++i) {
    read_from_disk(reads, file, buffer, kBlock, static_cast<off_t>(i * kBlock));
  }
  std::free(buffer);
}

void TouchPages(Player& self, int file) {
  Account& faults = self.Open("touch_cold_page", "page-fault");
  posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  void* memory = mmap(nullptr, kBlock * kBlocks, PROT_READ, MAP_SHARED, file, 0);
  Must(memory == MAP_FAILED ? -1 : 0, "mmap");
  madvise(memory, kBlock * kBlocks, MADV_RANDOM);
  for (size_t i = 0; i < kBlocks; ++i) {
    targets::sink ^= static_cast<unsigned>(
        touch_cold_page(faults, static_cast<const char*>(memory) + i * kBlock));
  }
}

void Sync(Player& self, const std::string& path) {
  Account& syncs = self.Open("sync_file", "file|disk", {.file = path});
  const int file = Must(open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600), path.c_str());
  for (int i = 0; i < 60; ++i) {
    Must(static_cast<int>(write(file, "line\n", 5)), "write");
    sync_file(syncs, file);
  }
}

struct FileLock {
  std::string path;
  sem_t waiters_turn;
  sem_t holders_turn;
};

void HoldFileLock(Player& self, FileLock& lock) {
  Account& asleep = self.Open("sleep_with_file_locked", "sleep");
  const int file = Must(open(lock.path.c_str(), O_RDWR | O_CREAT, 0600), lock.path.c_str());
  for (int i = 0; i < 60; ++i) {
    Must(flock(file, LOCK_EX), "flock");
    sem_post(&lock.waiters_turn);
    sleep_with_file_locked(asleep, 3'000'000);
    Must(flock(file, LOCK_UN), "flock");
    sem_wait(&lock.holders_turn);
  }
}

void WaitForFileLock(Player& self, FileLock& lock) {
  Account& locks = self.Open("lock_file", "file", {.file = lock.path});
  const int file = Must(open(lock.path.c_str(), O_RDWR | O_CREAT, 0600), lock.path.c_str());
  for (int i = 0; i < 60; ++i) {
    sem_wait(&lock.waiters_turn);
    lock_file(locks, file);
    Must(flock(file, LOCK_UN), "flock");
    sem_post(&lock.holders_turn);
  }
}

}  // namespace

int main(int, char** argv) {
  const std::string folder = argv[1];
  Cast cast;
  const std::string path = folder + "/blocks";
  const int cached = WrittenFile(path);
  const int direct = open(path.c_str(), O_RDONLY | O_DIRECT);
  if (direct >= 0) {
    cast.Add("disk_reader", [=](Player& self) { ReadDirectly(self, direct, path); });
  } else {
    cast.Skip("disk", folder + ": O_DIRECT: " + std::strerror(errno));
  }
  const int mapped = WrittenFile(folder + "/mapped");
  cast.Add("page_toucher", [=](Player& self) { TouchPages(self, mapped); });
  cast.Add("syncer", [=](Player& self) { Sync(self, folder + "/journal"); });
  FileLock lock{.path = folder + "/lock", .waiters_turn = {}, .holders_turn = {}};
  sem_init(&lock.waiters_turn, 0, 0);
  sem_init(&lock.holders_turn, 0, 0);
  cast.Add("flock_holder", [&](Player& self) { HoldFileLock(self, lock); });
  cast.Add("flock_waiter", [&](Player& self) { WaitForFileLock(self, lock); });
  targets::sink ^= static_cast<uint64_t>(cached);
  return cast.Play();
}
